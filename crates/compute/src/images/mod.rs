//! Images and the files behind them.
//!
//! What an image is called, and for whom it is, is part of the [catalogue](crate::catalogue). Here its file comes and
//! goes: brought from an address that a customer names ([`import`]), made of an instance's disk ([`capture`]), given by
//! an operator ([`operators`]), and removed when nothing needs it any more ([`files`]). Hosts know files by their
//! checksum and are reached by [`ImageStore`] alone.

pub mod api;
mod capture;
mod checksum;
mod create;
mod delete;
pub mod files;
mod import;
pub mod operators;
pub mod rows;
mod state;
mod store;
mod update;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use kernel::{
    App, permissions,
    tasks::{Kind, StepError},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    checksum::Checksum,
    import::Watch,
    store::{ImageStore, LocalHost, NodeStore, OneHost},
};
use crate::Compute;

permissions! {
    /// Makes, changes and deletes private images.
    ImagesManage = "compute.images.manage", Editor, "compute:write";
}

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(create::create_instance_image))
        .routes(routes!(
            update::update_instance_image,
            delete::delete_instance_image
        ))
        .routes(routes!(state::get_instance_image_file))
}

/// The tasks that bring files and take them away, on these hosts.
pub fn kinds(store: &Arc<dyn ImageStore>, turns: &Arc<Turns>) -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(import::ImportImage::new(store, turns)),
        Arc::new(capture::CreateImage::new(store, turns)),
        Arc::new(files::RemoveFiles::new(store)),
    ]
}

/// How many files come, and disks are copied, at once in this process: of the workers one half at most, so that slow
/// servers and large disks leave the others to quick tasks.
#[derive(Debug, Default)]
pub struct Turns(OnceLock<Semaphore>);

impl Turns {
    const PAUSE: Duration = Duration::from_secs(5);

    /// A turn, until it is dropped.
    pub(crate) fn take(&self, app: &App) -> Result<SemaphorePermit<'_>, StepError> {
        let at_once = (app.config().tasks.workers / 2).max(1);
        let turns = self.0.get_or_init(|| Semaphore::new(at_once));
        turns.try_acquire().map_err(|_| StepError::not_yet(Self::PAUSE))
    }
}
