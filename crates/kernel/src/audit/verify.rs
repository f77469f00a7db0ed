//! Whether a chain is whole.

use std::fmt;

use super::{
    AuditRecord, SealKey,
    chain::{self, BEFORE_ALL, Chain, Head},
};
use crate::{
    id::Id,
    store::{Store, StoreError},
};

/// Links read by one query.
const BATCH: i64 = 500;

/// What is wrong with a chain: the first thing, in the chain's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are links, but it is not written down where they end.
    NoEnds,
    /// Where the chain ends or begins was not written by onet.
    ForgedEnds,
    /// Links are missing.
    MissingLinks {
        /// The first that is missing.
        first: i64,
        /// The one before which it is missing, or the chain's end.
        before: i64,
    },
    /// A link's hash does not fit to its record and its predecessor: altered, moved or replaced.
    BrokenLink {
        /// Its place in the chain.
        sequence: i64,
        /// The record that it names.
        record: Id<AuditRecord>,
    },
    /// A record is gone.
    RemovedRecord {
        /// Its place in the chain.
        sequence: i64,
        /// The record.
        record: Id<AuditRecord>,
    },
    /// A record is not what it was.
    ChangedRecord {
        /// Its place in the chain.
        sequence: i64,
        /// The record.
        record: Id<AuditRecord>,
    },
    /// The last link is not the one that is written down as the end.
    OtherEnd {
        /// Its place in the chain.
        sequence: i64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnds => f.write_str("the row of audit_heads that says where the chain ends is missing"),
            Self::ForgedEnds => f.write_str("the row of audit_heads was altered"),
            Self::MissingLinks { first, before } => {
                write!(f, "links are missing: from {first} to before {before}")
            }
            Self::BrokenLink { sequence, record } => write!(
                f,
                "link {sequence} (record {record}) does not fit to its predecessor and its record: \
                 altered, moved or replaced"
            ),
            Self::RemovedRecord { sequence, record } => {
                write!(f, "record {record} (link {sequence}) was removed")
            }
            Self::ChangedRecord { sequence, record } => {
                write!(f, "record {record} (link {sequence}) was changed")
            }
            Self::OtherEnd { sequence } => write!(f, "link {sequence}, the last, is not the written end"),
        }
    }
}

/// What was found out about a chain.
#[derive(Clone, Debug)]
pub struct Report {
    /// The chain: an organization's id, or the nil UUID.
    pub chain: Id<Chain>,
    /// Its end: the number and hash of its last link, to be kept elsewhere and compared later.
    pub end: (i64, String),
    /// Links that were checked.
    pub checked: i64,
    /// Records that did not carry onet's seal when they were chained: older than the chain, or forged. The first few.
    pub unsound: Vec<Id<AuditRecord>>,
    /// How many of them.
    pub unsound_count: i64,
    /// Records that are not chained yet: in a running installation, those of the last seconds.
    pub unchained: i64,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// Every chain there is.
///
/// # Errors
/// The database refused.
pub async fn chains(store: &Store) -> Result<Vec<Id<Chain>>, StoreError> {
    store.read("audit_chains", chain::chains).await
}

/// Where each chain ends: its last link's number and hash.
///
/// # Errors
/// The database refused.
pub async fn ends(store: &Store) -> Result<Vec<(Id<Chain>, i64, String)>, StoreError> {
    store.read("audit_ends", chain::ends).await
}

/// Checks a chain from its beginning to its end, in batches: no transaction stays open. `at_each` is told of every
/// link as `(sequence, hash)`, for comparing with ends that were written down elsewhere.
///
/// # Errors
/// The database refused.
pub async fn verify(
    store: &Store,
    key: SealKey,
    chain: Id<Chain>,
    mut at_each: impl FnMut(i64, &str) + Send,
) -> Result<Report, StoreError> {
    loop {
        let before = head(store, chain).await?;
        let report = check(store, key, chain, before.as_ref(), &mut at_each).await?;
        let anchor = |head: &Option<Head>| head.as_ref().map(|head| head.anchor_sequence);
        let moved = report.fault.is_some() && anchor(&head(store, chain).await?) != anchor(&before);
        if !moved {
            return Ok(report);
        }
        // Old records were forgotten while they were read.
    }
}

async fn head(store: &Store, chain: Id<Chain>) -> Result<Option<Head>, StoreError> {
    store
        .read("audit_head", move |conn| chain::head(conn, chain))
        .await
}

async fn check(
    store: &Store,
    key: SealKey,
    chain: Id<Chain>,
    head: Option<&Head>,
    at_each: &mut (impl FnMut(i64, &str) + Send),
) -> Result<Report, StoreError> {
    let mut report = Report {
        chain,
        end: head.map_or((0, BEFORE_ALL.to_owned()), |head| {
            (head.sequence, head.hash.clone())
        }),
        checked: 0,
        unsound: Vec::new(),
        unsound_count: 0,
        unchained: 0,
        fault: None,
    };
    let Some(head) = head else {
        report.fault = Some(Fault::NoEnds);
        return Ok(report);
    };
    // Made and not yet filled: the chain of no organization serves as a lock.
    let is_empty = head.sequence == 0 && head.seal.is_empty();
    if !is_empty && head.seal != head.sealed(&key) {
        report.fault = Some(Fault::ForgedEnds);
        return Ok(report);
    }
    let (mut sequence, mut hash) = (head.anchor_sequence, head.anchor_hash.clone());
    let mut present = 0;
    while sequence < head.sequence {
        let from = sequence;
        let links = store
            .read("verify_audit", move |conn| {
                chain::links_after(conn, chain, from, BATCH)
            })
            .await?;
        let next = links.first().map_or(head.sequence + 1, |(link, _)| link.sequence);
        if next != sequence + 1 {
            let (first, before) = (sequence + 1, next);
            report.fault = Some(Fault::MissingLinks { first, before });
            return Ok(report);
        }
        for (link, record) in links {
            if link.sequence > head.sequence {
                break;
            }
            let place = link.sequence;
            let fault = if place != sequence + 1 {
                let (first, before) = (sequence + 1, place);
                Some(Fault::MissingLinks { first, before })
            } else if let Some(row) = &record {
                let content = key.record(row);
                let expected = key.link(chain, place, &hash, link.record_id, &content, link.is_sound);
                let has_changed = link.is_sound && content != row.seal;
                if has_changed {
                    Some(Fault::ChangedRecord {
                        sequence: place,
                        record: link.record_id,
                    })
                } else if expected != link.hash {
                    Some(Fault::BrokenLink {
                        sequence: place,
                        record: link.record_id,
                    })
                } else {
                    None
                }
            } else {
                Some(Fault::RemovedRecord {
                    sequence: place,
                    record: link.record_id,
                })
            };
            if fault.is_some() {
                report.fault = fault;
                return Ok(report);
            }
            if !link.is_sound {
                report.unsound_count += 1;
                if report.unsound.len() < 10 {
                    report.unsound.push(link.record_id);
                }
            }
            at_each(place, &link.hash);
            report.checked += 1;
            present += 1;
            sequence = place;
            hash = link.hash;
        }
    }
    if hash != head.hash {
        report.fault = Some(Fault::OtherEnd { sequence });
        return Ok(report);
    }
    let all = store
        .read("count_audit", move |conn| chain::count_of_chain(conn, chain))
        .await?;
    report.unchained = (all - present).max(0);
    Ok(report)
}
