//! The kinds of machines' tasks: which steps they have, and what their end means.

use std::sync::Arc;

use billing::{Billing, services};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::User,
    audit::{AuditStatus, Changes, Event, Origin},
    http::Request,
    id::Id,
    store::{StoreError, Tx},
    tasks::{Kind, NewTask, Outcome, Step, TaskRow},
};

use super::{
    Power, rows,
    steps::{Act, steps},
};
use crate::{
    addons, addresses,
    hosts::Hosts,
    instances::{
        api::{InstanceKind, InstanceStatus, VolumeStatus},
        rows::{self as instances, InstanceRow},
    },
    schema::{network_attachments, volumes},
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
}

/// A kind of task of machines.
pub struct MachineTask {
    name: &'static str,
    steps: Vec<Arc<dyn Step>>,
    billing: Billing,
    end: End,
}

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
    let kinds: [(&'static str, &[Act], End); 7] = [
        (
            name::CREATE,
            &[Act::PrepareDisk, Act::Define, Act::SetSeed, Act::Start, Act::Look],
            created,
        ),
        (name::DELETE, &[Act::Destroy], deleted),
        (
            name::START,
            &[Act::DefineIfOff, Act::SetSeed, Act::Start, Act::Look],
            power_on_failed,
        ),
        (name::STOP, &[Act::Stop, Act::Look], nothing),
        (name::SHUTDOWN, &[Act::Shutdown, Act::Look], shutdown_failed),
        (name::REBOOT, &[Act::SetSeed, Act::Reboot, Act::Look], nothing),
        (name::RESET, &[Act::Reset, Act::Look], nothing),
    ];
    kinds
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
        (self.end)(&self.billing, tx, task, outcome)
    }
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

fn nothing(_: &Billing, _: &mut Tx<'_>, _: &TaskRow, _: Outcome) -> Result<(), StoreError> {
    Ok(())
}

/// A machine that can't be started is not started again and again.
fn power_on_failed(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed => rows::set_power(tx, instance(task), Power::Off),
    }
}

/// A system that did not end runs on, and should.
fn shutdown_failed(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed => rows::set_power(tx, instance(task), Power::On),
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
    let Some(mut row) = instances::lock_row(tx, task.project_id, id)? else { return Ok(()) };
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
        .set((volumes::status.eq(VolumeStatus::Attached), volumes::modified.eq(tx.now())))
        .execute(tx.conn())?;
    let text = format!("Instance {} runs", row.name);
    tell(tx, &row, "instance.provisioned", text, (changes, AuditStatus::Success))
}

/// Nothing is left of the machine: what it held can be given to others.
fn deleted(_: &Billing, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
    let id = instance(task);
    let Some(row) = instances::lock_row(tx, task.project_id, id)? else { return Ok(()) };
    if outcome == Outcome::Failed {
        let text = format!("The machine of instance {} could not be deleted", row.name);
        let made = (Changes::default(), AuditStatus::Failure);
        return tell(tx, &row, "instance.deletion_failed", text, made);
    }
    rows::forget(tx, id)?;
    addresses::release_all(tx, id)?;
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
    tell(tx, &row, "instance.machine_deleted", text, (Changes::default(), AuditStatus::Success))
}
