//! Add-ons as billing sees them. There is nothing to be provisioned on a host: an add-on is in force from the moment at
//! which both it is paid and its instance is there.

use billing::{
    Billing, Product,
    services::{self, ServiceRow},
};
use diesel::{QueryDsl, RunQueryDsl};
use kernel::store::{StoreError, Tx};

use super::rows::{self, AddonState, InstanceAddonRow};
use crate::{instances::api::InstanceStatus, schema::instances};

/// What billing calls an add-on.
pub const KIND: &str = "addon";

/// Sells add-ons.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addons;

impl Product for Addons {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn paid(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(row) = rows::find(tx.conn(), service.resource_id.cast())? else {
            return Ok(());
        };
        let status: InstanceStatus = instances::table
            .find(row.instance_id)
            .select(instances::status)
            .first(tx.conn())?;
        if !matches!(status, InstanceStatus::Active | InstanceStatus::Suspended) {
            // Its instance's own task tells when it is there.
            return Ok(());
        }
        begin(tx, billing, row)
    }

    fn terminate(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        end(tx, service)
    }

    fn dropped(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        end(tx, service)
    }

    fn changed(&self, tx: &mut Tx<'_>, _billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let Some(mut row) = rows::find(tx.conn(), service.resource_id.cast())? else {
            return Ok(());
        };
        let status = match (row.status, service.cancellation_requested_at) {
            (AddonState::Active, Some(_)) => AddonState::Cancelling,
            (AddonState::Cancelling, None) => AddonState::Active,
            (status, _) => status,
        };
        if status == row.status {
            return Ok(());
        }
        row.status = status;
        rows::save(tx, &mut row)
    }
}

fn end(tx: &mut Tx<'_>, service: &ServiceRow) -> Result<(), StoreError> {
    let Some(mut row) = rows::find(tx.conn(), service.resource_id.cast())? else {
        return Ok(());
    };
    row.status = AddonState::Ended;
    rows::save(tx, &mut row)
}

/// Puts an add-on in force and tells billing.
pub(crate) fn begin(tx: &mut Tx<'_>, billing: &Billing, mut row: InstanceAddonRow) -> Result<(), StoreError> {
    if row.status != AddonState::Pending {
        return Ok(());
    }
    let service = services::of_resource(tx.conn(), row.organization_id, KIND, row.id.cast())?;
    row.status = AddonState::Active;
    row.activated_at = Some(tx.now());
    rows::save(tx, &mut row)?;
    match service {
        Some(service) => services::provisioned(tx, billing, service.id),
        None => Ok(()),
    }
}
