//! What images ask of hosts.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use hypervisor::{
    Hypervisor, HypervisorError, ImageId, Result, VmId,
    images::{ExportOptions, Image, ImportOptions, Progress, Source},
    qemu::{Qemu, QemuSettings},
};
use tokio::sync::OnceCell;

use crate::{hosts::Hosts, instances::api::InstanceId};

/// Where the files of images are kept. Every call may be repeated.
#[async_trait]
pub trait ImageStore: Debug + Send + Sync {
    /// Takes a file of this machine, checked and in a form that is safe to boot from.
    ///
    /// # Errors
    /// As [`Hypervisor::import_image`].
    async fn import(&self, file: PathBuf, options: &ImportOptions, progress: &Progress) -> Result<Image>;

    /// Makes an image of the root disk of an instance that is off.
    ///
    /// # Errors
    /// As [`Hypervisor::export_disk`].
    async fn export(&self, instance: InstanceId, options: &ExportOptions) -> Result<Image>;

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// Final while a disk builds on it.
    async fn remove(&self, image: &ImageId) -> Result<()>;
}

/// One host has all images and all instances.
#[derive(Clone, Debug)]
pub struct OneHost(pub Arc<dyn Hypervisor>);

#[async_trait]
impl ImageStore for OneHost {
    async fn import(&self, file: PathBuf, options: &ImportOptions, progress: &Progress) -> Result<Image> {
        self.0.import_image(Source::File(file), options, progress).await
    }

    async fn export(&self, instance: InstanceId, options: &ExportOptions) -> Result<Image> {
        self.0.export_disk(VmId(instance.uuid()), options).await
    }

    async fn remove(&self, image: &ImageId) -> Result<()> {
        self.0.remove_image(image).await
    }
}

/// This machine, with QEMU; its folder is opened when it is first needed.
#[derive(Debug)]
pub struct LocalHost {
    folder: PathBuf,
    opened: OnceCell<OneHost>,
}

impl LocalHost {
    /// A host with its data in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            opened: OnceCell::new(),
        }
    }

    async fn host(&self) -> Result<&OneHost> {
        let open = || async {
            let qemu = Qemu::open(QemuSettings::new(&self.folder)).await?;
            Ok::<_, HypervisorError>(OneHost(Arc::new(qemu)))
        };
        self.opened.get_or_try_init(open).await
    }
}

#[async_trait]
impl ImageStore for LocalHost {
    async fn import(&self, file: PathBuf, options: &ImportOptions, progress: &Progress) -> Result<Image> {
        self.host().await?.import(file, options, progress).await
    }

    async fn export(&self, instance: InstanceId, options: &ExportOptions) -> Result<Image> {
        self.host().await?.export(instance, options).await
    }

    async fn remove(&self, image: &ImageId) -> Result<()> {
        self.host().await?.remove(image).await
    }
}

/// The host of this node once it is known, and its folder until then: commands bring images where nothing runs yet.
#[derive(Debug)]
pub struct NodeStore {
    hosts: Hosts,
    folder: LocalHost,
}

impl NodeStore {
    /// The node's hosts, and the folder in which its own has its data.
    pub fn new(hosts: &Hosts, folder: impl Into<PathBuf>) -> Self {
        Self {
            hosts: hosts.clone(),
            folder: LocalHost::new(folder),
        }
    }

    fn host(&self) -> Option<OneHost> {
        self.hosts.all().pop().map(|(_, driver)| OneHost(driver))
    }
}

#[async_trait]
impl ImageStore for NodeStore {
    async fn import(&self, file: PathBuf, options: &ImportOptions, progress: &Progress) -> Result<Image> {
        match self.host() {
            Some(host) => host.import(file, options, progress).await,
            None => self.folder.import(file, options, progress).await,
        }
    }

    async fn export(&self, instance: InstanceId, options: &ExportOptions) -> Result<Image> {
        match self.host() {
            Some(host) => host.export(instance, options).await,
            None => self.folder.export(instance, options).await,
        }
    }

    async fn remove(&self, image: &ImageId) -> Result<()> {
        match self.host() {
            Some(host) => host.remove(image).await,
            None => self.folder.remove(image).await,
        }
    }
}
