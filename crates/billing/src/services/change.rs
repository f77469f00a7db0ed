//! What customers do with a running service: another price, another cycle, cancelling, taking that back.

use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::User,
    id::Id,
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
};

use super::{
    cycle::Cycle,
    life,
    rows::{self, ServiceId, ServiceRow, ServiceStatus},
    rules,
};
use crate::{
    Billing,
    accounts::AccountRow,
    calendar::days_after,
    invoices::{self, Draft, InvoiceRow, InvoiceType, Line},
    schema::{invoice_lines, invoices as invoice_rows},
    trip, usage,
};

/// What a service becomes at once.
#[derive(Clone, Debug)]
pub struct Change {
    /// What invoices call it from now on, in English.
    pub description: String,
    /// The same in French.
    pub description_fr: String,
    /// For one piece and a cycle (an hour, if hourly).
    pub price: Amount,
    /// What hourly use costs at most in a month.
    pub monthly_cap: Option<Amount>,
    /// How many pieces.
    pub quantity: i64,
    /// The product's own notes; `None` keeps them.
    pub options: Option<JsonText>,
}

/// What a change costs or gives back.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The invoice or the credit note, if anything changes hands.
    pub invoice: Option<InvoiceRow>,
    /// What remains to be paid after the credit. A caller that wants it paid first refuses, and nothing has happened.
    pub amount_due: Amount,
    /// What was given back as credit, with tax.
    pub credited: Amount,
}

/// Changes what a service is, at once: the rest of the present period is charged or given back for the difference, to
/// the second. A period ahead that is invoiced but not paid is invoiced anew; one that is paid is settled in full.
///
/// # Errors
/// The database refused.
pub fn change(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    wanted: &Change,
    user: Option<Id<User>>,
) -> Result<Changed, StoreError> {
    let (account, service, difference) = rewrite(tx, billing, id, wanted, user)?;
    if difference.is_positive() {
        charge(tx, billing, &account, &service, difference, user)
    } else if difference.is_zero() {
        Ok(Changed::default())
    } else {
        let reason = format!("{}: lower price for the time already paid", service.name);
        let note = invoices::free_credit_note(tx, billing, &account, -difference, (&reason, user))?;
        let credited = -note.total;
        settle_open(tx, billing, &account, service.id, user)?;
        Ok(Changed {
            credited,
            invoice: Some(note),
            amount_due: Amount::ZERO,
        })
    }
}

/// Changes what a service is, at once, where what that costs for the rest of the present period was ordered and is paid:
/// `paid`, without tax. If more time has been paid at the old price since, the rest is charged too. What has passed
/// between the order and this is not given back.
///
/// # Errors
/// The database refused.
pub fn change_paid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    (wanted, paid): (&Change, Amount),
    user: Option<Id<User>>,
) -> Result<Changed, StoreError> {
    let (account, service, difference) = rewrite(tx, billing, id, wanted, user)?;
    let rest = difference - paid;
    if rest.is_positive() {
        charge(tx, billing, &account, &service, rest, user)
    } else {
        Ok(Changed::default())
    }
}

/// Writes down what a service becomes; gives what is to be settled for that.
fn rewrite(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    wanted: &Change,
    user: Option<Id<User>>,
) -> Result<(AccountRow, ServiceRow, Amount), StoreError> {
    let (account, mut service) = life::lock(tx, billing, id)?;
    let now = tx.now();
    let difference = difference(&service, wanted, now);
    if service.used_from.is_some() {
        usage::close(tx, &mut service, now)?;
    }
    if service.renewal_invoice_id.is_some() && !service.renewal_paid {
        life::take_back_renewal(tx, billing, &account, &mut service, user)?;
    }
    wanted.description.clone_into(&mut service.name);
    wanted.description_fr.clone_into(&mut service.name_fr);
    service.price = wanted.price;
    service.monthly_cap = wanted.monthly_cap;
    service.quantity = wanted.quantity;
    if let Some(options) = &wanted.options {
        service.options = options.clone();
    }
    if service.next_cycle.is_none() {
        service.next_price = None;
        service.next_monthly_cap = None;
    }
    rows::save(tx, &mut service, billing.settings().renewal_days)?;
    billing.product(&service.kind)?.changed(tx, billing, &service)?;
    trip("billing.changed")?;
    Ok((account, service, difference))
}

