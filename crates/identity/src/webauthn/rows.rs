//! How passkeys are stored. Every finder takes the user, but the one that learns from a passkey who that is.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};
use kernel::{
    access::User,
    http::ApiError,
    id::{AnyId, Id},
    json::JsonText,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use webauthn_rs_core::proto::Credential;

use crate::schema::webauthn_credentials;

/// Passkeys that a user can have.
pub(super) const MOST: i64 = 20;

/// Names the ids of passkeys.
#[derive(Debug)]
pub(super) enum Passkey {}
/// The id of a passkey.
pub(super) type PasskeyId = Id<Passkey>;

/// A row of `webauthn_credentials`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = webauthn_credentials)]
pub(super) struct PasskeyRow {
    pub(super) id: PasskeyId,
    pub(super) user_id: Id<User>,
    pub(super) name: String,
    pub(super) credential_id: String,
    pub(super) credential: JsonText,
    pub(super) aaguid: Option<AnyId>,
    pub(super) transports: JsonText,
    pub(super) is_passkey: bool,
    pub(super) is_backed_up: bool,
    pub(super) last_used_at: Option<Time>,
    pub(super) created: Time,
    pub(super) modified: Time,
}

impl PasskeyRow {
    /// Public key, counter and flags.
    pub(super) fn credential(&self) -> Result<Credential, ApiError> {
        self.credential.read().map_err(ApiError::internal)
    }
}

/// How an authenticator's own id is written.
pub(super) fn text(credential_id: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(credential_id)
}

/// A user's passkeys, the oldest first.
pub(super) fn of_user(conn: &mut Conn, user: Id<User>) -> Result<Vec<PasskeyRow>, StoreError> {
    let query = webauthn_credentials::table
        .filter(webauthn_credentials::user_id.eq(user))
        .order((webauthn_credentials::created, webauthn_credentials::id))
        .limit(MOST)
        .select(PasskeyRow::as_select());
    Ok(query.load(conn)?)
}

/// One of a user's passkeys.
pub(super) fn find(conn: &mut Conn, user: Id<User>, id: PasskeyId) -> Result<Option<PasskeyRow>, StoreError> {
    let query = webauthn_credentials::table
        .filter(webauthn_credentials::user_id.eq(user))
        .filter(webauthn_credentials::id.eq(id))
        .select(PasskeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The passkey that an authenticator knows by this id, whoever's it is.
pub(super) fn find_by_credential(
    conn: &mut Conn,
    credential_id: &[u8],
) -> Result<Option<PasskeyRow>, StoreError> {
    let query = webauthn_credentials::table
        .filter(webauthn_credentials::credential_id.eq(text(credential_id)))
        .select(PasskeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &PasskeyRow) -> Result<(), StoreError> {
    diesel::insert_into(webauthn_credentials::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes what a use has changed.
pub(super) fn note_use(tx: &mut Tx<'_>, id: PasskeyId, credential: &Credential) -> Result<(), StoreError> {
    diesel::update(webauthn_credentials::table.find(id))
        .set((
            webauthn_credentials::credential.eq(JsonText::of(credential)),
            webauthn_credentials::is_backed_up.eq(credential.backup_state),
            webauthn_credentials::last_used_at.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn rename(tx: &mut Tx<'_>, id: PasskeyId, name: &str) -> Result<(), StoreError> {
    diesel::update(webauthn_credentials::table.find(id))
        .set((
            webauthn_credentials::name.eq(name),
            webauthn_credentials::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, id: PasskeyId) -> Result<(), StoreError> {
    diesel::delete(webauthn_credentials::table.find(id)).execute(tx.conn())?;
    Ok(())
}
