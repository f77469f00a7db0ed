//! `delete_organization`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody},
    store::Tx,
};

use super::{OrganizationsDelete, rows};
use crate::{
    members,
    refusals::WriteRefusals,
    state::{Area, Place, after},
};

/// [Organizations] Delete an organization
///
/// Delete an organization that has no live resource and no member but the caller. It is out of reach at once; the
/// operator can bring it back for some time. Invoices and audit records stay stored for the operator.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}",
    operation_id = "delete_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses((status = 204, description = "Organization deleted"), WriteRefusals),
    extensions(
        ("x-permission" = json!(OrganizationsDelete::NAME)),
        ("x-minimum-role" = json!(OrganizationsDelete::ROLE.as_str())),
        ("x-scope" = json!(OrganizationsDelete::SCOPE)),
    )
)]
pub(super) async fn delete_organization(
    scope: OrganizationScope<OrganizationsDelete>,
    State(Area { app, counter, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let (caller, id) = (scope.caller.clone(), scope.organization);
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let mut row = rows::lock(tx, id)?;
        change.check_version(row.modified.micros())?;
        let live = counter.live(tx.conn(), Place::Organization(id))?.total();
        if live > 0 {
            return Err(ApiError::refused(format!(
                "The organization still has {live} live resources: delete them first."
            )));
        }
        let others = members::count(tx.conn(), id)? - 1;
        if others > 0 {
            return Err(ApiError::refused(format!(
                "The organization still has {others} other members: remove them first."
            )));
        }
        let now = tx.now();
        row.is_active = false;
        row.deleted_at = Some(now);
        row.modified = after(row.modified, now);
        rows::set_deleted(tx, &row)?;
        let mut changes = Changes::default();
        changes.note("deleted_at", &None, &row.deleted_at);
        let event = Event {
            action: "organization.deleted",
            resource_type: "organization",
            resource_id: id.cast(),
            resource_name: row.name.clone(),
            description: format!("Organization {} deleted", row.name),
            changes,
            status: AuditStatus::Success,
        };
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(id), None, &event)?;
        Ok(Answer::empty())
    };
    change.run(&app, &caller, "delete_organization", work).await
}
