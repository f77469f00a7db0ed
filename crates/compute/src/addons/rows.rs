//! The table of instances' add-ons.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use crate::{
    catalogue::api::{AddonKind, PriceCycle},
    instances::api::InstanceKind,
    schema::instance_addons,
};

/// Names the ids of instances' add-ons.
#[derive(Debug)]
pub enum InstanceAddonKind {}
/// The id of an instance's add-on.
pub type InstanceAddonId = Id<InstanceAddonKind>;

words! {
    /// Where an ordered add-on stands
    pub enum AddonState {
        /// Its order is not paid, or its instance not there yet.
        Pending = "pending",
        /// In force.
        Active = "active",
        /// In force until its paid time is over.
        Cancelling = "cancelling",
        /// Over.
        Ended = "ended",
    }
}

/// A row of `instance_addons`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = instance_addons, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct InstanceAddonRow {
    pub id: InstanceAddonId,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Id<InstanceKind>,
    pub addon_id: Id<AddonKind>,
    pub status: AddonState,
    pub billing_cycle: PriceCycle,
    pub price: Amount,
    pub activated_at: Option<Time>,
    pub created: Time,
    pub modified: Time,
}

/// What was ordered for an instance and is not over, oldest first: at most one of each add-on.
///
/// # Errors
/// The database refused.
pub fn live(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<Vec<InstanceAddonRow>, StoreError> {
    Ok(instance_addons::table
        .filter(instance_addons::instance_id.eq(instance))
        .filter(instance_addons::status.ne(AddonState::Ended))
        .order((instance_addons::created, instance_addons::id))
        .select(InstanceAddonRow::as_select())
        .load(conn)?)
}

/// One that billing tells of.
pub(super) fn find(conn: &mut Conn, id: InstanceAddonId) -> Result<Option<InstanceAddonRow>, StoreError> {
    Ok(instance_addons::table
        .find(id)
        .select(InstanceAddonRow::as_select())
        .first(conn)
        .optional()?)
}

/// Writes a new one.
pub(crate) fn insert(tx: &mut Tx<'_>, row: &InstanceAddonRow) -> Result<(), StoreError> {
    diesel::insert_into(instance_addons::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes one back.
pub(crate) fn save(tx: &mut Tx<'_>, row: &mut InstanceAddonRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(instance_addons::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}
