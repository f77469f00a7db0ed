//! What goes over the wire.

use kernel::{
    access::{ActorType, OrganizationId, ProjectId},
    audit::{AuditRecord, AuditRow, AuditStatus},
    id::{AnyId, Id},
    json::JsonText,
    time::Time,
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

/// The id of an audit record.
pub(super) type AuditRecordId = Id<AuditRecord>;

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditLog {
    #[schema(read_only)]
    id: AuditRecordId,
    #[schema(read_only)]
    organization_id: OrganizationId,
    #[schema(required, read_only)]
    project_id: Option<ProjectId>,
    #[schema(read_only)]
    project_name: Option<String>,
    #[schema(read_only)]
    actor: AuditActor,
    /// Dotted event name. Ex: instance.created, member.role_changed
    #[schema(read_only, max_length = 100)]
    action: String,
    /// Ex: instance, domain, project
    #[schema(read_only, max_length = 50)]
    resource_type: String,
    #[schema(required, read_only, value_type = Option<String>)]
    resource_id: Option<AnyId>,
    #[schema(read_only)]
    resource_name: String,
    #[schema(read_only)]
    status: AuditStatus,
    /// One-line text for humans
    #[schema(required = false, read_only)]
    description: String,
    /// Changed fields with the old and new value; secrets are masked
    #[schema(required = false, schema_with = changes)]
    changes: JsonText,
    #[schema(required, read_only)]
    ip_address: Option<String>,
    #[schema(required = false, read_only)]
    user_agent: String,
    #[schema(read_only)]
    request_id: Option<AnyId>,
    #[schema(read_only)]
    created: Time,
}

/// A user, a key, a token, or onet itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditActor {
    #[serde(rename = "type")]
    #[schema(read_only)]
    actor_type: ActorType,
    #[schema(required, read_only)]
    id: Option<AnyId>,
    #[schema(read_only)]
    name: String,
    #[schema(required, read_only)]
    email: Option<String>,
}

fn changes() -> RefOr<Schema> {
    let value = || ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let change = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("old", value())
        .property("new", value());
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "Changed fields with the old and new value; secrets are masked",
        ))
        .additional_properties(Some(AdditionalProperties::RefOr(change.into())))
        .read_only(true)
        .into()
}

impl AuditLog {
    /// A record of `organization`, with its project's name.
    pub(super) fn new(organization: OrganizationId, row: AuditRow, project_name: Option<String>) -> Self {
        let AuditRow {
            id,
            organization_id: _,
            project_id,
            actor_type,
            actor_id,
            actor_name,
            actor_email,
            action,
            resource_type,
            resource_id,
            resource_name,
            status,
            description,
            changes,
            ip_address,
            user_agent,
            request_id,
            created,
            seal: _,
        } = row;
        Self {
            id,
            organization_id: organization,
            project_id,
            project_name,
            actor: AuditActor {
                actor_type,
                id: actor_id,
                name: actor_name,
                email: actor_email,
            },
            action,
            resource_type,
            resource_id,
            resource_name,
            status,
            description,
            changes,
            ip_address,
            user_agent,
            request_id,
            created,
        }
    }

    /// The record as the fields of a CSV line; what is null is empty.
    pub(super) fn columns(&self) -> [String; 18] {
        fn text<T: ToString>(value: Option<&T>) -> String {
            value.map(ToString::to_string).unwrap_or_default()
        }
        let Self {
            id,
            organization_id: _,
            project_id,
            project_name,
            actor,
            action,
            resource_type,
            resource_id,
            resource_name,
            status,
            description,
            changes,
            ip_address,
            user_agent,
            request_id,
            created,
        } = self;
        [
            id.to_string(),
            created.to_string(),
            actor.actor_type.as_str().to_owned(),
            text(actor.id.as_ref()),
            actor.name.clone(),
            text(actor.email.as_ref()),
            action.clone(),
            resource_type.clone(),
            text(resource_id.as_ref()),
            resource_name.clone(),
            status.as_str().to_owned(),
            description.clone(),
            text(project_id.as_ref()),
            text(project_name.as_ref()),
            text(ip_address.as_ref()),
            user_agent.clone(),
            text(request_id.as_ref()),
            changes.as_str().to_owned(),
        ]
    }
}
