//! Ordering: what it would cost, and doing it.

use identity::counters;
use kernel::{
    access::{Organization, Project, Role, User},
    http::{ApiError, ApiResult},
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    life,
    rows::{self, ItemRow, OrderId, OrderRow, OrderStatus},
};
use crate::{
    Billing,
    accounts::{self, AccountRow},
    calendar::{days_after, months_after},
    invoices::{self, Draft, InvoiceRow, InvoiceType, Line, Sums},
    ledger, payment_methods,
    payments::{self, PaymentId},
    services::{self, Cycle, ServiceId, ServiceRow, ServiceStatus},
    trip,
};

/// One thing to be ordered. Prices are without tax.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// The product's kind: `instance`.
    pub kind: &'static str,
    /// The resource, which the caller makes in the same transaction.
    pub resource: AnyId,
    /// The project that it lies in.
    pub project: Id<Project>,
    /// What lists and invoices call it, in English and in French.
    pub description: String,
    /// The same in French.
    pub description_fr: String,
    /// How often it is billed.
    pub cycle: Cycle,
    /// Charged once, at the order.
    pub setup: Amount,
    /// For one piece and a cycle (an hour, if hourly), with up to four decimals.
    pub price: Amount,
    /// What hourly use costs at most in a month; nothing else has it.
    pub monthly_cap: Option<Amount>,
    /// How many pieces; at least one.
    pub quantity: i64,
    /// The product's own notes.
    pub options: JsonText,
}

/// An order to be placed.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Who buys.
    pub organization: Id<Organization>,
    /// Who asked for it; nobody for onet itself.
    pub user: Option<Id<User>>,
    /// What is bought; it completes or unwinds as a whole.
    pub items: Vec<NewItem>,
    /// Whether the credit is used, as far as it goes. The organization's own setting is up to the caller: see
    /// [`Quote::use_credit_first`].
    pub use_credit: bool,
    /// Whether the default payment method is charged with the rest.
    pub charge: bool,
}

/// What an order costs at this moment, to the cent.
#[derive(Clone, Debug)]
pub struct Quote {
    /// The currency of all amounts.
    pub currency: String,
    /// Due at once, without tax.
    pub subtotal: Amount,
    /// The tax on it.
    pub tax_total: Amount,
    /// The tax's rate in percent.
    pub tax_rate: Amount,
    /// Due at once, with tax.
    pub total: Amount,
    /// How much of it the credit pays, if it is used.
    pub credit_applied: Amount,
    /// What remains to be paid.
    pub amount_due: Amount,
    /// The credit that remains.
    pub credit_left: Amount,
    /// When the rest is due.
    pub due_at: Time,
    /// When each item is billed next, if ever, were it provisioned now.
    pub next_billing: Vec<Option<Time>>,
    /// Whether the organization wants its credit to be used before anything else.
    pub use_credit_first: bool,
    /// Whether there is a payment method that can be charged.
    pub has_payment_method: bool,
}

/// An order that has been placed.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The order (`local_order_id` of order answers).
    pub order: OrderId,
    /// Its number for older clients (`order_id`).
    pub legacy_id: i64,
    /// Its number as people read it.
    pub number: String,
    /// Its status.
    pub status: OrderStatus,
    /// The invoice, unless nothing is due at once.
    pub invoice: Option<InvoiceRow>,
    /// What the credit has paid.
    pub credit_applied: Amount,
    /// What remains to be paid.
    pub amount_due: Amount,
    /// The services, in the order of the items.
    pub services: Vec<ServiceId>,
    /// The payment that has been started, if one was.
    pub payment: Option<PaymentId>,
}

/// Who may place an order: owners always; editors, who otherwise see no billing, when the credit or a stored payment
/// method pays for it, so that they leave no open invoice to others. The one place of that rule.
///
/// # Errors
/// 403 with the reason.
pub fn may_order(role: Role, quote: &Quote) -> ApiResult<()> {
    let has_credit = quote.total.is_positive() || quote.credit_left.is_positive();
    let covered = quote.has_payment_method || (quote.amount_due.is_zero() && has_credit);
    match role {
        Role::Owner => Ok(()),
        Role::Editor if covered => Ok(()),
        Role::Editor => Err(ApiError::new(
            axum::http::StatusCode::FORBIDDEN,
            "permission_denied",
            "The organization's credit does not cover this order, and there is no payment method to charge: an owner \
             must add credit or a payment method, or place the order.",
        )),
        Role::Viewer | Role::Guest => Err(ApiError::forbidden()),
    }
}

