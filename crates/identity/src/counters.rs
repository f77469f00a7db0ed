//! Numbers that grow by one: the `legacy_id`s that older clients know.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::store::{StoreError, Tx};

use crate::schema::counters;

/// The next number of the counter `name`, beginning with 1.
///
/// The counter's row stays locked until the transaction ends: numbers have gaps where a transaction failed on
/// neither database, and are never given twice.
///
/// # Errors
/// The database refused; two transactions began the same counter at once (one of them is tried again).
pub fn next(tx: &mut Tx<'_>, name: &str) -> Result<i64, StoreError> {
    let row = counters::table.find(name);
    let counted = diesel::update(row)
        .set(counters::value.eq(counters::value + 1))
        .execute(tx.conn())?;
    if counted == 0 {
        let first = (counters::name.eq(name), counters::value.eq(1_i64));
        let begun = diesel::insert_into(counters::table)
            .values(first)
            .execute(tx.conn());
        return match begun.map_err(StoreError::from) {
            Ok(_) => Ok(1),
            Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
            Err(error) => Err(error),
        };
    }
    Ok(row.select(counters::value).first(tx.conn())?)
}
