//! Hourly use: hours times price, recorded when a month or the use ends, invoiced once a month.

mod api;
mod get;
mod rules;

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
    dsl::count_star,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Billing,
    accounts::{self, AccountRow},
    calendar::{days_after, month_of, next_month, show_month},
    invoices::{self, Draft, InvoiceKind, InvoiceType, Line},
    schema::{services, usage_records},
    services::{Cycle, ServiceId, ServiceRow},
    trip,
};

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new().routes(routes!(get::get_billing_usage))
}

/// Lines on one invoice of usage; a month with more gets several.
const MOST_LINES: i64 = 500;

/// A row of `usage_records`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_records)]
pub(crate) struct UsageRow {
    pub(crate) service_id: ServiceId,
    pub(crate) used_from: Time,
    pub(crate) used_to: Time,
    pub(crate) organization_id: Id<Organization>,
    pub(crate) project_id: Id<Project>,
    pub(crate) hours: Amount,
    pub(crate) unit_price: Amount,
    pub(crate) amount: Amount,
    pub(crate) invoice_id: Option<Id<InvoiceKind>>,
    pub(crate) created: Time,
}

/// What the hours from `month` until `until` cost that are not invoiced.
pub(crate) fn sum(
    conn: &mut Conn,
    organization: Id<Organization>,
    month: Time,
    until: Time,
) -> Result<Amount, StoreError> {
    let rows = get::of_month(conn, organization, month, until)?;
    Ok(rows
        .into_iter()
        .filter(|(row, _)| row.invoice_id.is_none())
        .map(|(row, _)| row.amount)
        .sum())
}

/// Makes sure that the account's clock comes at the end of the month.
pub(crate) fn expect(tx: &mut Tx<'_>, account: &mut AccountRow) -> Result<(), StoreError> {
    if account.wake_at.is_none() {
        account.wake_at = Some(next_month(tx.now()));
        accounts::save(tx, account)?;
    }
    Ok(())
}

/// Records the use of a service until `until`, month by month, and goes on from there.
pub(crate) fn close(tx: &mut Tx<'_>, service: &mut ServiceRow, until: Time) -> Result<(), StoreError> {
    while let Some(from) = service.used_from.filter(|from| *from < until) {
        let to = next_month(from).min(until);
        let now = tx.now();
        let row = reckon(tx.conn(), service, from, to, now)?;
        diesel::insert_into(usage_records::table)
            .values(&row)
            .execute(tx.conn())?;
        service.used_from = Some(to);
    }
    trip("billing.usage_closed")
}

/// What the use of a service from `from` to `to`, in one month, costs.
fn reckon(
    conn: &mut Conn,
    service: &ServiceRow,
    from: Time,
    to: Time,
    now: Time,
) -> Result<UsageRow, StoreError> {
    let mine = || usage_records::table.filter(usage_records::service_id.eq(service.id));
    let earlier: i64 = mine().select(count_star()).first(conn)?;
    let this_month: Vec<Amount> = mine()
        .filter(usage_records::used_from.ge(month_of(from)))
        .filter(usage_records::used_from.lt(next_month(from)))
        .select(usage_records::amount)
        .load(conn)?;
    let hours = rules::hours(from, to, earlier == 0);
    let quantity = Amount::from_ten_thousandths(service.quantity.saturating_mul(10_000));
    let cap = service
        .monthly_cap
        .map(|cap| cap.times(quantity) - this_month.into_iter().sum());
    Ok(UsageRow {
        service_id: service.id,
        used_from: from,
        used_to: to,
        organization_id: service.organization_id,
        project_id: service.project_id,
        hours,
        unit_price: service.price.times(quantity),
        amount: rules::cost(hours, service.price.times(quantity), cap),
        invoice_id: None,
        created: now,
    })
}

/// The account's clock: closes the month, invoices what was used in the months before this one, each record once.
pub(crate) fn settle(tx: &mut Tx<'_>, billing: &Billing, mut account: AccountRow) -> Result<(), StoreError> {
    let now = tx.now();
    let month = month_of(now);
    let running: Vec<ServiceRow> = services::table
        .filter(services::organization_id.eq(account.organization_id))
        .filter(services::used_from.is_not_null())
        .select(ServiceRow::as_select())
        .order(services::id)
        .load(tx.conn())?;
    let is_used = !running.is_empty();
    for mut service in running {
        close(tx, &mut service, month)?;
        if service.billing_cycle == Cycle::Hourly
            && service.next_cycle.is_none()
            && service.cancellation_requested_at.is_none()
        {
            service.next_billing_date = Some(next_month(now));
        }
        crate::services::save(tx, &mut service, billing.settings().renewal_days)?;
        billing.product(&service.kind)?.changed(tx, billing, &service)?;
    }
    while invoice(tx, billing, &account, month)? {}
    let rest: i64 = uninvoiced(account.organization_id)
        .count()
        .get_result(tx.conn())?;
    account.wake_at = (is_used || rest > 0).then(|| next_month(now));
    accounts::save(tx, &account)?;
    trip("billing.usage_settled")
}

#[diesel::dsl::auto_type(no_type_alias)]
fn uninvoiced(organization: Id<Organization>) -> _ {
    let nothing: Amount = Amount::ZERO;
    usage_records::table
        .filter(usage_records::organization_id.eq(organization))
        .filter(usage_records::invoice_id.is_null())
        .filter(usage_records::amount.gt(nothing))
}

/// Invoices some of what is recorded for before `until`. `false`: nothing was left.
fn invoice(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    until: Time,
) -> Result<bool, StoreError> {
    let records: Vec<UsageRow> = uninvoiced(account.organization_id)
        .filter(usage_records::used_from.lt(until))
        .order((usage_records::used_from, usage_records::service_id))
        .limit(MOST_LINES)
        .select(UsageRow::as_select())
        .load(tx.conn())?;
    if records.is_empty() {
        return Ok(false);
    }
    let ids: Vec<ServiceId> = records.iter().map(|record| record.service_id).collect();
    let known: Vec<ServiceRow> = services::table
        .filter(services::id.eq_any(ids))
        .select(ServiceRow::as_select())
        .load(tx.conn())?;
    let lines = records.iter().filter_map(|record| {
        let service = known.iter().find(|service| service.id == record.service_id)?;
        Some(line(service, record))
    });
    let draft = Draft {
        kind: InvoiceType::Usage,
        lines: lines.collect(),
        due_at: days_after(tx.now(), billing.settings().due_days),
        order: None,
        user: None,
    };
    let mut invoice = invoices::issue(tx, billing, account, draft)?;
    for record in &records {
        diesel::update(usage_records::table.find((record.service_id, record.used_from)))
            .set(usage_records::invoice_id.eq(invoice.id))
            .execute(tx.conn())?;
    }
    if account.use_credit_first {
        invoices::apply_credit(tx, billing, account, &mut invoice, None)?;
    }
    Ok(true)
}

fn line(service: &ServiceRow, record: &UsageRow) -> Line {
    let month = show_month(record.used_from);
    Line {
        description: format!("{} – hours used in {month}", service.name),
        description_fr: format!("{} – heures utilisées en {month}", service.name_fr),
        service_type: service.kind.clone(),
        service: Some(service.id),
        resource: Some(service.resource_id),
        project: Some(service.project_id),
        cycle: Some(Cycle::Hourly),
        period: Some((record.used_from, record.used_to)),
        quantity: record.hours,
        unit_price: record.unit_price,
        net: record.amount,
    }
}
