//! How an invoice comes about: priced, taxed, numbered, and in the ledger.

use diesel::{OptionalExtension, QueryDsl, RunQueryDsl};
use identity::{counters, schema::organizations};
use kernel::{
    access::{Organization, Project, User},
    config,
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    rows::{self, InvoiceId, InvoiceRow, InvoiceStatus, InvoiceType, LineRow, Parties},
    rules,
};
use crate::{
    Billing,
    accounts::AccountRow,
    broken,
    calendar::{days_after, year_of},
    ledger::{self, Account, Movement},
    letters::{self, Occasion},
    orders::OrderKind,
    services::{Cycle, ServiceId},
    tax::{self, Tax},
    trip,
};

/// A line that is not taxed yet.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) description: String,
    pub(crate) description_fr: String,
    /// The product's kind, or `credit`.
    pub(crate) service_type: String,
    pub(crate) service: Option<ServiceId>,
    pub(crate) resource: Option<AnyId>,
    pub(crate) project: Option<Id<Project>>,
    pub(crate) cycle: Option<Cycle>,
    pub(crate) period: Option<(Time, Time)>,
    pub(crate) quantity: Amount,
    pub(crate) unit_price: Amount,
    /// What the line costs without tax, in whole cents. [`Line::sum`] is what it mostly is; a capped month is less.
    pub(crate) net: Amount,
}

impl Line {
    /// Quantity times price, rounded half to even to a cent.
    pub(crate) fn sum(quantity: Amount, unit_price: Amount) -> Amount {
        unit_price.times(quantity).to_cents()
    }
}

/// An invoice to be issued.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: InvoiceType,
    pub(crate) lines: Vec<Line>,
    pub(crate) due_at: Time,
    pub(crate) order: Option<Id<OrderKind>>,
    pub(crate) user: Option<Id<User>>,
}

/// Sums of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) subtotal: Amount,
    pub(crate) tax_total: Amount,
}

impl Sums {
    /// The sums of lines under one tax: each line's tax is rounded by itself, so that the lines always sum to the total.
    pub(crate) fn of(lines: &[Line], tax: Tax) -> Self {
        lines.iter().fold(Self::default(), |sums, line| Self {
            subtotal: sums.subtotal + line.net,
            tax_total: sums.tax_total + tax.on(line.net),
        })
    }

    pub(crate) fn total(self) -> Amount {
        self.subtotal + self.tax_total
    }
}

/// Who buys now, and the tax that they pay now.
pub(crate) fn parties(
    conn: &mut Conn,
    settings: &config::Billing,
    organization: Id<Organization>,
    account: Option<&AccountRow>,
    now: Time,
) -> Result<(Parties, Tax), StoreError> {
    type Facts = (
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
    );
    let facts: Option<Facts> = organizations::table
        .find(organization)
        .select((
            organizations::name,
            organizations::company_name,
            organizations::address_1,
            organizations::address_2,
            organizations::city,
            organizations::state,
            organizations::postcode,
            organizations::country,
            organizations::vat_number,
        ))
        .first(conn)
        .optional()?;
    let (customer_name, company_name, address_1, address_2, city, state, postcode, country, vat_number) =
        facts.ok_or_else(|| broken("an organization that is billed does not exist".to_owned()))?;
    let tax = tax::decide(&settings.seller_country, &country, &vat_number, now);
    let parties = Parties {
        seller_name: settings.seller_name.clone(),
        seller_address: settings.seller_address.clone(),
        seller_country: settings.seller_country.clone(),
        seller_vat_number: settings.seller_vat_number.clone(),
        seller_note: settings.invoice_note.clone(),
        customer_name,
        company_name,
        address_1,
        address_2,
        city,
        state,
        postcode,
        country,
        vat_number,
        purchase_order: account
            .map(|account| account.purchase_order_reference.clone())
            .unwrap_or_default(),
        language: account.map_or_else(|| "en".to_owned(), |account| account.invoice_language.clone()),
        treatment: Some(tax.treatment),
    };
    Ok((parties, tax))
}

