//! What other areas sell, as billing sees it.

use kernel::store::{StoreError, Tx};

use crate::{Billing, services::ServiceRow};

/// A kind of thing that is sold. The area that owns the things implements it; `onetd` registers it with
/// [`Billing::register`](crate::Billing::register).
///
/// Every method runs in the transaction of what has happened, behind the lock of the organization's account: it writes
/// its own rows and enqueues tasks, and touches nothing else. All may be called for a resource that is there already
/// in the wanted state. They are given the billing that calls: a product that kept one would keep alive what keeps it.
pub trait Product: Send + Sync {
    /// The API's word for it: `instance`.
    fn kind(&self) -> &'static str;

    /// What was ordered is paid (or costs nothing now): provision it. The end of that is told with
    /// [`services::provisioned`](crate::services::provisioned) or [`services::failed`](crate::services::failed).
    ///
    /// # Errors
    /// The database refused.
    fn paid(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError>;

    /// An invoice was not paid in time: stop it, and keep its data. By default nothing: what belongs to another
    /// service stops with it.
    ///
    /// # Errors
    /// The database refused.
    fn suspend(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let _ = (tx, billing, service);
        Ok(())
    }

    /// Everything is paid again: let it run. By default nothing, likewise.
    ///
    /// # Errors
    /// The database refused.
    fn unsuspend(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let _ = (tx, billing, service);
        Ok(())
    }

    /// Its time is over (cancelled, or never paid): destroy it with its data.
    ///
    /// # Errors
    /// The database refused.
    fn terminate(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError>;

    /// Its order has come to nothing (not paid, cancelled, or a part of it failed): take back whatever is there of it.
    ///
    /// # Errors
    /// The database refused.
    fn dropped(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError>;

    /// A period has been paid and begun, or dates, price or cycle have changed: for areas that keep copies of them.
    ///
    /// # Errors
    /// The database refused.
    fn changed(&self, tx: &mut Tx<'_>, billing: &Billing, service: &ServiceRow) -> Result<(), StoreError> {
        let _ = (tx, billing, service);
        Ok(())
    }
}
