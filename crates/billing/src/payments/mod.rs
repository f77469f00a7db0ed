//! Payments: money that comes in through a driver.
//!
//! A payment is a row first: `pending`, in the transaction that decided to charge. A task then calls the driver, with
//! the payment's id as idempotency key, so that a crash between the call and its record charges nobody twice; what the
//! driver says is settled in a transaction of its own. As long as a payment is open, its clock has the driver asked
//! again; a report of the provider's ([`stripe::webhook`]) only brings that forward.

mod charge;
mod driver;
mod forget;
mod rows;
mod sandbox;
pub mod stripe;

use std::time::Duration;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use identity::schema::projects;
use kernel::{
    access::{Organization, Project, User},
    id::Id,
    money::Amount,
    store::{StoreError, Tx},
    tasks::NewTask,
    time::Time,
};
use serde_json::json;

pub(crate) use self::forget::forget;
pub use self::{
    charge::ChargePayment,
    driver::{Attached, Charge, Charged, DriverError, Later, NewMethod, PaymentDriver},
    forget::ForgetMethod,
    rows::{PaymentId, PaymentKind, PaymentRow, PaymentStatus},
    sandbox::Sandbox,
    stripe::Stripe,
};
use crate::{
    Billing,
    accounts::{self, AccountRow},
    broken,
    invoices::{self, InvoiceRow},
    letters::{self, Occasion},
    payment_methods::{self, MethodRow, MethodType},
    schema::payments,
    trip,
};

/// The built-in driver's name: money that an operator has seen come in.
pub const MANUAL: &str = "manual";

/// How often the task tries a driver that can't be reached, with growing pauses: some hours in all.
const RETRIES: i32 = 12;

/// How soon, and how late at most, an open payment is asked about again.
const SOONEST_LOOK: Duration = Duration::from_mins(2);
const LATEST_LOOK: Duration = Duration::from_hours(6);

/// Starts to charge what is open of an invoice to a stored method. One payment of an invoice at a time: if one is open
/// already, that is given.
pub(crate) fn charge(
    tx: &mut Tx<'_>,
    account: &AccountRow,
    invoice: &InvoiceRow,
    method: &MethodRow,
    (return_url, user): (Option<&str>, Option<Id<User>>),
) -> Result<Option<PaymentRow>, StoreError> {
    if !invoice.is_open() {
        return Ok(None);
    }
    if let Some(open) = rows::open_of(tx.conn(), invoice.id)? {
        return Ok(Some(open));
    }
    let now = tx.now();
    let row = PaymentRow {
        id: PaymentId::new(),
        organization_id: account.organization_id,
        invoice_id: invoice.id,
        payment_method_id: Some(method.id),
        driver: method.driver.clone(),
        amount: invoice.amount_due(),
        currency: account.currency.clone(),
        status: PaymentStatus::Pending,
        reference: None,
        return_url: return_url.map(str::to_owned),
        redirect_url: None,
        failure_reason: None,
        created_by: user,
        created: now,
        modified: now,
        wake_at: None,
    };
    rows::insert(tx, &row)?;
    enqueue(tx, &row)?;
    trip("billing.charge_enqueued")?;
    Ok(Some(row))
}

/// Enqueues the task that charges a payment, or asks what has become of it.
fn enqueue(tx: &mut Tx<'_>, payment: &PaymentRow) -> Result<(), StoreError> {
    let project = home(tx, payment.organization_id)?;
    tx.enqueue(&NewTask {
        kind: ChargePayment::NAME,
        organization: payment.organization_id,
        project,
        resource_type: "payment",
        resource: payment.id.cast(),
        parameters: json!({ "invoice_id": payment.invoice_id, "amount": payment.amount.fixed::<2>().to_string() }),
        max_retries: RETRIES,
        created_by: payment.created_by,
        request: None,
    })?;
    Ok(())
}

