//! The table of console sessions.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Credential, Organization, Project, User},
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    api::{ConsoleStatus, ConsoleType, SessionId, SessionKind},
    ending::Ending,
};
use crate::{
    hosts::Host,
    instances::api::{InstanceKind, InstanceStatus},
    machines::Power,
    schema::{console_sessions, instance_states, instances, machines},
};

/// How long a session is believed to be connected after its node has last said so. Nodes say it every half a minute.
const SILENCE: Duration = Duration::from_secs(90);
/// How long sessions that are over can be looked at.
const KEPT: Duration = Duration::from_hours(24);

/// A row of `console_sessions`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = console_sessions)]
pub(super) struct SessionRow {
    pub(super) id: Id<SessionKind>,
    pub(super) organization_id: Id<Organization>,
    pub(super) project_id: Id<Project>,
    pub(super) instance_id: Id<InstanceKind>,
    pub(super) user_id: Id<User>,
    pub(super) credential_id: Id<Credential>,
    pub(super) console_type: ConsoleType,
    pub(super) token_hash: Option<String>,
    pub(super) status: ConsoleStatus,
    pub(super) expires_at: Time,
    pub(super) seen_at: Option<Time>,
    pub(super) created: Time,
    pub(super) closed_at: Option<Time>,
    pub(super) ending: Option<Ending>,
}

impl SessionRow {
    /// Where it stands, whether or not somebody has written that down.
    pub(super) fn status_at(&self, now: Time) -> ConsoleStatus {
        let is_silent = |seen: Time| now.since(seen) > SILENCE;
        match self.status {
            ConsoleStatus::Pending | ConsoleStatus::Ready | ConsoleStatus::Connected
                if self.expires_at <= now =>
            {
                ConsoleStatus::Expired
            }
            ConsoleStatus::Connected if self.seen_at.is_none_or(is_silent) => ConsoleStatus::Closed,
            status => status,
        }
    }

    /// What nobody can use or has used up is not shown any more.
    pub(super) fn is_shown(&self, now: Time) -> bool {
        self.status_at(now) != ConsoleStatus::Expired
    }
}

fn before(now: Time, span: Duration) -> Time {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Time::from_micros(now.micros().saturating_sub(span))
}

/// One session of an instance of a project.
pub(super) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
    id: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    Ok(console_sessions::table
        .find(id)
        .filter(console_sessions::project_id.eq(project))
        .filter(console_sessions::instance_id.eq(instance))
        .select(SessionRow::as_select())
        .first(conn)
        .optional()?)
}

/// The session that a token is for: whoever has it needs no other scope.
pub(super) fn find_by_token(
    conn: &mut Conn,
    id: SessionId,
    token_hash: &str,
    now: Time,
) -> Result<Option<SessionRow>, StoreError> {
    Ok(console_sessions::table
        .find(id)
        .filter(console_sessions::token_hash.eq(token_hash))
        .filter(console_sessions::status.eq(ConsoleStatus::Ready))
        .filter(console_sessions::expires_at.gt(now))
        .select(SessionRow::as_select())
        .first(conn)
        .optional()?)
}

