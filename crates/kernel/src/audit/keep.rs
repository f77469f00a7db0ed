//! How long records are kept.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};

use super::{AuditRecord, SealKey, chain, verify};
use crate::{
    App,
    id::Id,
    schema::{audit_links, audit_records},
    store::{StoreError, Tx},
    time::Time,
};

/// Records forgotten by one transaction.
const BATCH: i64 = 500;

/// Forgets the records that are older than `audit.keep_days`, from the beginning of each chain, and moves the chain's
/// beginning behind them: what is left still proves to be whole. Returns how many were forgotten.
///
/// # Errors
/// The database refused.
pub async fn forget_old(app: &App, key: SealKey) -> Result<u64, StoreError> {
    let days = app.config().audit.keep_days;
    if days == 0 {
        return Ok(0);
    }
    let cutoff = app.clock().now() - Duration::from_hours(24 * u64::from(days));
    let mut forgotten = 0;
    for chain in verify::chains(app.store()).await? {
        loop {
            let batch = app
                .store()
                .write("forget_audit", move |tx| forget(tx, &key, chain, cutoff))
                .await?;
            forgotten += batch;
            if batch == 0 {
                break;
            }
        }
    }
    Ok(forgotten)
}

fn forget(tx: &mut Tx<'_>, key: &SealKey, chain: Id<chain::Chain>, cutoff: Time) -> Result<u64, StoreError> {
    let mut head = chain::head_locked(tx, chain)?;
    // Ends that somebody has altered must not get a fresh seal: `verify` is to find them.
    if head.seal != head.sealed(key) {
        return Ok(0);
    }
    let links = chain::links_after(tx.conn(), chain, head.anchor_sequence, BATCH)?;
    let old: Vec<_> = links
        .into_iter()
        .zip(head.anchor_sequence + 1..)
        // A gap, or a record that is gone, stays to be found as well.
        .take_while(|((link, record), place)| {
            link.sequence == *place && record.as_ref().is_some_and(|record| record.created < cutoff)
        })
        .map(|((link, _), _)| link)
        .collect();
    let Some(last) = old.last() else { return Ok(0) };
    let records: Vec<Id<AuditRecord>> = old.iter().map(|link| link.record_id).collect();
    diesel::delete(audit_records::table.filter(audit_records::id.eq_any(&records))).execute(tx.conn())?;
    let links = audit_links::table
        .filter(audit_links::chain.eq(chain))
        .filter(audit_links::sequence.le(last.sequence));
    diesel::delete(links).execute(tx.conn())?;
    head.anchor_sequence = last.sequence;
    head.anchor_hash.clone_from(&last.hash);
    head.save(tx, key)?;
    Ok(records.len() as u64)
}
