//! The steps of an instance's tasks in the outside world.

use std::sync::Arc;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::notifications::{Notice, notify};
use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    schema::tasks,
    store::{StoreError, Tx, lock},
    tasks::{Done, Kind, NewTask, Outcome, Step, TaskRow, TaskStatus, Verdict, Work},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    api::InstanceKind,
    rows::{InstanceRow, lock_row, save, update},
};
use crate::{
    events::INSTANCE_FAILED,
    network::NetworkDriver,
    schema::instances,
    vpcs::{api::VpcKind, private},
};

/// Moves an instance's interface to the VPC that its row names already.
pub struct AttachVpc {
    name: &'static str,
    steps: Vec<Arc<dyn Step>>,
}

/// What the task is about: both VPCs, so that it can be undone.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    vpc_id: Id<VpcKind>,
    previous_vpc_id: Id<VpcKind>,
}

impl std::fmt::Debug for AttachVpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttachVpc")
    }
}

impl AttachVpc {
    pub(crate) const NAME: &'static str = "attach_vpc";
    /// The same on the way to the project's default VPC.
    pub(crate) const DETACH: &'static str = "detach_vpc";

    /// The kind, on this driver.
    pub fn new(network: &Arc<dyn NetworkDriver>) -> Self {
        Self {
            name: Self::NAME,
            steps: vec![
                Arc::new(Detach {
                    network: Arc::clone(network),
                }),
                Arc::new(Attach {
                    network: Arc::clone(network),
                }),
            ],
        }
    }

    /// The kind that leads back to the default VPC, on this driver.
    pub fn detaching(network: &Arc<dyn NetworkDriver>) -> Self {
        Self {
            name: Self::DETACH,
            ..Self::new(network)
        }
    }

    /// The task that makes `row`'s VPC true, coming from `previous`.
    pub(crate) fn task(row: &InstanceRow, previous: Id<VpcKind>) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization: row.organization_id,
            project: row.project_id,
            resource_type: "instance",
            resource: row.id.cast(),
            parameters: serde_json::json!({ "vpc_id": row.vpc_id, "previous_vpc_id": previous }),
            max_retries: 5,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for AttachVpc {
    fn name(&self) -> &'static str {
        self.name
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// A move that failed was undone by its steps: the row says again where the instance is, unless a later change
    /// has already asked for something else.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        if outcome == Outcome::Failed {
            stay(tx, task)?;
        }
        private::release_others(tx, task.resource_id.cast())
    }

    fn withdrawn(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        if is_overtaken(tx, task)? {
            return Ok(Err(
                "A later change of VPC waits behind this one: cancel that first.",
            ));
        }
        stay(tx, task)?;
        private::release_others(tx, task.resource_id.cast()).map(Ok)
    }

    fn renewed(&self, tx: &mut Tx<'_>, task: &TaskRow) -> Result<Verdict, StoreError> {
        let Ok(wanted) = task.parameters.read::<Move>() else {
            return Ok(Err("The task's parameters can't be read."));
        };
        let Some(mut row) = lock_row(tx, task.project_id, task.resource_id.cast())? else {
            return Ok(Ok(()));
        };
        if row.vpc_id != wanted.previous_vpc_id {
            return Ok(Err("The instance is in another VPC by now: attach it anew."));
        }
        let wish = private::Wish::default();
        if private::assign(tx, row.id, wanted.vpc_id, &wish, "vpc_id").is_err() {
            return Ok(Err("The VPC has no free address by now."));
        }
        row.vpc_id = wanted.vpc_id;
        save(tx, &mut row).map(Ok)
    }
}

/// Whether another change of VPC waits.
fn is_overtaken(tx: &mut Tx<'_>, task: &TaskRow) -> Result<bool, StoreError> {
    let later: i64 = tasks::table
        .filter(tasks::resource_id.eq(task.resource_id))
        .filter(tasks::kind.eq_any([AttachVpc::NAME, AttachVpc::DETACH]))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .filter(tasks::created.gt(task.created))
        .count()
        .get_result(tx.conn())?;
    Ok(later > 0)
}

/// The row says again where the instance is, unless a later change has already asked for something else.
fn stay(tx: &mut Tx<'_>, task: &TaskRow) -> Result<(), StoreError> {
    let Ok(wanted) = task.parameters.read::<Move>() else {
        return Ok(());
    };
    let query = instances::table
        .filter(instances::id.eq(task.resource_id.cast::<InstanceKind>()))
        .filter(instances::project_id.eq(task.project_id))
        .select(InstanceRow::as_select());
    let row: Option<InstanceRow> = lock("instances", query).get_result(tx.conn()).optional()?;
    let Some(mut row) = row.filter(|row| row.vpc_id == wanted.vpc_id) else {
        return Ok(());
    };
    let mut changes = Changes::default();
    changes.note("vpc_id", &row.vpc_id, &wanted.previous_vpc_id);
    row.vpc_id = wanted.previous_vpc_id;
    row.version += 1;
    row.modified = tx.now();
    update(tx, &row)?;
    let event = Event {
        action: "instance.vpc_change_failed",
        resource_type: "instance",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Instance {} stays in its VPC: the change failed", row.name),
        changes,
        status: AuditStatus::Failure,
    };
    tx.audit(
        &Origin::system("worker"),
        Some(row.organization_id),
        Some(row.project_id),
        &event,
    )?;
    let facts = json!({
        "task": task.kind,
        "task_id": task.id,
        "instance": row.name,
        "instance_id": row.id,
        "project_id": row.project_id,
        "reason": task.error,
    });
    notify(tx, Notice::new(row.organization_id, &INSTANCE_FAILED, facts))
}

struct Detach {
    network: Arc<dyn NetworkDriver>,
}

impl Step for Detach {
    fn name(&self) -> &'static str {
        "detach_interface"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Move { previous_vpc_id, .. } = work.parameters()?;
            self.network
                .detach(&work.app, work.resource.cast(), previous_vpc_id)
                .await
        })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Move { previous_vpc_id, .. } = work.parameters()?;
            self.network
                .attach(&work.app, work.resource.cast(), previous_vpc_id)
                .await
        })
    }
}

struct Attach {
    network: Arc<dyn NetworkDriver>,
}

impl Step for Attach {
    fn name(&self) -> &'static str {
        "attach_interface"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Move { vpc_id, .. } = work.parameters()?;
            self.network.attach(&work.app, work.resource.cast(), vpc_id).await
        })
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let Move { vpc_id, .. } = work.parameters()?;
            self.network.detach(&work.app, work.resource.cast(), vpc_id).await
        })
    }
}
