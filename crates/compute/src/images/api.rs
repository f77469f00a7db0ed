//! Images as requests describe them, and what is told of their files.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{http::Body, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::{FileStatus, ImageFileRow};
use crate::{
    catalogue::api::{ImageId, InstanceImage},
    instances::api::InstanceId,
    tasks::api::InstanceTask,
};

/// The body of `create_instance_image`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct InstanceImageCreate {
    #[schema(max_length = 255)]
    pub(super) name: String,
    #[schema(required = false, value_type = String, max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub(super) slug: Option<String>,
    #[serde(default)]
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    pub(super) description: String,
    /// Source instance; exactly one of instance_id and source_url.
    #[schema(required = false, nullable)]
    pub(super) instance_id: Option<InstanceId>,
    /// https URL of a qcow2 or raw disk image.
    #[schema(required = false, nullable, format = "uri", max_length = 2048)]
    pub(super) source_url: Option<String>,
    #[schema(required = false, value_type = String, max_length = 100)]
    pub(super) os_name: Option<String>,
    #[schema(required = false, value_type = String, max_length = 50)]
    pub(super) os_version: Option<String>,
    #[schema(required = false, value_type = String, max_length = 20)]
    pub(super) os_architecture: Option<String>,
    /// SHA-256 or SHA-512 that the file at source_url must have. An addition to the published API.
    #[schema(required = false, nullable, max_length = 128, extensions(("x-addition" = json!(true))))]
    pub(super) checksum: Option<String>,
}

impl Body for InstanceImageCreate {
    type Wire = Self;
}

/// The new image, and the task that makes it where an instance is the source.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceImageCreated {
    pub image: InstanceImage,
    #[schema(required)]
    pub task: Option<InstanceTask>,
}

/// The body of `update_instance_image`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = PatchedInstanceImage)]
pub struct InstanceImageUpdate {
    #[schema(required = false, value_type = String, max_length = 255)]
    pub(super) name: Option<String>,
    #[schema(required = false, value_type = String, max_length = 50, pattern = "^[-a-zA-Z0-9_]+$")]
    pub(super) slug: Option<String>,
    #[schema(required = false, value_type = String, extensions(("x-allow-blank" = json!(true))))]
    pub(super) description: Option<String>,
    #[schema(required = false, value_type = bool)]
    pub(super) is_active: Option<bool>,
}

impl Body for InstanceImageUpdate {
    type Wire = Self;
    const PARTIAL: bool = true;
}

/// The file behind an image. An addition to the published API.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceImageFile {
    #[schema(read_only)]
    pub image_id: ImageId,
    #[schema(read_only)]
    pub status: FileStatus,
    /// Percent
    #[schema(read_only)]
    pub progress: i64,
    /// Why the file did not come
    #[schema(read_only, required)]
    pub error: Option<String>,
    /// SHA-256 of the file
    #[schema(read_only, required)]
    pub checksum: Option<String>,
    /// Size of the file as it arrived
    #[schema(read_only, required)]
    pub size_bytes: Option<i64>,
    /// Size of the disk in it
    #[schema(read_only, required)]
    pub virtual_size_bytes: Option<i64>,
    #[schema(read_only, required)]
    pub source_url: Option<String>,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
}

impl InstanceImageFile {
    /// A file, with its address for those alone whose image it is.
    pub(super) fn of(row: ImageFileRow, is_own: bool) -> Self {
        let ImageFileRow {
            image_id,
            project_id: _,
            status,
            digest,
            size_bytes,
            virtual_size_bytes,
            source_url,
            expected_checksum: _,
            error,
            progress,
            created,
            modified,
        } = row;
        Self {
            image_id,
            status,
            progress,
            error,
            checksum: digest,
            size_bytes,
            virtual_size_bytes,
            source_url: source_url.filter(|_| is_own),
            created,
            modified,
        }
    }
}
