//! Rescue mode: another system, with the instance's own disk beside it.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, NoBody, PathId},
    store::Tx,
};
use serde_json::json;

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
    requests::InstanceRescue,
    secrets::{self, Place, Secrets},
};
use crate::{
    Compute,
    catalogue::{Catalogue, api::ImageId},
    images,
    machines::{MachineRow, Power, kinds::name},
    ssh_keys,
    tasks::api::InstanceTask,
};

/// [Instances] Start rescue mode of a compute instance
///
/// Boot a rescue system with the root volume attached as a second disk. Access data is in the task result, once.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/rescue",
    tag = "Compute", operation_id = "enable_instance_rescue",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceRescue),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn enable_instance_rescue(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceRescue>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let made = match change.body() {
        Ok(body) => {
            let generate = body.ssh_key_ids.is_empty();
            Secrets::make(&compute, id, Place::Rescue, body.password.as_ref(), generate).await?
        }
        // It will be refused.
        Err(_) => Secrets::default(),
    };
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceRescue>| -> ApiResult<Answer<InstanceTask>> {
            let mut action = Action::begin(tx, &scope, id)?;
            change.check_version(action.row.version)?;
            let body = change.body()?;
            let image = judge(tx, &compute, &action, &catalogue, body)?;
            action.must_be_active()?;
            let machine = action.machine_to_change()?;
            if machine.rescue_image_id.is_some() {
                return Err(ApiError::conflict(
                    "The instance is in rescue mode already; leave it first.",
                ));
            }
            let machine = MachineRow {
                rescue_image_id: Some(image),
                rescue_password: made.password.clone(),
                power: Power::On,
                ..machine
            };
            let text = format!("Asked for the rescue system of instance {}", action.row.name);
            action.audit(tx, "instance.rescue_enabled", text, Changes::default())?;
            ssh_keys::rows::link(tx, id, &body.ssh_key_ids)?;
            let parameters = json!({ "image_id": image, "generated": made.is_generated() });
            let task = action.wish(tx, name::ENABLE_RESCUE, parameters, None, machine)?;
            made.hand_over(tx, &compute, &scope, task)?;
            action.answer(tx, task)
        };
    change.run(&app, &caller, name::ENABLE_RESCUE, work).await
}

/// The system to boot: the one asked for, the installation's, or the instance's own.
fn judge(
    tx: &mut Tx<'_>,
    compute: &Compute,
    action: &Action<'_, InstancesOperate>,
    catalogue: &Catalogue,
    body: &InstanceRescue,
) -> ApiResult<ImageId> {
    let mut faults = Faults::default();
    let row = &action.row;
    let slug = &compute.app.config().compute.rescue_image;
    let image = match body.image_id {
        Some(id) => catalogue.image_for(row.organization_id, id),
        None if slug.is_empty() => catalogue.image(row.image_id),
        None => catalogue.public_image(slug),
    };
    match image {
        None => {
            let id = body.image_id.unwrap_or(row.image_id);
            faults.add(
                "image_id",
                format!("Invalid pk \"{id}\" - object does not exist."),
            );
        }
        Some(image) => {
            let is_offered = image.is_active || image.id == row.image_id;
            faults.check("image_id", is_offered, "This image is not on offer.");
            let file = images::rows::digest_of(tx.conn(), image.id)?;
            faults.check("image_id", file.is_some(), "This image is not available yet.");
            if let Ok(machine) = action.machine() {
                let needs = format!("This image needs {} MB of memory at least.", image.min_ram_mb);
                faults.check("image_id", image.min_ram_mb <= machine.memory_mb, needs);
            }
        }
    }
    secrets::check(body.password.as_ref(), None, &mut faults);
    ssh_keys::check(tx.conn(), row.project_id, &body.ssh_key_ids, &mut faults)?;
    faults.into_result()?;
    image
        .map(|image| image.id)
        .ok_or_else(|| ApiError::internal("an image without faults"))
}

/// [Instances] Leave rescue mode of a compute instance
///
/// Boot from the root volume again.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/rescue",
    tag = "Compute", operation_id = "disable_instance_rescue",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 202, description = actions::ACCEPTED, body = InstanceTask),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)), ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())),
        ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn disable_instance_rescue(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        action.must_be_active()?;
        let machine = action.machine_to_change()?;
        if machine.rescue_image_id.is_none() {
            return Err(ApiError::conflict("The instance is not in rescue mode."));
        }
        let machine = MachineRow {
            rescue_image_id: None,
            rescue_password: None,
            ..machine
        };
        let text = format!(
            "Asked for instance {} to leave its rescue system",
            action.row.name
        );
        action.audit(tx, "instance.rescue_disabled", text, Changes::default())?;
        action.change(tx, name::DISABLE_RESCUE, json!({}), None, machine)
    };
    change
        .run(&compute.app, &caller, name::DISABLE_RESCUE, work)
        .await
}
