//! What goes over the wire.

use kernel::{
    access::{CredentialId, OrganizationId, ProjectId, UserId},
    http::Body,
    openapi::Patched,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type},
};

use crate::{
    credentials::Scope,
    keys::{
        KeyRow,
        api::{Created, Edits, Shown},
    },
};

/// A token for one project, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectToken {
    #[schema(read_only)]
    pub(super) id: CredentialId,
    /// Label that tells what the key is for.
    #[schema(max_length = 255)]
    pub(super) name: String,
    /// First characters of the token, for recognition.
    #[schema(read_only)]
    pub(super) prefix: String,
    /// Permissions of the token inside its project.
    #[schema(schema_with = project_scopes)]
    pub(super) scopes: Vec<Scope>,
    /// Addresses and networks (CIDR) that may use the token; empty means any.
    #[schema(required = false, max_items = 50)]
    pub(super) allowed_ips: Vec<String>,
    /// Key stops working at this time; null never expires.
    pub(super) expires_at: Option<Time>,
    #[schema(required, read_only)]
    pub(super) last_used_at: Option<Time>,
    /// IPv4 or IPv6 address
    #[schema(required, read_only)]
    pub(super) last_used_ip: Option<String>,
    /// False once revoked or expired.
    #[schema(read_only)]
    pub(super) is_active: bool,
    #[schema(required, read_only)]
    pub(super) revoked_at: Option<Time>,
    #[schema(read_only)]
    pub(super) created: Time,
    #[schema(read_only)]
    pub(super) modified: Time,
    #[schema(read_only)]
    pub(super) organization_id: OrganizationId,
    #[schema(read_only)]
    pub(super) project_id: ProjectId,
    #[schema(required, read_only)]
    pub(super) created_by: Option<ProjectTokenCreator>,
}

/// Who made a token: its rights end with theirs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ProjectTokenCreator {
    #[schema(read_only)]
    pub(super) id: UserId,
    #[schema(read_only, format = "email", max_length = 254)]
    pub(super) email: String,
    #[schema(read_only, max_length = 150)]
    pub(super) first_name: String,
    #[schema(read_only, max_length = 150)]
    pub(super) last_name: String,
}

/// The scopes that lie in a project.
fn project_scopes() -> RefOr<Schema> {
    let words: Vec<&str> = Scope::ALL
        .iter()
        .filter(|scope| scope.is_of_project())
        .map(|scope| scope.as_str())
        .collect();
    let item = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words));
    ArrayBuilder::new()
        .items(item)
        .min_items(Some(1))
        .description(Some("Permissions of the token inside its project."))
        .into()
}

impl ProjectToken {
    /// The token as it stands at `now`.
    pub(super) fn at(
        now: Time,
        row: KeyRow,
        (organization_id, project_id): (OrganizationId, ProjectId),
        created_by: Option<ProjectTokenCreator>,
    ) -> Self {
        let is_active = row.is_active(now);
        let KeyRow {
            id,
            kind: _,
            user_id: _,
            name,
            prefix,
            scopes,
            allowed_ips,
            organization_id: _,
            project_id: _,
            expires_at,
            revoked_at,
            last_used_at,
            last_used_ip,
            created,
            modified,
        } = row;
        Self {
            id,
            name,
            prefix,
            scopes: scopes.read().unwrap_or_default(),
            allowed_ips: allowed_ips.read().unwrap_or_default(),
            expires_at,
            last_used_at,
            last_used_ip,
            is_active,
            revoked_at,
            created,
            modified,
            organization_id,
            project_id,
            created_by,
        }
    }
}

impl Shown for ProjectToken {
    const SECRET: &'static str = "token";
    const CREATED: &'static str = "ProjectTokenCreated";
    const MEANING: &'static str = "Full secret; returned only by this response.";
}

/// A token with its secret.
pub(super) type ProjectTokenCreated = Created<ProjectToken>;

/// A token in which nothing is required.
pub(super) type PatchedProjectToken = Patched<ProjectToken>;

/// The body of `create_project_token`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct NewToken(pub(super) Edits);

impl Body for NewToken {
    type Wire = ProjectToken;
}

/// The body of `update_project_token`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct TokenUpdate(Edits);

impl AsRef<Edits> for TokenUpdate {
    fn as_ref(&self) -> &Edits {
        &self.0
    }
}

impl Body for TokenUpdate {
    type Wire = PatchedProjectToken;
    const PARTIAL: bool = true;
}
