//! The kinds of machines' tasks: which steps they have, and what their end means.

use std::sync::Arc;

use billing::{Billing, services};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::notifications::{Event as NoticeEvent, Notice, notify};
use kernel::{
    access::User,
    audit::{AuditStatus, Changes, Event, Origin},
    http::Request,
    id::Id,
    store::{StoreError, Tx},
    tasks::{Kind, NewTask, Outcome, Step, TaskRow, Verdict},
};

use super::{
    Power, rows,
    steps::{Act, DISK_KEPT, REPLACED, steps},
    wishes::{self, Field},
};
use crate::{
    addons, addresses,
    backups::schedules,
    events::{INSTANCE_CREATED, INSTANCE_FAILED},
    hosts::Hosts,
    instances::{
        api::{InstanceKind, InstanceStatus, VolumeStatus},
        resize,
        rows::{self as instances, InstanceRow},
    },
    schema::{network_attachments, volumes},
    snapshots,
    tasks::secrets,
    vpcs::private,
};

/// What a task of a machine is called, as the API shows it.
pub mod name {
    #![expect(missing_docs, reason = "the API's words")]
    pub const CREATE: &str = "create_vps";
    pub const DELETE: &str = "delete_vps";
    pub const START: &str = "start_vps";
    pub const STOP: &str = "stop_vps";
    pub const SHUTDOWN: &str = "shutdown_vps";
    pub const REBOOT: &str = "reboot_vps";
    pub const RESET: &str = "reset_vps";
    pub const RESIZE: &str = "resize_vps";
    pub const HOSTNAME: &str = "change_hostname";
    pub const REINSTALL: &str = "reinstall_vps";
    pub const PASSWORD: &str = "reset_password";
    pub const ENABLE_RESCUE: &str = "enable_rescue";
    pub const DISABLE_RESCUE: &str = "disable_rescue";
    pub const REBUILD_NETWORK: &str = "rebuild_network";
}

/// A kind of task of machines.
pub struct MachineTask {
    name: &'static str,
    steps: Vec<Arc<dyn Step>>,
    billing: Billing,
    end: End,
}

/// A kind, its steps, and what its end means.
type Description = (&'static str, &'static [Act], End);

/// Every kind of task of machines, as `docs/compute.md` shows them.
const KINDS: [Description; 14] = [
    (
        name::CREATE,
        &[Act::PrepareDisk, Act::Define, Act::SetSeed, Act::Start, Act::Look],
        created,
    ),
    (name::DELETE, &[Act::Destroy, Act::RemoveCopies], deleted),
    (
        name::START,
        // Addresses and networks may have been changed while it was off.
        &[Act::Define, Act::SetSeed, Act::Start, Act::Look],
        started,
    ),
    (name::STOP, &[Act::Stop, Act::Look], wished),
    (name::SHUTDOWN, &[Act::Shutdown, Act::Look], wished),
    (name::REBOOT, &[Act::SetSeed, Act::Reboot, Act::Look], wished),
    (name::RESET, &[Act::Reset, Act::Look], wished),
    (
        name::RESIZE,
        &[
            Act::SwitchOff,
            Act::Resize,
            Act::Define,
            Act::StartIfWanted,
            Act::Look,
        ],
        resized,
    ),
    (name::HOSTNAME, &[Act::SetSeed], wished),
    (name::PASSWORD, &[Act::SetSeed], wished),
    (
        name::REINSTALL,
        // What can fail comes before the old disk is gone.
        &[
            Act::SwitchOff,
            Act::SetSeed,
            Act::Reinstall,
            Act::StartIfWanted,
            Act::Look,
        ],
        reinstalled,
    ),
    (
        name::ENABLE_RESCUE,
        &[
            Act::SwitchOff,
            Act::ChooseBoot,
            Act::SetSeed,
            Act::StartIfWanted,
            Act::Look,
        ],
        wished,
    ),
    (
        name::DISABLE_RESCUE,
        &[
            Act::SwitchOff,
            Act::ChooseBoot,
            Act::SetSeed,
            Act::StartIfWanted,
            Act::Look,
        ],
        wished,
    ),
    (
        name::REBUILD_NETWORK,
        &[
            Act::SwitchOff,
            Act::Define,
            Act::SetSeed,
            Act::StartIfWanted,
            Act::Look,
        ],
        wished,
    ),
];

/// What the end of a task means in the database, in the transaction that records it. Whoever moves money locks the
/// organization's account before the instance, here as everywhere.
pub(crate) type End = fn(&Billing, &mut Tx<'_>, &TaskRow, Outcome) -> Result<(), StoreError>;

impl std::fmt::Debug for MachineTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MachineTask").field(&self.name).finish()
    }
}

