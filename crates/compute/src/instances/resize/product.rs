//! A change of size as billing sees it: something that is ordered and paid once; and what its task's end means.

use billing::{
    Billing, Product,
    services::{self, Change, ServiceRow},
};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    audit::{AuditStatus, Changes},
    store::{StoreError, Tx},
    tasks::TaskRow,
};
use serde_json::json;

use super::{
    rows::{self, ResizeRow, ResizeState},
    rules::grown_and_shrunk,
};
use crate::{
    hosts::{HostId, release},
    instances::{ROOT_DISK, api::InstanceStatus, rows as instances},
    machines::{
        kinds::{self, name},
        rows as machines, wishes,
    },
    product,
    schema::volumes,
};

/// What billing calls a change of size.
pub(crate) const KIND: &str = "instance_resize";

/// Sells changes of size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resizes;

impl Product for Resizes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn paid(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(row) = rows::find(tx.conn(), service.resource_id.cast())? else {
            return Ok(());
        };
        if row.status == ResizeState::Ordered && begin(tx, row)? {
            return Ok(());
        }
        services::failed(tx, billing, service.id, "The instance can't be resized any more.")
    }

    fn terminate(
        &self,
        _tx: &mut Tx<'_>,
        _billing: &Billing,
        _service: &ServiceRow,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn dropped(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        match rows::find(tx.conn(), service.resource_id.cast())? {
            Some(row) if row.status == ResizeState::Ordered => drop_it(tx, row, false),
            _ => Ok(()),
        }
    }
}

/// Enqueues the task of a change that costs nothing now or is paid. `false`: its instance is not there any more.
pub(super) fn begin(tx: &mut Tx<'_>, mut row: ResizeRow) -> Result<bool, StoreError> {
    let Some(instance) = instances::lock_row(tx, row.project_id, row.instance_id)? else {
        return Ok(false);
    };
    let is_there = matches!(
        instance.status,
        InstanceStatus::Active | InstanceStatus::Suspended
    );
    let Some(before) = machines::find(tx.conn(), row.instance_id)?.filter(|_| is_there) else {
        return Ok(false);
    };
    let by = row.user_id.zip(row.request_id);
    let mut task = kinds::task(name::RESIZE, &instance, by);
    task.parameters = json!({
        "size_id": row.size_id,
        "disk_gb": row.disk_gb,
        "previous_size_id": instance.size_id,
        "previous_disk_gb": row.previous_disk_gb,
    });
    let id = tx.enqueue(&task)?;
    let mut after = before.clone();
    (after.cpus, after.memory_mb, after.disk_gb) = (row.cpus, row.memory_mb, row.disk_gb);
    wishes::keep(tx, id, (&instance, &before), (&instance, &after))?;
    machines::save(tx, &mut after)?;
    row.task_id = Some(id);
    row.status = ResizeState::Running;
    rows::save(tx, &mut row)?;
    Ok(true)
}

fn host_of(tx: &mut Tx<'_>, row: &ResizeRow) -> Result<Option<HostId>, StoreError> {
    Ok(machines::find(tx.conn(), row.instance_id)?.map(|machine| machine.host_id))
}

/// Gives back what was taken of the host. A disk that has grown stays what it is.
fn drop_it(tx: &mut Tx<'_>, mut row: ResizeRow, disk_kept: bool) -> Result<(), StoreError> {
    let (mut grown, _) = grown_and_shrunk(row.previous(), row.share());
    if disk_kept {
        grown.disk_gb = 0;
    }
    if let Some(host) = host_of(tx, &row)? {
        release(tx, host, grown)?;
    }
    row.status = ResizeState::Dropped;
    rows::save(tx, &mut row)
}

