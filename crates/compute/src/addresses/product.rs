//! Additional addresses as billing sees them: kept for who has ordered one, the instance's once it is paid, given back
//! when its time is over.

use billing::{
    Billing, Product,
    orders::{NewItem, Placed},
    services::{self, Cycle, ServiceRow},
};
use kernel::{
    access::ProjectScope,
    audit::{AuditStatus, Changes, Event, Origin},
    http::ApiResult,
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
    tasks::{NewTask, TaskId},
};
use serde_json::json;

use super::{
    AddressesManage, allocation,
    priced::{self, PricedRow},
    rules,
    steps::{AddIp, ReleaseIp, SetReverseDns},
};
use crate::instances::{
    api::InstanceStatus,
    order,
    rows::{self as instances, AddressRow, InstanceRow},
};

/// What billing calls an additional address.
pub(crate) const KIND: &str = "ip_address";

/// Sells additional addresses. One stays until the time to pay is over: what stops for an unpaid invoice is the instance,
/// for its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Addresses;

impl Product for Addresses {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn paid(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some((priced, address)) = priced::find(tx.conn(), service.resource_id.cast())? else {
            return Ok(());
        };
        if priced.task_id.is_some() {
            return Ok(());
        }
        let instance = instances::lock_anywhere(tx, priced.instance_id)?;
        let is_there = |instance: &InstanceRow| {
            matches!(
                instance.status,
                InstanceStatus::Active | InstanceStatus::Suspended
            )
        };
        match instance.filter(is_there) {
            Some(instance) => give(tx, &instance, &priced, address),
            None => services::failed(tx, billing, service.id, "The instance is not there any more."),
        }
    }

    fn terminate(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        take_back(tx, service)
    }

    fn dropped(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        take_back(tx, service)
    }
}

/// Orders an address that has just been taken for the instance, if the credit or a payment method pays for it.
///
/// # Errors
/// 403 for who may not buy; 402 when nothing pays for it.
pub(super) fn order(
    tx: &mut Tx<'_>,
    billing: &Billing,
    scope: &ProjectScope<AddressesManage>,
    instance: &InstanceRow,
    (address, name, price): (&AddressRow, &str, Amount),
) -> ApiResult<Placed> {
    let row = PricedRow {
        address_id: address.id,
        instance_id: instance.id,
        reverse_dns: name.to_owned(),
        user_id: scope.caller.user,
        request_id: scope.request.id,
        task_id: None,
    };
    priced::keep(tx, &row)?;
    order::place_covered(tx, billing, scope, item(address, price))
}

fn item(address: &AddressRow, price: Amount) -> NewItem {
    let (family, ip) = (rules::name_of(address.ip_type), &address.address);
    NewItem {
        kind: KIND,
        resource: address.id.cast(),
        project: address.project_id,
        description: format!("Additional {family} address {ip}"),
        description_fr: format!("Adresse {family} supplémentaire {ip}"),
        cycle: Cycle::Monthly,
        setup: Amount::ZERO,
        price,
        monthly_cap: None,
        quantity: 1,
        options: JsonText::of(&json!({})),
    }
}

/// The task that gives an address to the guest, if its order is paid.
///
/// # Errors
/// The database refused.
pub(super) fn task_of(tx: &mut Tx<'_>, address: &AddressRow) -> Result<Option<TaskId>, StoreError> {
    Ok(priced::find(tx.conn(), address.id)?.and_then(|(priced, _)| priced.task_id))
}

/// Makes an address the instance's that is paid.
fn give(
    tx: &mut Tx<'_>,
    instance: &InstanceRow,
    priced: &PricedRow,
    mut address: AddressRow,
) -> Result<(), StoreError> {
    address.instance_id = Some(instance.id);
    address.project_id = instance.project_id;
    address.reverse_dns.clone_from(&priced.reverse_dns);
    address.modified = tx.now();
    let by = |task: NewTask| NewTask {
        created_by: Some(priced.user_id),
        request: Some(priced.request_id),
        ..task
    };
    if !address.reverse_dns.is_empty() {
        tx.enqueue(&by(SetReverseDns::task(&address)))?;
    }
    let task = tx.enqueue(&by(AddIp::task(instance, &address)))?;
    priced::give(tx, &address, task)?;
    let text = format!("Address {} added to instance {}", address.address, instance.name);
    tell(tx, instance, &address, ("ip_address.added", text))
}

/// Gives an address back whose time is over or whose order has come to nothing. What a machine has whose instance is
/// over is given back when the machine is gone, with the instance's other addresses.
fn take_back(tx: &mut Tx<'_>, service: &ServiceRow) -> Result<(), StoreError> {
    let Some((priced, address)) = priced::find(tx.conn(), service.resource_id.cast())? else {
        return Ok(());
    };
    let Some(instance) = instances::lock_anywhere(tx, priced.instance_id)? else {
        return Ok(());
    };
    let is_given = address.instance_id.is_some();
    if is_given && instance.status.is_over() {
        return Ok(());
    }
    allocation::release(tx, std::slice::from_ref(&address))?;
    if !is_given {
        let text = format!("Address {} was not paid for: given back", address.address);
        return tell(tx, &instance, &address, ("ip_address.order_dropped", text));
    }
    tx.enqueue(&ReleaseIp::task(&instance, &address))?;
    let text = format!(
        "Address {} of instance {} released",
        address.address, instance.name
    );
    tell(tx, &instance, &address, ("ip_address.released", text))
}

/// An event of an address, told by onet itself.
fn tell(
    tx: &mut Tx<'_>,
    instance: &InstanceRow,
    address: &AddressRow,
    (action, description): (&'static str, String),
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "ip_address",
        resource_id: address.id.cast(),
        resource_name: address.address.clone(),
        description,
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(
        &Origin::system("worker"),
        Some(instance.organization_id),
        Some(instance.project_id),
        &event,
    )
}
