//! `create_ssh_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change},
    id::Id,
    store::Tx,
};

use super::{
    SshKeysManage,
    api::{NewKey, SSHKey},
    rows::{self, SshKeyRow},
    rules,
};
use crate::Compute;

/// Keys of one project.
const MOST_KEYS: i64 = 500;

/// [SSH Keys] Add a new SSH key
///
/// Store a public key in the project, for instances to be created or existing ones. Only the public half is taken. A key
/// the project has already gives 409.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys",
    tag = "Compute", operation_id = "create_ssh_key",
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = SSHKey),
    responses(
        (status = 201, description = "Created", body = SSHKey),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is no JSON"),
        (status = 422, description = "The Idempotency-Key was used for another request"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysManage::NAME)), ("x-minimum-role" = json!(SshKeysManage::ROLE.as_str())),
        ("x-scope" = json!(SshKeysManage::SCOPE))),
)]
pub(crate) async fn create_ssh_key(
    scope: ProjectScope<SshKeysManage>,
    State(compute): State<Compute>,
    change: Change<NewKey>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NewKey>| {
        let wanted = change.body()?;
        let key = rules::parse(&wanted.public_key)?;
        if let Some(same) = rows::find_same(tx.conn(), scope.project, &key.fingerprint)? {
            let detail = format!(
                "The project has this key already, as {:?} ({}).",
                same.name, same.id
            );
            return Err(ApiError::conflict(detail));
        }
        if rows::count(tx.conn(), scope.project)? >= MOST_KEYS {
            let detail = format!("A project has at most {MOST_KEYS} SSH keys: delete one first.");
            return Err(ApiError::refused(detail));
        }
        let now = tx.now();
        let row = SshKeyRow {
            id: Id::new(),
            organization_id: scope.organization,
            project_id: scope.project,
            name: wanted.name.clone(),
            public_key: key.line,
            fingerprint: key.fingerprint,
            key_type: key.key_type,
            created_by: Some(scope.caller.user),
            created: now,
            modified: now,
        };
        rows::insert(tx, &row)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let (organization, project) = (Some(scope.organization), Some(scope.project));
        tx.audit(&origin, organization, project, &created(&row))?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/ssh-keys/{}",
            scope.organization, scope.project, row.id
        );
        let version = row.modified.micros();
        Ok(Answer::created(SSHKey::of(row, 0), Some(version), path))
    };
    change.run(&compute.app, &caller, "create_ssh_key", work).await
}

fn created(row: &SshKeyRow) -> Event {
    let mut changes = Changes::default();
    changes.note("name", &None, &Some(&row.name));
    changes.note("fingerprint", &None, &Some(&row.fingerprint));
    changes.note("key_type", &None, &Some(&row.key_type));
    Event {
        action: "ssh_key.created",
        resource_type: "ssh_key",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("SSH key {} added", row.name),
        changes,
        status: AuditStatus::Success,
    }
}
