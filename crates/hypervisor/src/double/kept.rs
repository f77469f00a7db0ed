//! Where a sandbox keeps what it has, so that it is there again after its process has ended in any way.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::machine::{Copy, Machine};
use crate::{
    error::{HypervisorError, Result},
    images::Image,
    model::{CopyId, ImageId, VmId},
};

/// A folder with a file for each machine, image and copy of a disk. Files take their places whole.
#[derive(Debug)]
pub(super) struct Kept {
    machines: PathBuf,
    images: PathBuf,
    copies: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored<M> {
    machine: M,
    /// When its power came on, for one that runs.
    on_since: Option<SystemTime>,
}

impl Kept {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let kept = Self {
            machines: folder.join("machines"),
            images: folder.join("images"),
            copies: folder.join("copies"),
        };
        for folder in [&kept.machines, &kept.images, &kept.copies] {
            make_private(folder).map_err(|error| wrong(folder, error))?;
        }
        Ok(kept)
    }

    /// All machines; those that ran run on.
    pub(super) fn machines(&self) -> Result<BTreeMap<VmId, Machine>> {
        let mut machines = BTreeMap::new();
        for (name, stored) in load::<Stored<Machine>>(&self.machines)? {
            let Ok(vm) = name.parse() else {
                continue;
            };
            let Stored {
                mut machine,
                on_since,
            } = stored;
            if let Some(since) = on_since {
                let passed = host_time().duration_since(since);
                machine.run_on(passed.unwrap_or(Duration::ZERO))?;
            }
            machines.insert(vm, machine);
        }
        Ok(machines)
    }

    /// Writes down what a machine is now, or that there is none.
    pub(super) fn keep(&self, vm: VmId, machine: Option<&Machine>) -> Result<()> {
        let path = self.machines.join(format!("{vm}.json"));
        let Some(machine) = machine else {
            return forget(&path);
        };
        let on_since = machine.on_for().map(|time| host_time() - time);
        save(&path, &Stored { machine, on_since })
    }

    /// Images may be brought by other processes: they are always read here.
    pub(super) fn images(&self) -> Result<BTreeMap<ImageId, Image>> {
        let images = load::<Image>(&self.images)?;
        Ok(images
            .into_iter()
            .map(|(_, image)| (image.id.clone(), image))
            .collect())
    }

    pub(super) fn keep_image(&self, image: &Image) -> Result<()> {
        save(&self.images.join(format!("{}.json", image.id)), image)
    }

    pub(super) fn forget_image(&self, image: &ImageId) -> Result<()> {
        forget(&self.images.join(format!("{image}.json")))
    }

    pub(super) fn copies(&self) -> Result<BTreeMap<CopyId, Copy>> {
        let copies = load::<Copy>(&self.copies)?;
        Ok(copies
            .into_iter()
            .filter_map(|(name, copy)| Some((name.parse().ok()?, copy)))
            .collect())
    }

    /// Writes down a copy, or that there is none.
    pub(super) fn keep_copy(&self, id: CopyId, copy: Option<&Copy>) -> Result<()> {
        let path = self.copies.join(format!("{id}.json"));
        copy.map_or_else(|| forget(&path), |copy| save(&path, copy))
    }
}

fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(wrong(path, error)),
        _ => Ok(()),
    }
}

/// The host's own clock, as the start of a process would be told by.
#[expect(clippy::disallowed_methods, reason = "a host has no clock that tests turn")]
fn host_time() -> SystemTime {
    SystemTime::now()
}

fn wrong(path: &Path, error: io::Error) -> HypervisorError {
    HypervisorError::host(format!("can't use {}", path.display()), error)
}

/// Machines hold hashes of passwords.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What is in a folder, by the names of the files.
fn load<T: DeserializeOwned>(folder: &Path) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| wrong(folder, error))? {
        let path = entry.map_err(|error| wrong(folder, error))?.path();
        let is_whole = path.extension().is_some_and(|extension| extension == "json");
        let Some(name) = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .filter(|_| is_whole)
        else {
            continue;
        };
        let bytes = fs::read(&path).map_err(|error| wrong(&path, error))?;
        let value = serde_json::from_slice(&bytes).map_err(|error| wrong(&path, error.into()))?;
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn save(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|error| wrong(path, error.into()))?;
    let new = path.with_extension("new");
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| wrong(path, error))
}
