//! Backups as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{Body, PageOf},
    id::Id,
    money::Fixed,
    openapi::WriteOnly,
    tasks::TaskId,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{rows::BackupRow, schedules::api::ScheduleId};
use crate::{
    copies::gigabytes,
    instances::api::{InstanceId, InstanceReference},
};

/// Names the ids of backups.
#[derive(Debug)]
pub enum BackupKind {}
/// The id of a backup.
pub type BackupId = Id<BackupKind>;

/// One page of backups.
pub(crate) type InstanceBackupPage = PageOf<InstanceBackup>;

words! {
    /// Who wanted a backup
    pub enum BackupType {
        /// Somebody.
        Manual = "manual",
        /// A schedule.
        Scheduled = "scheduled",
    }
}

words! {
    /// Where a backup stands
    pub enum BackupStatus {
        /// Asked for.
        Pending = "pending",
        /// The disk is being copied.
        Running = "running",
        /// It can be restored.
        Available = "available",
        /// An instance's disk is being replaced by it.
        Restoring = "restoring",
        /// It is being deleted.
        Deleting = "deleting",
        /// It is gone: what is shown has never this.
        Deleted = "deleted",
        /// Its time is over: it is being deleted.
        Expired = "expired",
        /// It could not be made.
        Error = "error",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceBackup {
    #[schema(read_only)]
    id: BackupId,
    #[schema(read_only)]
    instance_id: InstanceId,
    #[schema(read_only)]
    instance: InstanceReference,
    /// Schedule that made it; null when on demand
    #[schema(read_only, required)]
    schedule_id: Option<ScheduleId>,
    #[schema(max_length = 255)]
    name: String,
    #[schema(required = false)]
    description: String,
    #[schema(read_only)]
    backup_type: BackupType,
    #[schema(read_only)]
    status: BackupStatus,
    #[schema(read_only, required, value_type = Option<String>, pattern = r"^-?\d{0,8}(?:\.\d{0,2})?$")]
    size_gb: Option<Fixed<2>>,
    /// Keep it out of retention and refuse its deletion
    #[schema(required = false, default = false)]
    is_protected: bool,
    /// When retention removes it; null for never
    #[schema(read_only, required)]
    expires_at: Option<Time>,
    #[schema(read_only, required)]
    started_at: Option<Time>,
    #[schema(read_only, required)]
    completed_at: Option<Time>,
    #[schema(read_only, required)]
    task_id: Option<TaskId>,
    #[schema(read_only)]
    error_message: String,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl InstanceBackup {
    /// A backup of the instance of this name.
    pub(super) fn of((row, instance): (BackupRow, String)) -> Self {
        let BackupRow {
            id,
            organization_id: _,
            project_id: _,
            instance_id,
            host_id: _,
            schedule_id,
            name,
            description,
            backup_type,
            status,
            is_protected,
            expires_at,
            disk_gb: _,
            image_id: _,
            os_name: _,
            size_bytes,
            started_at,
            completed_at,
            task_id,
            error_message,
            created,
            modified,
        } = row;
        Self {
            id,
            instance_id,
            instance: InstanceReference {
                id: instance_id,
                name: instance,
            },
            schedule_id,
            name,
            description,
            backup_type,
            status,
            size_gb: size_bytes.map(|bytes| gigabytes(bytes).fixed()),
            is_protected,
            expires_at,
            started_at,
            completed_at,
            task_id,
            error_message,
            created,
            modified,
        }
    }
}

/// The body of `create_backup`.
#[derive(Debug, Deserialize)]
pub(super) struct NewBackup {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) is_protected: bool,
}

impl Body for NewBackup {
    type Wire = InstanceBackup;
}

/// Only labels and protection change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct PatchedInstanceBackup {
    #[schema(value_type = String, required = false, max_length = 255)]
    pub(super) name: Option<String>,
    #[schema(value_type = String, required = false)]
    pub(super) description: Option<String>,
    /// Keep it out of retention and refuse its deletion
    #[schema(value_type = bool, required = false, default = false)]
    pub(super) is_protected: Option<bool>,
}

impl Body for PatchedInstanceBackup {
    type Wire = Self;
    const PARTIAL: bool = true;
}

/// What a backup is read back to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupRestore {
    /// Instance to overwrite; the one backed up when absent. It must be stopped and its disks large enough.
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required = false, value_type = Option<InstanceId>)]
    target_instance_id: WriteOnly<Option<InstanceId>>,
    #[serde(skip_serializing_if = "WriteOnly::hidden")]
    #[schema(required = false, default = false, value_type = bool)]
    start_after_restore: WriteOnly<bool>,
}

/// The body of `restore_backup`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Restore {
    pub(super) target_instance_id: Option<InstanceId>,
    pub(super) start_after_restore: bool,
}

impl Body for Restore {
    type Wire = BackupRestore;
}
