//! Instances as billing sees them: what is done when an order is paid, a payment fails, or the time is over.
//!
//! Called in the transaction of what has happened, behind the lock of the organization's account. Each writes the
//! instance's row and enqueues the task that carries it out; tasks of one instance run one after the other, so whatever
//! is under way ends first.

use billing::{
    Billing, Product,
    services::{self, ServiceRow, ServiceStatus},
};
use kernel::{
    access::Organization,
    audit::{AuditStatus, Changes},
    id::{AnyId, Id},
    store::{StoreError, Tx},
};

use crate::{
    addons, addresses,
    events::{INSTANCE_SUSPENDED, INSTANCE_TERMINATED},
    instances::{
        api::{InstanceKind, InstanceStatus},
        resize,
        rows::{self, InstanceRow},
    },
    machines::{
        Power,
        kinds::{self, name, task},
        rows as machines,
    },
};

/// What billing calls an instance.
pub(crate) const KIND: &str = "instance";

/// Sells instances.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Instances;

impl Product for Instances {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn paid(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(mut row) = lock(tx, service)? else {
            return Ok(());
        };
        if row.status != InstanceStatus::Pending {
            return Ok(());
        }
        change(tx, &mut row, InstanceStatus::Provisioning, "instance.paid")?;
        let order = task(name::CREATE, &row, None);
        tx.enqueue(&order).map(drop)
    }

    fn suspend(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(mut row) = lock(tx, service)? else {
            return Ok(());
        };
        if row.status != InstanceStatus::Active {
            return Ok(());
        }
        change(tx, &mut row, InstanceStatus::Suspended, "instance.suspended")?;
        kinds::announce(tx, &row, &INSTANCE_SUSPENDED)?;
        stop(tx, &row, name::SHUTDOWN)?;
        // A system that ignores the button must not run on unpaid.
        stop(tx, &row, name::STOP)
    }

    fn unsuspend(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(mut row) = lock(tx, service)? else {
            return Ok(());
        };
        if row.status != InstanceStatus::Suspended {
            return Ok(());
        }
        change(tx, &mut row, InstanceStatus::Active, "instance.unsuspended")?;
        if machines::find(tx.conn(), row.id)?.is_none() {
            return Ok(());
        }
        machines::set_power(tx, row.id, Power::On)?;
        tx.enqueue(&task(name::START, &row, None)).map(drop)
    }

    fn terminate(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let status = match service.status {
            ServiceStatus::Cancelled => InstanceStatus::Cancelled,
            _ => InstanceStatus::Terminated,
        };
        end(tx, service, status, "instance.terminated")?;
        end_dependents(tx, billing, service.organization_id, service.resource_id.cast())
    }

    fn dropped(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        end(tx, service, InstanceStatus::Cancelled, "instance.order_dropped")
    }

    fn changed(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(mut row) = lock(tx, service)? else {
            return Ok(());
        };
        let before = copies(&row);
        row.next_billing_date = service.next_billing_date;
        row.billing_end_date = service.billing_end_date();
        row.cancellation_requested_at = service.cancellation_requested_at;
        row.cancellation_reason.clone_from(&service.cancellation_reason);
        // The cycle that was chosen last; billing counts by it from the next billing date on.
        row.billing_cycle = service.next_cycle.unwrap_or(service.billing_cycle).into();
        if copies(&row) == before {
            return Ok(());
        }
        rows::save(tx, &mut row)
    }
}

/// Ends what is billed beside an instance that is over: its add-ons and additional addresses, and a change of size that
/// waits for its payment. Behind the lock of the account.
///
/// # Errors
/// The database refused.
pub(crate) fn end_dependents(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    id: Id<InstanceKind>,
) -> Result<(), StoreError> {
    let mut dependents: Vec<(&str, AnyId)> = Vec::new();
    let live = addons::rows::live(tx.conn(), id)?;
    dependents.extend(live.iter().map(|addon| (addons::KIND, addon.id.cast())));
    let priced = addresses::priced_of_instance(tx.conn(), id)?;
    dependents.extend(priced.iter().map(|address| (addresses::KIND, address.cast())));
    let waiting = resize::waiting(tx.conn(), id)?;
    dependents.extend(waiting.map(|order| (resize::KIND, order.cast())));
    for (kind, resource) in dependents {
        if let Some(own) = services::of_resource(tx.conn(), organization, kind, resource)? {
            services::cancel_now(tx, billing, own.id, ("The instance has ended", false), None)?;
        }
    }
    Ok(())
}

/// The service that an instance is billed by, if it is, behind the lock of its organization's account: whoever moves money
/// takes that before the instance.
///
/// # Errors
/// The database refused.
pub(crate) fn lock_service(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    instance: Id<InstanceKind>,
) -> Result<Option<ServiceRow>, StoreError> {
    lock_service_of(tx, billing, organization, (KIND, instance.cast()))
}

/// The same for any resource, of this kind of product.
///
/// # Errors
/// The database refused.
pub(crate) fn lock_service_of(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    (kind, resource): (&str, AnyId),
) -> Result<Option<ServiceRow>, StoreError> {
    if services::of_resource(tx.conn(), organization, kind, resource)?.is_none() {
        return Ok(None);
    }
    billing::lock_account(tx, billing, organization)?;
    services::of_resource(tx.conn(), organization, kind, resource)
}

fn copies(row: &InstanceRow) -> impl PartialEq + use<> {
    (
        row.next_billing_date,
        row.billing_end_date,
        row.cancellation_requested_at,
        row.cancellation_reason.clone(),
        row.billing_cycle,
    )
}

/// Wherever it is by now: the service names the project that it was ordered in.
fn lock(tx: &mut Tx<'_>, service: &ServiceRow) -> Result<Option<InstanceRow>, StoreError> {
    rows::lock_anywhere(tx, service.resource_id.cast())
}

/// Another status, with its record.
fn change(
    tx: &mut Tx<'_>,
    row: &mut InstanceRow,
    status: InstanceStatus,
    action: &'static str,
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    changes.note("status", &row.status, &status);
    row.status = status;
    row.is_active = status == InstanceStatus::Active;
    rows::save(tx, row)?;
    let text = format!("Instance {} is {}", row.name, status.as_str());
    kinds::tell(tx, row, action, text, (changes, AuditStatus::Success))
}

fn stop(tx: &mut Tx<'_>, row: &InstanceRow, kind: &'static str) -> Result<(), StoreError> {
    if machines::find(tx.conn(), row.id)?.is_none() {
        return Ok(());
    }
    machines::set_power(tx, row.id, Power::Off)?;
    let mut wanted = task(kind, row, None);
    wanted.parameters = serde_json::json!({ "reason": "suspended" });
    tx.enqueue(&wanted).map(drop)
}

fn end(
    tx: &mut Tx<'_>,
    service: &ServiceRow,
    status: InstanceStatus,
    action: &'static str,
) -> Result<(), StoreError> {
    let Some(mut row) = lock(tx, service)? else {
        return Ok(());
    };
    if row.status.is_over() {
        return Ok(());
    }
    change(tx, &mut row, status, action)?;
    kinds::announce(tx, &row, &INSTANCE_TERMINATED)?;
    machines::set_power(tx, row.id, Power::Off)?;
    tx.enqueue(&task(name::DELETE, &row, None)).map(drop)
}
