//! What happened: one record a change, in the transaction of the change.
//!
//! Records are sealed when they are written ([`seal`]) and put into a chain a moment later ([`sealer`]), so that
//! [`verify`] finds out whether one was changed, removed, moved or slipped in. The reasons are in
//! `docs/decisions/0022-audit-chain.md`.

mod chain;
mod keep;
mod seal;
pub mod sealer;
pub mod verify;

use diesel::{Insertable, Queryable, RunQueryDsl, Selectable};
use serde_json::{Map, Value};

pub use self::{
    chain::{Chain, chain_of, count_records},
    keep::forget_old,
    seal::SealKey,
};
use crate::{
    access::{ActorType, Caller, Organization, Project},
    http::RequestFacts,
    id::{Any, Id},
    json::JsonText,
    schema::audit_records,
    store::{StoreError, Tx},
    time::Time,
};

crate::words! {
    /// Whether what was tried was done.
    pub enum AuditStatus {
        /// It was done.
        Success = "success",
        /// It was refused or failed.
        Failure = "failure",
    }
}

/// Names the ids of audit records.
#[derive(Debug)]
pub enum AuditRecord {}

/// A row of the audit log.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_records)]
#[expect(
    missing_docs,
    reason = "the columns are documented where they are answered, in identity's audit log"
)]
pub struct AuditRow {
    pub id: Id<AuditRecord>,
    pub organization_id: Option<Id<Organization>>,
    pub project_id: Option<Id<Project>>,
    pub actor_type: ActorType,
    pub actor_id: Option<Id<Any>>,
    pub actor_name: String,
    pub actor_email: Option<String>,
    pub action: String,
    pub resource_type: String,
    pub resource_id: Option<Id<Any>>,
    pub resource_name: String,
    pub status: AuditStatus,
    pub description: String,
    pub changes: JsonText,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub request_id: Option<Id<Any>>,
    pub created: Time,
    pub seal: String,
}

/// Who did it, and from where.
#[derive(Clone, Debug)]
pub struct Origin {
    actor_type: ActorType,
    actor_id: Option<Id<Any>>,
    actor_name: String,
    actor_email: Option<String>,
    request: Option<RequestFacts>,
}

impl Origin {
    /// A caller's request.
    pub fn caller(caller: &Caller, request: &RequestFacts) -> Self {
        let actor_id = match caller.actor_type {
            ActorType::User => caller.user.cast(),
            ActorType::ApiKey | ActorType::ProjectToken | ActorType::System => caller.credential.cast(),
        };
        Self {
            actor_type: caller.actor_type,
            actor_id: Some(actor_id),
            actor_name: caller.credential_name.clone(),
            actor_email: Some(caller.email.clone()),
            request: Some(request.clone()),
        }
    }

    /// onet itself: a task, a reconciler, an operator's command.
    pub fn system(name: &str) -> Self {
        Self {
            actor_type: ActorType::System,
            actor_id: None,
            actor_name: name.to_owned(),
            actor_email: None,
            request: None,
        }
    }

    /// The request, if one is behind it.
    pub const fn request(&self) -> Option<&RequestFacts> {
        self.request.as_ref()
    }
}

/// What was done to which resource.
#[derive(Clone, Debug)]
pub struct Event {
    /// Dotted name: `instance.updated`.
    pub action: &'static str,
    /// The API's word for the resource: `instance`.
    pub resource_type: &'static str,
    /// The resource.
    pub resource_id: Id<Any>,
    /// Its name at that time.
    pub resource_name: String,
    /// One line for humans.
    pub description: String,
    /// Changed fields; secrets are never put in.
    pub changes: Changes,
    /// Whether it was done.
    pub status: AuditStatus,
}

/// Fields with their old and new value: `{"name": {"old": …, "new": …}}`.
#[derive(Clone, Debug, Default)]
pub struct Changes(Map<String, Value>);

impl Changes {
    /// Notes a field if its value changes.
    pub fn note<T: serde::Serialize + PartialEq>(&mut self, field: &str, old: &T, new: &T) {
        if old != new {
            self.0
                .insert(field.to_owned(), serde_json::json!({ "old": old, "new": new }));
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the changed fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Tx<'_> {
    /// Records an event in this transaction.
    ///
    /// # Errors
    /// The database refused.
    pub fn audit(
        &mut self,
        origin: &Origin,
        organization: Option<Id<Organization>>,
        project: Option<Id<Project>>,
        event: &Event,
    ) -> Result<(), StoreError> {
        let request = origin.request.as_ref();
        let mut row = AuditRow {
            id: Id::new(),
            organization_id: organization,
            project_id: project,
            actor_type: origin.actor_type,
            actor_id: origin.actor_id,
            actor_name: origin.actor_name.clone(),
            actor_email: origin.actor_email.clone(),
            action: event.action.to_owned(),
            resource_type: event.resource_type.to_owned(),
            resource_id: Some(event.resource_id),
            resource_name: event.resource_name.clone(),
            status: event.status,
            description: event.description.clone(),
            changes: JsonText::of(&event.changes.0),
            ip_address: request.map(|request| request.address.to_string()),
            user_agent: request
                .map(|request| request.user_agent.clone())
                .unwrap_or_default(),
            request_id: request.map(|request| request.id.cast()),
            created: self.now(),
            seal: String::new(),
        };
        if let Some(key) = self.seal_key() {
            row.seal = key.record(&row);
        }
        diesel::insert_into(audit_records::table)
            .values(&row)
            .execute(self.conn())?;
        Ok(())
    }
}
