//! The tables of the chains: links and ends.

use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};

use super::{AuditRecord, AuditRow, SealKey};
use crate::{
    access::Organization,
    id::Id,
    schema::{audit_heads, audit_links, audit_records},
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

/// Names the ids of chains: that of the organization, or the nil UUID for the records of no organization.
#[derive(Debug)]
pub enum Chain {}

/// The chain that a record of `organization` belongs to.
pub fn chain_of(organization: Option<Id<Organization>>) -> Id<Chain> {
    organization.map_or_else(|| Id::from_uuid(uuid::Uuid::nil()), Id::cast)
}

/// What stands before the first link of a chain.
pub(super) const BEFORE_ALL: &str = "";

/// A record's place in its chain.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_links)]
pub(super) struct Link {
    pub(super) chain: Id<Chain>,
    pub(super) sequence: i64,
    pub(super) record_id: Id<AuditRecord>,
    pub(super) is_sound: bool,
    pub(super) hash: String,
}

/// Where a chain ends and where it begins.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = audit_heads)]
pub(super) struct Head {
    pub(super) chain: Id<Chain>,
    pub(super) sequence: i64,
    pub(super) hash: String,
    /// The last link that was forgotten with its record; 0 if none was.
    pub(super) anchor_sequence: i64,
    pub(super) anchor_hash: String,
    /// The latest time of a chained record.
    pub(super) last_created: Time,
    pub(super) seal: String,
}

impl Head {
    fn first(chain: Id<Chain>) -> Self {
        Self {
            chain,
            sequence: 0,
            hash: BEFORE_ALL.to_owned(),
            anchor_sequence: 0,
            anchor_hash: BEFORE_ALL.to_owned(),
            last_created: Time::from_micros(0),
            seal: String::new(),
        }
    }

    pub(super) fn sealed(&self, key: &SealKey) -> String {
        key.ends(
            self.chain,
            (self.sequence, &self.hash),
            (self.anchor_sequence, &self.anchor_hash),
            self.last_created,
        )
    }

    pub(super) fn save(&mut self, tx: &mut Tx<'_>, key: &SealKey) -> Result<(), StoreError> {
        self.seal = self.sealed(key);
        diesel::update(audit_heads::table.find(self.chain))
            .set(&*self)
            .execute(tx.conn())?;
        Ok(())
    }
}

/// The ends of a chain.
pub(super) fn head(conn: &mut Conn, chain: Id<Chain>) -> Result<Option<Head>, StoreError> {
    let query = audit_heads::table.find(chain).select(Head::as_select());
    Ok(query.first(conn).optional()?)
}

/// The ends of a chain, locked; made if it has none yet.
pub(super) fn head_locked(tx: &mut Tx<'_>, chain: Id<Chain>) -> Result<Head, StoreError> {
    let query = lock(
        "audit_heads",
        audit_heads::table.find(chain).select(Head::as_select()),
    );
    if let Some(head) = query.load(tx.conn())?.pop() {
        return Ok(head);
    }
    let head = Head::first(chain);
    let inserted = diesel::insert_into(audit_heads::table)
        .values(&head)
        .execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => Ok(head),
        // Another node was faster: this transaction is tried again.
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}

pub(super) fn insert(tx: &mut Tx<'_>, link: &Link) -> Result<(), StoreError> {
    diesel::insert_into(audit_links::table)
        .values(link)
        .execute(tx.conn())?;
    Ok(())
}

/// The links of a chain after `sequence`, with their records as far as these are there.
pub(super) fn links_after(
    conn: &mut Conn,
    chain: Id<Chain>,
    sequence: i64,
    take: i64,
) -> Result<Vec<(Link, Option<AuditRow>)>, StoreError> {
    let query = audit_links::table
        .left_join(audit_records::table.on(audit_records::id.eq(audit_links::record_id)))
        .filter(audit_links::chain.eq(chain))
        .filter(audit_links::sequence.gt(sequence))
        .order(audit_links::sequence)
        .limit(take)
        .select((Link::as_select(), Option::<AuditRow>::as_select()));
    Ok(query.load(conn)?)
}

/// Those of `records` that are in no chain, the oldest first.
pub(super) fn unchained(conn: &mut Conn, records: &[Id<AuditRecord>]) -> Result<Vec<AuditRow>, StoreError> {
    let query = audit_records::table
        .left_join(audit_links::table.on(audit_links::record_id.eq(audit_records::id)))
        .filter(audit_records::id.eq_any(records))
        .filter(audit_links::record_id.nullable().is_null())
        .order((audit_records::created, audit_records::id))
        .select(AuditRow::as_select());
    Ok(query.load(conn)?)
}

/// Records between two ids that are in no chain.
pub(super) fn find_unchained(
    conn: &mut Conn,
    after: Id<AuditRecord>,
    until: Option<Id<AuditRecord>>,
    take: i64,
) -> Result<Vec<Id<AuditRecord>>, StoreError> {
    let mut query = audit_records::table
        .left_join(audit_links::table.on(audit_links::record_id.eq(audit_records::id)))
        .filter(audit_records::id.gt(after))
        .filter(audit_links::record_id.nullable().is_null())
        .into_boxed();
    if let Some(until) = until {
        query = query.filter(audit_records::id.le(until));
    }
    let query = query
        .order(audit_records::id)
        .limit(take)
        .select(audit_records::id);
    Ok(query.load(conn)?)
}

/// The id that lies `distance` records after another, if there are so many.
pub(super) fn id_ahead(
    conn: &mut Conn,
    after: Id<AuditRecord>,
    distance: i64,
) -> Result<Option<Id<AuditRecord>>, StoreError> {
    let query = audit_records::table
        .filter(audit_records::id.gt(after))
        .order(audit_records::id)
        .offset(distance)
        .select(audit_records::id);
    Ok(query.first(conn).optional()?)
}

/// How many records an organization has: what its chain holds, and what has not been chained yet.
///
/// Its cost does not grow with the number of records.
///
/// # Errors
/// The database refused.
pub fn count_records(conn: &mut Conn, organization: Id<Organization>) -> Result<i64, StoreError> {
    /// How much later than its neighbours a record may become visible: longer than transactions take.
    const LATENESS: std::time::Duration = std::time::Duration::from_secs(60);
    let head = head(conn, chain_of(Some(organization)))?;
    let since = head
        .as_ref()
        .map_or(Time::from_micros(0), |head| head.last_created - LATENESS);
    let chained = head.map_or(0, |head| head.sequence - head.anchor_sequence);
    let fresh: i64 = audit_records::table
        .left_join(audit_links::table.on(audit_links::record_id.eq(audit_records::id)))
        .filter(
            audit_records::organization_id
                .eq(organization)
                .and(audit_records::created.ge(since)),
        )
        .filter(audit_links::record_id.nullable().is_null())
        .count()
        .get_result(conn)?;
    Ok(chained + fresh)
}

/// Every chain that has ends or links.
pub(super) fn chains(conn: &mut Conn) -> Result<Vec<Id<Chain>>, StoreError> {
    let mut chains: Vec<Id<Chain>> = audit_heads::table.select(audit_heads::chain).load(conn)?;
    // From link to link by the index: the number of chains counts, not that of links.
    let mut last = None;
    loop {
        let mut query = audit_links::table.select(audit_links::chain).into_boxed();
        if let Some(last) = last {
            query = query.filter(audit_links::chain.gt(last));
        }
        let next: Option<Id<Chain>> = query.order(audit_links::chain).first(conn).optional()?;
        let Some(next) = next else { break };
        chains.push(next);
        last = Some(next);
    }
    chains.sort_unstable();
    chains.dedup();
    Ok(chains)
}

/// The ends of all chains.
pub(super) fn ends(conn: &mut Conn) -> Result<Vec<(Id<Chain>, i64, String)>, StoreError> {
    let query = audit_heads::table.order(audit_heads::chain).select((
        audit_heads::chain,
        audit_heads::sequence,
        audit_heads::hash,
    ));
    Ok(query.load(conn)?)
}

/// How many records belong to a chain, chained or not.
pub(super) fn count_of_chain(conn: &mut Conn, chain: Id<Chain>) -> Result<i64, StoreError> {
    let all = audit_records::table.into_boxed();
    let query = if chain == chain_of(None) {
        all.filter(audit_records::organization_id.is_null())
    } else {
        all.filter(audit_records::organization_id.eq(chain.cast::<Organization>()))
    };
    Ok(query.count().get_result(conn)?)
}
