//! The driver of virtual networks: puts an instance's interface into a VPC, or takes it out, and gives it its addresses.

mod machines;
mod recording;

use std::{future::Future, pin::Pin};

use kernel::{App, id::Id, tasks::StepError};

pub(crate) use self::recording::plan_attachment;
pub use self::{machines::MachineInterfaces, recording::RecordingNetwork};
use crate::{
    instances::{api::InstanceKind, rows::AddressRow},
    vpcs::api::VpcKind,
};

/// What a driver's calls return.
pub type Changed<'a> = Pin<Box<dyn Future<Output = Result<(), StepError>> + Send + 'a>>;

/// Interfaces in VPCs. Every call may be repeated: it makes its effect true, or finds it true.
pub trait NetworkDriver: Send + Sync {
    /// Puts the instance's interface into the VPC.
    fn attach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a>;

    /// Takes the instance's interface out of the VPC, if it is in it.
    fn detach<'a>(&'a self, app: &'a App, instance: Id<InstanceKind>, vpc: Id<VpcKind>) -> Changed<'a>;

    /// Makes these the addresses of the instance's interfaces: all of them, and no others.
    fn set_addresses<'a>(
        &'a self,
        app: &'a App,
        instance: Id<InstanceKind>,
        addresses: Vec<AddressRow>,
    ) -> Changed<'a>;
}
