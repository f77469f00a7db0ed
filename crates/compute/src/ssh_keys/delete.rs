//! `delete_ssh_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
};

use super::{
    SshKeysManage,
    api::SshKeyKind,
    rows::{self, SshKeyRow},
};
use crate::Compute;

/// [SSH Keys] Delete an SSH key
///
/// Forget the key. Instances that carry it keep it in authorized_keys.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys/{id}",
    tag = "Compute", operation_id = "delete_ssh_key",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the SSH key."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn delete_ssh_key(
    scope: ProjectScope<SshKeysManage>,
    PathId(id): PathId<SshKeyKind>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let row = rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        rows::delete(tx, row.id)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let (organization, project) = (Some(scope.organization), Some(scope.project));
        tx.audit(&origin, organization, project, &deleted(&row))?;
        Ok(Answer::empty())
    };
    change.run(&compute.app, &caller, "delete_ssh_key", work).await
}

fn deleted(row: &SshKeyRow) -> Event {
    let mut changes = Changes::default();
    changes.note("fingerprint", &Some(&row.fingerprint), &None);
    Event {
        action: "ssh_key.deleted",
        resource_type: "ssh_key",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("SSH key {} deleted", row.name),
        changes,
        status: AuditStatus::Success,
    }
}
