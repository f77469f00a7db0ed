//! The names of addresses: who publishes them (PTR records), and a publisher that only writes them down.

use std::{future::Future, net::IpAddr, pin::Pin};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};

use crate::{App, schema::reverse_names, store::StoreError};

/// Why a name could not be published. Trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReverseDnsError(pub String);

impl From<StoreError> for ReverseDnsError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What [`ReverseDns::publish`] returns.
pub type Published<'a> = Pin<Box<dyn Future<Output = Result<(), ReverseDnsError>> + Send + 'a>>;

/// Publishes names of addresses. Called by steps of tasks: it may be called again with the same.
pub trait ReverseDns: Send + Sync {
    /// Makes `name` the one name of `address`; none takes the name away.
    fn publish<'a>(&'a self, app: &'a App, address: IpAddr, name: Option<String>) -> Published<'a>;
}

/// Publishes nothing: writes into the table `reverse_names` what DNS would be told, until there is an area that
/// serves zones.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordingReverseDns;

impl ReverseDns for RecordingReverseDns {
    fn publish<'a>(&'a self, app: &'a App, address: IpAddr, name: Option<String>) -> Published<'a> {
        Box::pin(async move {
            let address = address.to_string();
            let record = app.store().write("record_reverse_name", move |tx| {
                let now = tx.now();
                diesel::delete(reverse_names::table.find(&address)).execute(tx.conn())?;
                if let Some(name) = &name {
                    let row = (
                        reverse_names::address.eq(&address),
                        reverse_names::name.eq(name),
                        reverse_names::set_at.eq(now),
                    );
                    diesel::insert_into(reverse_names::table)
                        .values(row)
                        .execute(tx.conn())?;
                }
                Ok::<_, StoreError>(())
            });
            Ok(record.await?)
        })
    }
}
