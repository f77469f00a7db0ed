//! The tables of SSH keys. Every finder takes the project.

use std::collections::HashMap;

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::{Organization, Project, User},
    id::Id,
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
    time::Time,
};

use super::api::SshKeyKind;
use crate::{
    instances::api::{InstanceKind, InstanceStatus},
    schema::{instance_ssh_keys, instances, ssh_keys},
};

/// A row of `ssh_keys`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = ssh_keys)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct SshKeyRow {
    pub id: Id<SshKeyKind>,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
    pub key_type: String,
    pub created_by: Option<Id<User>>,
    pub created: Time,
    pub modified: Time,
}

/// A row of `instance_ssh_keys`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = instance_ssh_keys)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct PlacedRow {
    pub instance_id: Id<InstanceKind>,
    pub ssh_key_id: Id<SshKeyKind>,
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
    pub added_at: Time,
}

/// The keys of a project.
pub(super) fn of_project(project: Id<Project>) -> ssh_keys::BoxedQuery<'static, MultiBackend> {
    ssh_keys::table
        .filter(ssh_keys::project_id.eq(project))
        .into_boxed()
}

/// The keys of a project that have these ids, in no order: fewer than ids, if some are not the project's.
///
/// # Errors
/// The database refused.
pub fn keys_for(
    conn: &mut Conn,
    project: Id<Project>,
    ids: &[Id<SshKeyKind>],
) -> Result<Vec<SshKeyRow>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = of_project(project)
        .filter(ssh_keys::id.eq_any(ids.to_vec()))
        .select(SshKeyRow::as_select());
    Ok(query.load(conn)?)
}

/// Notes that an instance is to carry these keys of its project, beside those that it has; gives the ids that are new
/// to it. The instance's row must be there already; to place them in the guest is a task's work.
///
/// # Errors
/// The database refused.
pub fn link(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    ids: &[Id<SshKeyKind>],
) -> Result<Vec<Id<SshKeyKind>>, StoreError> {
    let project: Id<Project> = instances::table
        .filter(instances::id.eq(instance))
        .select(instances::project_id)
        .first(tx.conn())?;
    let known: Vec<Id<SshKeyKind>> = placed(tx.conn(), instance)?
        .into_iter()
        .map(|row| row.ssh_key_id)
        .collect();
    let now = tx.now();
    let mut added = Vec::new();
    for key in keys_for(tx.conn(), project, ids)? {
        if known.contains(&key.id) {
            continue;
        }
        let row = PlacedRow {
            instance_id: instance,
            ssh_key_id: key.id,
            name: key.name,
            public_key: key.public_key,
            fingerprint: key.fingerprint,
            added_at: now,
        };
        place(tx, &row)?;
        added.push(row.ssh_key_id);
    }
    Ok(added)
}

/// One key of a project.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<SshKeyKind>,
) -> Result<Option<SshKeyRow>, StoreError> {
    let query = of_project(project)
        .filter(ssh_keys::id.eq(id))
        .select(SshKeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// One key of a project, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    id: Id<SshKeyKind>,
) -> Result<Option<SshKeyRow>, StoreError> {
    let query = ssh_keys::table
        .filter(ssh_keys::project_id.eq(project))
        .filter(ssh_keys::id.eq(id))
        .select(SshKeyRow::as_select());
    Ok(lock("ssh_keys", query).get_result(tx.conn()).optional()?)
}

/// The key of a project that has this fingerprint.
pub(super) fn find_same(
    conn: &mut Conn,
    project: Id<Project>,
    fingerprint: &str,
) -> Result<Option<SshKeyRow>, StoreError> {
    let query = ssh_keys::table
        .filter(ssh_keys::project_id.eq(project))
        .filter(ssh_keys::fingerprint.eq(fingerprint))
        .select(SshKeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// How many keys a project has.
pub(super) fn count(conn: &mut Conn, project: Id<Project>) -> Result<i64, StoreError> {
    Ok(of_project(project).count().get_result(conn)?)
}

/// Stores a key; contended if another transaction stores the same one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &SshKeyRow) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(ssh_keys::table)
        .values(row)
        .execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}

/// Writes a key's new name.
pub(super) fn save(tx: &mut Tx<'_>, row: &SshKeyRow) -> Result<(), StoreError> {
    diesel::update(ssh_keys::table.find(row.id))
        .set(row)
        .execute(tx.conn())?;
    diesel::update(instance_ssh_keys::table.filter(instance_ssh_keys::ssh_key_id.eq(row.id)))
        .set(instance_ssh_keys::name.eq(&row.name))
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets a key. Instances keep their copies.
pub(super) fn delete(tx: &mut Tx<'_>, id: Id<SshKeyKind>) -> Result<(), StoreError> {
    diesel::delete(ssh_keys::table.find(id)).execute(tx.conn())?;
    Ok(())
}

/// How many instances carry each of some keys; gone instances are not counted.
pub(super) fn instance_counts(
    conn: &mut Conn,
    ids: Vec<Id<SshKeyKind>>,
) -> Result<HashMap<Id<SshKeyKind>, i64>, StoreError> {
    let counts: Vec<(Id<SshKeyKind>, i64)> = instance_ssh_keys::table
        .inner_join(instances::table.on(instances::id.eq(instance_ssh_keys::instance_id)))
        .filter(instance_ssh_keys::ssh_key_id.eq_any(ids))
        .filter(instances::status.ne_all(InstanceStatus::OVER))
        .group_by(instance_ssh_keys::ssh_key_id)
        .select((instance_ssh_keys::ssh_key_id, count_star()))
        .load(conn)?;
    Ok(counts.into_iter().collect())
}

/// The keys that an instance is to carry, in the order in which they came.
pub(super) fn placed(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<Vec<PlacedRow>, StoreError> {
    let query = instance_ssh_keys::table
        .filter(instance_ssh_keys::instance_id.eq(instance))
        .order((instance_ssh_keys::added_at, instance_ssh_keys::ssh_key_id))
        .select(PlacedRow::as_select());
    Ok(query.load(conn)?)
}

/// Notes that an instance is to carry a key that it does not carry yet.
pub(super) fn place(tx: &mut Tx<'_>, row: &PlacedRow) -> Result<(), StoreError> {
    diesel::insert_into(instance_ssh_keys::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that an instance is not to carry a key any more.
pub(super) fn unplace(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    ids: &[Id<SshKeyKind>],
) -> Result<(), StoreError> {
    let rows = instance_ssh_keys::table
        .filter(instance_ssh_keys::instance_id.eq(instance))
        .filter(instance_ssh_keys::ssh_key_id.eq_any(ids.to_vec()));
    diesel::delete(rows).execute(tx.conn())?;
    Ok(())
}

/// The keys of an instance, a line of `authorized_keys` each, oldest first.
///
/// # Errors
/// The database refused.
pub fn lines_of_instance(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<Vec<String>, StoreError> {
    Ok(placed(conn, instance)?
        .into_iter()
        .map(|row| row.public_key)
        .collect())
}
