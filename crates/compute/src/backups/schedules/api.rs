//! Schedules as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    http::{Body, PageOf},
    id::Id,
    json::present,
    openapi::Patched,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::ScheduleRow;
use crate::{backups::api::BackupId, instances::api::InstanceId};

/// Names the ids of schedules.
#[derive(Debug)]
pub enum ScheduleKind {}
/// The id of a schedule.
pub type ScheduleId = Id<ScheduleKind>;

/// One page of schedules.
pub(crate) type BackupSchedulePage = PageOf<BackupSchedule>;
/// The body of a PATCH.
pub(crate) type PatchedBackupSchedule = Patched<BackupSchedule>;

words! {
    /// How often a schedule runs
    pub enum Frequency {
        /// Every day.
        Daily = "daily",
        /// On one day of the week.
        Weekly = "weekly",
        /// On one day of the month.
        Monthly = "monthly",
    }
}

words! {
    /// What became of a schedule's last turn
    pub enum LastStatus {
        /// It has had none, or the first is not over.
        Never = "never",
        /// There is a backup.
        Success = "success",
        /// The backup could not be made.
        Failed = "failed",
        /// Nothing was begun: the instance was not in force, its add-on was missing, or the last backup still ran.
        Skipped = "skipped",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupSchedule {
    #[schema(read_only)]
    id: ScheduleId,
    #[schema(read_only)]
    instance_id: InstanceId,
    #[schema(max_length = 255)]
    name: String,
    frequency: Frequency,
    /// Time of day, HH:MM:SS, in `timezone`
    #[schema(format = "time")]
    run_at: String,
    /// 0 = Monday; weekly only
    #[schema(required = false, value_type = Option<isize>, minimum = 0, maximum = 6)]
    weekday: Option<i64>,
    /// Monthly only
    #[schema(required = false, value_type = Option<isize>, minimum = 1, maximum = 28)]
    day_of_month: Option<i64>,
    /// IANA name
    #[schema(required = false, max_length = 64, default = "UTC")]
    timezone: String,
    /// Keep this many scheduled backups; the oldest goes first
    #[schema(required = false, value_type = isize, minimum = 1, maximum = 365, default = 7)]
    retention_count: i64,
    /// Also remove those older than this; null for no limit
    #[schema(required = false, value_type = Option<isize>, minimum = 1, maximum = 3650)]
    retention_days: Option<i64>,
    #[schema(required = false, default = true)]
    is_active: bool,
    #[schema(read_only, required)]
    last_run_at: Option<Time>,
    #[schema(read_only, required)]
    last_backup_id: Option<BackupId>,
    #[schema(read_only)]
    last_status: LastStatus,
    #[schema(read_only, required)]
    next_run_at: Option<Time>,
    #[schema(read_only)]
    created: Time,
    #[schema(read_only)]
    modified: Time,
}

impl From<ScheduleRow> for BackupSchedule {
    fn from(row: ScheduleRow) -> Self {
        let ScheduleRow {
            id,
            organization_id: _,
            project_id: _,
            instance_id,
            name,
            frequency,
            run_at,
            weekday,
            day_of_month,
            timezone,
            retention_count,
            retention_days,
            is_active,
            last_run_at,
            last_backup_id,
            last_status,
            next_run_at,
            created,
            modified,
        } = row;
        Self {
            id,
            instance_id,
            name,
            frequency,
            run_at,
            weekday,
            day_of_month,
            timezone,
            retention_count,
            retention_days,
            is_active,
            last_run_at,
            last_backup_id,
            last_status,
            next_run_at,
            created,
            modified,
        }
    }
}

/// What a client wants of a schedule: the fields that it sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) frequency: Option<Frequency>,
    pub(super) run_at: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) weekday: Option<Option<i64>>,
    #[serde(deserialize_with = "present")]
    pub(super) day_of_month: Option<Option<i64>>,
    pub(super) timezone: Option<String>,
    pub(super) retention_count: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub(super) retention_days: Option<Option<i64>>,
    pub(super) is_active: Option<bool>,
}

/// The body of `create_backup_schedule` and `replace_backup_schedule`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Complete(pub(super) Wanted);

impl Body for Complete {
    type Wire = BackupSchedule;
}

/// The body of `update_backup_schedule`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Part(pub(super) Wanted);

impl Body for Part {
    type Wire = PatchedBackupSchedule;
    const PARTIAL: bool = true;
}