/// Tasks lie in a project, payments and their methods don't: the organization's first one stands for it.
fn home(tx: &mut Tx<'_>, organization: Id<Organization>) -> Result<Id<Project>, StoreError> {
    let project: Option<Id<Project>> = projects::table
        .filter(projects::organization_id.eq(organization))
        .filter(projects::is_default.eq(true))
        .select(projects::id)
        .first(tx.conn())
        .optional()?;
    Ok(project.unwrap_or_else(|| organization.cast()))
}

/// Asks the provider, in a task, what has become of a payment that is still open.
pub(crate) fn ask(tx: &mut Tx<'_>, id: PaymentId) -> Result<(), StoreError> {
    let mut payment = rows::get(tx.conn(), id)?;
    if !payment.is_open() {
        return Ok(());
    }
    payment.wake_at = None;
    rows::save(tx, &mut payment)?;
    enqueue(tx, &payment)
}

/// The clock of an open payment.
pub(crate) fn tick(
    tx: &mut Tx<'_>,
    billing: &Billing,
    organization: Id<Organization>,
    id: PaymentId,
) -> Result<(), StoreError> {
    accounts::lock_account(tx, organization, &billing.settings().currency)?;
    let due = rows::get(tx.conn(), id)?.wake_at.is_some_and(|at| at <= tx.now());
    if due { ask(tx, id) } else { Ok(()) }
}

/// When the provider is asked next: soon at first, then ever more seldom. What the provider reports by itself comes in
/// between; this is for what it does not.
fn next_look(payment: &PaymentRow, now: Time) -> Time {
    let age = now.since(payment.created);
    now + (age / 4).clamp(SOONEST_LOOK, LATEST_LOOK)
}

/// Charges the default method, if there is one that can be charged and the organization lets it be.
pub(crate) fn charge_default(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &InvoiceRow,
    user: Option<Id<User>>,
) -> Result<Option<PaymentId>, StoreError> {
    let now = tx.now();
    let Some(method) = payment_methods::default_of(tx.conn(), account.organization_id, now)? else {
        return Ok(None);
    };
    if billing.driver(&method.driver).is_none() {
        return Ok(None);
    }
    Ok(charge(tx, account, invoice, &method, (None, user))?.map(|payment| payment.id))
}

/// The payment of an invoice that is still open, if any.
pub(crate) fn open_of(
    tx: &mut Tx<'_>,
    invoice: invoices::InvoiceId,
) -> Result<Option<PaymentRow>, StoreError> {
    rows::open_of(tx.conn(), invoice)
}

/// Settles what a driver says of a payment. What is settled already stays as it is.
///
/// # Errors
/// The database refused.
pub(crate) fn settle(
    tx: &mut Tx<'_>,
    billing: &Billing,
    id: PaymentId,
    outcome: &Charged,
) -> Result<(), StoreError> {
    let organization = rows::get(tx.conn(), id)?.organization_id;
    let account = accounts::lock_account(tx, organization, &billing.settings().currency)?;
    let mut payment = rows::get(tx.conn(), id)?;
    let mut invoice = invoices::get(tx.conn(), organization, payment.invoice_id)?;
    // A payment that counts as failed can still come in, late: money is never sent away.
    if payment.status == PaymentStatus::Succeeded {
        return Ok(());
    }
    payment.wake_at = None;
    match outcome {
        Charged::Succeeded { reference } => {
            payment.status = PaymentStatus::Succeeded;
            payment.reference = Some(reference.clone());
            payment.redirect_url = None;
            payment.failure_reason = None;
            rows::save(tx, &mut payment)?;
            trip("billing.payment_saved")?;
            let money = (payment.driver.as_str(), payment.id, payment.amount);
            invoices::receive(tx, billing, &account, &mut invoice, money, payment.created_by)
        }
        Charged::Pending { reference } => {
            payment.reference = Some(reference.clone());
            payment.wake_at = Some(next_look(&payment, tx.now()));
            rows::save(tx, &mut payment)
        }
        Charged::RequiresAction {
            reference,
            redirect_url,
        } => {
            payment.status = PaymentStatus::RequiresAction;
            payment.reference = Some(reference.clone());
            payment.redirect_url = Some(redirect_url.clone());
            payment.wake_at = Some(next_look(&payment, tx.now()));
            rows::save(tx, &mut payment)
        }
        Charged::Declined { reason } => {
            payment.status = PaymentStatus::Failed;
            payment.failure_reason = Some(reason.clone());
            payment.redirect_url = None;
            rows::save(tx, &mut payment)?;
            // Given up because the invoice is paid otherwise, or cancelled: nothing to tell.
            if !invoice.is_open() {
                return Ok(());
            }
            letters::send(tx, billing, &account, Occasion::PaymentFailed, &invoice)
        }
    }
}

