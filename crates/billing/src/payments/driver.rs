//! What a payment provider must be able to do.

use std::{future::Future, pin::Pin};

use kernel::{access::Organization, id::Id, money::Amount};

use super::rows::PaymentId;
use crate::payment_methods::MethodType;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, DriverError>> + Send + 'a>>;

/// A provider can't be asked, or refuses what it was asked.
#[derive(Clone, Debug)]
pub enum DriverError {
    /// It can't be reached, or not now: the same call may be made again.
    Unreachable(String),
    /// It refuses, in words that can be shown to the customer.
    Refused(String),
}

/// A method to be stored with the provider.
#[derive(Clone, Debug)]
pub struct NewMethod {
    /// Whose it is: the provider's customer.
    pub organization: Id<Organization>,
    /// What it is.
    pub kind: MethodType,
    /// What the provider has given to the customer's browser. Worth nothing without the provider's key.
    pub token: String,
    /// The provider's name for another method of the organization: it is the same customer's.
    pub known: Option<String>,
}

/// A method as the provider has stored it. Card numbers are never among it.
#[derive(Clone, Debug, Default)]
pub struct Attached {
    /// The provider's name for it.
    pub reference: String,
    /// Brand of a card.
    pub brand: Option<String>,
    /// Last four digits of a card or an account.
    pub last4: Option<String>,
    /// Last month and year in which a card is valid.
    pub expires: Option<(i32, i32)>,
    /// Address of a PayPal account.
    pub paypal_email: Option<String>,
}

/// An amount to be charged.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The payment: the provider's idempotency key. The same one is never charged twice, however often it is asked for.
    pub payment: PaymentId,
    /// Whose it is.
    pub organization: Id<Organization>,
    /// How much.
    pub amount: Amount,
    /// ISO 4217.
    pub currency: String,
    /// The provider's name for the method.
    pub method: String,
    /// What the method is.
    pub kind: MethodType,
    /// What it is for, for the customer's statement: an invoice's number.
    pub description: String,
    /// Where a page of the provider's sends the customer back.
    pub return_url: Option<String>,
    /// Whether somebody has asked for it just now and can confirm it; otherwise the clock did.
    pub payer_is_here: bool,
    /// The provider's name for the payment, once [`PaymentDriver::prepare`] has given it.
    pub reference: Option<String>,
}

/// What became of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The money is here.
    Succeeded {
        /// The provider's name for the payment.
        reference: String,
    },
    /// The provider does not know yet, and is asked again later; or it tells, see [`report`](super::report).
    Pending {
        /// The provider's name for the payment.
        reference: String,
    },
    /// The customer must confirm it on a page of the provider's.
    RequiresAction {
        /// The provider's name for the payment.
        reference: String,
        /// That page.
        redirect_url: String,
    },
    /// It will not be paid.
    Declined {
        /// In words for the customer.
        reason: String,
    },
}

/// A payment provider. Called by tasks, and by requests before their transaction; never inside of one.
pub trait PaymentDriver: Send + Sync {
    /// The name under which methods and payments are kept.
    fn name(&self) -> &'static str;

    /// Stores a method.
    fn attach(&self, method: NewMethod) -> Later<'_, Attached>;

    /// Forgets a stored method; one that is unknown is forgotten already.
    fn detach<'a>(&'a self, reference: &'a str) -> Later<'a, ()>;

    /// Makes the payment known to the provider without moving money, and gives the provider's name for it. Called
    /// until the name is recorded, always with the same payment.
    ///
    /// `None`: the provider has no such step, and [`charge`](Self::charge) alone does nothing twice.
    fn prepare<'a>(&'a self, charge: &'a Charge) -> Later<'a, Option<String>>;

    /// Charges a stored method, or finds that it has been charged, and tells what has become of it. Called again as
    /// long as that is open.
    fn charge<'a>(&'a self, charge: &'a Charge) -> Later<'a, Charged>;

    /// Gives up a payment that waits for the customer, by the provider's name for it, and tells how it ended.
    fn abandon<'a>(&'a self, reference: &'a str) -> Later<'a, Charged>;
}
