//! `revoke_organization_invitation`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
};

use super::{
    InvitationsUpdate,
    api::{InvitationId, InvitationKind, InvitationStatus},
    rows,
    send::event,
};
use crate::{
    organizations,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Invitations] Revoke an invitation
///
/// Revoke a pending invitation; its link stops working.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/invitations/{id}",
    operation_id = "revoke_organization_invitation",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(InvitationId), Path)),
    responses((status = 204, description = "Invitation revoked"), WriteRefusals),
    extensions(
        ("x-permission" = json!(InvitationsUpdate::NAME)),
        ("x-minimum-role" = json!(InvitationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(InvitationsUpdate::SCOPE)),
    )
)]
pub(super) async fn revoke_organization_invitation(
    scope: OrganizationScope<InvitationsUpdate>,
    PathId(id): PathId<InvitationKind>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let organization = organizations::lock(tx, scope.organization)?.id;
        let mut row = rows::find(tx.conn(), organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let now = tx.now();
        if !row.is_open(now) {
            return Err(ApiError::refused("This invitation is not pending."));
        }
        let mut changes = Changes::default();
        changes.note("status", &row.status, &InvitationStatus::Revoked);
        row.status = InvitationStatus::Revoked;
        row.modified = after(row.modified, now);
        rows::update(tx, &row)?;
        let event = event(&row, "invitation.revoked", "is not invited any more", changes);
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(organization), None, &event)?;
        Ok(Answer::empty())
    };
    change
        .run(&app, &caller, "revoke_organization_invitation", work)
        .await
}
