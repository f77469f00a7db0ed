//! The power of an instance's machine: start, stop, shut down, reboot, reset.
//!
//! Each writes what is wanted and a task. Actions of one instance queue: what counts is the state that the actions before
//! will have left, which is the wish (`machines.power`); where machine and wish differ (it crashed, it ended itself),
//! either may be asked for.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    id::Id,
    store::Tx,
};

use super::{
    InstancesOperate,
    actions::{self, Action},
    api::InstanceKind,
};
use crate::{
    Compute,
    machines::{MachineRow, Power, kinds::name},
    tasks::{self, api::InstanceTask},
};

/// What a button of the machine does.
#[derive(Clone, Copy, Debug)]
struct Button {
    task: &'static str,
    action: &'static str,
    done: &'static str,
    /// The power that the machine must have, and the one that it has afterwards.
    wants: Power,
    leaves: Power,
}

const START: Button = Button {
    task: name::START,
    action: "instance.started",
    done: "Started",
    wants: Power::Off,
    leaves: Power::On,
};
const STOP: Button = Button {
    task: name::STOP,
    action: "instance.stopped",
    done: "Cut the power of",
    wants: Power::On,
    leaves: Power::Off,
};
const SHUTDOWN: Button = Button {
    task: name::SHUTDOWN,
    action: "instance.shut_down",
    done: "Shut down",
    wants: Power::On,
    leaves: Power::Off,
};
const REBOOT: Button = Button {
    task: name::REBOOT,
    action: "instance.rebooted",
    done: "Rebooted",
    wants: Power::On,
    leaves: Power::On,
};
const RESET: Button = Button {
    task: name::RESET,
    action: "instance.reset",
    done: "Reset",
    wants: Power::On,
    leaves: Power::On,
};

async fn press(
    scope: ProjectScope<InstancesOperate>,
    compute: Compute,
    id: Id<InstanceKind>,
    change: http::Change<NoBody>,
    button: Button,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NoBody>| -> ApiResult<Answer<InstanceTask>> {
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        action.must_be_active()?;
        let seen = action.state.as_ref().map(|state| state.vm_status.as_str());
        // Where machine and wish differ though nothing is under way, it ended by itself: either button makes sense.
        let differs = match action.machine()?.power {
            Power::On => seen.is_some_and(|status| status == "stopped" || status == "absent"),
            Power::Off => seen == Some("running"),
        };
        let is_as_wanted = action.machine()?.power == button.wants;
        let may_act = is_as_wanted || (differs && !tasks::has_unfinished(tx.conn(), scope.project, id)?);
        if !may_act {
            let is = match button.wants {
                Power::Off => "The instance runs already; stop, shutdown, reboot and reset are possible.",
                Power::On => "The instance is stopped; only start is possible.",
            };
            return Err(ApiError::conflict(is));
        }
        let text = format!("{} instance {}", button.done, action.row.name);
        action.audit(tx, button.action, text, kernel::audit::Changes::default())?;
        let wanted = MachineRow {
            power: button.leaves,
            ..action.machine_to_change()?
        };
        action.change(tx, button.task, serde_json::json!({}), None, wanted)
    };
    change.run(&compute.app, &caller, button.task, work).await
}

macro_rules! buttons {
    ($($(#[$meta:meta])* $name:ident, $path:literal, $button:ident;)+) => {$(
        $(#[$meta])*
        #[utoipa::path(
            post, path = $path, tag = "Compute",
            params(
                ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
                ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
                ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
            ),
            responses(
                (status = 202, description = actions::ACCEPTED, body = InstanceTask),
                (status = 400, description = "The request does not validate"),
                (status = 409, description = actions::CONFLICT),
                kernel::http::WriteRefusals,
            ),
            security(("BearerAuth" = [])),
            extensions(("x-permission" = json!(InstancesOperate::NAME)),
                ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())), ("x-scope" = json!(InstancesOperate::SCOPE))),
        )]
        pub(crate) async fn $name(
            scope: ProjectScope<InstancesOperate>,
            PathId(id): PathId<InstanceKind>,
            State(compute): State<Compute>,
            change: http::Change<NoBody>,
        ) -> ApiResult<Response> {
            press(scope, compute, id, change, $button).await
        }
    )+};
}

buttons! {
    /// [Instances] Start compute instance
    ///
    /// Power the machine on. Refused when it already runs. Queues a `start_vps` task.
    start_instance, "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/start", START;
    /// [Instances] Stop compute instance
    ///
    /// Cut the power at once, without asking the guest. Billing goes on. Queues a `stop_vps` task.
    stop_instance, "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/stop", STOP;
    /// [Instances] Shut down compute instance
    ///
    /// Ask the guest to power off cleanly. Queues a `shutdown_vps` task.
    shutdown_instance, "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/shutdown", SHUTDOWN;
    /// [Instances] Reboot compute instance
    ///
    /// Ask the guest to restart cleanly. Queues a `reboot_vps` task.
    reboot_instance, "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/reboot", REBOOT;
    /// [Instances] Reset compute instance
    ///
    /// Press the reset button. Queues a `reset_vps` task.
    reset_instance, "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/reset", RESET;
}
