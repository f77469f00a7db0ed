//! Services: what is billed again and again, with its price and its clock.
//!
//! Products tell how provisioning went ([`provisioned`], [`failed`]), change ([`change`], [`change_cycle`]) and cancel
//! ([`cancel_at_end`], [`cancel_now`]). The clock ([`crate::clocks`]) renews, suspends and ends.

mod ahead;
mod api;
mod change;
mod cycle;
mod life;
mod list;
mod owed;
mod rows;
mod rules;

use kernel::{
    access::Organization,
    id::{AnyId, Id},
    store::{Conn, StoreError},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    ahead::{RenewalRefused, renew_ahead},
    change::{
        Change, Changed, cancel_at_end, cancel_now, change, change_cycle, change_paid, change_price,
        difference, revoke_cancellation,
    },
    cycle::Cycle,
    life::{failed, provisioned},
    owed::pay_owed,
    rows::{ServiceId, ServiceKind, ServiceRow, ServiceStatus},
};
pub(crate) use self::{
    life::{end, first_billing_date, forget_invoice, invoice_paid, on_invoice, stop, suspend, tick},
    rows::{claim_period, get, insert, of_order, save},
};
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new().routes(routes!(list::list_billing_services))
}

/// The newest service of a resource of an organization.
///
/// # Errors
/// The database refused.
pub fn of_resource(
    conn: &mut Conn,
    organization: Id<Organization>,
    kind: &str,
    resource: AnyId,
) -> Result<Option<ServiceRow>, StoreError> {
    rows::find_of_resource(conn, organization, kind, resource)
}

/// The newest service of each of these resources, in no order; those that have none are left out.
///
/// # Errors
/// The database refused.
pub fn of_resources(
    conn: &mut Conn,
    organization: Id<Organization>,
    kind: &str,
    resources: &[AnyId],
) -> Result<Vec<ServiceRow>, StoreError> {
    rows::find_of_resources(conn, organization, kind, resources)
}
