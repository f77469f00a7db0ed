//! Who did something, as answers show them.

use std::collections::HashMap;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::users;
use kernel::{
    access::{User, UserId},
    id::Id,
    store::{Conn, StoreError},
    time::Time,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A user, in short.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = UserSummary)]
pub(crate) struct UserSummary {
    #[schema(read_only)]
    pub(crate) id: UserId,
    #[schema(read_only, format = "email")]
    pub(crate) email: String,
    #[schema(read_only)]
    pub(crate) first_name: String,
    #[schema(read_only)]
    pub(crate) last_name: String,
    #[schema(read_only)]
    pub(crate) is_active: bool,
    #[schema(required, read_only)]
    pub(crate) last_login: Option<Time>,
}

/// These users, in one query; none for none.
pub(crate) fn summaries(
    conn: &mut Conn,
    of: impl Iterator<Item = Option<Id<User>>>,
) -> Result<HashMap<Id<User>, UserSummary>, StoreError> {
    let ids: Vec<Id<User>> = of.flatten().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    type Row = (Id<User>, String, String, String, bool, Option<Time>);
    let rows: Vec<Row> = users::table
        .filter(users::id.eq_any(ids))
        .select((
            users::id,
            users::email,
            users::first_name,
            users::last_name,
            users::is_active,
            users::last_login,
        ))
        .load(conn)?;
    let summaries = rows
        .into_iter()
        .map(|(id, email, first_name, last_name, is_active, last_login)| {
            let summary = UserSummary {
                id,
                email,
                first_name,
                last_name,
                is_active,
                last_login,
            };
            (id, summary)
        });
    Ok(summaries.collect())
}
