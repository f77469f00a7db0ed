//! Virtual machines on a host.
//!
//! [`Hypervisor`] is everything that compute asks of a host: disks out of images, machines that start, stop and are
//! watched, their consoles and interfaces. [`qemu::Qemu`] does it with QEMU processes that outlive this one;
//! [`double::Double`] keeps everything in memory and fails on demand. One suite, `tests/behaviour.rs`, holds both to
//! the same words.
//!
//! Every call may be repeated. It makes its effect true or finds it true, because a worker that died repeats the step
//! that it was in. What happens rather than is true (a reboot, a reinstallation) carries a [`RequestId`].

mod driver;
mod error;
mod model;

pub mod demo_image;
pub mod double;
pub mod images;
pub mod qemu;
pub mod seed;

pub use self::{
    driver::{ByteStream, Hypervisor, Stream},
    error::{HypervisorError, Result},
    model::{
        Address, BootDisk, BoundForward, Connection, CopyForm, CopyId, DiskCopy, DiskLimits, DiskMode, Ended,
        Forward, HostReport, ImageId, Interface, InterfaceId, MacAddress, Observed, PowerState, RequestId,
        RootDisk, Shutdown, Size, Statistics, VmId, VmSpec,
    },
};
