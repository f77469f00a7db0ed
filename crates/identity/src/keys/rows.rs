//! How keys are stored. Every finder takes the holder: there is no way to ask for a key without saying whose.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Credential, Organization, Project, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
    time::Time,
};

use crate::{
    credentials::CredentialKind,
    schema::{credentials, memberships, projects, users},
};

/// Rows that a list answers at most; the newest come first.
const MOST_LISTED: i64 = 500;

/// Whose keys are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    /// The API keys of a user.
    User(Id<User>),
    /// The tokens of a project.
    Project(Id<Project>),
}

impl Holder {
    pub(crate) const fn kind(self) -> CredentialKind {
        match self {
            Self::User(_) => CredentialKind::ApiKey,
            Self::Project(_) => CredentialKind::ProjectToken,
        }
    }
}

/// A key's row, without its hash.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub(crate) struct KeyRow {
    pub(crate) id: Id<Credential>,
    pub(crate) kind: CredentialKind,
    pub(crate) user_id: Id<User>,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) scopes: JsonText,
    pub(crate) allowed_ips: JsonText,
    pub(crate) organization_id: Option<Id<Organization>>,
    pub(crate) project_id: Option<Id<Project>>,
    pub(crate) expires_at: Option<Time>,
    pub(crate) revoked_at: Option<Time>,
    pub(crate) last_used_at: Option<Time>,
    pub(crate) last_used_ip: Option<String>,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

impl KeyRow {
    /// Whether the key works at `now`, as far as the key goes.
    pub(crate) fn is_active(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// How a key's or token's row begins.
#[derive(Clone, Insertable)]
#[diesel(table_name = credentials)]
pub(crate) struct NewCredential {
    pub(crate) id: Id<Credential>,
    pub(crate) kind: CredentialKind,
    pub(crate) user_id: Id<User>,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) secret_hash: String,
    pub(crate) scopes: JsonText,
    pub(crate) allowed_ips: JsonText,
    pub(crate) organization_id: Option<Id<Organization>>,
    pub(crate) project_id: Option<Id<Project>>,
    pub(crate) expires_at: Option<Time>,
    pub(crate) user_agent: String,
    pub(crate) created: Time,
    pub(crate) modified: Time,
}

pub(crate) fn insert(tx: &mut Tx<'_>, row: &NewCredential) -> Result<(), StoreError> {
    diesel::insert_into(credentials::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

type Boxed<'a> = credentials::BoxedQuery<'a, MultiBackend>;

fn held_by<'a>(holder: Holder) -> Boxed<'a> {
    let query = credentials::table
        .filter(credentials::kind.eq(holder.kind()))
        .into_boxed();
    match holder {
        Holder::User(user) => query.filter(credentials::user_id.eq(user)),
        Holder::Project(project) => query.filter(credentials::project_id.eq(project)),
    }
}

fn still_working<'a>(query: Boxed<'a>, now: Time) -> Boxed<'a> {
    query.filter(credentials::revoked_at.is_null()).filter(
        credentials::expires_at
            .is_null()
            .or(credentials::expires_at.gt(now)),
    )
}

/// Which keys a list shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Revoked and expired ones too.
    pub(crate) include_inactive: bool,
    /// Only those limited to this organization.
    pub(crate) organization: Option<Id<Organization>>,
}

/// The newest keys of a holder.
pub(crate) fn list(
    conn: &mut Conn,
    holder: Holder,
    wanted: Wanted,
    now: Time,
) -> Result<Vec<KeyRow>, StoreError> {
    let mut query = held_by(holder);
    if !wanted.include_inactive {
        query = still_working(query, now);
    }
    if let Some(organization) = wanted.organization {
        query = query.filter(credentials::organization_id.eq(organization));
    }
    let query = query
        .order((credentials::created.desc(), credentials::id.desc()))
        .limit(MOST_LISTED)
        .select(KeyRow::as_select());
    Ok(query.load(conn)?)
}

pub(crate) fn find(
    conn: &mut Conn,
    holder: Holder,
    id: Id<Credential>,
) -> Result<Option<KeyRow>, StoreError> {
    let query = held_by(holder)
        .filter(credentials::id.eq(id))
        .select(KeyRow::as_select());
    Ok(query.first(conn).optional()?)
}