/// The machine has its new size. Behind the lock of the account.
///
/// # Errors
/// The database refused.
pub(crate) fn done(tx: &mut Tx<'_>, billing: &Billing, task: &TaskRow) -> Result<(), StoreError> {
    let Some(mut row) = rows::of_task(tx.conn(), task.id)? else {
        return Ok(());
    };
    let (_, shrunk) = grown_and_shrunk(row.previous(), row.share());
    if let Some(host) = host_of(tx, &row)? {
        release(tx, host, shrunk)?;
    }
    row.status = ResizeState::Done;
    rows::save(tx, &mut row)?;
    let Some(mut instance) = instances::lock_row(tx, row.project_id, row.instance_id)? else {
        return Ok(());
    };
    let mut changes = Changes::default();
    if instance.size_id != row.size_id {
        changes.note("size_id", &instance.size_id, &row.size_id);
        instance.size_id = row.size_id;
        instances::save(tx, &mut instance)?;
    }
    if row.disk_gb != row.previous_disk_gb {
        changes.note("disk_gb", &row.previous_disk_gb, &row.disk_gb);
        write_disk(tx, &row)?;
    }
    let text = format!("Instance {} has another size", instance.name);
    kinds::tell(
        tx,
        &instance,
        "instance.resized",
        text,
        (changes, AuditStatus::Success),
    )?;
    settle(tx, billing, &row, instance.status)
}

/// The new price, from now on.
fn settle(
    tx: &mut Tx<'_>,
    billing: &Billing,
    row: &ResizeRow,
    status: InstanceStatus,
) -> Result<(), StoreError> {
    if let Some(order) = services::of_resource(tx.conn(), row.organization_id, KIND, row.id.cast())? {
        services::provisioned(tx, billing, order.id)?;
    }
    let of_instance = services::of_resource(
        tx.conn(),
        row.organization_id,
        product::KIND,
        row.instance_id.cast(),
    )?;
    let is_there = matches!(status, InstanceStatus::Active | InstanceStatus::Suspended);
    let Some(service) = of_instance.filter(|service| is_there && !service.status.is_over()) else {
        return Ok(());
    };
    let change = Change {
        description: row.description.clone(),
        description_fr: row.description.clone(),
        price: row.price,
        monthly_cap: row.monthly_cap,
        quantity: 1,
        options: None,
    };
    if row.paid.is_positive() {
        services::change_paid(tx, billing, service.id, (&change, row.paid), row.user_id)?;
    } else {
        services::change(tx, billing, service.id, &change, row.user_id)?;
    }
    if let (Some(cycle), Some(price)) = (row.next_cycle, row.next_price) {
        let coming = (cycle.into(), price, row.next_monthly_cap);
        services::change_cycle(tx, billing, service.id, coming, row.user_id)?;
    } else if service.next_cycle.is_some() {
        // The cycle that was chosen before is taken back: the present one, at the new price.
        let present = (service.billing_cycle, row.price, row.monthly_cap);
        services::change_cycle(tx, billing, service.id, present, row.user_id)?;
    }
    Ok(())
}

/// The machine is what it was: what was taken of its host and what was paid are given back. Behind the lock of the
/// account.
///
/// # Errors
/// The database refused.
pub(crate) fn failed(
    tx: &mut Tx<'_>,
    billing: &Billing,
    task: &TaskRow,
    disk_kept: bool,
) -> Result<(), StoreError> {
    let Some(row) = rows::of_task(tx.conn(), task.id)? else {
        return Ok(());
    };
    if disk_kept {
        write_disk(tx, &row)?;
    }
    drop_it(tx, row.clone(), disk_kept)?;
    let Some(order) = services::of_resource(tx.conn(), row.organization_id, KIND, row.id.cast())? else {
        return Ok(());
    };
    let reason = task
        .error
        .as_deref()
        .unwrap_or("The change of size was cancelled.");
    services::failed(tx, billing, order.id, reason)
}

fn write_disk(tx: &mut Tx<'_>, row: &ResizeRow) -> Result<(), StoreError> {
    diesel::update(volumes::table.filter(volumes::instance_id.eq(Some(row.instance_id))))
        .filter(volumes::disk_name.eq(ROOT_DISK))
        .set((volumes::size_gb.eq(row.disk_gb), volumes::modified.eq(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}
