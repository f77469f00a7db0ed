//! The tasks that place keys on guests and take them off.
//!
//! Both tell the guest the whole list that its instance's rows have at that time: a step that runs again, or after
//! another change, does no harm.

use std::{collections::HashSet, sync::Arc};

use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    api::SshKeyKind,
    guests::GuestAccess,
    rows::{self, PlacedRow},
};
use crate::instances::{api::InstanceKind, rows::InstanceRow};

/// What a task that adds keys is told.
#[derive(Debug, Serialize, Deserialize)]
struct Added {
    ssh_key_ids: Vec<Id<SshKeyKind>>,
}

/// What a task that removes a key is told: enough to put it back.
#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    ssh_key_id: Id<SshKeyKind>,
    name: String,
    public_key: String,
    fingerprint: String,
    added_at: Time,
}

fn task(kind: &'static str, instance: &InstanceRow, parameters: serde_json::Value) -> NewTask {
    NewTask {
        kind,
        organization: instance.organization_id,
        project: instance.project_id,
        resource_type: "instance",
        resource: instance.id.cast(),
        parameters,
        max_retries: 5,
        created_by: None,
        request: None,
    }
}

/// Places keys that the instance's rows have already.
pub struct AddSshKeys {
    steps: Vec<Arc<dyn Step>>,
}

impl std::fmt::Debug for AddSshKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddSshKeys")
    }
}

impl AddSshKeys {
    const NAME: &'static str = "add_ssh_keys";

    /// The kind, on this driver.
    pub fn new(guests: &Arc<dyn GuestAccess>) -> Self {
        Self {
            steps: vec![Arc::new(Place {
                guests: Arc::clone(guests),
            })],
        }
    }

    /// The task that places keys which are new to the instance.
    pub(super) fn task(instance: &InstanceRow, ssh_key_ids: &[Id<SshKeyKind>]) -> NewTask {
        task(Self::NAME, instance, json!({ "ssh_key_ids": ssh_key_ids }))
    }
}

impl Kind for AddSshKeys {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// Keys that could not be placed are not on the instance.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        let Ok(Added { ssh_key_ids }) = task.parameters.read() else {
            return Ok(());
        };
        if outcome == Outcome::Completed || ssh_key_ids.is_empty() {
            return Ok(());
        }
        let instance: Id<InstanceKind> = task.resource_id.cast();
        // Not those that were removed meanwhile and asked for again: a later task places them.
        let own: Vec<Id<SshKeyKind>> = rows::placed(tx.conn(), instance)?
            .into_iter()
            .filter(|row| ssh_key_ids.contains(&row.ssh_key_id) && row.added_at <= task.created)
            .map(|row| row.ssh_key_id)
            .collect();
        rows::unplace(tx, instance, &own)?;
        record_failure(tx, task, "SSH keys could not be placed on the instance")
    }
}

/// Takes a key off that the instance's rows don't have any more.
pub struct RemoveSshKey {
    steps: Vec<Arc<dyn Step>>,
}

impl std::fmt::Debug for RemoveSshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RemoveSshKey")
    }
}

impl RemoveSshKey {
    const NAME: &'static str = "remove_ssh_key";

    /// The kind, on this driver.
    pub fn new(guests: &Arc<dyn GuestAccess>) -> Self {
        Self {
            steps: vec![Arc::new(Place {
                guests: Arc::clone(guests),
            })],
        }
    }

    /// The task that takes off a key which the instance had.
    pub(super) fn task(instance: &InstanceRow, row: &PlacedRow) -> NewTask {
        let PlacedRow {
            instance_id: _,
            ssh_key_id,
            name,
            public_key,
            fingerprint,
            added_at,
        } = row.clone();
        let removed = Removed {
            ssh_key_id,
            name,
            public_key,
            fingerprint,
            added_at,
        };
        task(Self::NAME, instance, json!(removed))
    }
}

impl Kind for RemoveSshKey {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// A key that could not be taken off is still on the instance.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        let Ok(removed) = task.parameters.read::<Removed>() else {
            return Ok(());
        };
        if outcome == Outcome::Completed {
            return Ok(());
        }
        let instance: Id<InstanceKind> = task.resource_id.cast();
        let Removed {
            ssh_key_id,
            name,
            public_key,
            fingerprint,
            added_at,
        } = removed;
        let is_back = rows::placed(tx.conn(), instance)?
            .iter()
            .any(|row| row.ssh_key_id == ssh_key_id);
        if !is_back {
            let row = PlacedRow {
                instance_id: instance,
                ssh_key_id,
                name,
                public_key,
                fingerprint,
                added_at,
            };
            rows::place(tx, &row)?;
        }
        record_failure(tx, task, "An SSH key could not be removed from the instance")
    }
}

fn record_failure(tx: &mut Tx<'_>, task: &TaskRow, description: &str) -> Result<(), StoreError> {
    let event = Event {
        action: "instance.ssh_keys_failed",
        resource_type: "instance",
        resource_id: task.resource_id,
        resource_name: String::new(),
        description: description.to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Failure,
    };
    tx.audit(
        &Origin::system("worker"),
        Some(task.organization_id),
        Some(task.project_id),
        &event,
    )
}

/// Tells the guest which keys it has.
struct Place {
    guests: Arc<dyn GuestAccess>,
}

impl Place {
    async fn place(&self, work: &Work, but_for: &Instead) -> Result<(), StepError> {
        let instance: Id<InstanceKind> = work.resource.cast();
        let read = move |conn: &mut _| rows::placed(conn, instance);
        let placed = work.app.store().read("keys_of_instance", read).await?;
        self.guests
            .set_authorized_keys(&work.app, instance, but_for.lines(placed))
            .await
            .map_err(|error| StepError::passing("The guest could not be reached.", error))
    }
}

/// What is different from the rows while a task is undone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instead {
    /// Added, and not any more.
    ssh_key_ids: HashSet<Id<SshKeyKind>>,
    /// Removed, and back again.
    public_key: Option<String>,
}

impl Instead {
    /// The lines of `authorized_keys`. A key that the project has forgotten and stored again is there once.
    fn lines(&self, placed: Vec<PlacedRow>) -> Vec<String> {
        let kept = placed
            .into_iter()
            .filter(|row| !self.ssh_key_ids.contains(&row.ssh_key_id))
            .map(|row| row.public_key);
        let mut seen = HashSet::new();
        let lines = kept.chain(self.public_key.clone());
        lines
            .filter(|line| {
                let without_comment: Vec<&str> = line.split(' ').take(2).collect();
                seen.insert(without_comment.join(" "))
            })
            .collect()
    }
}

impl Step for Place {
    fn name(&self) -> &'static str {
        "set_authorized_keys"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move { self.place(work, &Instead::default()).await })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let instead: Instead = work.parameters()?;
            self.place(work, &instead).await
        })
    }
}
