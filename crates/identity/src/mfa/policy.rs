//! Which organizations demand a second factor of their members.

use kernel::{
    access::{Organization, User},
    http::{ApiError, ApiResult},
    id::Id,
    store::{Conn, StoreError},
};

use super::Factors;

/// The user's organizations that demand a second factor.
///
/// Organizations have no such policy yet. Where one is added, this is what reads it: the status shows the answer, and
/// [`check_removal`] acts on it.
///
/// # Errors
/// The database refused.
pub(super) fn required_by(conn: &mut Conn, user: Id<User>) -> Result<Vec<Id<Organization>>, StoreError> {
    let _ = (conn, user);
    Ok(Vec::new())
}

/// Lets a method go if another one is left, or nobody demands one.
///
/// # Errors
/// 409 for the last one, while an organization demands a second factor.
pub(super) fn check_removal(conn: &mut Conn, user: Id<User>, left: &Factors) -> ApiResult<()> {
    if left.is_enabled() || required_by(conn, user)?.is_empty() {
        return Ok(());
    }
    Err(ApiError::conflict(
        "An organization of yours demands a second factor: enable another one first.",
    ))
}