pub(crate) fn lock_one(
    tx: &mut Tx<'_>,
    holder: Holder,
    id: Id<Credential>,
) -> Result<Option<KeyRow>, StoreError> {
    let query = held_by(holder)
        .filter(credentials::id.eq(id))
        .select(KeyRow::as_select());
    Ok(lock("credentials", query).get_result(tx.conn()).optional()?)
}

/// The key with this secret, locked: the present one, or the former one while it still works. Whoever shows a secret
/// needs no other right to end it.
pub(crate) fn lock_by_secret(tx: &mut Tx<'_>, hash: &str) -> Result<Option<KeyRow>, StoreError> {
    let present = credentials::table
        .filter(credentials::secret_hash.eq(hash))
        .select(KeyRow::as_select());
    let found: Option<KeyRow> = lock("credentials", present).get_result(tx.conn()).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let former = credentials::table
        .filter(credentials::previous_hash.eq(hash))
        .filter(credentials::previous_until.gt(tx.now()))
        .select(KeyRow::as_select());
    Ok(lock("credentials", former).get_result(tx.conn()).optional()?)
}

/// Lets one transaction at a time make keys for the holder, so that the limit holds.
pub(super) fn lock_holder(tx: &mut Tx<'_>, holder: Holder) -> Result<(), StoreError> {
    match holder {
        Holder::User(user) => {
            let query = users::table.filter(users::id.eq(user)).select(users::id);
            let _: Id<User> = lock("users", query).get_result(tx.conn())?;
        }
        Holder::Project(project) => {
            let query = projects::table
                .filter(projects::id.eq(project))
                .select(projects::id);
            let _: Id<Project> = lock("projects", query).get_result(tx.conn())?;
        }
    }
    Ok(())
}

/// How many keys of the holder still work.
pub(super) fn count_active(tx: &mut Tx<'_>, holder: Holder) -> Result<i64, StoreError> {
    let query = still_working(held_by(holder), tx.now()).count();
    Ok(query.get_result(tx.conn())?)
}

/// The organizations that the user belongs to.
pub(crate) fn organizations_of(tx: &mut Tx<'_>, user: Id<User>) -> Result<Vec<Id<Organization>>, StoreError> {
    let query = memberships::table
        .filter(memberships::user_id.eq(user))
        .select(memberships::organization_id);
    Ok(query.load(tx.conn())?)
}

/// Writes what a client may change of a key.
pub(super) fn update(tx: &mut Tx<'_>, row: &KeyRow) -> Result<(), StoreError> {
    diesel::update(credentials::table.filter(credentials::id.eq(row.id)))
        .set((
            credentials::name.eq(&row.name),
            credentials::scopes.eq(&row.scopes),
            credentials::allowed_ips.eq(&row.allowed_ips),
            credentials::expires_at.eq(row.expires_at),
            credentials::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Gives the key another secret. The present one works until `former_until`, if that is given; one that was replaced
/// earlier ends in any case.
pub(super) fn replace_secret(
    tx: &mut Tx<'_>,
    row: &KeyRow,
    hash: &str,
    former_until: Option<Time>,
) -> Result<(), StoreError> {
    let target = credentials::table.filter(credentials::id.eq(row.id));
    let former: Option<String> = target.select(credentials::secret_hash).get_result(tx.conn())?;
    diesel::update(target)
        .set((
            credentials::secret_hash.eq(hash),
            credentials::prefix.eq(&row.prefix),
            credentials::expires_at.eq(row.expires_at),
            credentials::previous_hash.eq(former.filter(|_| former_until.is_some())),
            credentials::previous_until.eq(former_until),
            credentials::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn revoke(tx: &mut Tx<'_>, id: Id<Credential>) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(credentials::table.filter(credentials::id.eq(id)))
        .set((credentials::revoked_at.eq(now), credentials::modified.eq(now)))
        .execute(tx.conn())?;
    Ok(())
}

/// What a project is called.
pub(super) fn project_name(tx: &mut Tx<'_>, project: Id<Project>) -> Result<String, StoreError> {
    Ok(projects::table
        .find(project)
        .select(projects::name)
        .get_result(tx.conn())?)
}
