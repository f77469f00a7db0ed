//! The keys that an instance carries: `list_instance_ssh_keys`, `add_instance_ssh_keys`, `remove_instance_ssh_key`.

use std::collections::HashSet;

use axum::{Json, extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults, NestedId, NoBody, PathId},
    id::Id,
    store::Tx,
    tasks::NewTask,
};

use super::{
    SshKeysManage, SshKeysRead,
    api::{AddKeys, InstanceSSHKey, InstanceSSHKeysAdd, SshKeyKind},
    rows,
    steps::{AddSshKeys, RemoveSshKey},
};
use crate::{
    Compute,
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows::{self as instance_rows, InstanceRow},
    },
    tasks::{self, api::InstanceTask},
};

/// Keys on one instance.
const MOST_KEYS: usize = 100;

/// [Instances] List SSH keys of a compute instance
///
/// Keys this platform has placed on the instance.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ssh-keys",
    tag = "Compute", operation_id = "list_instance_ssh_keys",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Plain array, not paginated", body = Vec<InstanceSSHKey>),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysRead::NAME)), ("x-minimum-role" = json!(SshKeysRead::ROLE.as_str())),
        ("x-scope" = json!(SshKeysRead::SCOPE))),
)]
pub(crate) async fn list_instance_ssh_keys(
    scope: ProjectScope<SshKeysRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Json<Vec<InstanceSSHKey>>> {
    let read = compute.app.store().read("list_instance_ssh_keys", move |conn| {
        instance_rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let rows = rows::placed(conn, id)?;
        Ok(Json(rows.into_iter().map(InstanceSSHKey::from).collect()))
    });
    read.await
}

/// [Instances] Add SSH keys to a compute instance
///
/// Place registered keys on an existing instance through the guest agent or cloud-init. Keys that it carries already
/// stay as they are.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ssh-keys",
    tag = "Compute", operation_id = "add_instance_ssh_keys",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceSSHKeysAdd),
    responses(
        (status = 202, description = "Accepted. The task that carries out the action is returned; poll it, or list the \
            tasks of the instance.", body = InstanceTask),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = "The instance is in a state, or has a running task, that forbids this action"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn add_instance_ssh_keys(
    scope: ProjectScope<SshKeysManage>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: Change<AddKeys>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<AddKeys>| {
        let (instance, ..) =
            instance_rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let wanted = &change.body()?.ssh_key_ids;
        check_known(tx, &scope, wanted)?;
        check_active(&instance)?;
        let added = rows::link(tx, id, wanted)?;
        let carried = rows::placed(tx.conn(), id)?;
        if carried.len() > MOST_KEYS {
            let detail = format!("An instance carries at most {MOST_KEYS} SSH keys.");
            return Err(ApiError::refused(detail));
        }
        if !added.is_empty() {
            let names: Vec<&str> = carried
                .iter()
                .filter(|row| added.contains(&row.ssh_key_id))
                .map(|row| row.name.as_str())
                .collect();
            let text = format!(
                "SSH keys added to instance {}: {}",
                instance.name,
                names.join(", ")
            );
            let mut changes = Changes::default();
            changes.note("ssh_key_ids", &Vec::new(), &added);
            record(tx, &scope, &instance, "instance.ssh_keys_added", text, changes)?;
        }
        begin(tx, &scope, AddSshKeys::task(&instance, &added))
    };
    change
        .run(&compute.app, &caller, "add_instance_ssh_keys", work)
        .await
}

/// [Instances] Remove an SSH key from a compute instance
///
/// Take a placed key off the instance.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/ssh-keys/{ssh_key_id}",
    tag = "Compute", operation_id = "remove_instance_ssh_key",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("ssh_key_id" = uuid::Uuid, Path, description = "UUID of the SSH key."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = "Accepted. The task that carries out the action is returned; poll it, or list the \
            tasks of the instance.", body = InstanceTask),
        (status = 409, description = "The instance is in a state, or has a running task, that forbids this action"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn remove_instance_ssh_key(
    scope: ProjectScope<SshKeysManage>,
    PathId(id): PathId<InstanceKind>,
    NestedId(key): NestedId<SshKeyKind>,
    State(compute): State<Compute>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, _: &Change<NoBody>| {
        let (instance, ..) =
            instance_rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let placed = rows::placed(tx.conn(), id)?;
        let row = placed.into_iter().find(|row| row.ssh_key_id == key);
        let row = row.ok_or_else(ApiError::not_found)?;
        check_active(&instance)?;
        rows::unplace(tx, id, &[key])?;
        let text = format!("SSH key {} removed from instance {}", row.name, instance.name);
        let mut changes = Changes::default();
        changes.note("ssh_key_ids", &vec![key], &Vec::new());
        record(tx, &scope, &instance, "instance.ssh_key_removed", text, changes)?;
        begin(tx, &scope, RemoveSshKey::task(&instance, &row))
    };
    change
        .run(&compute.app, &caller, "remove_instance_ssh_key", work)
        .await
}

/// Every id that names no key of the project, and an empty list.
fn check_known(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<SshKeysManage>,
    wanted: &[Id<SshKeyKind>],
) -> ApiResult<()> {
    let mut faults = Faults::default();
    faults.check("ssh_key_ids", !wanted.is_empty(), "This list may not be empty.");
    let many = format!("Ensure this field has no more than {MOST_KEYS} elements.");
    faults.check("ssh_key_ids", wanted.len() <= MOST_KEYS, many);
    if faults.is_empty() {
        let known = rows::keys_for(tx.conn(), scope.project, wanted)?;
        let known: HashSet<Id<SshKeyKind>> = known.into_iter().map(|row| row.id).collect();
        for id in wanted.iter().filter(|id| !known.contains(id)) {
            let message = format!("Invalid pk \"{id}\" - object does not exist.");
            faults.add("ssh_key_ids", message);
        }
    }
    Ok(faults.into_result()?)
}

fn check_active(instance: &InstanceRow) -> ApiResult<()> {
    if instance.status == InstanceStatus::Active {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "The instance is {}: its keys can be changed while it is active.",
        instance.status.as_str()
    )))
}

/// Enqueues the task and answers with it.
fn begin(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<SshKeysManage>,
    task: NewTask,
) -> ApiResult<Answer<InstanceTask>> {
    let id = tx.enqueue(&NewTask {
        created_by: Some(scope.caller.user),
        request: Some(scope.request.id),
        ..task
    })?;
    let path = tasks::path(scope.organization, scope.project, id);
    Ok(Answer::accepted(tasks::one(tx.conn(), scope.project, id)?, path))
}

fn record(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<SshKeysManage>,
    instance: &InstanceRow,
    action: &'static str,
    description: String,
    changes: Changes,
) -> ApiResult<()> {
    let event = Event {
        action,
        resource_type: "instance",
        resource_id: instance.id.cast(),
        resource_name: instance.name.clone(),
        description,
        changes,
        status: AuditStatus::Success,
    };
    let origin = Origin::caller(&scope.caller, &scope.request);
    Ok(tx.audit(&origin, Some(scope.organization), Some(scope.project), &event)?)
}
