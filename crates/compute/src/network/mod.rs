//! The driver of virtual networks: puts an instance's interface into a VPC, or takes it out, and gives it its addresses.

mod machines;
mod recording;

use std::{future::Future, pin::Pin};

use kernel::{App, id::Id, store::StoreError};

pub(crate) use self::recording::plan_attachment;
pub use self::{machines::MachineInterfaces, recording::RecordingNetwork};
use crate::{
    instances::{api::InstanceKind, rows::AddressRow},
    vpcs::api::VpcKind,
};

/// Why a network could not be changed.
#[derive(Debug)]
pub struct NetworkError(String);

impl std::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetworkError {}

impl From<kernel::tasks::StepError> for NetworkError {
    fn from(error: kernel::tasks::StepError) -> Self {
        Self(error.detail)
    }
}

impl From<StoreError> for NetworkError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What a driver's calls return.
pub type Changed<'a> = Pin<Box<dyn Future<Output = Result<(), NetworkError>> + Send + 'a>>;

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
