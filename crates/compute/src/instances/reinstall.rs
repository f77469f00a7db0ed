//! `reinstall_instance`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    store::Tx,
};
use serde_json::json;

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
    order::{check_room, is_license},
    requests::InstanceReinstall,
    rows::InstanceRow,
    rules::is_hostname,
    secrets::{self, Place, Secrets},
};
use crate::{
    Compute,
    addons::rows::{self as addons, AddonState},
    catalogue::{
        Catalogue,
        api::{InstanceImage, Shown},
    },
    images,
    machines::{MachineRow, kinds::name},
    ssh_keys,
    tasks::api::InstanceTask,
};

/// [Instances] Reinstall compute instance
///
/// Erase the root volume and install an image anew, keeping addresses, size and extra volumes. Queues a reinstall task;
/// `is_installed` is false until it completes. Password, keys and user data are those of the request; without password and
/// keys a password is generated, which can be read once from the task result.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/reinstall",
    tag = "Compute", operation_id = "reinstall_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceReinstall),
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
pub(crate) async fn reinstall_instance(
    scope: ProjectScope<InstancesOperate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceReinstall>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let made = match change.body() {
        Ok(body) => {
            let generate = body.ssh_key_ids.is_empty();
            let made = Secrets::make(&compute, id, Place::Own, body.password.as_ref(), generate).await?;
            made.with_user_data(&compute, id, body.user_data.as_ref())
        }
        // It will be refused.
        Err(_) => Secrets::default(),
    };
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceReinstall>| -> ApiResult<Answer<InstanceTask>> {
            let mut action = Action::begin(tx, &scope, id)?;
            change.check_version(action.row.version)?;
            let body = change.body()?;
            let image = judge(tx, &action, &catalogue, body)?;
            action.must_be_active()?;
            let machine = MachineRow {
                password: made.password.clone(),
                user_data: made.user_data.clone(),
                // The new system is another one, for cloud-init too.
                seed_id: Id::new(),
                // A reinstallation ends rescue.
                rescue_image_id: None,
                rescue_password: None,
                ..action.machine_to_change()?
            };
            let mut row = InstanceRow {
                image_id: image.id,
                os_name: image.os_name.clone(),
                is_installed: false,
                ..action.row.clone()
            };
            if let Some(hostname) = &body.hostname {
                row.hostname.clone_from(hostname);
                row.search = InstanceRow::search_text(&row.name, &row.hostname);
            }
            let mut changes = Changes::default();
            changes.note("image_id", &action.row.image_id, &row.image_id);
            changes.note("os_name", &action.row.os_name, &row.os_name);
            changes.note("hostname", &action.row.hostname, &row.hostname);
            let text = format!(
                "Asked for {} to be installed on instance {}",
                image.name, row.name
            );
            action.audit(tx, "instance.reinstalled", text, changes)?;
            ssh_keys::rows::link(tx, id, &body.ssh_key_ids)?;
            let parameters = json!({
                "image_id": row.image_id,
                "previous_image_id": action.row.image_id,
                "generated": made.is_generated(),
            });
            let task = action.wish(tx, name::REINSTALL, parameters, Some(row), machine)?;
            made.hand_over(tx, &compute, &scope, task)?;
            action.answer(tx, task)
        };
    change.run(&app, &caller, name::REINSTALL, work).await
}

/// Finds the image, or tells every fault at once.
fn judge(
    tx: &mut Tx<'_>,
    action: &Action<'_, InstancesOperate>,
    catalogue: &Catalogue,
    body: &InstanceReinstall,
) -> ApiResult<Shown<InstanceImage>> {
    let mut faults = Faults::default();
    let row = &action.row;
    let image = catalogue.image_for(row.organization_id, body.image_id);
    match image {
        None => faults.add(
            "image_id",
            format!("Invalid pk \"{}\" - object does not exist.", body.image_id),
        ),
        Some(image) => check_image(tx, action, catalogue, image, &mut faults)?,
    }
    let is_valid = |text: &String| is_hostname(text);
    faults.check(
        "hostname",
        body.hostname.as_ref().is_none_or(is_valid),
        "Enter a valid host name (RFC 1123).",
    );
    secrets::check(body.password.as_ref(), body.user_data.as_ref(), &mut faults);
    ssh_keys::check(tx.conn(), row.project_id, &body.ssh_key_ids, &mut faults)?;
    faults.into_result()?;
    image
        .cloned()
        .ok_or_else(|| ApiError::internal("an image without faults"))
}

fn check_image(
    tx: &mut Tx<'_>,
    action: &Action<'_, InstancesOperate>,
    catalogue: &Catalogue,
    image: &InstanceImage,
    faults: &mut Faults,
) -> ApiResult<()> {
    faults.check("image_id", image.is_active, "This image is not on offer.");
    let file = images::rows::digest_of(tx.conn(), image.id)?;
    faults.check("image_id", file.is_some(), "This image is not available yet.");
    if let Ok(machine) = action.machine() {
        check_room(image, machine.disk_gb, machine.memory_mb, faults);
    }
    if image.requires_license_addon {
        let live = addons::live(tx.conn(), action.row.id)?;
        let is_in_force = |id| {
            live.iter().any(|row| {
                row.addon_id == id && matches!(row.status, AddonState::Active | AddonState::Cancelling)
            })
        };
        let offers = catalogue
            .size(action.row.size_id)
            .map(|size| size.available_addons.as_slice());
        let has = offers
            .unwrap_or_default()
            .iter()
            .any(|offer| is_license(image, offer) && (offer.is_included || is_in_force(offer.addon.id)));
        faults.check(
            "image_id",
            has,
            "This image needs its licence add-on: activate it first.",
        );
    }
    Ok(())
}
