//! `list_organization_members`, `get_organization_member`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission, Role},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
    store::StoreError,
};

use super::{
    MembersRead,
    api::{MembershipId, MembershipKind, OrganizationMember},
    rows, view,
};
use crate::state::Area;

/// [Members] List members
///
/// Members with their role and project roles, ordered by e-mail.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/members",
    operation_id = "list_organization_members",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("role" = inline(Option<Role>), Query, nullable = false, description = "With this role"),
        ("search" = inline(Option<String>), Query, nullable = false,
            description = "Part of the name or e-mail address"),
    ),
    responses(
        (status = 200, body = Vec<OrganizationMember>, description = "List of members"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(MembersRead::NAME)),
        ("x-minimum-role" = json!(MembersRead::ROLE.as_str())),
        ("x-scope" = json!(MembersRead::SCOPE)),
    )
)]
pub(super) async fn list_organization_members(
    scope: OrganizationScope<MembersRead>,
    State(Area { app, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<Vec<OrganizationMember>>> {
    let role = query.choice("role", Role::from_word);
    let search = query.text("search").map(|text| text.to_lowercase());
    query.check()?;
    let listed = app
        .store()
        .read("list_organization_members", move |conn| {
            let mut found = rows::all(conn, scope.organization)?;
            found.retain(|(row, person)| {
                role.is_none_or(|role| role == row.role)
                    && search.as_ref().is_none_or(|wanted| {
                        [&person.name(), &person.email]
                            .iter()
                            .any(|text| text.to_lowercase().contains(wanted))
                    })
            });
            found.sort_by(|(_, left), (_, right)| left.email_key.cmp(&right.email_key));
            view::all(conn, scope.organization, found)
        })
        .await
        .map_err(|error: StoreError| ApiError::from(error))?;
    Ok(Json(listed))
}

/// [Members] Get a member
///
/// Details of one member.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/members/{id}",
    operation_id = "get_organization_member",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(MembershipId), Path)),
    responses(
        (status = 200, body = OrganizationMember, description = "Member details"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(MembersRead::NAME)),
        ("x-minimum-role" = json!(MembersRead::ROLE.as_str())),
        ("x-scope" = json!(MembersRead::SCOPE)),
    )
)]
pub(super) async fn get_organization_member(
    scope: OrganizationScope<MembersRead>,
    PathId(id): PathId<MembershipKind>,
    State(Area { app, .. }): State<Area>,
) -> ApiResult<Versioned<OrganizationMember>> {
    app.store()
        .read("get_organization_member", move |conn| {
            let found = rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
            let version = found.0.modified().micros();
            let body = view::one(conn, scope.organization, found)?;
            Ok(Versioned { body, version })
        })
        .await
}
