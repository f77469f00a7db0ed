//! The table of machines.

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    time::Time,
    words,
};

use crate::{
    catalogue::api::Image,
    hosts::{Host, Share, release},
    instances::api::InstanceKind,
    schema::machines,
};

words! {
    /// Whether a machine should run
    pub enum Power {
        /// It should run.
        On = "on",
        /// It should be off.
        Off = "off",
    }
}

/// A row of `machines`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = machines, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct MachineRow {
    pub instance_id: Id<InstanceKind>,
    pub host_id: Id<Host>,
    pub cpus: i64,
    pub memory_mb: i64,
    pub disk_gb: i64,
    pub power: Power,
    pub is_protected: bool,
    pub rescue_image_id: Option<Id<Image>>,
    pub password: Option<String>,
    pub user_data: Option<String>,
    pub rescue_password: Option<String>,
    pub seed_id: Id<Any>,
    pub interface_id: Id<Any>,
    pub mac_address: String,
    pub private_interface_id: Id<Any>,
    pub private_mac_address: String,
    pub created: Time,
    pub modified: Time,
}

impl MachineRow {
    /// What it holds of its host.
    pub fn share(&self) -> Share {
        let Self {
            cpus,
            memory_mb,
            disk_gb,
            ..
        } = *self;
        Share {
            cpus,
            memory_mb,
            disk_gb,
        }
    }
}

/// The machine of an instance that the caller has found by its scope.
///
/// # Errors
/// The database refused.
pub fn find(conn: &mut Conn, instance: Id<InstanceKind>) -> Result<Option<MachineRow>, StoreError> {
    Ok(machines::table
        .find(instance)
        .select(MachineRow::as_select())
        .first(conn)
        .optional()?)
}

/// Writes a new machine.
///
/// # Errors
/// The database refused.
pub(crate) fn insert(tx: &mut Tx<'_>, row: &MachineRow) -> Result<(), StoreError> {
    diesel::insert_into(machines::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes a machine back whose instance this transaction has locked.
///
/// # Errors
/// The database refused.
pub(crate) fn save(tx: &mut Tx<'_>, row: &mut MachineRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(machines::table.find(row.instance_id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Says whether the machine should run.
///
/// # Errors
/// The database refused.
pub(crate) fn set_power(tx: &mut Tx<'_>, instance: Id<InstanceKind>, power: Power) -> Result<(), StoreError> {
    diesel::update(machines::table.find(instance))
        .set((machines::power.eq(power), machines::modified.eq(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets a machine of which nothing is left, and gives back what it held of its host. One that is not there is fine.
///
/// # Errors
/// The database refused.
pub(crate) fn forget(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    let Some(row) = find(tx.conn(), instance)? else {
        return Ok(());
    };
    let deleted = diesel::delete(machines::table.find(instance)).execute(tx.conn())?;
    if deleted == 1 {
        release(tx, row.host_id, row.share())?;
    }
    Ok(())
}
