//! `get_current_membership`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission, Role},
    http::{ApiError, ApiResult, Versioned},
};

use super::{
    MembersMe,
    api::{CurrentMembership, ProjectPermissions},
    rows, view,
};
use crate::{projects, state::Area};

/// [Members] Get own membership
///
/// Membership of the caller with the permissions that follow from it: those of the role, as far as the scopes of a
/// key allow, and without modules that are switched off.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/members/me",
    operation_id = "get_current_membership",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = CurrentMembership, description = "Own membership"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(MembersMe::NAME)),
        ("x-minimum-role" = json!(MembersMe::ROLE.as_str())),
        ("x-scope" = json!(MembersMe::SCOPE)),
    )
)]
pub(super) async fn get_current_membership(
    scope: OrganizationScope<MembersMe>,
    State(Area { app, permissions, .. }): State<Area>,
) -> ApiResult<Versioned<CurrentMembership>> {
    app.store()
        .read("get_current_membership", move |conn| {
            let (organization, caller) = (scope.organization, &scope.caller);
            let found = rows::find_user(conn, organization, caller.user)?.ok_or_else(ApiError::not_found)?;
            let version = found.0.modified().micros();
            let member = view::one(conn, organization, found)?;
            let visible = projects::visible(conn, organization, caller)?;
            let held = |role: Role, of_project: bool| {
                permissions.held(role, of_project, |declared| {
                    let area = declared.scope.split(':').next().unwrap_or_default();
                    caller.has_scope(declared.scope) && !scope.closed.contains(&area)
                })
            };
            let project_permissions = visible.into_iter().map(|(row, _, role)| ProjectPermissions {
                project_id: row.id,
                role: role.into(),
                permissions: held(role, true),
            });
            let body = CurrentMembership {
                member,
                permissions: held(scope.role, false),
                project_permissions: project_permissions.collect(),
            };
            Ok(Versioned { body, version })
        })
        .await
}
