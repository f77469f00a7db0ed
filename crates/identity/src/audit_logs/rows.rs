//! How the audit log is read. Every finder takes the organization.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl,
    RunQueryDsl, SelectableHelper, TextExpressionMethods, define_sql_function, sql_types::Text,
};
use kernel::{
    access::{Organization, Project},
    audit::{AuditRecord, AuditRow, AuditStatus, count_records},
    http::contains_pattern,
    id::{Any, Id},
    schema::audit_records,
    store::{Conn, StoreError, sql::MultiBackend},
    time::Time,
};

use crate::schema::projects;

define_sql_function! {
    /// Lower case: of all letters on PostgreSQL, of ASCII letters on SQLite.
    fn lower(text: Text) -> Text;
}

/// Which records are wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) organization: Id<Organization>,
    pub(super) project: Option<Id<Project>>,
    pub(super) actor: Option<Id<Any>>,
    pub(super) action: Option<String>,
    pub(super) resource_type: Option<String>,
    pub(super) resource: Option<Id<Any>>,
    pub(super) status: Option<AuditStatus>,
    pub(super) after: Option<Time>,
    pub(super) before: Option<Time>,
    pub(super) address: Option<String>,
    pub(super) search: Option<String>,
    pub(super) oldest_first: bool,
}

/// The most records that a filtered list counts, and shows.
const MOST_COUNTED: i64 = 10_000;

type Boxed<'a> = audit_records::BoxedQuery<'a, MultiBackend>;

impl Wanted {
    fn query(&self) -> Boxed<'_> {
        let mut query = audit_records::table
            .filter(audit_records::organization_id.eq(self.organization))
            .into_boxed();
        if let Some(project) = self.project {
            query = query.filter(audit_records::project_id.eq(project));
        }
        if let Some(actor) = self.actor {
            query = query.filter(audit_records::actor_id.eq(actor));
        }
        if let Some(action) = &self.action {
            query = query.filter(audit_records::action.eq(action));
        }
        if let Some(resource_type) = &self.resource_type {
            query = query.filter(audit_records::resource_type.eq(resource_type));
        }
        if let Some(resource) = self.resource {
            query = query.filter(audit_records::resource_id.eq(resource));
        }
        if let Some(status) = self.status {
            query = query.filter(audit_records::status.eq(status));
        }
        if let Some(after) = self.after {
            query = query.filter(audit_records::created.ge(after));
        }
        if let Some(before) = self.before {
            query = query.filter(audit_records::created.le(before));
        }
        if let Some(address) = &self.address {
            query = query.filter(audit_records::ip_address.eq(address));
        }
        if let Some(search) = &self.search {
            let pattern = contains_pattern(search);
            let names = lower(audit_records::resource_name)
                .like(pattern.clone())
                .escape('\\');
            let actors = lower(audit_records::actor_name)
                .like(pattern.clone())
                .escape('\\');
            let texts = lower(audit_records::description).like(pattern).escape('\\');
            query = query.filter(names.or(actors).or(texts));
        }
        query
    }

    /// Whether these are all records of the organization.
    const fn is_all(&self) -> bool {
        let Self {
            organization: _,
            project: None,
            actor: None,
            action: None,
            resource_type: None,
            resource: None,
            status: None,
            after: None,
            before: None,
            address: None,
            search: None,
            oldest_first: _,
        } = self
        else {
            return false;
        };
        true
    }

    /// How many records there are; with filters, [`MOST_COUNTED`] for more than that: counting on would cost as much
    /// as reading them.
    pub(super) fn count(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        if self.is_all() {
            return count_records(conn, self.organization);
        }
        let there_are_more = self
            .query()
            .order((audit_records::created.desc(), audit_records::id.desc()))
            .offset(MOST_COUNTED - 1)
            .limit(1)
            .select(audit_records::id);
        if there_are_more.load::<Id<AuditRecord>>(conn)?.is_empty() {
            Ok(self.query().count().get_result(conn)?)
        } else {
            Ok(MOST_COUNTED)
        }
    }

    /// The records of a page of a list of `count`, read from whichever end is nearer.
    pub(super) fn page(
        &self,
        conn: &mut Conn,
        count: i64,
        skip: i64,
        take: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        if !self.is_all() || skip <= count / 2 {
            return self.load(conn, self.oldest_first, skip, take);
        }
        let take = take.min(count - skip);
        let mut records = self.load(conn, !self.oldest_first, count - skip - take, take)?;
        records.reverse();
        Ok(records)
    }

    fn load(
        &self,
        conn: &mut Conn,
        oldest_first: bool,
        skip: i64,
        take: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let page = self.ordered(oldest_first).offset(skip).limit(take);
        Ok(page.select(AuditRow::as_select()).load(conn)?)
    }

    fn ordered(&self, oldest_first: bool) -> Boxed<'_> {
        if oldest_first {
            self.query()
                .order((audit_records::created.asc(), audit_records::id.asc()))
        } else {
            self.query()
                .order((audit_records::created.desc(), audit_records::id.desc()))
        }
    }

    /// The records behind a place in the list, found by their key: as quick at the end as at the beginning.
    pub(super) fn after(
        &self,
        conn: &mut Conn,
        place: Option<(Time, Id<AuditRecord>)>,
        take: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let mut query = self.ordered(self.oldest_first);
        if let Some((created, id)) = place {
            query = if self.oldest_first {
                let behind = audit_records::created.gt(created).or(audit_records::id.gt(id));
                query.filter(audit_records::created.ge(created)).filter(behind)
            } else {
                let behind = audit_records::created.lt(created).or(audit_records::id.lt(id));
                query.filter(audit_records::created.le(created)).filter(behind)
            };
        }
        Ok(query.limit(take).select(AuditRow::as_select()).load(conn)?)
    }
}

/// One record of an organization.
pub(super) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    id: Id<AuditRecord>,
) -> Result<Option<AuditRow>, StoreError> {
    let query = audit_records::table
        .filter(audit_records::id.eq(id))
        .filter(audit_records::organization_id.eq(organization))
        .select(AuditRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// What the projects of these records are called today.
pub(super) fn project_names(
    conn: &mut Conn,
    records: &[AuditRow],
) -> Result<HashMap<Id<Project>, String>, StoreError> {
    let mut ids: Vec<Id<Project>> = records.iter().filter_map(|row| row.project_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let query = projects::table
        .filter(projects::id.eq_any(&ids))
        .select((projects::id, projects::name));
    Ok(query.load(conn)?.into_iter().collect())
}
