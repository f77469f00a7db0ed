//! How the audit log is read. Every finder takes the organization.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl,
    RunQueryDsl, SelectableHelper, TextExpressionMethods, define_sql_function, sql_types::Text,
};
use kernel::{
    access::{Organization, Project},
    audit::{AuditRecord, AuditRow, AuditStatus},
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
    pub(super) search: Option<String>,
    pub(super) oldest_first: bool,
}

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

    /// How many records there are: read from an index alone unless filtered further.
    pub(super) fn count(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        Ok(self.query().count().get_result(conn)?)
    }

    /// The records of a page.
    pub(super) fn load(&self, conn: &mut Conn, skip: i64, take: i64) -> Result<Vec<AuditRow>, StoreError> {
        let query = self.query();
        let query = if self.oldest_first {
            query.order((audit_records::created.asc(), audit_records::id.asc()))
        } else {
            query.order((audit_records::created.desc(), audit_records::id.desc()))
        };
        let page = query.offset(skip).limit(take).select(AuditRow::as_select());
        Ok(page.load(conn)?)
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
