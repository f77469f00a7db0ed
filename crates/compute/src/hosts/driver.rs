//! The driver of this node's host, as the settings say.

use std::sync::Arc;

use hypervisor::{
    Hypervisor, Result,
    double::Double,
    qemu::{Acceleration, Qemu, QemuSettings},
};
use kernel::config::{Config, HypervisorKind};

/// Opens the host's data folder with the driver that it belongs to. A node that runs no machines has QEMU's, so that
/// commands can bring images to it.
///
/// # Errors
/// The folder can't be used.
pub async fn open(config: &Config) -> Result<Arc<dyn Hypervisor>> {
    match config.compute.hypervisor {
        HypervisorKind::Sandbox => Ok(Arc::new(Double::open(&config.data_dir.join("sandbox"))?)),
        HypervisorKind::Qemu | HypervisorKind::None => {
            let qemu = Qemu::open(qemu_settings(config)).await?;
            Ok(Arc::new(qemu))
        }
    }
}

fn qemu_settings(config: &Config) -> QemuSettings {
    let settings = &config.compute;
    let told = |text: &String| (!text.is_empty()).then(|| text.clone());
    QemuSettings {
        program: settings.qemu_program.clone(),
        acceleration: if settings.qemu_acceleration {
            Acceleration::Auto
        } else {
            Acceleration::Software
        },
        network_namespace: told(&settings.network_namespace),
        run_as: told(&settings.qemu_run_as),
        control_group: told(&settings.qemu_control_group).map(Into::into),
        ..QemuSettings::new(config.data_dir.join("hypervisor"))
    }
}
