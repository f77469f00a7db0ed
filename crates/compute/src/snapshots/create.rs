//! `create_snapshot`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults},
    id::Id,
    store::Tx,
};

use super::{
    SnapshotsManage,
    api::{InstanceSnapshot, NewSnapshot, SnapshotKind, SnapshotStatus},
    rows::{self, SnapshotRow},
    tasks::about,
};
use crate::{
    Compute,
    catalogue::Catalogue,
    copies::{CopyRow, SNAPSHOT_ADDON, must_be_bought, must_be_free},
    instances::{actions::Action, rows as instances},
    tasks::InstancePath,
};

/// [Snapshots] Create a snapshot
///
/// Capture the disk of the instance as it is, whether it runs or not: what a power cut would leave. The row is there at
/// once in state pending; a task does the work. Needs the snapshot addon where the size does not include it.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/snapshots",
    tag = "Compute", operation_id = "create_snapshot",
    params(
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceSnapshot),
    responses(
        (status = 201, description = "Created", body = InstanceSnapshot),
        (status = 400, description = "Invalid request parameters"),
        (status = 402, description = "The snapshot addon is needed: activate it first"),
        (status = 409, description = "The state of the object, or a running task, forbids this action"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SnapshotsManage::NAME)), ("x-minimum-role" = json!(SnapshotsManage::ROLE.as_str())),
        ("x-scope" = json!(SnapshotsManage::SCOPE))),
)]
pub(crate) async fn create_snapshot(
    scope: ProjectScope<SnapshotsManage>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    change: http::Change<NewSnapshot>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let most = compute.app.config().compute.snapshots_per_instance;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NewSnapshot>| {
        let action = Action::begin(tx, &scope, instance)?;
        create(tx, &scope, &catalogue, action, change.body()?, most)
    };
    change.run(&compute.app, &caller, SnapshotRow::CREATE, work).await
}

fn create(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<SnapshotsManage>,
    catalogue: &Catalogue,
    action: Action<'_, SnapshotsManage>,
    wanted: &NewSnapshot,
    most: u32,
) -> ApiResult<Answer<InstanceSnapshot>> {
    let mut faults = Faults::default();
    faults.check(
        "include_memory",
        !wanted.include_memory,
        "Memory can't be kept: a snapshot holds the disk alone.",
    );
    faults.into_result()?;
    action.must_be_active()?;
    let instance = &action.row;
    must_be_bought(
        tx.conn(),
        catalogue,
        (instance.id, instance.size_id),
        SNAPSHOT_ADDON,
    )?;
    must_be_free(tx, instance.id)?;
    if rows::count(tx.conn(), instance.id)? >= i64::from(most) {
        return Err(ApiError::conflict(format!(
            "An instance has at most {most} snapshots: delete one first."
        )));
    }
    let machine = action.machine()?;
    let (_, volumes) = instances::parts_of(tx.conn(), instance.id)?;
    let disk = volumes
        .into_iter()
        .find(|volume| volume.disk_name == crate::instances::ROOT_DISK);
    let disk = disk.ok_or_else(|| ApiError::conflict("The instance has no disk yet."))?;
    let id: Id<SnapshotKind> = Id::new();
    let task = action.ask(tx, SnapshotRow::CREATE, about(id))?;
    let row = SnapshotRow {
        id,
        organization_id: scope.organization,
        project_id: scope.project,
        instance_id: instance.id,
        host_id: machine.host_id,
        name: wanted.name.clone(),
        description: wanted.description.clone(),
        status: SnapshotStatus::Pending,
        volume_id: disk.id,
        disk_gb: machine.disk_gb,
        image_id: instance.image_id,
        os_name: instance.os_name.clone(),
        size_bytes: None,
        task_id: Some(task),
        error_message: String::new(),
        restored_at: None,
        created: tx.now(),
        modified: tx.now(),
    };
    rows::insert(tx, &row)?;
    let mut changes = Changes::default();
    changes.note("snapshot_id", &None, &Some(id));
    changes.note("name", &None, &Some(&row.name));
    let text = format!("Asked for snapshot {} of instance {}", row.name, instance.name);
    action.audit(tx, "instance.snapshot_created", text, changes)?;
    let path = format!(
        "/v1/organizations/{}/projects/{}/compute/instances/{}/snapshots/{id}",
        scope.organization, scope.project, instance.id
    );
    let version = row.modified.micros();
    let shown = InstanceSnapshot::of((row, instance.name.clone(), disk), catalogue)?;
    Ok(Answer::created(shown, Some(version), path))
}
