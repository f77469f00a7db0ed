//! The authenticator app (TOTP, RFC 6238).

mod codes;
pub(super) mod confirm;
pub(super) mod disable;
pub(super) mod setup;

use kernel::{
    access::User,
    http::{ApiError, ApiResult},
    id::Id,
    secrets::Sealer,
    store::Tx,
};

use super::rows::{self, MethodRow};
use crate::auth::MfaMethod;

/// Whether `code` is one of the user's app, now, and was not used before. The user's row is locked.
///
/// # Errors
/// The database refused, or the secret can't be opened.
pub(super) fn accept(tx: &mut Tx<'_>, sealer: &Sealer, user: Id<User>, code: &str) -> ApiResult<bool> {
    let row = rows::find(tx.conn(), user, MfaMethod::Totp)?;
    let Some(row) = row.filter(|row| row.enabled_at.is_some()) else {
        return Ok(false);
    };
    match codes::step(&unsealed(sealer, &row)?, code, tx.now())? {
        Some(step) => Ok(rows::take_step(tx, user, step)?),
        None => Ok(false),
    }
}

/// The secret as it lies in the database: useless without the installation's master secret, and elsewhere than in this
/// user's row.
fn sealed(sealer: &Sealer, user: Id<User>, secret: &[u8]) -> String {
    sealer.seal(&context(user), secret)
}

fn unsealed(sealer: &Sealer, row: &MethodRow) -> ApiResult<Vec<u8>> {
    let sealed = row.secret.as_deref().unwrap_or_default();
    sealer
        .open(&context(row.user_id), sealed)
        .map_err(ApiError::internal)
}

fn context(user: Id<User>) -> String {
    format!("mfa_methods/totp/{user}")
}