/// What an order would cost now; writes nothing.
///
/// # Errors
/// The database refused, or a quantity or price makes no sense (a fault of the caller's).
pub fn quote(conn: &mut Conn, billing: &Billing, order: &NewOrder, now: Time) -> Result<Quote, StoreError> {
    let account = accounts::find(conn, order.organization)?;
    let fresh = || AccountRow::new(order.organization, &billing.settings().currency, now);
    reckon(conn, billing, &account.unwrap_or_else(fresh), order, now).map(|(quote, _)| quote)
}

fn reckon(
    conn: &mut Conn,
    billing: &Billing,
    account: &AccountRow,
    order: &NewOrder,
    now: Time,
) -> Result<(Quote, Vec<Vec<Line>>), StoreError> {
    if order.items.is_empty()
        || order
            .items
            .iter()
            .any(|item| item.quantity < 1 || item.price < Amount::ZERO)
    {
        return Err(crate::broken(
            "an order of nothing, or at a negative price".to_owned(),
        ));
    }
    let (_, tax) = invoices::parties(conn, billing.settings(), order.organization, Some(account), now)?;
    let lines: Vec<Vec<Line>> = order.items.iter().map(|item| lines_of(item, now)).collect();
    let sums = Sums::of(&lines.concat(), tax);
    let credit = ledger::credit(conn, order.organization)?;
    let credit_applied = if order.use_credit {
        credit.min(sums.total())
    } else {
        Amount::ZERO
    };
    let quote = Quote {
        currency: account.currency.clone(),
        subtotal: sums.subtotal,
        tax_total: sums.tax_total,
        tax_rate: tax.rate,
        total: sums.total(),
        credit_applied,
        amount_due: sums.total() - credit_applied,
        credit_left: credit - credit_applied,
        due_at: days_after(now, billing.settings().due_days),
        next_billing: order
            .items
            .iter()
            .map(|item| services::first_billing_date(item.cycle, now))
            .collect(),
        use_credit_first: account.use_credit_first,
        has_payment_method: payment_methods::default_of(conn, order.organization, now)?.is_some(),
    };
    Ok((quote, lines))
}

/// What an item costs at the order: its set-up, and its first period where that is paid ahead.
fn lines_of(item: &NewItem, now: Time) -> Vec<Line> {
    let line = |suffix: &str, suffix_fr: &str, quantity: i64, unit_price: Amount, period| {
        let quantity = Amount::from_ten_thousandths(quantity.saturating_mul(10_000));
        Line {
            description: format!("{}{suffix}", item.description),
            description_fr: format!("{}{suffix_fr}", item.description_fr),
            service_type: item.kind.to_owned(),
            service: None,
            resource: Some(item.resource),
            project: Some(item.project),
            cycle: Some(item.cycle),
            period,
            quantity,
            unit_price,
            net: Line::sum(quantity, unit_price),
        }
    };
    let mut lines = Vec::new();
    if item.setup.is_positive() {
        lines.push(line(" – set-up", " – mise en service", 1, item.setup, None));
    }
    match item.cycle.months() {
        Some(months) if item.price.is_positive() => {
            let period = Some((now, months_after(now, months)));
            lines.push(line("", "", item.quantity, item.price, period));
        }
        None if item.cycle == Cycle::OneTime && item.price.is_positive() => {
            lines.push(line("", "", item.quantity, item.price, None));
        }
        Some(_) | None => {}
    }
    lines
}

