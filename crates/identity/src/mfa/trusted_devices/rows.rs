//! How trusted devices are stored. Every finder takes the user.

use std::time::Duration;

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
    dsl::{exists, select},
};
use kernel::{
    access::User,
    id::Id,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use crate::{auth::Desk, device::Device, schema::trusted_devices, secrets};

/// Devices that a user may trust at once; then the longest trusted is forgotten.
const MOST: i64 = 20;
const DAY: u64 = 24 * 60 * 60;

/// Names the ids of trusted devices.
#[derive(Debug)]
pub(crate) enum TrustedDevice {}
/// The id of a trusted device.
pub(crate) type TrustedDeviceId = Id<TrustedDevice>;

/// A row of `trusted_devices`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = trusted_devices)]
pub(super) struct DeviceRow {
    pub(super) id: Id<TrustedDevice>,
    user_id: Id<User>,
    token_hash: String,
    pub(super) name: String,
    pub(super) user_agent: String,
    pub(super) ip_address: String,
    pub(super) last_used_at: Option<Time>,
    pub(super) expires_at: Time,
    pub(super) created: Time,
}

/// Trusts the device that a request comes from. Returns its id and token, which is not stored.
///
/// The user's row is locked, so that the number of devices stays bounded.
///
/// # Errors
/// The database refused.
pub(in super::super) fn trust(
    tx: &mut Tx<'_>,
    desk: &Desk,
    user: Id<User>,
    name: Option<&str>,
) -> Result<(Id<TrustedDevice>, String), StoreError> {
    let now = tx.now();
    make_room(tx, user)?;
    let token = secrets::new_challenge_token();
    let days = desk.identity.settings().trusted_device_days;
    let user_agent = desk.request.user_agent.clone();
    let row = DeviceRow {
        id: Id::new(),
        user_id: user,
        token_hash: desk.identity.secrets().hash_token(&token),
        name: name.map_or_else(|| default_name(&user_agent), str::to_owned),
        user_agent,
        ip_address: desk.request.address.to_string(),
        last_used_at: None,
        expires_at: now + Duration::from_secs(days.saturating_mul(DAY)),
        created: now,
    };
    diesel::insert_into(trusted_devices::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok((row.id, token))
}

fn default_name(user_agent: &str) -> String {
    Device::of(user_agent).spoken().chars().take(100).collect()
}

/// Forgets what has ended, and the oldest beyond the limit.
fn make_room(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    let ended = trusted_devices::table
        .filter(trusted_devices::user_id.eq(user))
        .filter(trusted_devices::expires_at.le(tx.now()));
    diesel::delete(ended).execute(tx.conn())?;
    let surplus: Vec<Id<TrustedDevice>> = trusted_devices::table
        .filter(trusted_devices::user_id.eq(user))
        .order((trusted_devices::created.desc(), trusted_devices::id.desc()))
        .select(trusted_devices::id)
        .limit(MOST)
        .offset(MOST - 1)
        .load(tx.conn())?;
    let surplus = trusted_devices::table.filter(trusted_devices::id.eq_any(surplus));
    diesel::delete(surplus).execute(tx.conn())?;
    Ok(())
}

/// The user's trusted device with this token, if it is trusted still; its use is noted.
///
/// # Errors
/// The database refused.
pub(crate) fn use_trusted_device(
    tx: &mut Tx<'_>,
    desk: &Desk,
    user: Id<User>,
    token: &str,
) -> Result<Option<Id<TrustedDevice>>, StoreError> {
    let now = tx.now();
    let hash = desk.identity.secrets().hash_token(token);
    let device: Option<Id<TrustedDevice>> = trusted_devices::table
        .filter(trusted_devices::user_id.eq(user))
        .filter(trusted_devices::token_hash.eq(hash))
        .filter(trusted_devices::expires_at.gt(now))
        .select(trusted_devices::id)
        .first(tx.conn())
        .optional()?;
    if let Some(device) = device {
        diesel::update(trusted_devices::table.find(device))
            .set((
                trusted_devices::last_used_at.eq(now),
                trusted_devices::ip_address.eq(desk.request.address.to_string()),
                trusted_devices::user_agent.eq(&desk.request.user_agent),
            ))
            .execute(tx.conn())?;
    }
    Ok(device)
}

/// The devices that a user trusts now, the newest first: [`MOST`] at most.
pub(super) fn all(conn: &mut Conn, user: Id<User>, now: Time) -> Result<Vec<DeviceRow>, StoreError> {
    let query = trusted_devices::table
        .filter(trusted_devices::user_id.eq(user))
        .filter(trusted_devices::expires_at.gt(now))
        .order((trusted_devices::created.desc(), trusted_devices::id.desc()))
        .limit(MOST)
        .select(DeviceRow::as_select());
    Ok(query.load(conn)?)
}

/// One of them, locked.
pub(super) fn lock_one(
    tx: &mut Tx<'_>,
    user: Id<User>,
    id: Id<TrustedDevice>,
) -> Result<Option<DeviceRow>, StoreError> {
    let query = trusted_devices::table
        .filter(trusted_devices::id.eq(id))
        .filter(trusted_devices::user_id.eq(user))
        .filter(trusted_devices::expires_at.gt(tx.now()))
        .select(DeviceRow::as_select());
    Ok(lock("trusted_devices", query).get_result(tx.conn()).optional()?)
}

pub(super) fn delete(tx: &mut Tx<'_>, user: Id<User>, id: Id<TrustedDevice>) -> Result<(), StoreError> {
    let row = trusted_devices::table
        .filter(trusted_devices::id.eq(id))
        .filter(trusted_devices::user_id.eq(user));
    diesel::delete(row).execute(tx.conn())?;
    Ok(())
}

/// Asks a user for the second factor everywhere again. Tells how many devices are forgotten.
///
/// # Errors
/// The database refused.
pub(crate) fn forget_trusted_devices(tx: &mut Tx<'_>, user: Id<User>) -> Result<usize, StoreError> {
    let all = trusted_devices::table.filter(trusted_devices::user_id.eq(user));
    Ok(diesel::delete(all).execute(tx.conn())?)
}

/// Whether this is the hash of a trusted device's token of the user's.
///
/// # Errors
/// The database refused.
pub(crate) fn is_trusted(conn: &mut Conn, user: Id<User>, token_hash: &str) -> Result<bool, StoreError> {
    let device = trusted_devices::table
        .filter(trusted_devices::user_id.eq(user))
        .filter(trusted_devices::token_hash.eq(token_hash));
    Ok(select(exists(device)).get_result(conn)?)
}
