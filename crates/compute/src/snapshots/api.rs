//! Snapshots as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{ApiResult, Body, PageOf},
    id::Id,
    money::Fixed,
    tasks::TaskId,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{Found, SnapshotRow};
use crate::{
    catalogue::Catalogue,
    copies::gigabytes,
    instances::{
        api::{InstanceId, InstanceReference, VolumeSummary},
        views,
    },
};

/// Names the ids of snapshots.
#[derive(Debug)]
pub enum SnapshotKind {}
/// The id of a snapshot.
pub type SnapshotId = Id<SnapshotKind>;

/// One page of snapshots.
pub(crate) type InstanceSnapshotPage = PageOf<InstanceSnapshot>;

words! {
    /// Where a snapshot stands
    pub enum SnapshotStatus {
        /// Asked for.
        Pending = "pending",
        /// The disk is being copied.
        Creating = "creating",
        /// It can be restored.
        Available = "available",
        /// The instance's disk is being replaced by it.
        Restoring = "restoring",
        /// It is being deleted.
        Deleting = "deleting",
        /// It is gone: what is shown has never this.
        Deleted = "deleted",
        /// It could not be taken.
        Error = "error",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceSnapshot {
    #[schema(read_only)]
    id: SnapshotId,
    #[schema(read_only)]
    instance_id: InstanceId,
    #[schema(read_only)]
    instance: InstanceReference,
    #[schema(max_length = 255)]
    name: String,
    #[schema(required = false)]
    description: String,
    /// Also keep the RAM of a running instance: not offered, true is refused
    #[schema(required = false, default = false)]
    include_memory: bool,
    #[schema(read_only)]
    status: SnapshotStatus,
    /// Space taken
    #[schema(read_only, required, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    size_gb: Option<Fixed<2>>,
    /// Disks held in the snapshot
    #[schema(read_only)]
    volumes: Vec<VolumeSummary>,
    /// Latest task that worked on the snapshot
    #[schema(read_only, required)]
    task_id: Option<TaskId>,
    #[schema(read_only)]
    error_message: String,
    /// Last time it was restored
    #[schema(read_only, required)]
    restored_at: Option<Time>,
    #[schema(read_only)]
    is_active: bool,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl InstanceSnapshot {
    /// # Errors
    /// 503 while this node has not heard of the location.
    pub(super) fn of((row, instance, mut volume): Found, catalogue: &Catalogue) -> ApiResult<Self> {
        let SnapshotRow {
            id,
            organization_id: _,
            project_id: _,
            instance_id,
            host_id: _,
            name,
            description,
            status,
            volume_id: _,
            disk_gb,
            image_id: _,
            os_name: _,
            size_bytes,
            task_id,
            error_message,
            restored_at,
            created,
            modified,
        } = row;
        // As it was.
        volume.size_gb = disk_gb;
        Ok(Self {
            id,
            instance_id,
            instance: InstanceReference {
                id: instance_id,
                name: instance,
            },
            name,
            description,
            include_memory: false,
            status,
            size_gb: size_bytes.map(|bytes| gigabytes(bytes).fixed()),
            volumes: vec![views::volume(volume, catalogue)?],
            task_id,
            error_message,
            restored_at,
            is_active: matches!(status, SnapshotStatus::Available | SnapshotStatus::Restoring),
            created,
            modified,
        })
    }
}

/// The body of `create_snapshot`.
#[derive(Debug, Deserialize)]
pub(super) struct NewSnapshot {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) include_memory: bool,
}

impl Body for NewSnapshot {
    type Wire = InstanceSnapshot;
}

/// Only the labels change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedInstanceSnapshot {
    #[schema(value_type = String, required = false, max_length = 255)]
    pub(super) name: Option<String>,
    #[schema(value_type = String, required = false)]
    pub(super) description: Option<String>,
}

impl Body for PatchedInstanceSnapshot {
    type Wire = Self;
    const PARTIAL: bool = true;
}