/// What a change costs (or gives back, if negative) at `now` for time that is paid already, without tax.
pub fn difference(service: &ServiceRow, wanted: &Change, now: kernel::time::Time) -> Amount {
    let whole = |price: Amount, quantity: i64| {
        Line::sum(
            Amount::from_ten_thousandths(quantity.saturating_mul(10_000)),
            price,
        )
    };
    let (old, new) = (
        whole(service.price, service.quantity),
        whole(wanted.price, wanted.quantity),
    );
    let is_running = matches!(service.status, ServiceStatus::Active | ServiceStatus::Suspended);
    let (Some(end), true, Some(_)) = (
        service.next_billing_date,
        is_running,
        service.billing_cycle.months(),
    ) else {
        return Amount::ZERO;
    };
    let start = service.period_start;
    let rest = rules::remaining(new, start, end, now) - rules::remaining(old, start, end, now);
    if service.renewal_paid && service.next_cycle.is_none() {
        rest + new - old
    } else {
        rest
    }
}

fn charge(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: &ServiceRow,
    net: Amount,
    user: Option<Id<User>>,
) -> Result<Changed, StoreError> {
    let now = tx.now();
    let line = Line {
        description: format!("{} – change, for the time left of the period", service.name),
        description_fr: format!("{} – modification, pour le reste de la période", service.name_fr),
        service_type: service.kind.clone(),
        service: Some(service.id),
        resource: Some(service.resource_id),
        project: Some(service.project_id),
        cycle: Some(service.billing_cycle),
        period: service.next_billing_date.map(|end| (now, end)),
        quantity: Amount::from_ten_thousandths(10_000),
        unit_price: net,
        net,
    };
    let draft = Draft {
        kind: InvoiceType::Order,
        lines: vec![line],
        due_at: days_after(now, billing.settings().due_days),
        order: None,
        user,
    };
    let mut invoice = invoices::issue(tx, billing, account, draft)?;
    if account.use_credit_first {
        invoices::apply_credit(tx, billing, account, &mut invoice, user)?;
    }
    Ok(Changed {
        amount_due: invoice.amount_due(),
        invoice: Some(invoice),
        credited: Amount::ZERO,
    })
}

/// Uses credit for what is open of a service: nobody gets credit for what they have not paid yet.
fn settle_open(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    service: ServiceId,
    user: Option<Id<User>>,
) -> Result<(), StoreError> {
    use invoices::InvoiceStatus::{Overdue, Unpaid};
    let open: Vec<InvoiceRow> = invoice_rows::table
        .inner_join(invoice_lines::table.on(invoice_lines::invoice_id.eq(invoice_rows::id)))
        .filter(invoice_lines::service_id.eq(service))
        .filter(invoice_rows::status.eq_any([Unpaid, Overdue]))
        .order(invoice_rows::created)
        .select(InvoiceRow::as_select())
        .distinct()
        .load(tx.conn())?;
    for mut invoice in open {
        invoices::apply_credit(tx, billing, account, &mut invoice, user)?;
    }
    Ok(())
}

/// Changes how often a service is billed, and its price, from the next billing date on. A period ahead that has been
/// invoiced is taken back and invoiced anew.
///
/// # Errors
/// The database refused.
pub fn change_cycle(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    (cycle, price, monthly_cap): (Cycle, Amount, Option<Amount>),
    user: Option<Id<User>>,
) -> Result<ServiceRow, StoreError> {
    let (account, mut service) = life::lock(tx, billing, id)?;
    life::take_back_renewal(tx, billing, &account, &mut service, user)?;
    service.next_cycle = (cycle != service.billing_cycle).then_some(cycle);
    service.next_price = Some(price);
    service.next_monthly_cap = monthly_cap;
    if service.next_billing_date.is_none() {
        // Free or paid once: there is no date to wait for.
        service.next_billing_date = service.next_cycle.map(|_| tx.now());
    }
    rows::save(tx, &mut service, billing.settings().renewal_days)?;
    billing.product(&service.kind)?.changed(tx, billing, &service)?;
    Ok(service)
}

