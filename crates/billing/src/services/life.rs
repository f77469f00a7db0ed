//! The life of a service: provisioned, renewed, suspended, resumed, ended. Each step is one transaction behind the lock
//! of the organization's account, and looks first whether it is still to be done.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::User,
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
    time::Time,
};

use super::{
    cycle::Cycle,
    owed::owed,
    rows::{self, ServiceId, ServiceRow, ServiceStatus},
    rules::{self, Due},
};
use crate::{
    Billing,
    accounts::{self, AccountRow},
    broken,
    calendar::{days_after, next_month, next_period},
    invoices::{self, Draft, InvoiceId, InvoiceRow, InvoiceStatus, InvoiceType, Line, Portion},
    letters::{self, Occasion},
    orders::{self, OrderStatus},
    schema::{invoice_lines, services},
    trip, usage,
};

/// When something that is provisioned at `start` is billed next.
pub(crate) fn first_billing_date(cycle: Cycle, start: Time) -> Option<Time> {
    match cycle {
        Cycle::Free | Cycle::OneTime => None,
        Cycle::Hourly => Some(next_month(start)),
        Cycle::Monthly
        | Cycle::Quarterly
        | Cycle::SemiAnnually
        | Cycle::Annually
        | Cycle::Biennially
        | Cycle::Triennially => cycle.months().map(|months| next_period(start, months, start)),
    }
}

/// Locks the account of a service's organization, then reads the service as it now is.
pub(super) fn lock(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
) -> Result<(AccountRow, ServiceRow), StoreError> {
    let organization = rows::get(tx.conn(), id)?.organization_id;
    let account = accounts::lock_account(tx, organization, &billing.settings().currency)?;
    Ok((account, rows::get(tx.conn(), id)?))
}

fn keep(tx: &mut Tx<'_>, billing: &Billing, service: &mut ServiceRow) -> Result<(), StoreError> {
    rows::save(tx, service, billing.settings().renewal_days)?;
    billing.product(&service.kind)?.changed(tx, billing, service)
}

/// What was paid is there: its time begins. Told by the product; a second time changes nothing.
///
/// # Errors
/// The database refused.
pub fn provisioned(tx: &mut Tx<'_>, billing: &Billing, id: ServiceId) -> Result<(), StoreError> {
    let (mut account, mut service) = lock(tx, billing, id)?;
    if service.status != ServiceStatus::Provisioning {
        return Ok(());
    }
    let now = tx.now();
    service.status = ServiceStatus::Active;
    service.started_at = Some(now);
    service.anchor = now;
    service.period_start = now;
    service.next_billing_date = first_billing_date(service.billing_cycle, now);
    if service.billing_cycle == Cycle::Hourly {
        service.used_from = Some(now);
        usage::expect(tx, &mut account)?;
    }
    keep(tx, billing, &mut service)?;
    trip("billing.provisioned")?;
    orders::look_whether_complete(tx, &account, service.order_id)
}

/// What was paid can't be provisioned: its whole order unwinds, and what was paid comes back as credit. Told by the
/// product; a second time changes nothing.
///
/// # Errors
/// The database refused.
pub fn failed(tx: &mut Tx<'_>, billing: &Billing, id: ServiceId, reason: &str) -> Result<(), StoreError> {
    let (account, service) = lock(tx, billing, id)?;
    if service.status != ServiceStatus::Provisioning {
        return Ok(());
    }
    let mut order = orders::get(tx.conn(), account.organization_id, service.order_id)?;
    orders::unwind(
        tx,
        billing,
        &account,
        &mut order,
        (OrderStatus::Failed, reason),
        None,
    )
}

/// Does what the clock of a service has come to. `false`: there was nothing to do.
pub(crate) fn tick(tx: &mut Tx<'_>, billing: &Billing, id: ServiceId) -> Result<bool, StoreError> {
    let (mut account, mut service) = lock(tx, billing, id)?;
    let now = tx.now();
    match rules::due(&service, billing.settings().renewal_days, now) {
        Due::Nothing => {
            // The time at which the clock comes next was not what the rules say: put it right.
            if service.wake_at.is_some_and(|at| at <= now) {
                rows::save(tx, &mut service, billing.settings().renewal_days)?;
            }
            return Ok(false);
        }
        Due::Renew => renew(tx, billing, &account, service)?,
        Due::Advance => advance(tx, billing, &mut account, &mut service)?,
        Due::Convert => convert(tx, billing, &mut service)?,
        Due::Suspend => suspend(tx, billing, &account, &mut service)?,
        Due::End => end(tx, billing, &account, &mut service, ServiceStatus::Cancelled)?,
        Due::Terminate => end(tx, billing, &account, &mut service, ServiceStatus::Terminated)?,
    }
    trip("billing.service_ticked")?;
    Ok(true)
}

