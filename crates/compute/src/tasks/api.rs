//! Tasks as the API shows them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use kernel::{
    access::UserId,
    json::JsonText,
    openapi::{AnyOrNull, Whole},
    tasks::{TaskId, TaskStatus},
    time::Time,
    words,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::instances::api::InstanceId;

words! {
    /// What the task does
    pub enum TaskType {
        /// Creates the machine.
        CreateVps = "create_vps",
        /// Deletes the machine.
        DeleteVps = "delete_vps",
        /// Starts the machine.
        StartVps = "start_vps",
        /// Stops the machine hard.
        StopVps = "stop_vps",
        /// Restarts the system.
        RebootVps = "reboot_vps",
        /// Shuts the system down.
        ShutdownVps = "shutdown_vps",
        /// Resets the machine.
        ResetVps = "reset_vps",
        /// Changes the size.
        ResizeVps = "resize_vps",
        /// Changes the host name.
        ChangeHostname = "change_hostname",
        /// Installs the system anew.
        ReinstallVps = "reinstall_vps",
        /// Sets a new password.
        ResetPassword = "reset_password",
        /// Boots the rescue system.
        EnableRescue = "enable_rescue",
        /// Leaves the rescue system.
        DisableRescue = "disable_rescue",
        /// Builds the network anew.
        RebuildNetwork = "rebuild_network",
        /// Moves an interface into a VPC.
        AttachVpc = "attach_vpc",
        /// Takes an interface out of a VPC.
        DetachVpc = "detach_vpc",
        /// Adds SSH keys.
        AddSshKeys = "add_ssh_keys",
        /// Removes an SSH key.
        RemoveSshKey = "remove_ssh_key",
        /// Adds an address.
        AddIp = "add_ip",
        /// Makes an image.
        CreateImage = "create_image",
        /// Creates a volume.
        CreateVolume = "create_volume",
        /// Attaches a volume.
        AttachVolume = "attach_volume",
        /// Detaches a volume.
        DetachVolume = "detach_volume",
        /// Resizes a volume.
        ResizeVolume = "resize_volume",
        /// Takes a snapshot.
        CreateSnapshot = "create_snapshot",
        /// Goes back to a snapshot.
        RestoreSnapshot = "restore_snapshot",
        /// Deletes a snapshot.
        DeleteSnapshot = "delete_snapshot",
        /// Takes a backup.
        CreateBackup = "create_backup",
        /// Goes back to a backup.
        RestoreBackup = "restore_backup",
        /// Deletes a backup.
        DeleteBackup = "delete_backup",
        /// Applies firewall rules.
        ApplyFirewall = "apply_firewall",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceTask {
    #[schema(read_only)]
    pub id: TaskId,
    #[schema(read_only)]
    pub instance_id: InstanceId,
    #[schema(read_only)]
    pub instance: InstanceTaskInstance,
    pub task_type: TaskType,
    #[schema(read_only)]
    pub status: TaskStatus,
    /// The inputs of the task.
    #[schema(required = false, value_type = Value)]
    pub parameters: JsonText,
    /// What the task produced, or the error.
    #[schema(read_only, required, value_type = AnyOrNull)]
    pub result: Option<Value>,
    #[schema(read_only, required)]
    pub started_at: Option<Time>,
    #[schema(read_only, required)]
    pub completed_at: Option<Time>,
    #[schema(read_only, value_type = Whole)]
    pub retry_count: i32,
    #[schema(required = false, value_type = i64, minimum = 0, maximum = 4_294_967_295_i64)]
    pub max_retries: i32,
    /// How much is done, in percent. An addition to the published API.
    #[schema(read_only, required = false, value_type = Whole)]
    pub progress: i32,
    /// The step that runs, or ran last. An addition to the published API.
    #[schema(read_only, required = false)]
    pub step: String,
    #[schema(read_only)]
    pub created: Time,
    #[schema(read_only)]
    pub modified: Time,
    #[schema(read_only, required)]
    pub created_by: Option<InstanceTaskUser>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceTaskInstance {
    #[schema(read_only)]
    pub id: InstanceId,
    #[schema(read_only)]
    pub name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceTaskUser {
    #[schema(read_only)]
    pub id: UserId,
    #[schema(read_only, format = "email")]
    pub email: String,
    #[schema(read_only)]
    pub first_name: String,
    #[schema(read_only)]
    pub last_name: String,
}
