//! Users as the API shows them to themselves.

use kernel::store::{Conn, StoreError};

use super::api::User;
use crate::{Identity, access::display_name, mfa::Factors, users::UserRow};

/// A user's own account; reads which second factors they have.
///
/// # Errors
/// The database refused.
pub(crate) fn user(conn: &mut Conn, identity: &Identity, row: UserRow) -> Result<User, StoreError> {
    let factors = Factors::of(conn, row.id)?;
    let UserRow {
        id,
        legacy_id,
        email,
        email_key: _,
        email_verified,
        password_hash,
        first_name,
        last_name,
        phone,
        company_name,
        language,
        timezone,
        marketing_consent,
        is_active,
        is_staff,
        last_login,
        created,
        modified,
        pending_email,
        default_organization_id,
        default_project_id,
        mfa_default: _,
        picture_id,
        deletion_at: _,
        deleted_at: _,
    } = row;
    Ok(User {
        name: display_name(&first_name, &last_name),
        id,
        legacy_id,
        email,
        email_verified,
        pending_email,
        first_name,
        last_name,
        phone,
        company_name,
        language,
        timezone,
        picture: picture_id.map(|id| identity.picture_url(id)),
        default_organization_id,
        default_project_id,
        has_password: password_hash.is_some(),
        mfa_enabled: factors.is_enabled(),
        mfa_methods: factors.methods(),
        marketing_consent,
        is_active,
        is_staff,
        last_login,
        created,
        modified,
    })
}