/// Invoices the next period, and pays it from credit if the organization wants that.
pub(super) fn renew(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    mut service: ServiceRow,
) -> Result<(), StoreError> {
    let settings = billing.settings();
    let now = tx.now();
    let cycle = rules::coming_cycle(&service);
    let (Some(start), Some(months)) = (service.next_billing_date, cycle.months()) else {
        return Err(broken(format!("service {} has no next period", service.id)));
    };
    let anchor = if service.next_cycle.is_some() {
        start
    } else {
        service.anchor
    };
    let end = next_period(anchor, months, start);
    let unit_price = service.next_price.unwrap_or(service.price);
    let quantity = Amount::from_ten_thousandths(service.quantity.saturating_mul(10_000));
    let net = Line::sum(quantity, unit_price);
    if !net.is_positive() {
        rows::claim_period(tx, service.id, start, end, None)?;
        service.renewal_paid = true;
        return rows::save(tx, &mut service, settings.renewal_days);
    }
    // Whoever is invoiced late, after a standstill of ours, still has time to pay.
    let due_at = start.max(days_after(now, settings.reminder_days));
    let line = Line {
        description: service.name.clone(),
        description_fr: service.name_fr.clone(),
        service_type: service.kind.clone(),
        service: Some(service.id),
        resource: Some(service.resource_id),
        project: Some(service.project_id),
        cycle: Some(cycle),
        period: Some((start, end)),
        quantity,
        unit_price,
        net,
    };
    let draft = Draft {
        kind: InvoiceType::Renewal,
        lines: vec![line],
        due_at,
        order: None,
        user: None,
    };
    let mut invoice = invoices::issue(tx, billing, account, draft)?;
    if !rows::claim_period(tx, service.id, start, end, Some(invoice.id))? {
        return Err(broken(format!(
            "a period of service {} is invoiced already",
            service.id
        )));
    }
    service.renewal_invoice_id = Some(invoice.id);
    service.renewal_due = Some(invoice.due_at);
    service.renewal_paid = false;
    rows::save(tx, &mut service, settings.renewal_days)?;
    trip("billing.renewed")?;
    if account.use_credit_first {
        invoices::apply_credit(tx, billing, account, &mut invoice, None)?;
    }
    crate::transactions::top_up_if_low(tx, billing, account)
}

/// Begins the next period.
fn advance(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &mut AccountRow,
    service: &mut ServiceRow,
) -> Result<(), StoreError> {
    let Some(start) = service.next_billing_date else {
        return Err(broken(format!("service {} has no next period", service.id)));
    };
    if service.next_cycle.is_some() {
        service.anchor = start;
    }
    service.billing_cycle = service.next_cycle.take().unwrap_or(service.billing_cycle);
    if let Some(price) = service.next_price.take() {
        service.price = price;
        service.monthly_cap = service.next_monthly_cap.take();
    }
    service.period_start = start;
    service.renewal_invoice_id = None;
    service.renewal_due = None;
    service.renewal_paid = false;
    service.next_billing_date = match service.billing_cycle.months() {
        Some(months) => Some(next_period(service.anchor, months, start)),
        None => first_billing_date(service.billing_cycle, start),
    };
    if service.billing_cycle == Cycle::Hourly {
        service.used_from = Some(start);
        usage::expect(tx, account)?;
    }
    keep(tx, billing, service)
}

/// Ends hourly use at the turn of the month; from then on periods are paid ahead.
fn convert(tx: &mut Tx<'_>, billing: &Billing, service: &mut ServiceRow) -> Result<(), StoreError> {
    let Some(start) = service.next_billing_date else {
        return Err(broken(format!("service {} has no next period", service.id)));
    };
    usage::close(tx, service, start)?;
    service.used_from = None;
    service.billing_cycle = service.next_cycle.unwrap_or(service.billing_cycle);
    service.monthly_cap = None;
    service.anchor = start;
    service.price = service.next_price.take().unwrap_or(service.price);
    service.next_cycle = None;
    // The first period begins now and has still to be invoiced: the clock does that next.
    keep(tx, billing, service)
}

/// Stops a service that is not paid.
pub(crate) fn suspend(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: &mut ServiceRow,
) -> Result<(), StoreError> {
    let now = tx.now();
    if service.used_from.is_some() {
        usage::close(tx, service, now)?;
        service.used_from = None;
    }
    service.status = ServiceStatus::Suspended;
    service.suspended_at = Some(now);
    service.terminate_at = Some(days_after(now, billing.settings().grace_days));
    keep(tx, billing, service)?;
    billing.product(&service.kind)?.suspend(tx, billing, service)?;
    trip("billing.suspended")?;
    if let Some(invoice) = service.renewal_invoice_id {
        let invoice = invoices::get(tx.conn(), account.organization_id, invoice)?;
        letters::send(tx, billing, account, Occasion::Suspended, &invoice)?;
    }
    Ok(())
}

