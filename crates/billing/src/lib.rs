//! What is sold and how it is paid: orders, services, invoices, tax, payments, the ledger, and the clocks that renew,
//! remind, suspend and end.
//!
//! Other areas sell through three things: [`Product`], which they implement; [`orders::place`] and [`orders::quote`],
//! which they call in their own transactions; and [`services`], to tell how provisioning went, to change and to cancel.
//! `docs/billing.md` shows the states and the clocks.
//!
//! Every transaction that moves an organization's money first locks its account ([`accounts`]): whatever is read after
//! that stays true until the commit.

mod accounts;
pub mod calendar;
pub mod clocks;
mod events;
pub mod invoices;
pub mod ledger;
pub mod letters;
pub mod operators;
pub mod orders;
pub mod payment_methods;
pub mod payments;
mod people;
mod product;
mod query;
pub mod schema;
pub mod services;
pub mod tax;
mod transactions;
mod usage;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use axum::extract::FromRef;
use kernel::{App, config, store::StoreError};
use utoipa_axum::router::OpenApiRouter;

use self::payments::PaymentDriver;
pub use self::{events::EVENTS, product::Product};

kernel::permissions! {
    /// Reads what an organization pays, and for what.
    BillingRead = "billing.read", Owner, "organizations:read";
    /// Pays, buys credit, changes how it is paid.
    BillingManage = "billing.manage", Owner, "organizations:write";
}

/// The permissions that the area declares.
pub fn permissions() -> Vec<kernel::access::Declared> {
    PERMISSIONS.to_vec()
}

/// The area: its settings, the products that are sold, and the drivers that take money in. Clones share them.
#[derive(Clone)]
pub struct Billing(Arc<Inner>);

struct Inner {
    app: App,
    products: RwLock<BTreeMap<&'static str, Arc<dyn Product>>>,
    drivers: Vec<Arc<dyn PaymentDriver>>,
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Billing").field(&self.0.app).finish()
    }
}

impl FromRef<Billing> for App {
    fn from_ref(billing: &Billing) -> Self {
        billing.0.app.clone()
    }
}

impl Billing {
    /// The area on these shared parts, with the drivers that stored payment methods can belong to.
    pub fn new(app: App, drivers: Vec<Arc<dyn PaymentDriver>>) -> Self {
        Self(Arc::new(Inner {
            app,
            products: RwLock::default(),
            drivers,
        }))
    }

    /// Makes a kind of product known; a second one of the same kind takes its place.
    pub fn register(&self, product: Arc<dyn Product>) {
        let mut products = self.0.products.write().unwrap_or_else(PoisonError::into_inner);
        products.insert(product.kind(), product);
    }

    /// All operations of the area.
    pub fn routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .merge(accounts::routes())
            .merge(transactions::routes())
            .merge(usage::routes())
            .merge(services::routes())
            .merge(invoices::routes())
            .merge(orders::routes())
            .merge(payment_methods::routes())
            .with_state(self.clone())
    }

    /// The kinds of tasks that the area enqueues.
    pub fn kinds(&self) -> Vec<Arc<dyn kernel::tasks::Kind>> {
        vec![
            Arc::new(payments::ChargePayment::new(self)),
            Arc::new(payments::ForgetMethod::new(self)),
        ]
    }

    /// Where payment providers report: not among the API's operations.
    pub fn hooks(&self) -> axum::Router {
        payments::stripe::webhook::routes(self)
    }

    pub(crate) fn app(&self) -> &App {
        &self.0.app
    }

    pub(crate) fn settings(&self) -> &config::Billing {
        &self.0.app.config().billing
    }

    pub(crate) fn product(&self, kind: &str) -> Result<Arc<dyn Product>, StoreError> {
        let products = self.0.products.read().unwrap_or_else(PoisonError::into_inner);
        products
            .get(kind)
            .cloned()
            .ok_or_else(|| broken(format!("nobody sells `{kind}`")))
    }

    pub(crate) fn driver(&self, name: &str) -> Option<&Arc<dyn PaymentDriver>> {
        self.0.drivers.iter().find(|driver| driver.name() == name)
    }

    /// The driver that new payment methods are stored with.
    pub(crate) fn first_driver(&self) -> Option<&Arc<dyn PaymentDriver>> {
        self.0.drivers.first()
    }
}

/// Locks an organization's account in a transaction that will move its money and change resources of its own: the
/// account comes first, everywhere, so that no two transactions wait for each other.
///
/// # Errors
/// The database refused.
pub fn lock_account(
    tx: &mut kernel::store::Tx<'_>,
    billing: &Billing,
    organization: kernel::id::Id<kernel::access::Organization>,
) -> Result<(), StoreError> {
    accounts::lock_account(tx, organization, &billing.settings().currency).map(drop)
}

/// A fault of ours: something that should never be is in the database, or was asked of billing. Nothing of the
/// transaction is kept.
pub(crate) fn broken(text: String) -> StoreError {
    StoreError::Statement(diesel::result::Error::QueryBuilderError(text.into()))
}

/// Passes a point at which tests make a transaction fail.
pub(crate) fn trip(point: &str) -> Result<(), StoreError> {
    if kernel::crash::point(point) {
        return Err(StoreError::Unavailable(format!("a test made `{point}` fail")));
    }
    Ok(())
}
