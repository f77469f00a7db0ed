//! The trait.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    error::Result,
    images::{ExportOptions, Image, ImportOptions, Progress, Source},
    model::{
        CopyForm, CopyId, DiskCopy, HostReport, ImageId, Interface, InterfaceId, Observed, RequestId,
        RootDisk, Shutdown, Size, VmId, VmSpec,
    },
    seed::Seed,
};

/// Both directions of a console.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A console that is open.
pub type Stream = Box<dyn ByteStream>;

/// A host of virtual machines.
///
/// Every call may be repeated: it makes its effect true, or finds it true. Calls about one machine exclude each other,
/// those about different ones don't.
#[async_trait]
pub trait Hypervisor: Debug + Send + Sync {
    /// What the host can do, found out anew.
    ///
    /// # Errors
    /// When the hypervisor is missing or too old.
    async fn check(&self) -> Result<HostReport>;

    /// Takes an image into the host's store, checked and in a form that is safe to boot from.
    ///
    /// # Errors
    /// Final when it is refused: too large, another checksum, a format or a feature that is not taken.
    async fn import_image(
        &self,
        source: Source,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<Image>;

    /// The images in the store, by id.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn images(&self) -> Result<Vec<Image>>;

    /// Removes an image from the store; one that is not there is fine.
    ///
    /// # Errors
    /// Final while a machine's disk builds on it.
    async fn remove_image(&self, image: &ImageId) -> Result<()>;

    /// Makes an image of the root disk of a machine that is off: a copy of all that its system would read, which needs
    /// no other file. The machine's own disk stays as it is. The same disk gives the same image.
    ///
    /// # Errors
    /// Final when the machine runs, has no disk, or has a larger one than the options allow.
    async fn export_disk(&self, vm: VmId, options: &ExportOptions) -> Result<Image>;

    /// Keeps a copy of the machine's root disk as it is at one moment, whether the machine runs or not: what a power cut
    /// at that moment would leave. It outlives the machine. A copy that is there already is kept.
    ///
    /// # Errors
    /// Final when there is no disk. Passing when it took longer than the limit, or the machine went off meanwhile.
    async fn save_copy(&self, vm: VmId, copy: CopyId, form: CopyForm, limit: Duration) -> Result<DiskCopy>;

    /// Makes the root disk of a machine that is off what a copy holds, grown to `size_bytes`, and ends its rescue. What
    /// the disk held is lost.
    ///
    /// # Errors
    /// Final when the machine runs, when there is no such copy, or when the disk in it is larger.
    async fn restore_copy(&self, vm: VmId, request: RequestId, copy: CopyId, size_bytes: u64) -> Result<()>;

    /// Deletes a copy; one that is not there is fine.
    ///
    /// # Errors
    /// When it can't be deleted.
    async fn remove_copy(&self, copy: CopyId) -> Result<()>;

    /// The copies on the host, by id.
    ///
    /// # Errors
    /// When they can't be listed.
    async fn copies(&self) -> Result<Vec<DiskCopy>>;

    /// Makes the machine's root disk. A disk that is there already is kept, whatever it began as: see
    /// [`Hypervisor::reinstall`].
    ///
    /// # Errors
    /// Final when there is no such image, or when it does not fit.
    async fn prepare_disk(&self, vm: VmId, disk: &RootDisk) -> Result<()>;

    /// Says what the machine is; it is not started.
    ///
    /// # Errors
    /// Final when the specification can't be carried out, or when it differs from that of a running machine.
    async fn define(&self, spec: &VmSpec) -> Result<()>;

    /// Sets what cloud-init reads at the next start.
    ///
    /// # Errors
    /// Final when it is too large.
    async fn set_seed(&self, vm: VmId, seed: &Seed) -> Result<()>;

    /// Switches the machine on.
    ///
    /// # Errors
    /// Final when it has no disk or no definition.
    async fn start(&self, vm: VmId) -> Result<()>;

    /// Presses the power button and waits for the machine's system to switch itself off.
    ///
    /// # Errors
    /// When the hypervisor can't be asked.
    async fn shutdown(&self, vm: VmId, limit: Duration) -> Result<Shutdown>;

    /// Pulls the plug.
    ///
    /// # Errors
    /// When the process can't be ended.
    async fn stop(&self, vm: VmId) -> Result<()>;

    /// Shuts down as [`Hypervisor::shutdown`] does, pulls the plug if the limit is over, and starts again. What was
    /// changed while the machine ran (its seed) counts from then on. A machine that is off is started.
    ///
    /// # Errors
    /// As those calls.
    async fn reboot(&self, vm: VmId, request: RequestId, limit: Duration) -> Result<()>;

    /// Presses the reset button.
    ///
    /// # Errors
    /// Final when the machine is off.
    async fn reset(&self, vm: VmId, request: RequestId) -> Result<()>;

    /// Changes processors, memory and disk of a machine that is off.
    ///
    /// # Errors
    /// Final when it runs, or when its disk would shrink.
    async fn resize(&self, vm: VmId, size: Size) -> Result<()>;

    /// Replaces the root disk of a machine that is off by a new one, and ends its rescue.
    ///
    /// # Errors
    /// Final when it runs, and as [`Hypervisor::prepare_disk`].
    async fn reinstall(&self, vm: VmId, request: RequestId, disk: &RootDisk) -> Result<()>;

    /// From the next start on, boots a fresh disk of this image, with the machine's own disk as the second one.
    ///
    /// # Errors
    /// Final when the machine runs or there is no such image.
    async fn enter_rescue(&self, vm: VmId, image: &ImageId) -> Result<()>;

    /// From the next start on, boots the machine's own disk. The rescue system's disk is deleted.
    ///
    /// # Errors
    /// Final when the machine runs in rescue.
    async fn leave_rescue(&self, vm: VmId) -> Result<()>;

    /// Plugs an interface in, whether the machine runs or not.
    ///
    /// # Errors
    /// Final when all ports are taken, or when another interface has this id or address.
    async fn attach_interface(&self, vm: VmId, interface: &Interface) -> Result<()>;

    /// Makes a bridge that leads nowhere but to the machines on it, unless it is there: a private network.
    ///
    /// # Errors
    /// Final when its name is none that the host takes.
    async fn ensure_bridge(&self, bridge: &str) -> Result<()>;

    /// Unplugs an interface; of a running machine, once its system has let it go.
    ///
    /// # Errors
    /// Passing when the system does not let it go.
    async fn detach_interface(&self, vm: VmId, interface: InterfaceId) -> Result<()>;

    /// Every machine found on the host, with what it has used, in the order of their ids.
    ///
    /// # Errors
    /// When the host can't be looked at. A machine that does not answer is listed without statistics.
    async fn list(&self) -> Result<Vec<Observed>>;

    /// One machine, or none.
    ///
    /// # Errors
    /// As [`Hypervisor::list`].
    async fn find(&self, vm: VmId) -> Result<Option<Observed>>;

    /// The serial console. One user at a time: a second one is served when the first has left.
    ///
    /// # Errors
    /// Final when the machine is off.
    async fn serial(&self, vm: VmId) -> Result<Stream>;

    /// The end of what the serial console has said, at most `limit` bytes.
    ///
    /// # Errors
    /// When the record can't be read.
    async fn serial_log(&self, vm: VmId, limit: usize) -> Result<Vec<u8>>;

    /// The screen, as RFB (RFC 6143) without authentication: who may see it is decided before.
    ///
    /// # Errors
    /// Final when the machine is off.
    async fn screen(&self, vm: VmId) -> Result<Stream>;

    /// Ends the machine and deletes all that it has on the host: process, disks, seed, sockets, logs, taps and rules.
    ///
    /// # Errors
    /// When something could not be deleted; the next call goes on.
    async fn destroy(&self, vm: VmId) -> Result<()>;
}
