//! What operators do on the command line. Each is one transaction with an audit record.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::schema::organizations;
use kernel::{
    access::Organization,
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult},
    id::{AnyId, Id},
    money::Amount,
    store::Tx,
};

use crate::{
    Billing,
    accounts::{self, AccountRow},
    invoices::{self, InvoiceRow, InvoiceStatus, Portion},
    ledger::{self, Account, Movement},
    payments,
    schema::invoices as invoice_rows,
};

/// The organization that an operator names, by UUID or legacy id.
///
/// # Errors
/// There is none.
pub fn organization(tx: &mut Tx<'_>, name: &str) -> ApiResult<Id<Organization>> {
    let found: Option<Id<Organization>> = match (name.parse::<Id<Organization>>(), name.parse::<i64>()) {
        (Ok(id), _) => organizations::table
            .find(id)
            .select(organizations::id)
            .first(tx.conn())
            .optional()?,
        (Err(_), Ok(legacy)) => organizations::table
            .filter(organizations::legacy_id.eq(legacy))
            .select(organizations::id)
            .first(tx.conn())
            .optional()?,
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| ApiError::refused(format!("there is no organization `{name}`")))
}

/// Gives an organization credit, or takes some away (a negative amount; not more than there is).
///
/// # Errors
/// The amount is nothing, or more than there is.
pub fn add_credit(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    amount: Amount,
    reason: &str,
) -> ApiResult<Amount> {
    let account = accounts::lock_account(tx, organization, &billing.settings().currency)?;
    let before = ledger::credit(tx.conn(), organization)?;
    if amount != amount.to_cents() || amount.is_zero() || before + amount < Amount::ZERO {
        let detail = format!(
            "the amount must be whole cents, and not take more than {}",
            before.fixed::<2>()
        );
        return Err(ApiError::refused(detail));
    }
    let entry = if amount.is_positive() {
        (Account::Adjustment, Account::Credit, amount)
    } else {
        (Account::Credit, Account::Adjustment, -amount)
    };
    let event = ledger::Event {
        kind: "adjustment",
        movement: Movement::Adjustment,
        invoice: None,
        payment: None,
        description: reason.to_owned(),
        user: None,
        entries: &[entry],
    };
    ledger::post(tx, &account, event)?;
    let after = ledger::credit(tx.conn(), organization)?;
    invoices::use_new_credit(tx, billing, &account)?;
    let mut changes = Changes::default();
    changes.note(
        "credit_balance",
        &before.fixed::<2>().to_string(),
        &after.fixed::<2>().to_string(),
    );
    let what = format!("Credit changed by {}: {reason}", amount.fixed::<2>());
    audit(
        tx,
        organization,
        (
            "credit.adjusted",
            "organization",
            organization.cast(),
            String::new(),
        ),
        what,
        changes,
    )?;
    Ok(after)
}

/// The invoice with this number, and its locked account.
fn by_number(tx: &mut Tx<'_>, billing: &Billing, number: &str) -> ApiResult<(AccountRow, InvoiceRow)> {
    let find = |tx: &mut Tx<'_>| {
        let query = invoice_rows::table
            .filter(invoice_rows::number.eq(number))
            .select(InvoiceRow::as_select());
        query.first(tx.conn()).optional()
    };
    let missing = || ApiError::refused(format!("there is no invoice `{number}`"));
    let invoice: InvoiceRow = find(tx)?.ok_or_else(missing)?;
    let account = accounts::lock_account(tx, invoice.organization_id, &billing.settings().currency)?;
    Ok((account, find(tx)?.ok_or_else(missing)?))
}

/// Records that an invoice was paid outside of onet. `reference` names the money (a bank statement's line): the same
/// one is not taken twice. Without an amount it is what was due.
///
/// # Errors
/// The invoice is not open, or the reference is known.
pub fn mark_paid(
    tx: &mut Tx<'_>,
    billing: &Billing,
    number: &str,
    amount: Option<Amount>,
    reference: &str,
) -> ApiResult<InvoiceRow> {
    let (account, mut invoice) = by_number(tx, billing, number)?;
    if !invoice.is_open() {
        return Err(ApiError::refused(format!(
            "{number} is {}",
            invoice.status.as_str()
        )));
    }
    let amount = amount.unwrap_or_else(|| invoice.amount_due());
    if !amount.is_positive() || amount != amount.to_cents() {
        return Err(ApiError::refused(
            "the amount must be more than nothing, in whole cents",
        ));
    }
    if payments::is_known(tx.conn(), payments::MANUAL, reference)? {
        return Err(ApiError::refused(format!(
            "a payment `{reference}` is recorded already"
        )));
    }
    payments::manual(tx, billing, &account, &mut invoice, (amount, reference))?;
    let invoice = invoices::get(tx.conn(), account.organization_id, invoice.id)?;
    let mut changes = Changes::default();
    changes.note("amount_paid", &None, &Some(amount.fixed::<2>().to_string()));
    let about = (
        "invoice.marked_paid",
        "invoice",
        invoice.id.cast(),
        invoice.number.clone(),
    );
    audit(
        tx,
        account.organization_id,
        about,
        format!("Payment `{reference}` recorded"),
        changes,
    )?;
    Ok(invoice)
}

