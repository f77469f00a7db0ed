//! `replace_ssh_key` and `update_ssh_key`: a key's name.

use std::time::Duration;

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, PathId},
    id::Id,
    store::Tx,
};

use super::{
    SshKeysManage,
    api::{NewKey, PatchedSSHKey, SSHKey, SshKeyKind},
    list, rows,
    rows::SshKeyRow,
    rules,
};
use crate::Compute;

/// [SSH Keys] Replace an SSH key
///
/// Rename the key; public_key must equal the stored one.
#[utoipa::path(
    put, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys/{id}",
    tag = "Compute", operation_id = "replace_ssh_key",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the SSH key."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = SSHKey),
    responses(
        (status = 200, description = "Done", body = SSHKey),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn replace_ssh_key(
    scope: ProjectScope<SshKeysManage>,
    PathId(id): PathId<SshKeyKind>,
    State(compute): State<Compute>,
    change: Change<NewKey>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NewKey>| {
        rename(tx, &scope, id, change, |row, body| {
            let key = rules::parse(&body.public_key)?;
            if key.line != row.public_key {
                let message =
                    "A stored key can't become another one: add the other key, and delete this one.";
                return Err(Faults::one("public_key", message).into());
            }
            Ok(Some(body.name.clone()))
        })
    };
    change.run(&compute.app, &caller, "replace_ssh_key", work).await
}

/// [SSH Keys] Update an SSH key
///
/// Write only the fields given.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys/{id}",
    tag = "Compute", operation_id = "update_ssh_key",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the SSH key."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedSSHKey),
    responses(
        (status = 200, description = "Done", body = SSHKey),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "A request with the same Idempotency-Key is still running"),
        (status = 412, description = "If-Match names another version"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn update_ssh_key(
    scope: ProjectScope<SshKeysManage>,
    PathId(id): PathId<SshKeyKind>,
    State(compute): State<Compute>,
    change: Change<PatchedSSHKey>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<PatchedSSHKey>| {
        rename(tx, &scope, id, change, |_, body| Ok(body.name.clone()))
    };
    change.run(&compute.app, &caller, "update_ssh_key", work).await
}

/// Gives a key the name that `wanted` reads from the body, if that is another one.
fn rename<B>(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<SshKeysManage>,
    id: Id<SshKeyKind>,
    change: &Change<B>,
    wanted: impl FnOnce(&SshKeyRow, &B) -> ApiResult<Option<String>>,
) -> ApiResult<Answer<SSHKey>> {
    let mut row = rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(row.modified.micros())?;
    let name = wanted(&row, change.body()?)?;
    if let Some(name) = name.filter(|name| *name != row.name) {
        let mut changes = Changes::default();
        changes.note("name", &row.name, &name);
        row.name = name;
        row.modified = tx.now().max(row.modified + Duration::from_micros(1));
        rows::save(tx, &row)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let (organization, project) = (Some(scope.organization), Some(scope.project));
        tx.audit(&origin, organization, project, &updated(&row, changes))?;
    }
    let version = row.modified.micros();
    Ok(Answer::ok(list::one(tx.conn(), row)?, version))
}

fn updated(row: &SshKeyRow, changes: Changes) -> Event {
    Event {
        action: "ssh_key.updated",
        resource_type: "ssh_key",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Changed name of SSH key {}", row.name),
        changes,
        status: AuditStatus::Success,
    }
}