/// Issues an invoice: from now on it is owed. Its sum must be more than nothing.
pub(crate) fn issue(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    draft: Draft,
) -> Result<InvoiceRow, StoreError> {
    let settings = billing.settings();
    let now = tx.now();
    let (parties, tax) = parties(tx.conn(), settings, account.organization_id, Some(account), now)?;
    // Paying ahead is no supply: the tax falls on what is bought with it (vouchers, Directive 2016/1065).
    let tax = if draft.kind == InvoiceType::TopUp {
        Tax::NONE
    } else {
        tax
    };
    let sums = Sums::of(&draft.lines, tax);
    if !sums.total().is_positive() {
        return Err(broken("an invoice of nothing".to_owned()));
    }
    let id = InvoiceId::new();
    let (legacy_id, number) = number(tx, &settings.invoice_prefix)?;
    let payable_until = days_after(now, settings.payable_days);
    let mut row = InvoiceRow {
        id,
        legacy_id,
        organization_id: account.organization_id,
        number,
        kind: draft.kind,
        status: InvoiceStatus::Unpaid,
        currency: account.currency.clone(),
        subtotal: sums.subtotal,
        tax_total: sums.tax_total,
        total: sums.total(),
        credit_applied: Amount::ZERO,
        amount_paid: Amount::ZERO,
        credited: Amount::ZERO,
        order_id: draft.order,
        credit_of: None,
        parties: JsonText::of(&parties),
        issued_at: now,
        due_at: draft.due_at.min(payable_until),
        payable_until,
        paid_at: None,
        stage: 0,
        wake_at: None,
        created: now,
        modified: now,
    };
    row.wake_at = rules::next_stage(&row, settings, now).map(|(_, at)| at);
    let lines: Vec<LineRow> = (0..)
        .zip(draft.lines)
        .map(|(place, line)| taxed(id, place, line, tax))
        .collect();
    rows::insert(tx, &row, &lines)?;
    trip("billing.issued")?;
    let owed = |account, amount| (Account::Receivable, account, amount);
    let entries: &[_] = match row.kind {
        InvoiceType::TopUp => &[owed(Account::Prepayment, row.total)],
        InvoiceType::Order | InvoiceType::Renewal | InvoiceType::Usage | InvoiceType::CreditNote => &[
            owed(Account::Revenue, row.subtotal),
            owed(Account::Tax, row.tax_total),
        ],
    };
    let event = ledger::Event {
        kind: "invoice_issued",
        movement: Movement::Adjustment,
        invoice: Some(id),
        payment: None,
        description: format!("Invoice {}", row.number),
        user: draft.user,
        entries,
    };
    ledger::post(tx, account, event)?;
    letters::send(tx, billing, account, Occasion::InvoiceIssued, &row)?;
    Ok(row)
}

/// The next numbers: the id that older clients know, and the series' own. The series' row is locked until this
/// transaction ends, and a transaction that fails gives its number back: no gaps.
pub(super) fn number(tx: &mut Tx<'_>, prefix: &str) -> Result<(i64, String), StoreError> {
    let year = year_of(tx.now());
    let legacy = counters::next(tx, "invoices")?;
    let number = counters::next(tx, &format!("invoices:{prefix}:{year}"))?;
    Ok((legacy, format!("{prefix}-{year}-{number:06}")))
}

fn taxed(invoice: InvoiceId, position: i32, line: Line, tax: Tax) -> LineRow {
    let (period_start, period_end) = line.period.unzip();
    LineRow {
        id: Id::new(),
        invoice_id: invoice,
        position,
        description: line.description,
        description_fr: line.description_fr,
        service_type: line.service_type,
        service_id: line.service,
        resource_id: line.resource,
        project_id: line.project,
        billing_cycle: line.cycle,
        period_start,
        period_end,
        discount: Line::sum(line.quantity, line.unit_price) - line.net,
        quantity: line.quantity,
        unit_price: line.unit_price,
        tax_rate: tax.rate,
        tax: tax.on(line.net),
        total: line.net,
    }
}
