//! `list_organization_invitations`, `get_organization_invitation`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
};

use super::{
    InvitationsRead,
    api::{InvitationId, InvitationKind, InvitationStatus, OrganizationInvitation},
    rows,
};
use crate::{organizations, people, state::Area};

/// Invitations that are listed: the newest ones.
const MOST: i64 = 1000;

/// [Invitations] List invitations
///
/// Invitations of the organization, newest first: the latest thousand.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/invitations",
    operation_id = "list_organization_invitations",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("status" = inline(Option<InvitationStatus>), Query, nullable = false,
            description = "That stand like this"),
    ),
    responses(
        (status = 200, body = Vec<OrganizationInvitation>, description = "List of invitations"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(InvitationsRead::NAME)),
        ("x-minimum-role" = json!(InvitationsRead::ROLE.as_str())),
        ("x-scope" = json!(InvitationsRead::SCOPE)),
    )
)]
pub(super) async fn list_organization_invitations(
    scope: OrganizationScope<InvitationsRead>,
    State(Area { app, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<Vec<OrganizationInvitation>>> {
    let status = query.choice("status", InvitationStatus::from_word);
    query.check()?;
    let (id, now) = (scope.organization, app.clock().now());
    app.store()
        .read("list_organization_invitations", move |conn| {
            let organization = organizations::find(conn, id)?.ok_or_else(ApiError::not_found)?;
            let mut found = rows::all(conn, id, MOST)?;
            found.retain(|row| status.is_none_or(|status| status == row.status_at(now)));
            let people = people::of_ids(conn, found.iter().filter_map(|row| row.invited_by))?;
            let views = found.into_iter().map(|row| {
                let inviter = row.invited_by.and_then(|id| people.get(&id).cloned());
                OrganizationInvitation::at(now, row, organization.name.clone(), inviter)
            });
            Ok(Json(views.collect()))
        })
        .await
}

/// [Invitations] Get an invitation
///
/// Details of one invitation.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/invitations/{id}",
    operation_id = "get_organization_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(InvitationId), Path)),
    responses(
        (status = 200, body = OrganizationInvitation, description = "Invitation details"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(InvitationsRead::NAME)),
        ("x-minimum-role" = json!(InvitationsRead::ROLE.as_str())),
        ("x-scope" = json!(InvitationsRead::SCOPE)),
    )
)]
pub(super) async fn get_organization_invitation(
    scope: OrganizationScope<InvitationsRead>,
    PathId(id): PathId<InvitationKind>,
    State(Area { app, .. }): State<Area>,
) -> ApiResult<Versioned<OrganizationInvitation>> {
    let (place, now) = (scope.organization, app.clock().now());
    app.store()
        .read("get_organization_invitation", move |conn| {
            let organization = organizations::find(conn, place)?.ok_or_else(ApiError::not_found)?;
            let row = rows::find(conn, place, id)?.ok_or_else(ApiError::not_found)?;
            let people = people::of_ids(conn, row.invited_by)?;
            let inviter = row.invited_by.and_then(|id| people.get(&id).cloned());
            Ok(Versioned {
                version: row.modified.micros(),
                body: OrganizationInvitation::at(now, row, organization.name, inviter),
            })
        })
        .await
}
