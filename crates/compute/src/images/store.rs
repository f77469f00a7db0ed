//! What images ask of hosts.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use hypervisor::{
    Hypervisor, HypervisorError, ImageId, Result, VmId,
    images::{ExportOptions, Image, ImportOptions, Progress, Source},
};
use kernel::config::Config;
use tokio::sync::OnceCell;

use crate::{
    hosts::{self, Hosts},
    instances::api::InstanceId,
};

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

/// This machine, opened when it is first needed.
#[derive(Debug)]
pub struct LocalHost {
    config: Config,
    opened: OnceCell<OneHost>,
}

impl LocalHost {
    /// The host that these settings say.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            opened: OnceCell::new(),
        }
    }

    async fn host(&self) -> Result<&OneHost> {
        let open = || async { Ok::<_, HypervisorError>(OneHost(hosts::open(&self.config).await?)) };
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

/// The host of this node once it is known, and what its folder has until then: commands bring images where nothing runs yet.
#[derive(Debug)]
pub struct NodeStore {
    hosts: Hosts,
    local: LocalHost,
}

impl NodeStore {
    /// The node's hosts, and the settings of its own.
    pub fn new(hosts: &Hosts, config: &Config) -> Self {
        Self {
            hosts: hosts.clone(),
            local: LocalHost::new(config),
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
            None => self.local.import(file, options, progress).await,
        }
    }

    async fn export(&self, instance: InstanceId, options: &ExportOptions) -> Result<Image> {
        match self.host() {
            Some(host) => host.export(instance, options).await,
            None => self.local.export(instance, options).await,
        }
    }

    async fn remove(&self, image: &ImageId) -> Result<()> {
        match self.host() {
            Some(host) => host.remove(image).await,
            None => self.local.remove(image).await,
        }
    }
}