/// Places an order in the caller's transaction: order, services, invoice, credit, and the payment that is to be made.
/// If nothing remains to be paid, the products are told to provision before this returns.
///
/// # Errors
/// The database refused, or the order makes no sense (a fault of the caller's).
pub fn place(tx: &mut Tx<'_>, billing: &Billing, new: &NewOrder) -> Result<Placed, StoreError> {
    let account = accounts::lock_account(tx, new.organization, &billing.settings().currency)?;
    let now = tx.now();
    let (quote, mut lines) = reckon(tx.conn(), billing, &account, new, now)?;
    let legacy_id = counters::next(tx, "orders")?;
    let mut order = OrderRow {
        id: OrderId::new(),
        legacy_id,
        organization_id: new.organization,
        status: OrderStatus::Pending,
        currency: account.currency.clone(),
        total: quote.total,
        invoice_id: None,
        reason: String::new(),
        created_by: new.user,
        created: now,
        modified: now,
    };
    rows::insert(tx, &order)?;
    let mut placed = Vec::new();
    for (position, (item, lines)) in (0..).zip(new.items.iter().zip(&mut lines)) {
        let service = begin_service(tx, &order, item)?;
        for line in lines {
            line.service = Some(service);
        }
        rows::insert_item(tx, &item_row(order.id, position, service, item))?;
        placed.push(service);
    }
    trip("billing.order_items")?;
    let mut credit_applied = Amount::ZERO;
    let mut payment = None;
    let mut invoice = None;
    if quote.total.is_positive() {
        let draft = Draft {
            kind: InvoiceType::Order,
            lines: lines.concat(),
            due_at: quote.due_at,
            order: Some(order.id),
            user: new.user,
        };
        let mut issued = invoices::issue(tx, billing, &account, draft)?;
        order.invoice_id = Some(issued.id);
        rows::save(tx, &mut order)?;
        for line in invoices::lines_of(tx.conn(), &[issued.id])? {
            if let (Some(service), Some(start), Some(end)) =
                (line.service_id, line.period_start, line.period_end)
            {
                services::claim_period(tx, service, start, end, Some(issued.id))?;
            }
        }
        if new.use_credit {
            credit_applied = invoices::apply_credit(tx, billing, &account, &mut issued, new.user)?;
        }
        if new.charge && issued.is_open() {
            payment = payments::charge_default(tx, billing, &account, &issued, new.user)?;
        }
        invoice = Some(issued);
    } else {
        life::paid(tx, billing, &account, order.id)?;
    }
    Ok(Placed {
        order: order.id,
        legacy_id,
        number: number(legacy_id),
        status: rows::get(tx.conn(), new.organization, order.id)?.status,
        credit_applied,
        amount_due: invoice.as_ref().map(InvoiceRow::amount_due).unwrap_or_default(),
        invoice,
        services: placed,
        payment,
    })
}

/// An order's number as people read it.
pub(crate) fn number(legacy_id: i64) -> String {
    format!("ORD-{legacy_id:06}")
}

fn begin_service(tx: &mut Tx<'_>, order: &OrderRow, item: &NewItem) -> Result<ServiceId, StoreError> {
    let now = tx.now();
    let row = ServiceRow {
        id: ServiceId::new(),
        organization_id: order.organization_id,
        project_id: item.project,
        kind: item.kind.to_owned(),
        resource_id: item.resource,
        order_id: order.id,
        name: item.description.clone(),
        name_fr: item.description_fr.clone(),
        status: ServiceStatus::Pending,
        billing_cycle: item.cycle,
        price: item.price,
        monthly_cap: item.monthly_cap,
        quantity: item.quantity,
        options: item.options.clone(),
        next_cycle: None,
        next_price: None,
        next_monthly_cap: None,
        anchor: now,
        period_start: now,
        next_billing_date: None,
        used_from: None,
        renewal_invoice_id: None,
        renewal_due: None,
        renewal_paid: false,
        cancellation_requested_at: None,
        cancellation_reason: String::new(),
        started_at: None,
        ended_at: None,
        suspended_at: None,
        terminate_at: None,
        wake_at: None,
        created: now,
        modified: now,
    };
    services::insert(tx, &row)?;
    Ok(row.id)
}

fn item_row(order: OrderId, position: i32, service: ServiceId, item: &NewItem) -> ItemRow {
    ItemRow {
        id: Id::new(),
        order_id: order,
        position,
        service_id: service,
        description: item.description.clone(),
        kind: item.kind.to_owned(),
        resource_id: item.resource,
        project_id: item.project,
        billing_cycle: item.cycle,
        quantity: item.quantity,
        setup_fee: item.setup,
        price: item.price,
    }
}
