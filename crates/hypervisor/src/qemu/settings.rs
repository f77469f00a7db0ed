//! What an operator decides about a host.

use std::path::PathBuf;

/// The settings of [`super::Qemu`].
#[derive(Clone, Debug)]
pub struct QemuSettings {
    /// Where machines and images are kept. Made if missing, for the owner alone.
    pub data_dir: PathBuf,
    /// QEMU for this processor, by name or path.
    pub program: String,
    /// `qemu-img`, by name or path.
    pub image_program: String,
    /// Whether the processor may run guests itself.
    pub acceleration: Acceleration,
    /// The network namespace where bridges are and machines run; none: the present one.
    pub network_namespace: Option<String>,
    /// The account that machines run as, if onet is root.
    pub run_as: Option<String>,
    /// A folder of the control group file system (version 2) that was delegated to onet. Each machine gets a group in it.
    pub control_group: Option<PathBuf>,
    /// How much of a serial console is kept, bytes.
    pub serial_log_bytes: u64,
}

/// Who runs the guests' instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceleration {
    /// The processor where that truly works, software otherwise.
    Auto,
    /// Software.
    Software,
}

impl QemuSettings {
    /// The defaults, with data in this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            program: "qemu-system-x86_64".to_owned(),
            image_program: "qemu-img".to_owned(),
            acceleration: Acceleration::Auto,
            network_namespace: None,
            run_as: None,
            control_group: None,
            serial_log_bytes: 256 << 10,
        }
    }
}
