//! How second factors are stored. Every finder takes the user.

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl,
    dsl::{exists, select},
};
use kernel::{
    access::User,
    id::Id,
    store::{Conn, StoreError, Tx},
};

use crate::{
    auth::{Desk, MfaMethod},
    schema::{mfa_methods, recovery_codes, trusted_devices, webauthn_credentials},
};

/// Names the ids of trusted devices.
#[derive(Debug)]
pub(crate) enum TrustedDevice {}

/// Which second factors a user has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Factors {
    /// An authenticator app is confirmed.
    pub(crate) totp: bool,
    /// Codes by mail are asked for.
    pub(crate) email: bool,
    /// Passkeys and security keys.
    pub(crate) webauthn: i64,
    /// Unused recovery codes.
    pub(crate) recovery_codes_left: i64,
}

impl Factors {
    /// Reads them: three queries.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn of(conn: &mut Conn, user: Id<User>) -> Result<Self, StoreError> {
        let enabled: Vec<MfaMethod> = mfa_methods::table
            .filter(mfa_methods::user_id.eq(user))
            .filter(mfa_methods::enabled_at.is_not_null())
            .select(mfa_methods::method)
            .load(conn)?;
        let webauthn = webauthn_credentials::table
            .filter(webauthn_credentials::user_id.eq(user))
            .count()
            .get_result(conn)?;
        let recovery_codes_left = recovery_codes::table
            .filter(recovery_codes::user_id.eq(user))
            .filter(recovery_codes::used_at.is_null())
            .count()
            .get_result(conn)?;
        Ok(Self {
            totp: enabled.contains(&MfaMethod::Totp),
            email: enabled.contains(&MfaMethod::Email),
            webauthn,
            recovery_codes_left,
        })
    }

    /// The enabled methods, in the documented order.
    pub(crate) fn methods(&self) -> Vec<MfaMethod> {
        let all = [
            (self.totp, MfaMethod::Totp),
            (self.email, MfaMethod::Email),
            (self.webauthn > 0, MfaMethod::Webauthn),
        ];
        all.into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, method)| method)
            .collect()
    }

    /// Whether a second factor is asked for at all.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.totp || self.email || self.webauthn > 0
    }
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

/// Asks for the second factor on every device again. Tells how many were trusted.
///
/// # Errors
/// The database refused.
pub(crate) fn forget_trusted_devices(tx: &mut Tx<'_>, user: Id<User>) -> Result<usize, StoreError> {
    Ok(
        diesel::delete(trusted_devices::table.filter(trusted_devices::user_id.eq(user)))
            .execute(tx.conn())?,
    )
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
