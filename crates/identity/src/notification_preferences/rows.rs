//! How wishes are stored. Every finder takes the user.

use std::collections::{BTreeMap, HashMap};

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::User,
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    api::Digest,
    rules::{Ways, Wishes},
};
use crate::{notifications::Events, schema::notification_preferences};

/// A user's wishes, and when they were last changed, if ever.
pub(super) fn find(conn: &mut Conn, user: Id<User>) -> Result<(Wishes, Option<Time>), StoreError> {
    let query = notification_preferences::table.find(user).select((
        notification_preferences::email_enabled,
        notification_preferences::digest,
        notification_preferences::preferences,
        notification_preferences::modified,
    ));
    let found: Option<(bool, Digest, JsonText, Time)> = query.first(conn).optional()?;
    let Some((email_enabled, digest, kept, modified)) = found else {
        return Ok((Wishes::default(), None));
    };
    Ok((wishes(email_enabled, digest, &kept), Some(modified)))
}

/// The wishes of several users, in one query; a user without any is left out.
pub(crate) fn of_users(
    conn: &mut Conn,
    users: Vec<Id<User>>,
) -> Result<HashMap<Id<User>, Wishes>, StoreError> {
    let query = notification_preferences::table
        .filter(notification_preferences::user_id.eq_any(users))
        .select((
            notification_preferences::user_id,
            notification_preferences::email_enabled,
            notification_preferences::digest,
            notification_preferences::preferences,
        ));
    let found: Vec<(Id<User>, bool, Digest, JsonText)> = query.load(conn)?;
    let each = found
        .into_iter()
        .map(|(user, email_enabled, digest, kept)| (user, wishes(email_enabled, digest, &kept)));
    Ok(each.collect())
}

fn wishes(email_enabled: bool, digest: Digest, kept: &JsonText) -> Wishes {
    // A later version's events may be among them: they are kept.
    let events: BTreeMap<String, Ways> = kept.read().unwrap_or_default();
    Wishes {
        email_enabled,
        digest,
        events,
    }
}

/// Writes wishes whose user is locked.
pub(super) fn save(tx: &mut Tx<'_>, user: Id<User>, wishes: &Wishes, is_new: bool) -> Result<(), StoreError> {
    let values = (
        notification_preferences::email_enabled.eq(wishes.email_enabled),
        notification_preferences::digest.eq(wishes.digest),
        notification_preferences::preferences.eq(JsonText::of(&wishes.events)),
        notification_preferences::modified.eq(tx.now()),
    );
    if is_new {
        diesel::insert_into(notification_preferences::table)
            .values((notification_preferences::user_id.eq(user), values))
            .execute(tx.conn())?;
    } else {
        diesel::update(notification_preferences::table.find(user))
            .set(values)
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Whether an event shall be mailed to a user, one query: what is mandatory always, the rest as the user wishes. An event
/// that nobody has declared counts as mandatory: better a mail too many than one that is missed.
///
/// # Errors
/// The database refused.
pub fn wants_mail(conn: &mut Conn, events: &Events, user: Id<User>, event: &str) -> Result<bool, StoreError> {
    let Some(event) = events.find(event).filter(|event| !event.is_mandatory) else {
        return Ok(true);
    };
    Ok(find(conn, user)?.0.wants_mail(event))
}