/// What a provider reports of a payment by webhook, long after it was asked. The provider's name of the payment must
/// be one that it gave itself. `false`: nobody knows that payment.
///
/// # Errors
/// The database refused.
pub fn report(
    tx: &mut Tx<'_>,
    billing: &Billing,
    driver: &str,
    reference: &str,
    outcome: &Charged,
) -> Result<bool, StoreError> {
    let found: Option<PaymentId> = payments::table
        .filter(payments::driver.eq(driver))
        .filter(payments::reference.eq(reference))
        .select(payments::id)
        .first(tx.conn())
        .optional()?;
    let Some(id) = found else { return Ok(false) };
    settle(tx, billing, id, outcome)?;
    Ok(true)
}

/// Money that an operator has seen come in for an invoice: a bank transfer, cash.
///
/// `reference` is what the money came with; the same one a second time is refused as a duplicate.
pub(crate) fn manual(
    tx: &mut Tx<'_>,
    billing: &Billing,
    account: &AccountRow,
    invoice: &mut InvoiceRow,
    (amount, reference): (Amount, &str),
) -> Result<PaymentId, StoreError> {
    if !amount.is_positive() {
        return Err(broken("a payment of nothing".to_owned()));
    }
    let now = tx.now();
    let row = PaymentRow {
        id: PaymentId::new(),
        organization_id: account.organization_id,
        invoice_id: invoice.id,
        payment_method_id: None,
        driver: MANUAL.to_owned(),
        amount,
        currency: account.currency.clone(),
        status: PaymentStatus::Succeeded,
        reference: Some(reference.to_owned()),
        return_url: None,
        redirect_url: None,
        failure_reason: None,
        created_by: None,
        created: now,
        modified: now,
        wake_at: None,
    };
    rows::insert(tx, &row)?;
    invoices::receive(tx, billing, account, invoice, (MANUAL, row.id, amount), None)?;
    Ok(row.id)
}

/// What pages of hosted payments an invoice's readers are sent to: by invoice, of those given.
pub(crate) fn redirects(
    conn: &mut kernel::store::Conn,
    of: &[invoices::InvoiceId],
) -> Result<Vec<(invoices::InvoiceId, Option<String>)>, StoreError> {
    let query = payments::table
        .filter(payments::invoice_id.eq_any(of))
        .filter(payments::status.eq(PaymentStatus::RequiresAction))
        .select((payments::invoice_id, payments::redirect_url));
    Ok(query.load(conn)?)
}

/// Stores a payment method with the first driver: a call to the provider, made before any transaction.
pub(crate) async fn attach(
    billing: &Billing,
    organization: Id<Organization>,
    kind: MethodType,
    token: &str,
    known: Option<String>,
) -> Option<Result<(&'static str, Attached), DriverError>> {
    let driver = billing.first_driver()?;
    let wanted = NewMethod {
        organization,
        kind,
        token: token.to_owned(),
        known,
    };
    Some(
        driver
            .attach(wanted)
            .await
            .map(|attached| (driver.name(), attached)),
    )
}

/// Whether a driver's payment of that name is recorded.
pub(crate) fn is_known(
    conn: &mut kernel::store::Conn,
    driver: &str,
    reference: &str,
) -> Result<bool, StoreError> {
    let count: i64 = payments::table
        .filter(payments::driver.eq(driver))
        .filter(payments::reference.eq(reference))
        .count()
        .get_result(conn)?;
    Ok(count > 0)
}