/// All kinds, on these hosts.
pub fn all(hosts: &Hosts, billing: &Billing) -> Vec<Arc<dyn Kind>> {
    KINDS
        .into_iter()
        .map(|(name, acts, end)| {
            Arc::new(MachineTask {
                name,
                steps: steps(hosts, acts),
                billing: billing.clone(),
                end,
            }) as Arc<dyn Kind>
        })
        .collect()
}

impl Kind for MachineTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        (self.end)(&self.billing, tx, task, outcome)?;
        match outcome {
            Outcome::Failed => tell_failure(tx, task),
            Outcome::Completed => Ok(()),
        }
    }

    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        match self.name {
            name::CREATE => Ok(Err(
                "What was ordered can't be cancelled here: request the instance's cancellation, or delete it.",
            )),
            name::DELETE => Ok(Err(
                "The instance is terminated already: its deletion can't be cancelled.",
            )),
            _ => (self.end)(&self.billing, tx, task, Outcome::Failed).map(Ok),
        }
    }

    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        match self.name {
            name::CREATE => Ok(Err("The order has been paid back: order the instance anew.")),
            name::RESIZE => Ok(Err("The order has been paid back: resize the instance anew.")),
            name::DELETE => Ok(Err("A deletion is tried until it succeeds.")),
            _ => {
                let parameters: serde_json::Value = task.parameters.read().unwrap_or_default();
                let notes: serde_json::Value = task.notes.read().unwrap_or_default();
                if parameters["generated"] == true && notes.get(REPLACED).is_none() {
                    return Ok(Err("Its password was erased when it failed: ask for it anew."));
                }
                wishes::renew(tx, task).map(Ok)
            }
        }
    }
}

/// Tells the organization that something could not be done.
///
/// # Errors
/// The database refused.
pub(crate) fn tell_failure(tx: &mut Tx<'_>, task: &TaskRow) -> Result<(), StoreError> {
    let Some(row) = instances::lock_row(tx, task.project_id, instance(task))? else {
        return Ok(());
    };
    let facts = serde_json::json!({
        "task": task.kind,
        "task_id": task.id,
        "instance": row.name,
        "instance_id": row.id,
        "project_id": row.project_id,
        "reason": task.error,
    });
    notify(tx, Notice::new(row.organization_id, &INSTANCE_FAILED, facts))
}

/// Tells the organization of something that has happened to an instance.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    row: &InstanceRow,
    event: &'static NoticeEvent,
) -> Result<(), StoreError> {
    let facts = serde_json::json!({
        "instance": row.name,
        "instance_id": row.id,
        "project_id": row.project_id,
    });
    notify(tx, Notice::new(row.organization_id, event, facts))
}

/// A task of an instance's machine.
pub fn task(kind: &'static str, row: &InstanceRow, by: Option<(Id<User>, Id<Request>)>) -> NewTask {
    NewTask {
        kind,
        organization: row.organization_id,
        project: row.project_id,
        resource_type: "instance",
        resource: row.id.cast(),
        parameters: serde_json::json!({}),
        // Deleting does not give up: what is left on a host would stay there for ever.
        max_retries: if kind == name::DELETE { i32::MAX } else { 5 },
        created_by: by.map(|(user, _)| user),
        request: by.map(|(_, request)| request),
    }
}

/// An event of an instance, told by onet itself.
pub(crate) fn tell(
    tx: &mut Tx<'_>,
    row: &InstanceRow,
    action: &'static str,
    description: String,
    (changes, status): (Changes, AuditStatus),
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "instance",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description,
        changes,
        status,
    };
    tx.audit(
        &Origin::system("worker"),
        Some(row.organization_id),
        Some(row.project_id),
        &event,
    )
}

fn instance(task: &TaskRow) -> Id<InstanceKind> {
    task.resource_id.cast()
}

/// What was asked for is so; or it is taken back, and its secret with it.
fn wished(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    match outcome {
        Outcome::Completed => wishes::forget(tx, task.id),
        Outcome::Failed => taken_back(tx, task, &[]),
    }
}

fn taken_back(tx: &mut Tx<'_>, task: &TaskRow, except: &[Field]) -> Result<(), StoreError> {
    secrets::erase(tx, task.id)?;
    let changes = wishes::take_back(tx, task, except)?;
    if changes.is_empty() {
        return Ok(());
    }
    let Some(row) = instances::lock_row(tx, task.project_id, instance(task))? else {
        return Ok(());
    };
    let text = format!(
        "Took back {} of instance {}: its task has not succeeded",
        task.kind, row.name
    );
    tell(
        tx,
        &row,
        "instance.change_taken_back",
        text,
        (changes, AuditStatus::Failure),
    )
}

/// A machine that can't be started is not started again and again.
fn started(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    match outcome {
        Outcome::Completed => wishes::forget(tx, task.id),
        // Asked for by onet itself, once an invoice was paid: there is nothing that it could be taken back to.
        Outcome::Failed if task.created_by.is_none() => rows::set_power(tx, instance(task), Power::Off),
        Outcome::Failed => taken_back(tx, task, &[]),
    }
}

