//! Plugging interfaces into machines and out of them, whether they run or not.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Qemu,
    arguments::{netdev, netdev_id, nic, nic_id},
    folder::CONTROL,
    power::choose_ports,
    qmp::{Qmp, QmpError},
};
use crate::{
    error::{HypervisorError, Result},
    model::{Interface, InterfaceId, VmId},
};

/// How long a guest may take to let an interface go.
const RELEASE_LIMIT: Duration = Duration::from_secs(20);

impl Qemu {
    pub(super) async fn plug_in(&self, vm: VmId, interface: &Interface) -> Result<()> {
        let _lock = self.lock(vm).await?;
        let folder = self.folder(vm);
        let mut record = folder.load().await?;
        let mut spec = record.spec(vm)?.clone();
        match spec.interfaces.iter().find(|known| known.id == interface.id) {
            Some(known) if known == interface => {}
            Some(_) => {
                return Err(HypervisorError::last(
                    "The interface is attached already, in another way.",
                    format!("interface {} of {vm} is another one", interface.id),
                ));
            }
            None => {
                spec.interfaces.push(interface.clone());
                spec.check()?;
                record.spec = Some(spec);
                record.assign_ports()?;
                record.bound.retain(|bound| bound.interface != interface.id);
                record.bound.extend(choose_ports(interface)?);
                folder.save(&record).await?;
            }
        }
        if self.host.processes.find(vm)?.is_none() {
            return Ok(());
        }
        self.host.network.plug(vm, interface).await?;
        let mut qmp = Qmp::connect(&folder, CONTROL).await?;
        if devices(&mut qmp).await?.contains(&nic_id(interface.id)) {
            return Ok(());
        }
        match qmp.execute("netdev_add", netdev(interface, &record)?).await {
            Ok(_) => {}
            // The host's side was made before something failed.
            Err(QmpError::Refused(why)) if why.contains("Duplicate ID") => {}
            Err(error) => return Err(error.into()),
        }
        qmp.execute("device_add", nic(interface, &record)?).await?;
        Ok(())
    }

    pub(super) async fn plug_out(&self, vm: VmId, id: InterfaceId) -> Result<()> {
        let _lock = self.lock(vm).await?;
        let folder = self.folder(vm);
        let mut record = folder.load().await?;
        let Some(spec) = &mut record.spec else {
            return Ok(());
        };
        let Some(at) = spec.interfaces.iter().position(|interface| interface.id == id) else {
            return Ok(());
        };
        if self.host.processes.find(vm)?.is_some() {
            let mut qmp = Qmp::connect(&folder, CONTROL).await?;
            release(&mut qmp, id).await?;
            match qmp.execute("netdev_del", json!({"id": netdev_id(id)})).await {
                // Gone already.
                Ok(_) | Err(QmpError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let interface = spec.interfaces.remove(at);
        self.host.network.unplug(&interface).await?;
        record.assign_ports()?;
        record.bound.retain(|bound| bound.interface != id);
        folder.save(&record).await
    }
}

/// Asks the guest to let the interface go, and waits until it has.
async fn release(qmp: &mut Qmp, id: InterfaceId) -> Result<()> {
    let device = nic_id(id);
    if !devices(qmp).await?.contains(&device) {
        return Ok(());
    }
    match qmp.execute("device_del", json!({"id": device})).await {
        // An earlier request may be under way still.
        Ok(_) | Err(QmpError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = qmp
        .event(RELEASE_LIMIT, |event| {
            event.name == "DEVICE_DELETED" && event.data["device"].as_str() == Some(device.as_str())
        })
        .await?;
    if gone || !devices(qmp).await?.contains(&device) {
        return Ok(());
    }
    Err(HypervisorError::passing(
        "The instance's system does not release the interface.",
        format!("the guest did not release {device} within {RELEASE_LIMIT:?}"),
    ))
}

/// The devices that were given an id.
async fn devices(qmp: &mut Qmp) -> Result<Vec<String>> {
    let listed = qmp
        .execute("qom-list", json!({"path": "/machine/peripheral"}))
        .await?;
    let name = |entry: &Value| entry["name"].as_str().map(str::to_owned);
    Ok(listed.as_array().into_iter().flatten().filter_map(name).collect())
}