/// Changes the price from the next period on: what an operator's new price list does. A renewal that has been invoiced
/// keeps its price.
///
/// # Errors
/// The database refused.
pub fn change_price(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    price: Amount,
) -> Result<(), StoreError> {
    let (_, mut service) = life::lock(tx, billing, id)?;
    service.next_price = Some(price);
    service.next_monthly_cap = service.monthly_cap;
    rows::save(tx, &mut service, billing.settings().renewal_days)
}

/// Cancels a service for the end of the time that is paid. A renewal that has been invoiced is taken back.
///
/// # Errors
/// The database refused.
pub fn cancel_at_end(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    reason: &str,
    user: Option<Id<User>>,
) -> Result<ServiceRow, StoreError> {
    let (account, mut service) = life::lock(tx, billing, id)?;
    if service.status.is_over() || service.cancellation_requested_at.is_some() {
        return Ok(service);
    }
    let now = tx.now();
    life::take_back_renewal(tx, billing, &account, &mut service, user)?;
    service.cancellation_requested_at = Some(now);
    reason.clone_into(&mut service.cancellation_reason);
    // Suspended: its paid time is over already. Without an end: it ends now.
    if service.status == ServiceStatus::Suspended || service.next_billing_date.is_none() {
        life::end(tx, billing, &account, &mut service, ServiceStatus::Cancelled)?;
    } else {
        rows::save(tx, &mut service, billing.settings().renewal_days)?;
        billing.product(&service.kind)?.changed(tx, billing, &service)?;
    }
    trip("billing.cancelled")?;
    Ok(service)
}

/// Takes a cancellation back, while the service still runs.
///
/// # Errors
/// The database refused.
pub fn revoke_cancellation(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
) -> Result<ServiceRow, StoreError> {
    let (_, mut service) = life::lock(tx, billing, id)?;
    if service.status.is_over() || service.cancellation_requested_at.is_none() {
        return Ok(service);
    }
    service.cancellation_requested_at = None;
    service.cancellation_reason.clear();
    rows::save(tx, &mut service, billing.settings().renewal_days)?;
    billing.product(&service.kind)?.changed(tx, billing, &service)?;
    Ok(service)
}

/// Ends a service at once, with its product. With `refund`, the rest of the present period comes back as credit.
///
/// # Errors
/// The database refused.
pub fn cancel_now(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: ServiceId,
    (reason, refund): (&str, bool),
    user: Option<Id<User>>,
) -> Result<ServiceRow, StoreError> {
    let (account, mut service) = life::lock(tx, billing, id)?;
    if service.status.is_over() {
        return Ok(service);
    }
    let now = tx.now();
    if matches!(
        service.status,
        ServiceStatus::Pending | ServiceStatus::Provisioning
    ) {
        let mut order = crate::orders::get(tx.conn(), account.organization_id, service.order_id)?;
        let why = (crate::orders::OrderStatus::Cancelled, reason);
        crate::orders::unwind(tx, billing, &account, &mut order, why, user)?;
        return rows::get(tx.conn(), id);
    }
    let nothing = Change {
        description: service.name.clone(),
        description_fr: service.name_fr.clone(),
        price: Amount::ZERO,
        monthly_cap: None,
        quantity: 1,
        options: None,
    };
    life::take_back_renewal(tx, billing, &account, &mut service, user)?;
    let rest = -difference(&service, &nothing, now);
    if refund && service.status == ServiceStatus::Active && rest.is_positive() {
        let why = format!("{}: ended before its time", service.name);
        invoices::free_credit_note(tx, billing, &account, rest, (&why, user))?;
        settle_open(tx, billing, &account, service.id, user)?;
        service = rows::get(tx.conn(), id)?;
    }
    service.cancellation_requested_at.get_or_insert(now);
    reason.clone_into(&mut service.cancellation_reason);
    life::end(tx, billing, &account, &mut service, ServiceStatus::Cancelled)?;
    Ok(service)
}
