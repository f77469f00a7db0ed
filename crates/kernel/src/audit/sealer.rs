//! Puts records into their chains, a moment after they were committed.
//!
//! Not in the transaction that writes the record: to know its predecessor it would have to lock the end of its
//! organization's chain until it is committed, and every change of an organization would wait for every other. So each
//! record carries a seal of its own from the start, and this chains them in batches.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::watch;

use super::{
    AuditRecord, AuditRow, SealKey,
    chain::{self, Chain, Link, chain_of},
};
use crate::{
    id::Id,
    store::{Store, StoreError, Tx},
};

/// How long a record is without a chain at most, while there is time.
const PAUSE: Duration = Duration::from_secs(2);
/// How much later than its neighbours a record may become visible: transactions are shorter, clocks nearer.
const LATENESS_MS: u64 = 60_000;
/// Records chained by one transaction.
const BATCH: i64 = 200;
/// Records looked at by one query.
const STRIDE: i64 = 20_000;
/// After so many rounds all records are looked at, not only the latest.
const ROUNDS: u32 = 1800;

/// Chains records until `stop` turns true.
pub async fn run(store: Store, key: SealKey, mut stop: watch::Receiver<bool>) {
    let mut round: u32 = 0;
    let mut from = Id::from_uuid(uuid::Uuid::nil());
    while !*stop.borrow() {
        if round.is_multiple_of(ROUNDS) {
            from = Id::from_uuid(uuid::Uuid::nil());
        }
        let next = earlier(Id::new());
        match seal_from(&store, key, from, &stop).await {
            Ok(()) => {
                from = next;
                round = round.wrapping_add(1);
            }
            Err(error) => tracing::warn!(%error, "audit records could not be chained"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Chains everything that is not chained yet: for commands and tests.
///
/// # Errors
/// The database refused.
pub async fn seal_all(store: &Store, key: SealKey) -> Result<(), StoreError> {
    let (_keep, stop) = watch::channel(false);
    seal_from(store, key, Id::from_uuid(uuid::Uuid::nil()), &stop).await
}

/// The id that would have been given out a while before `id`: ids begin with their time in milliseconds.
fn earlier(id: Id<AuditRecord>) -> Id<AuditRecord> {
    let value = id.uuid().as_u128();
    let millis = (value >> 80).saturating_sub(u128::from(LATENESS_MS));
    Id::from_uuid(uuid::Uuid::from_u128(millis << 80))
}

async fn seal_from(
    store: &Store,
    key: SealKey,
    mut from: Id<AuditRecord>,
    stop: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    loop {
        let (found, until) = store
            .read("find_unchained", move |conn| {
                let until = chain::id_ahead(conn, from, STRIDE)?;
                Ok::<_, StoreError>((chain::find_unchained(conn, from, until, BATCH)?, until))
            })
            .await?;
        let is_full = i64::try_from(found.len()).is_ok_and(|found| found == BATCH);
        if !found.is_empty() {
            store
                .write("chain_records", move |tx| seal(tx, &key, &found))
                .await?;
        }
        match until {
            _ if *stop.borrow() => return Ok(()),
            // There is more in this stride.
            _ if is_full => {}
            Some(until) => from = until,
            None => return Ok(()),
        }
    }
}

/// Chains these records, unless another node was faster.
fn seal(tx: &mut Tx<'_>, key: &SealKey, records: &[Id<AuditRecord>]) -> Result<(), StoreError> {
    // One node after the other: the end of the chain that every installation has serves as the lock.
    chain::head_locked(tx, chain_of(None))?;
    let mut by_chain: BTreeMap<Id<Chain>, Vec<AuditRow>> = BTreeMap::new();
    for row in chain::unchained(tx.conn(), records)? {
        by_chain
            .entry(chain_of(row.organization_id))
            .or_default()
            .push(row);
    }
    for (chain, rows) in by_chain {
        let mut head = chain::head_locked(tx, chain)?;
        let mut unsound = 0;
        for row in rows {
            let content = key.record(&row);
            let is_sound = content == row.seal;
            unsound += u64::from(!is_sound);
            let sequence = head.sequence + 1;
            let hash = key.link(chain, sequence, &head.hash, row.id, &content, is_sound);
            let link = Link {
                chain,
                sequence,
                record_id: row.id,
                is_sound,
                hash,
            };
            chain::insert(tx, &link)?;
            head.sequence = sequence;
            head.hash = link.hash;
            head.last_created = head.last_created.max(row.created);
        }
        head.save(tx, key)?;
        if unsound > 0 {
            // Written before records had seals, or not by onet. They are chained all the same, so that they can't
            // change any more, and reported when the chain is verified.
            metrics::counter!("onet_audit_unsound").increment(unsound);
            tracing::warn!(%chain, records = unsound, "audit records do not carry the seal of their content");
        }
    }
    Ok(())
}
