//! SSH keys as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    access::{OrganizationId, ProjectId, UserId},
    http::{Body, NamedInPaths, PageOf},
    id::Id,
    openapi::{Whole, WriteOnly},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{PlacedRow, SshKeyRow};

/// Names the ids of SSH keys.
#[derive(Debug)]
pub enum SshKeyKind {}
/// The id of an SSH key.
pub type SshKeyId = Id<SshKeyKind>;

impl NamedInPaths for SshKeyKind {
    const NAME: &'static str = "ssh_key_id";
}

/// One page of keys.
pub(crate) type SSHKeyPage = PageOf<SSHKey>;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SSHKey {
    #[schema(read_only)]
    id: SshKeyId,
    #[schema(read_only)]
    organization_id: OrganizationId,
    #[schema(read_only)]
    project_id: ProjectId,
    #[schema(max_length = 255)]
    name: String,
    /// OpenSSH public key line: ssh-ed25519, ssh-rsa, ecdsa-sha2-*, sk-*; a private key is refused
    public_key: String,
    /// SHA256:... of the key
    #[schema(read_only)]
    fingerprint: String,
    #[schema(read_only)]
    key_type: String,
    /// Instances that carry it
    #[schema(read_only, value_type = Whole)]
    instance_count: i64,
    #[schema(read_only, required)]
    created_by: Option<UserId>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl SSHKey {
    pub(super) fn of(row: SshKeyRow, instance_count: i64) -> Self {
        let SshKeyRow {
            id,
            organization_id,
            project_id,
            name,
            public_key,
            fingerprint,
            key_type,
            created_by,
            created,
            modified,
        } = row;
        Self {
            id,
            organization_id,
            project_id,
            name,
            public_key,
            fingerprint,
            key_type,
            instance_count,
            created_by,
            created,
            modified,
        }
    }
}

/// The body of `create_ssh_key` and `replace_ssh_key`.
#[derive(Debug, Deserialize)]
pub(super) struct NewKey {
    pub(super) name: String,
    pub(super) public_key: String,
}

impl Body for NewKey {
    type Wire = SSHKey;
}

/// Only the name changes; another key is another object.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedSSHKey {
    #[schema(value_type = String, required = false, max_length = 255)]
    pub(super) name: Option<String>,
}

impl Body for PatchedSSHKey {
    type Wire = Self;
    const PARTIAL: bool = true;
}

/// A key that an instance carries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceSSHKey {
    #[schema(read_only)]
    id: SshKeyId,
    #[schema(read_only)]
    name: String,
    #[schema(read_only)]
    fingerprint: String,
    #[schema(read_only)]
    added_at: Time,
}

impl From<PlacedRow> for InstanceSSHKey {
    fn from(row: PlacedRow) -> Self {
        let PlacedRow {
            instance_id: _,
            ssh_key_id,
            name,
            public_key: _,
            fingerprint,
            added_at,
        } = row;
        Self {
            id: ssh_key_id,
            name,
            fingerprint,
            added_at,
        }
    }
}

/// Which keys an instance is to carry from now on, beside those that it has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceSSHKeysAdd {
    /// SSH keys registered in the project, to place for the administrator.
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(write_only, required, value_type = Vec<SshKeyId>)]
    ssh_key_ids: WriteOnly<Vec<SshKeyId>>,
}

/// The body of `add_instance_ssh_keys`.
#[derive(Debug, Deserialize)]
pub(super) struct AddKeys {
    pub(super) ssh_key_ids: Vec<SshKeyId>,
}

impl Body for AddKeys {
    type Wire = InstanceSSHKeysAdd;
}
