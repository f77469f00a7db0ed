//! How services are stored.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use super::{cycle::Cycle, rules};
use crate::{
    broken,
    invoices::InvoiceKind,
    orders::OrderKind,
    schema::{service_periods, services},
};

/// Names the ids of services: of what is billed, not of the resource behind it.
#[derive(Debug)]
pub enum ServiceKind {}
/// The id of a service.
pub type ServiceId = Id<ServiceKind>;

words! {
    /// Where a service stands
    pub enum ServiceStatus {
        /// Pending
        Pending = "pending",
        /// Provisioning
        Provisioning = "provisioning",
        /// Active
        Active = "active",
        /// Suspended
        Suspended = "suspended",
        /// Terminated
        Terminated = "terminated",
        /// Cancelled
        Cancelled = "cancelled",
    }
}

impl ServiceStatus {
    /// Whether nothing will ever happen to it again.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Cancelled)
    }
}

/// A row of `services`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = services, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct ServiceRow {
    pub id: ServiceId,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub kind: String,
    pub resource_id: AnyId,
    pub order_id: Id<OrderKind>,
    pub name: String,
    pub name_fr: String,
    pub status: ServiceStatus,
    pub billing_cycle: Cycle,
    pub price: Amount,
    pub monthly_cap: Option<Amount>,
    pub quantity: i64,
    pub options: JsonText,
    pub next_cycle: Option<Cycle>,
    pub next_price: Option<Amount>,
    pub next_monthly_cap: Option<Amount>,
    pub anchor: Time,
    pub period_start: Time,
    pub next_billing_date: Option<Time>,
    pub used_from: Option<Time>,
    pub renewal_invoice_id: Option<Id<InvoiceKind>>,
    pub renewal_due: Option<Time>,
    pub renewal_paid: bool,
    pub cancellation_requested_at: Option<Time>,
    pub cancellation_reason: String,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub suspended_at: Option<Time>,
    pub terminate_at: Option<Time>,
    pub wake_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

impl ServiceRow {
    /// When it ends, if it has been cancelled or is over.
    pub fn billing_end_date(&self) -> Option<Time> {
        self.ended_at
            .or_else(|| self.cancellation_requested_at.and(self.next_billing_date))
    }
}

/// A service, wherever it is: for workers. Requests ask with [`find_of_resource`].
pub(crate) fn find(conn: &mut Conn, id: ServiceId) -> Result<Option<ServiceRow>, StoreError> {
    Ok(services::table
        .find(id)
        .select(ServiceRow::as_select())
        .first(conn)
        .optional()?)
}

/// A service that must be there.
pub(crate) fn get(conn: &mut Conn, id: ServiceId) -> Result<ServiceRow, StoreError> {
    find(conn, id)?.ok_or_else(|| broken(format!("there is no service {id}")))
}

/// The newest service of a resource of an organization.
pub(crate) fn find_of_resource(
    conn: &mut Conn,
    organization: Id<Organization>,
    kind: &str,
    resource: AnyId,
) -> Result<Option<ServiceRow>, StoreError> {
    let query = services::table
        .filter(services::organization_id.eq(organization))
        .filter(services::kind.eq(kind))
        .filter(services::resource_id.eq(resource))
        .order((services::created.desc(), services::id.desc()))
        .select(ServiceRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The newest services of some resources of an organization.
pub(super) fn find_of_resources(
    conn: &mut Conn,
    organization: Id<Organization>,
    kind: &str,
    resources: &[AnyId],
) -> Result<Vec<ServiceRow>, StoreError> {
    if resources.is_empty() {
        return Ok(Vec::new());
    }
    let query = services::table
        .filter(services::organization_id.eq(organization))
        .filter(services::kind.eq(kind))
        .filter(services::resource_id.eq_any(resources.to_vec()))
        .order((services::created.desc(), services::id.desc()))
        .select(ServiceRow::as_select());
    let mut found: Vec<ServiceRow> = query.load(conn)?;
    let mut seen = std::collections::HashSet::new();
    found.retain(|row| seen.insert(row.resource_id));
    Ok(found)
}

pub(crate) fn of_order(conn: &mut Conn, order: Id<OrderKind>) -> Result<Vec<ServiceRow>, StoreError> {
    let query = services::table
        .filter(services::order_id.eq(order))
        .order(services::id)
        .select(ServiceRow::as_select());
    Ok(query.load(conn)?)
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &ServiceRow) -> Result<(), StoreError> {
    diesel::insert_into(services::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes a service with the time at which its clock comes next.
pub(crate) fn save(tx: &mut Tx<'_>, row: &mut ServiceRow, renewal_days: u32) -> Result<(), StoreError> {
    row.modified = tx.now();
    row.wake_at = rules::wake_at(row, renewal_days);
    diesel::update(services::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that a period is invoiced. `false`: it was already.
pub(crate) fn claim_period(
    tx: &mut Tx<'_>,
    service: ServiceId,
    start: Time,
    end: Time,
    invoice: Option<Id<InvoiceKind>>,
) -> Result<bool, StoreError> {
    let known: Option<Option<Id<InvoiceKind>>> = service_periods::table
        .find((service, start))
        .select(service_periods::invoice_id)
        .first(tx.conn())
        .optional()?;
    if known.is_some() {
        return Ok(false);
    }
    let row = (
        service_periods::service_id.eq(service),
        service_periods::period_start.eq(start),
        service_periods::period_end.eq(end),
        service_periods::invoice_id.eq(invoice),
    );
    diesel::insert_into(service_periods::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(true)
}

/// Lets a period be invoiced anew: its invoice has been cancelled or taken back.
pub(crate) fn free_periods(tx: &mut Tx<'_>, invoice: Id<InvoiceKind>) -> Result<(), StoreError> {
    diesel::delete(service_periods::table.filter(service_periods::invoice_id.eq(invoice)))
        .execute(tx.conn())?;
    Ok(())
}