/// Ends a service, its product included.
pub(crate) fn end(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: &mut ServiceRow,
    status: ServiceStatus,
) -> Result<(), StoreError> {
    stop(tx, billing, account, service, status, true)?;
    billing.product(&service.kind)?.terminate(tx, billing, service)?;
    trip("billing.ended")
}

/// Ends the billing of a service: what was used is recorded (if it counts), what was invoiced for the time after is
/// taken back.
pub(crate) fn stop(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: &mut ServiceRow,
    status: ServiceStatus,
    usage_counts: bool,
) -> Result<(), StoreError> {
    let now = tx.now();
    if service.used_from.is_some() && usage_counts {
        usage::close(tx, service, now)?;
    }
    take_back_renewal(tx, billing, account, service, None)?;
    service.used_from = None;
    service.status = status;
    service.ended_at = Some(now);
    service.terminate_at = None;
    service.next_billing_date = None;
    keep(tx, billing, service)
}

/// Takes back the invoice of the next period, if there is one: cancelled if it is open, credited if it is paid.
pub(super) fn take_back_renewal(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: &mut ServiceRow,
    user: Option<Id<User>>,
) -> Result<(), StoreError> {
    let Some(invoice) = service.renewal_invoice_id else {
        return Ok(());
    };
    let mut invoice = invoices::get(tx.conn(), account.organization_id, invoice)?;
    if invoice.is_open() {
        invoices::void(tx, billing, account, &mut invoice, user)?;
        letters::send(tx, billing, account, Occasion::InvoiceCancelled, &invoice)?;
    } else if invoice.status == InvoiceStatus::Paid {
        let reason = ("The service was cancelled before this period", user);
        invoices::credit_note(tx, billing, account, &mut invoice, Portion::Whole, reason)?;
    }
    service.renewal_invoice_id = None;
    service.renewal_due = None;
    service.renewal_paid = false;
    Ok(())
}

/// An invoice is paid: the periods on it are, and what was suspended for it runs again.
pub(crate) fn invoice_paid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &InvoiceRow,
) -> Result<(), StoreError> {
    let now = tx.now();
    for mut service in on_invoice(tx, invoice.id)? {
        let is_renewal = service.renewal_invoice_id == Some(invoice.id);
        if is_renewal {
            service.renewal_paid = true;
            rows::save(tx, &mut service, billing.settings().renewal_days)?;
        }
        let mut account = account.clone();
        if service.status == ServiceStatus::Suspended && owed(tx, &service, now)?.is_empty() {
            resume(tx, billing, &mut account, &mut service)?;
        }
        let is_due = service.next_billing_date.is_some_and(|date| date <= now);
        if is_renewal && service.status == ServiceStatus::Active && is_due {
            advance(tx, billing, &mut account, &mut service)?;
        }
    }
    Ok(())
}

/// Lets a suspended service run again.
pub(super) fn resume(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &mut AccountRow,
    service: &mut ServiceRow,
) -> Result<(), StoreError> {
    service.status = ServiceStatus::Active;
    service.suspended_at = None;
    service.terminate_at = None;
    if service.billing_cycle == Cycle::Hourly {
        let now = tx.now();
        service.used_from = Some(now);
        service.next_billing_date = service.next_billing_date.map(|date| date.max(next_month(now)));
        usage::expect(tx, account)?;
    }
    keep(tx, billing, service)?;
    billing.product(&service.kind)?.unsuspend(tx, billing, service)?;
    trip("billing.resumed")
}

/// The services on an invoice, each once.
pub(crate) fn on_invoice(tx: &mut Tx<'_>, invoice: InvoiceId) -> Result<Vec<ServiceRow>, StoreError> {
    let ids: Vec<Option<ServiceId>> = invoice_lines::table
        .filter(invoice_lines::invoice_id.eq(invoice))
        .select(invoice_lines::service_id)
        .distinct()
        .load(tx.conn())?;
    let ids: Vec<ServiceId> = ids.into_iter().flatten().collect();
    let query = services::table
        .filter(services::id.eq_any(ids))
        .order(services::id)
        .select(ServiceRow::as_select());
    Ok(query.load(tx.conn())?)
}

/// An invoice is cancelled or taken back: its periods can be invoiced anew.
pub(crate) fn forget_invoice(
    tx: &mut Tx<'_>,
    billing: &Billing,
    invoice: InvoiceId,
) -> Result<(), StoreError> {
    rows::free_periods(tx, invoice)?;
    for mut service in on_invoice(tx, invoice)? {
        if service.renewal_invoice_id != Some(invoice) {
            continue;
        }
        service.renewal_invoice_id = None;
        service.renewal_due = None;
        service.renewal_paid = false;
        rows::save(tx, &mut service, billing.settings().renewal_days)?;
    }
    Ok(())
}
