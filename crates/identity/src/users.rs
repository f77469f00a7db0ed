//! Users, as they are stored.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
};
use kernel::{
    access::{ActorType, Caller, Credential, Organization, Project, User},
    id::{Any, Id},
    language::Language,
    store::{Conn, StoreError, Tx, lock as locked},
    time::Time,
};

use crate::{access::display_name, auth::MfaMethod, schema::users};

/// A row of `users`.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub(crate) struct UserRow {
    pub(crate) id: Id<User>,
    pub(crate) legacy_id: i64,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) email_verified: bool,
    pub(crate) password_hash: Option<String>,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) phone: String,
    pub(crate) company_name: String,
    pub(crate) language: Language,
    pub(crate) timezone: String,
    pub(crate) marketing_consent: bool,
    pub(crate) is_active: bool,
    pub(crate) is_staff: bool,
    pub(crate) last_login: Option<Time>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
    pub(crate) pending_email: Option<String>,
    pub(crate) default_organization_id: Option<Id<Organization>>,
    pub(crate) default_project_id: Option<Id<Project>>,
    pub(crate) mfa_default: Option<MfaMethod>,
    pub(crate) picture_id: Option<Id<Any>>,
    pub(crate) deletion_at: Option<Time>,
    pub(crate) deleted_at: Option<Time>,
}

impl UserRow {
    /// A user with this address and nothing else.
    pub(crate) fn new(id: Id<User>, legacy_id: i64, email: &str, now: Time) -> Self {
        Self {
            id,
            legacy_id,
            email: email.to_owned(),
            email_key: email_key(email),
            email_verified: false,
            password_hash: None,
            first_name: String::new(),
            last_name: String::new(),
            phone: String::new(),
            company_name: String::new(),
            language: Language::En,
            timezone: "UTC".to_owned(),
            marketing_consent: false,
            is_active: true,
            is_staff: false,
            last_login: None,
            created: now,
            modified: now,
            pending_email: None,
            default_organization_id: None,
            default_project_id: None,
            mfa_default: None,
            picture_id: None,
            deletion_at: None,
            deleted_at: None,
        }
    }

    /// First and last name joined, if there is any.
    pub(crate) fn name(&self) -> Option<String> {
        display_name(&self.first_name, &self.last_name)
    }

    /// The user as the caller in a session: for audit records of what happens before there is a token.
    pub(crate) fn caller(&self, session: Id<Credential>) -> Caller {
        let name = self.name().unwrap_or_else(|| self.email.clone());
        Caller {
            user: self.id,
            email: self.email.clone(),
            name: name.clone(),
            is_staff: self.is_staff,
            actor_type: ActorType::User,
            credential: session,
            credential_name: name,
            scopes: None,
            organization: None,
            project: None,
            expires_at: None,
            authenticated_at: None,
        }
    }
}

/// How addresses are compared: without white space around them, in lower case.
pub(crate) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The user with this address.
pub(crate) fn find_by_email(conn: &mut Conn, email_key: &str) -> Result<Option<UserRow>, StoreError> {
    let row = users::table.filter(users::email_key.eq(email_key));
    Ok(row.first(conn).optional()?)
}

/// A user that surely exists: the owner of a credential.
pub(crate) fn find(conn: &mut Conn, id: Id<User>) -> Result<UserRow, StoreError> {
    Ok(users::table.find(id).first(conn)?)
}

/// The same, locked until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, id: Id<User>) -> Result<UserRow, StoreError> {
    let query = users::table.filter(users::id.eq(id));
    Ok(locked("users", query).get_result(tx.conn())?)
}

/// Notes that the user's row has changed: it shows which ways to log in there are.
pub(crate) fn touch(tx: &mut Tx<'_>, id: Id<User>) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::modified.eq(tx.now()))
        .execute(tx.conn())?;
    Ok(())
}

/// Writes whether the address is known to be the user's.
pub(crate) fn set_verified(tx: &mut Tx<'_>, id: Id<User>, verified: bool) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::email_verified.eq(verified))
        .execute(tx.conn())?;
    Ok(())
}

/// Writes whether the user wants to hear of news.
pub(crate) fn set_marketing_consent(tx: &mut Tx<'_>, id: Id<User>, given: bool) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::marketing_consent.eq(given))
        .execute(tx.conn())?;
    Ok(())
}
