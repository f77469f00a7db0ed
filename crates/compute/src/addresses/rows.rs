//! The addresses of a project, found. Every finder takes the project.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::Project,
    id::Id,
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
};

use crate::{
    instances::{
        api::{Address, InstanceKind},
        rows::AddressRow,
    },
    schema::{instances, ip_addresses},
};

/// The addresses of a project's instances.
pub(super) fn of_project(project: Id<Project>) -> ip_addresses::BoxedQuery<'static, MultiBackend> {
    ip_addresses::table
        .filter(ip_addresses::project_id.eq(project))
        .filter(ip_addresses::instance_id.is_not_null())
        .into_boxed()
}

/// The addresses of one instance, by interface, the primary ones first.
pub(super) fn of_instance(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
) -> Result<Vec<AddressRow>, StoreError> {
    let query = of_project(project)
        .filter(ip_addresses::instance_id.eq(instance))
        .order((
            ip_addresses::interface,
            ip_addresses::is_primary.desc(),
            ip_addresses::id,
        ))
        .select(AddressRow::as_select());
    Ok(query.load(conn)?)
}

/// One address of a project's instances: of any, or of this one.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
) -> Result<Option<AddressRow>, StoreError> {
    let query = one_of(project, instance, id).select(AddressRow::as_select());
    Ok(query.first(conn).optional()?)
}

fn one_of(
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
) -> ip_addresses::BoxedQuery<'static, MultiBackend> {
    let query = of_project(project).filter(ip_addresses::id.eq(id));
    match instance {
        Some(instance) => query.filter(ip_addresses::instance_id.eq(instance)),
        None => query,
    }
}

/// The same, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    id: Id<Address>,
) -> Result<Option<AddressRow>, StoreError> {
    let query = one_of(project, instance, id).select(AddressRow::as_select());
    Ok(lock("ip_addresses", query).get_result(tx.conn()).optional()?)
}

/// Whether the project has an instance.
pub(super) fn has_instance(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
) -> Result<bool, StoreError> {
    let query = instances::table
        .filter(instances::project_id.eq(project))
        .filter(instances::id.eq(instance));
    let found: i64 = query.count().get_result(conn)?;
    Ok(found > 0)
}

/// Writes the name of an address.
pub(super) fn save_name(tx: &mut Tx<'_>, row: &AddressRow) -> Result<(), StoreError> {
    diesel::update(ip_addresses::table.find(row.id))
        .set((
            ip_addresses::reverse_dns.eq(&row.reverse_dns),
            ip_addresses::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}