/// A new system is there. Or it is not, and the old one is as it was; or the old one is gone already, and the new one did
/// not start: then everything stays as it was asked for, and the task can be tried again.
fn reinstalled(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    if outcome == Outcome::Failed {
        let notes: serde_json::Value = task.notes.read().unwrap_or_default();
        return if notes.get(REPLACED).is_some() {
            Ok(())
        } else {
            taken_back(tx, task, &[])
        };
    }
    wishes::forget(tx, task.id)?;
    let Some(mut row) = instances::lock_row(tx, task.project_id, instance(task))? else {
        return Ok(());
    };
    if !row.is_installed {
        row.is_installed = true;
        instances::save(tx, &mut row)?;
    }
    let text = format!("Installed instance {} anew", row.name);
    tell(
        tx,
        &row,
        "instance.installed",
        text,
        (Changes::default(), AuditStatus::Success),
    )
}

/// The machine has another size, and from now on its price. Or everything is as it was, money included.
fn resized(billing: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    // Whoever moves money locks the account before the instance.
    billing::lock_account(tx, billing, task.organization_id)?;
    match outcome {
        Outcome::Completed => {
            wishes::forget(tx, task.id)?;
            resize::done(tx, billing, task)
        }
        Outcome::Failed => {
            let notes: serde_json::Value = task.notes.read().unwrap_or_default();
            let disk_kept = notes.get(DISK_KEPT).is_some();
            taken_back(tx, task, if disk_kept { &[Field::DiskGb] } else { &[] })?;
            resize::failed(tx, billing, task, disk_kept)
        }
    }
}

/// The machine runs: its paid time begins. Or it could not be made: everything was taken back, and what was paid for it
/// comes back.
fn created(billing: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let id = instance(task);
    let service = services::of_resource(tx.conn(), task.organization_id, crate::product::KIND, id.cast())?;
    let Some(service) = service else { return Ok(()) };
    if outcome == Outcome::Failed {
        let reason = task.error.as_deref().unwrap_or("The machine could not be made.");
        return services::failed(tx, billing, service.id, reason);
    }
    services::provisioned(tx, billing, service.id)?;
    for addon in addons::rows::live(tx.conn(), id)? {
        addons::begin(tx, billing, addon)?;
    }
    let Some(mut row) = instances::lock_row(tx, task.project_id, id)? else {
        return Ok(());
    };
    if row.status != InstanceStatus::Provisioning {
        // Cancelled meanwhile: the task that deletes it waits behind this one.
        return Ok(());
    }
    let mut changes = Changes::default();
    changes.note("status", &row.status, &InstanceStatus::Active);
    row.status = InstanceStatus::Active;
    row.is_active = true;
    row.is_installed = true;
    row.billing_start_date = tx.now();
    instances::save(tx, &mut row)?;
    diesel::update(volumes::table.filter(volumes::instance_id.eq(Some(id))))
        .filter(volumes::status.eq(VolumeStatus::Creating))
        .set((
            volumes::status.eq(VolumeStatus::Attached),
            volumes::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    let text = format!("Instance {} runs", row.name);
    tell(
        tx,
        &row,
        "instance.provisioned",
        text,
        (changes, AuditStatus::Success),
    )?;
    announce(tx, &row, &INSTANCE_CREATED)
}

/// Nothing is left of the machine: what it held can be given to others.
fn deleted(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let id = instance(task);
    let Some(row) = instances::lock_row(tx, task.project_id, id)? else {
        return Ok(());
    };
    if outcome == Outcome::Failed {
        let text = format!("The machine of instance {} could not be deleted", row.name);
        let made = (Changes::default(), AuditStatus::Failure);
        return tell(tx, &row, "instance.deletion_failed", text, made);
    }
    rows::forget(tx, id)?;
    wishes::forget_all(tx, id)?;
    snapshots::rows::forget_all(tx, id)?;
    schedules::rows::forget_all(tx, id)?;
    addresses::release_all(tx, id)?;
    private::release_all(tx, id)?;
    diesel::delete(network_attachments::table.find(id)).execute(tx.conn())?;
    diesel::update(volumes::table.filter(volumes::instance_id.eq(Some(id))))
        .filter(volumes::disk_name.eq(crate::instances::ROOT_DISK))
        .set((
            volumes::status.eq(VolumeStatus::Deleted),
            volumes::is_active.eq(false),
            volumes::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    super::state::record(tx, id, None, "task")?;
    let text = format!("Deleted the machine of instance {}", row.name);
    tell(
        tx,
        &row,
        "instance.machine_deleted",
        text,
        (Changes::default(), AuditStatus::Success),
    )
}
