//! How second factors are stored. Every finder takes the user.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};
use kernel::{
    access::User,
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use crate::{
    auth::MfaMethod,
    schema::{mfa_methods, recovery_codes, webauthn_credentials},
};

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
        let all = MfaMethod::ALL.iter().copied();
        all.filter(|method| self.has(*method)).collect()
    }

    /// Whether a method is enabled.
    pub(crate) const fn has(&self, method: MfaMethod) -> bool {
        match method {
            MfaMethod::Totp => self.totp,
            MfaMethod::Email => self.email,
            MfaMethod::Webauthn => self.webauthn > 0,
        }
    }

    /// Whether a second factor is asked for at all.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.totp || self.email || self.webauthn > 0
    }
}

/// A row of `mfa_methods`.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = mfa_methods)]
pub(super) struct MethodRow {
    pub(super) user_id: Id<User>,
    pub(super) method: MfaMethod,
    /// `None` while it waits for its first code.
    pub(super) enabled_at: Option<Time>,
    /// Sealed.
    pub(super) secret: Option<String>,
    /// The last time step whose code was taken.
    pub(super) last_step: i64,
    pub(super) pending_until: Option<Time>,
    pub(super) last_used_at: Option<Time>,
    pub(super) created: Time,
}

/// A method's row, enabled or pending.
pub(super) fn find(
    conn: &mut Conn,
    user: Id<User>,
    method: MfaMethod,
) -> Result<Option<MethodRow>, StoreError> {
    let query = mfa_methods::table
        .filter(mfa_methods::user_id.eq(user))
        .filter(mfa_methods::method.eq(method))
        .select(MethodRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// All rows of a user: two at most.
pub(super) fn all(conn: &mut Conn, user: Id<User>) -> Result<Vec<MethodRow>, StoreError> {
    let query = mfa_methods::table
        .filter(mfa_methods::user_id.eq(user))
        .select(MethodRow::as_select());
    Ok(query.load(conn)?)
}

/// Puts `row` in the place of whatever there is of its method.
pub(super) fn replace(tx: &mut Tx<'_>, row: &MethodRow) -> Result<(), StoreError> {
    remove(tx, row.user_id, row.method)?;
    diesel::insert_into(mfa_methods::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets a method with its secret.
pub(super) fn remove(tx: &mut Tx<'_>, user: Id<User>, method: MfaMethod) -> Result<(), StoreError> {
    let row = mfa_methods::table
        .filter(mfa_methods::user_id.eq(user))
        .filter(mfa_methods::method.eq(method));
    diesel::delete(row).execute(tx.conn())?;
    Ok(())
}

/// Takes a time step's code, once: of many with the same code, or an older one, none but the first is told `true`.
pub(super) fn take_step(tx: &mut Tx<'_>, user: Id<User>, step: i64) -> Result<bool, StoreError> {
    let fresh = mfa_methods::table
        .filter(mfa_methods::user_id.eq(user))
        .filter(mfa_methods::method.eq(MfaMethod::Totp))
        .filter(mfa_methods::last_step.lt(step));
    let taken = diesel::update(fresh)
        .set((
            mfa_methods::last_step.eq(step),
            mfa_methods::last_used_at.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    Ok(taken == 1)
}

/// Notes that a code by mail was taken.
pub(super) fn note_mailed_code(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    let row = mfa_methods::table
        .filter(mfa_methods::user_id.eq(user))
        .filter(mfa_methods::method.eq(MfaMethod::Email));
    diesel::update(row)
        .set(mfa_methods::last_used_at.eq(tx.now()))
        .execute(tx.conn())?;
    Ok(())
}

/// A passkey as the status shows it: when it was made and used.
pub(super) fn passkeys(conn: &mut Conn, user: Id<User>) -> Result<Vec<(Time, Option<Time>)>, StoreError> {
    /// More than anyone may register.
    const MOST: i64 = 1000;
    let query = webauthn_credentials::table
        .filter(webauthn_credentials::user_id.eq(user))
        .order(webauthn_credentials::created)
        .limit(MOST)
        .select((webauthn_credentials::created, webauthn_credentials::last_used_at));
    Ok(query.load(conn)?)
}