/// Writes a new session.
pub(super) fn insert(tx: &mut Tx<'_>, row: &SessionRow) -> Result<(), StoreError> {
    diesel::insert_into(console_sessions::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// How many sessions of an instance are open: wait for their client, or have one.
pub(super) fn count_open(conn: &mut Conn, instance: Id<InstanceKind>, now: Time) -> Result<i64, StoreError> {
    let waits = console_sessions::status.eq(ConsoleStatus::Ready);
    let has_client = console_sessions::status
        .eq(ConsoleStatus::Connected)
        .and(console_sessions::seen_at.gt(Some(before(now, SILENCE))));
    Ok(console_sessions::table
        .filter(console_sessions::instance_id.eq(instance))
        .filter(console_sessions::expires_at.gt(now))
        .filter(waits.or(has_client))
        .count()
        .get_result(conn)?)
}

/// Forgets the sessions of an instance whose time was over long ago.
pub(super) fn forget_old(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    let last = before(tx.now(), KEPT);
    let old = console_sessions::table
        .filter(console_sessions::instance_id.eq(instance))
        .filter(console_sessions::expires_at.lt(last));
    diesel::delete(old).execute(tx.conn())?;
    Ok(())
}

/// Uses the token up: of two clients that show it, one gets `true`.
pub(super) fn connect(
    tx: &mut Tx<'_>,
    id: SessionId,
    token_hash: &str,
    until: Time,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let ready = console_sessions::table
        .find(id)
        .filter(console_sessions::token_hash.eq(token_hash))
        .filter(console_sessions::status.eq(ConsoleStatus::Ready))
        .filter(console_sessions::expires_at.gt(now));
    let used = diesel::update(ready)
        .set((
            console_sessions::token_hash.eq(None::<String>),
            console_sessions::status.eq(ConsoleStatus::Connected),
            console_sessions::expires_at.eq(until),
            console_sessions::seen_at.eq(Some(now)),
        ))
        .execute(tx.conn())?;
    Ok(used == 1)
}

/// The other sessions that are on an instance's serial line.
pub(super) fn others_on_serial(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    but: SessionId,
) -> Result<Vec<SessionId>, StoreError> {
    Ok(console_sessions::table
        .filter(console_sessions::instance_id.eq(instance))
        .filter(console_sessions::status.eq(ConsoleStatus::Connected))
        .filter(console_sessions::console_type.eq(ConsoleType::Serial))
        .filter(console_sessions::id.ne(but))
        .select(console_sessions::id)
        .load(tx.conn())?)
}

/// Says that this node still serves the session.
pub(super) fn seen(tx: &mut Tx<'_>, id: SessionId) -> Result<(), StoreError> {
    let connected = console_sessions::table
        .find(id)
        .filter(console_sessions::status.eq(ConsoleStatus::Connected));
    diesel::update(connected)
        .set(console_sessions::seen_at.eq(Some(tx.now())))
        .execute(tx.conn())?;
    Ok(())
}

/// Ends a session. `false`: it had ended already, and whoever ended it has told.
pub(super) fn end(tx: &mut Tx<'_>, id: SessionId, ending: Ending) -> Result<bool, StoreError> {
    let open = console_sessions::table
        .find(id)
        .filter(console_sessions::status.ne_all([ConsoleStatus::Closed, ConsoleStatus::Expired]));
    let ended = diesel::update(open)
        .set((
            console_sessions::token_hash.eq(None::<String>),
            console_sessions::status.eq(ending.status()),
            console_sessions::closed_at.eq(Some(tx.now())),
            console_sessions::ending.eq(Some(ending)),
        ))
        .execute(tx.conn())?;
    Ok(ended == 1)
}

/// What decides whether a console may stay open, but for the rights of whoever opened it.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Watched {
    pub(super) status: ConsoleStatus,
    pub(super) ending: Option<Ending>,
    pub(super) expires_at: Time,
    instance_status: InstanceStatus,
    pub(super) instance_name: String,
    /// Where the machine is; `None` when there is none any more.
    pub(super) host: Option<Id<Host>>,
    power: Option<Power>,
    vm_status: Option<String>,
}

impl Watched {
    /// Whether there is a machine to look at. One that is about to switch itself off can be looked at until it has.
    pub(super) fn runs(&self) -> bool {
        let was_seen = self.vm_status.as_deref() == Some("running");
        self.instance_status == InstanceStatus::Active
            && (self.power == Some(Power::On) || self.power.is_some() && was_seen)
    }
}

/// Reads that at one moment; `None`: there is no such session.
pub(super) fn watched(conn: &mut Conn, id: SessionId) -> Result<Option<Watched>, StoreError> {
    Ok(console_sessions::table
        .inner_join(instances::table.on(instances::id.eq(console_sessions::instance_id)))
        .left_join(machines::table.on(machines::instance_id.eq(instances::id)))
        .left_join(instance_states::table.on(instance_states::instance_id.eq(instances::id)))
        .filter(console_sessions::id.eq(id))
        .select((
            console_sessions::status,
            console_sessions::ending,
            console_sessions::expires_at,
            instances::status,
            instances::name,
            machines::host_id.nullable(),
            machines::power.nullable(),
            instance_states::vm_status.nullable(),
        ))
        .first(conn)
        .optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: ConsoleStatus, expires_at: i64, seen_at: Option<i64>) -> SessionRow {
        let second = |second: i64| Time::from_micros(second * 1_000_000);
        SessionRow {
            id: Id::new(),
            organization_id: Id::new(),
            project_id: Id::new(),
            instance_id: Id::new(),
            user_id: Id::new(),
            credential_id: Id::new(),
            console_type: ConsoleType::Serial,
            token_hash: None,
            status,
            expires_at: second(expires_at),
            seen_at: seen_at.map(second),
            created: second(0),
            closed_at: None,
            ending: None,
        }
    }

    #[test]
    fn a_status_is_what_it_has_become() {
        use ConsoleStatus::{Closed, Connected, Expired, Ready};
        let at = |row: SessionRow, second: i64| row.status_at(Time::from_micros(second * 1_000_000));
        assert_eq!(at(row(Ready, 60, None), 59), Ready);
        assert_eq!(at(row(Ready, 60, None), 60), Expired);
        assert_eq!(at(row(Connected, 900, Some(100)), 190), Connected);
        assert_eq!(at(row(Connected, 900, Some(100)), 191), Closed);
        assert_eq!(at(row(Connected, 900, Some(899)), 900), Expired);
        assert_eq!(at(row(Closed, 60, None), 900), Closed);
    }
}
