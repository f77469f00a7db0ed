//! Users, as others in an organization see them.

use std::collections::{HashMap, HashSet};

use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use kernel::{
    access::{User, UserId},
    id::Id,
    language::Language,
    store::{Conn, StoreError},
    time::Time,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::display_name,
    schema::{mfa_methods, users, webauthn_credentials},
};

/// A user's row, as far as others see it or mails need it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub(crate) struct PersonRow {
    pub(crate) id: Id<User>,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) email_verified: bool,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) language: Language,
    pub(crate) is_active: bool,
    pub(crate) last_login: Option<Time>,
}

impl PersonRow {
    /// First and last name, or the address.
    pub(crate) fn name(&self) -> String {
        display_name(&self.first_name, &self.last_name).unwrap_or_else(|| self.email.clone())
    }
}

/// A user, as other members see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UserSummary {
    #[schema(read_only)]
    id: UserId,
    #[schema(read_only, format = "email")]
    email: String,
    #[schema(read_only)]
    first_name: String,
    #[schema(read_only)]
    last_name: String,
    #[schema(read_only)]
    is_active: bool,
    #[schema(required, read_only)]
    last_login: Option<Time>,
}

impl From<PersonRow> for UserSummary {
    fn from(row: PersonRow) -> Self {
        let PersonRow {
            id,
            email,
            email_key: _,
            email_verified: _,
            first_name,
            last_name,
            language: _,
            is_active,
            last_login,
        } = row;
        Self {
            id,
            email,
            first_name,
            last_name,
            is_active,
            last_login,
        }
    }
}

/// One user: the caller, or somebody whose id stands in a row of theirs.
pub(crate) fn find(conn: &mut Conn, id: Id<User>) -> Result<PersonRow, StoreError> {
    let query = users::table
        .filter(users::id.eq(id))
        .select(PersonRow::as_select());
    Ok(query.first(conn)?)
}

/// The users of these ids, which stand in rows that the caller may see.
pub(crate) fn of_ids(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = Id<User>>,
) -> Result<HashMap<Id<User>, PersonRow>, StoreError> {
    let mut ids: Vec<Id<User>> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let query = users::table
        .filter(users::id.eq_any(ids))
        .select(PersonRow::as_select());
    let rows: Vec<PersonRow> = query.load(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Of these users, those who have a second factor: two queries.
pub(crate) fn with_second_factor(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = Id<User>>,
) -> Result<HashSet<Id<User>>, StoreError> {
    let ids: Vec<Id<User>> = ids.into_iter().collect();
    let methods: Vec<Id<User>> = mfa_methods::table
        .filter(mfa_methods::user_id.eq_any(&ids))
        .filter(mfa_methods::enabled_at.is_not_null())
        .select(mfa_methods::user_id)
        .load(conn)?;
    let keys: Vec<Id<User>> = webauthn_credentials::table
        .filter(webauthn_credentials::user_id.eq_any(&ids))
        .select(webauthn_credentials::user_id)
        .load(conn)?;
    Ok(methods.into_iter().chain(keys).collect())
}
