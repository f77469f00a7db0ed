//! The driver of what is inside of guests, and one that only writes down what it is told.

use std::{future::Future, pin::Pin};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{App, id::Id, store::StoreError};

use crate::{instances::api::InstanceKind, schema::guest_ssh_keys};

/// Why a guest could not be changed. Trying again may help.
#[derive(Debug)]
pub struct GuestError(pub String);

impl std::fmt::Display for GuestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GuestError {}

impl From<StoreError> for GuestError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What a driver's calls return.
pub type Set<'a> = Pin<Box<dyn Future<Output = Result<(), GuestError>> + Send + 'a>>;

/// Guests from the inside, by their agent or their seed. Every call may be repeated.
pub trait GuestAccess: Send + Sync {
    /// Makes these lines the keys that onet has placed for the administrator: all of them, and no others of onet's.
    fn set_authorized_keys<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        keys: Vec<String>,
    ) -> Set<'a>;
}

/// Reaches no guest: records in the table `guest_ssh_keys` what it is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordingGuests;

impl GuestAccess for RecordingGuests {
    fn set_authorized_keys<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        keys: Vec<String>,
    ) -> Set<'a> {
        Box::pin(async move {
            let record = app.store().write("record_authorized_keys", move |tx| {
                let known = guest_ssh_keys::table.filter(guest_ssh_keys::instance_id.eq(instance));
                diesel::delete(known).execute(tx.conn())?;
                for (position, key) in (0_i64..).zip(&keys) {
                    let row = (
                        guest_ssh_keys::instance_id.eq(instance),
                        guest_ssh_keys::position.eq(position),
                        guest_ssh_keys::public_key.eq(key),
                    );
                    diesel::insert_into(guest_ssh_keys::table)
                        .values(row)
                        .execute(tx.conn())?;
                }
                Ok::<_, StoreError>(())
            });
            Ok(record.await?)
        })
    }
}