/// Takes back a paid invoice, or so much of it without tax, as credit. Gives the credit note.
///
/// # Errors
/// The invoice is not paid, or nothing is left of it.
pub fn credit_note(
    tx: &mut Tx<'_>,
    billing: &Billing,
    number: &str,
    portion: Portion,
    reason: &str,
) -> ApiResult<InvoiceRow> {
    let (account, mut invoice) = by_number(tx, billing, number)?;
    let is_sale = !matches!(
        invoice.kind,
        invoices::InvoiceType::TopUp | invoices::InvoiceType::CreditNote
    );
    if invoice.status != InvoiceStatus::Paid || !is_sale {
        return Err(ApiError::refused(format!(
            "{number} is no paid invoice of something sold"
        )));
    }
    if matches!(portion, Portion::Net(net) if !net.is_positive() || net != net.to_cents()) {
        return Err(ApiError::refused(
            "the amount must be more than nothing, in whole cents",
        ));
    }
    let note = invoices::credit_note(tx, billing, &account, &mut invoice, portion, (reason, None))?;
    let note = note.ok_or_else(|| ApiError::refused(format!("nothing is left of {number}")))?;
    let mut changes = Changes::default();
    changes.note("credited", &None, &Some((-note.total).fixed::<2>().to_string()));
    let about = (
        "invoice.credited",
        "invoice",
        invoice.id.cast(),
        invoice.number.clone(),
    );
    audit(
        tx,
        account.organization_id,
        about,
        format!("Credit note {}: {reason}", note.number),
        changes,
    )?;
    Ok(note)
}

/// A limit of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Members.
    Users,
    /// Projects.
    Projects,
    /// Instances.
    Instances,
    /// Domains.
    Domains,
}

/// Sets a limit of an organization. What is there above it stays.
///
/// # Errors
/// The limit is out of range.
pub fn set_quota(tx: &mut Tx<'_>, organization: Id<Organization>, quota: Quota, limit: u32) -> ApiResult<()> {
    let target = organizations::table.find(organization);
    let now = tx.now();
    let limit = i64::from(limit);
    let modified = organizations::modified.eq(now);
    let (field, old): (&str, i64) = match quota {
        Quota::Users => (
            "user_quota",
            target.select(organizations::user_quota).first(tx.conn())?,
        ),
        Quota::Projects => (
            "project_quota",
            target.select(organizations::project_quota).first(tx.conn())?,
        ),
        Quota::Instances => (
            "instance_quota",
            target.select(organizations::instance_quota).first(tx.conn())?,
        ),
        Quota::Domains => (
            "domain_quota",
            target.select(organizations::domain_quota).first(tx.conn())?,
        ),
    };
    let update = diesel::update(target);
    match quota {
        Quota::Users => update
            .set((organizations::user_quota.eq(limit), modified))
            .execute(tx.conn())?,
        Quota::Projects => update
            .set((organizations::project_quota.eq(limit), modified))
            .execute(tx.conn())?,
        Quota::Instances => update
            .set((organizations::instance_quota.eq(limit), modified))
            .execute(tx.conn())?,
        Quota::Domains => update
            .set((organizations::domain_quota.eq(limit), modified))
            .execute(tx.conn())?,
    };
    let mut changes = Changes::default();
    changes.note(field, &old, &limit);
    let about = (
        "organization.quota_set",
        "organization",
        organization.cast(),
        String::new(),
    );
    audit(
        tx,
        organization,
        about,
        format!("{field} set to {limit}"),
        changes,
    )
}

/// Sets an organization's support plan: `basic`, `advanced` or `business`.
///
/// # Errors
/// There is no such plan.
pub fn set_support_plan(tx: &mut Tx<'_>, organization: Id<Organization>, plan: &str) -> ApiResult<()> {
    if !matches!(plan, "basic" | "advanced" | "business") {
        return Err(ApiError::refused(format!(
            "`{plan}` is none of basic, advanced, business"
        )));
    }
    let target = organizations::table.find(organization);
    let now = tx.now();
    let old: String = target.select(organizations::support_plan).first(tx.conn())?;
    diesel::update(target)
        .set((
            organizations::support_plan.eq(plan),
            organizations::modified.eq(now),
        ))
        .execute(tx.conn())?;
    let mut changes = Changes::default();
    changes.note("support_plan", &old.as_str(), &plan);
    let about = (
        "organization.support_plan_set",
        "organization",
        organization.cast(),
        String::new(),
    );
    audit(
        tx,
        organization,
        about,
        format!("Support plan set to {plan}"),
        changes,
    )
}

fn audit(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    (action, resource_type, resource_id, resource_name): (&'static str, &'static str, AnyId, String),
    description: String,
    changes: Changes,
) -> ApiResult<()> {
    let event = Event {
        action,
        resource_type,
        resource_id,
        resource_name,
        description,
        changes,
        status: AuditStatus::Success,
    };
    tx.audit(&Origin::system("onetd billing"), Some(organization), None, &event)?;
    Ok(())
}
