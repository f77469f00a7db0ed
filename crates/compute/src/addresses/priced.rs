//! The table of additional addresses that have a price.
//!
//! Such an address is taken from its pool when it is ordered, so that nobody pays for one that is not to be had. Its row
//! of `ip_addresses` names no instance until it is paid: nothing shows it and no guest is told of it.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};
use kernel::{
    access::User,
    http::Request,
    id::Id,
    store::{Conn, StoreError, Tx},
    tasks::TaskId,
};

use crate::{
    instances::{
        api::{Address, InstanceKind},
        rows::AddressRow,
    },
    schema::{ip_addresses, priced_addresses},
};

/// A row of `priced_addresses`; the migration documents the columns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = priced_addresses)]
pub(super) struct PricedRow {
    pub(super) address_id: Id<Address>,
    pub(super) instance_id: Id<InstanceKind>,
    pub(super) reverse_dns: String,
    pub(super) user_id: Id<User>,
    pub(super) request_id: Id<Request>,
    pub(super) task_id: Option<TaskId>,
}

/// Keeps an address that has just been taken for its instance until it is paid.
pub(super) fn keep(tx: &mut Tx<'_>, row: &PricedRow) -> Result<(), StoreError> {
    diesel::update(ip_addresses::table.find(row.address_id))
        .set(ip_addresses::instance_id.eq(None::<Id<InstanceKind>>))
        .execute(tx.conn())?;
    diesel::insert_into(priced_addresses::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that an address is its instance's from now on: `row` says of which, in which project.
pub(super) fn give(tx: &mut Tx<'_>, row: &AddressRow, task: TaskId) -> Result<(), StoreError> {
    diesel::update(ip_addresses::table.find(row.id))
        .set((
            ip_addresses::instance_id.eq(row.instance_id),
            ip_addresses::project_id.eq(row.project_id),
            ip_addresses::reverse_dns.eq(&row.reverse_dns),
            ip_addresses::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    diesel::update(priced_addresses::table.find(row.id))
        .set(priced_addresses::task_id.eq(Some(task)))
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets one that is given back.
pub(super) fn forget(tx: &mut Tx<'_>, id: Id<Address>) -> Result<(), StoreError> {
    diesel::delete(priced_addresses::table.find(id)).execute(tx.conn())?;
    Ok(())
}

/// One that billing tells of.
pub(super) fn find(conn: &mut Conn, id: Id<Address>) -> Result<Option<(PricedRow, AddressRow)>, StoreError> {
    let query = priced_addresses::table
        .inner_join(ip_addresses::table)
        .filter(priced_addresses::address_id.eq(id))
        .select((PricedRow::as_select(), AddressRow::as_select()));
    Ok(query.first(conn).optional()?)
}

/// How many an instance has ordered that are not paid.
pub(super) fn waiting(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<usize, StoreError> {
    let found: i64 = priced_addresses::table
        .filter(priced_addresses::instance_id.eq(instance))
        .filter(priced_addresses::task_id.is_null())
        .count()
        .get_result(conn)?;
    Ok(usize::try_from(found).unwrap_or(0))
}

/// All of an instance, paid or not.
///
/// # Errors
/// The database refused.
pub(crate) fn of_instance(
    conn: &mut Conn,
    instance: Id<InstanceKind>,
) -> Result<Vec<Id<Address>>, StoreError> {
    Ok(priced_addresses::table
        .filter(priced_addresses::instance_id.eq(instance))
        .order(priced_addresses::address_id)
        .select(priced_addresses::address_id)
        .load(conn)?)
}
