//! The ways that a user has to log in: the last one can't be taken away.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::store::{Conn, StoreError};

use crate::{
    Identity,
    schema::{oauth_connections, webauthn_credentials},
    users::UserRow,
};

/// How a user can log in now. What the settings have switched off does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// A password.
    pub(crate) password: bool,
    /// A mailed code or link: for an address that is known to be the user's.
    pub(crate) passwordless: bool,
    /// Passkeys.
    pub(crate) passkeys: i64,
    /// Accounts at identity providers.
    pub(crate) connections: i64,
}

impl Ways {
    /// Reads them: two queries. To decide on a change by them, the user's row must be locked.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn of(conn: &mut Conn, identity: &Identity, user: &UserRow) -> Result<Self, StoreError> {
        let settings = identity.settings();
        let passkeys = webauthn_credentials::table
            .filter(webauthn_credentials::user_id.eq(user.id))
            .filter(webauthn_credentials::is_passkey.eq(true))
            .count()
            .get_result(conn)?;
        let open = settings
            .oauth
            .iter()
            .filter(|(_, provider)| provider.login_enabled);
        let open: Vec<&str> = open.map(|(slug, _)| slug.as_str()).collect();
        let connections = oauth_connections::table
            .filter(oauth_connections::user_id.eq(user.id))
            .filter(oauth_connections::provider.eq_any(open))
            .count()
            .get_result(conn)?;
        Ok(Self {
            password: settings.password_login && user.password_hash.is_some(),
            passwordless: !settings.passwordless.is_empty() && user.email_verified,
            passkeys,
            connections,
        })
    }

    /// Whether there is any.
    pub(crate) const fn any(self) -> bool {
        self.password || self.passwordless || self.passkeys > 0 || self.connections > 0
    }
}
