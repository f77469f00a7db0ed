//! Makes an image of an instance's root disk.

use std::sync::Arc;

use hypervisor::images::ExportOptions;
use kernel::{
    audit::Origin,
    id::Id,
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};
use serde::{Deserialize, Serialize};

use super::{
    ImageStore, Turns, Watch, files,
    import::{host, keep, reported},
    rows,
};
use crate::{
    catalogue::{api::Image, rows::ImageRow},
    instances::rows::InstanceRow,
};

/// Copies the disk of an instance that is off.
pub(super) struct CreateImage {
    steps: Vec<Arc<dyn Step>>,
}

/// What the task is about; customers see it.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    image_id: Id<Image>,
    min_ram_mb: i64,
}

impl CreateImage {
    const NAME: &'static str = "create_image";

    pub(super) fn new(store: &Arc<dyn ImageStore>, turns: &Arc<Turns>) -> Self {
        Self {
            steps: vec![Arc::new(CopyDisk {
                store: Arc::clone(store),
                turns: Arc::clone(turns),
            })],
        }
    }

    /// The task that makes `image` of the disk of `instance`.
    pub(super) fn task(instance: &InstanceRow, image: &ImageRow) -> NewTask {
        let copy = Copy {
            image_id: image.id,
            min_ram_mb: image.min_ram_mb,
        };
        NewTask {
            kind: Self::NAME,
            organization: instance.organization_id,
            project: instance.project_id,
            resource_type: "instance",
            resource: instance.id.cast(),
            parameters: serde_json::json!(copy),
            max_retries: 3,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for CreateImage {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        let Ok(Copy { image_id, .. }) = task.parameters.read() else {
            return Ok(());
        };
        if outcome == Outcome::Completed {
            return Ok(());
        }
        let reason = task.error.as_deref().unwrap_or("The image could not be made.");
        files::give_up(tx, image_id, reason)
    }
}

struct CopyDisk {
    store: Arc<dyn ImageStore>,
    turns: Arc<Turns>,
}

impl Step for CopyDisk {
    fn name(&self) -> &'static str {
        "copy_disk"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Copy { image_id, min_ram_mb } = work.parameters()?;
            let app = &work.app;
            let _turn = self.turns.take(app)?;
            let found = app
                .store()
                .read("find_image_file", move |conn| rows::file(conn, image_id));
            let file = found.await.map_err(|error: StoreError| StepError::from(error))?;
            // Done already, or unwanted by now.
            if !file.is_some_and(|file| file.status.is_coming()) {
                return Ok(());
            }
            let limits = &app.config().images;
            let options = ExportOptions {
                max_virtual_bytes: u64::from(limits.largest_disk_gib) << 30,
                min_memory_mib: u32::try_from(min_ram_mb).unwrap_or(u32::MAX),
                limit: std::time::Duration::from_secs(u64::from(limits.convert_minutes) * 60),
            };
            let copying = async {
                let copied = self.store.export(work.resource.cast(), &options).await;
                copied.map_err(host)
            };
            let image = reported(app, image_id, copying, &Watch::default()).await?;
            keep(app, image_id, image, None, Origin::system("worker"), true).await
        })
    }

    /// What hosts have made may be another image's too, and is removed as a leftover otherwise.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
