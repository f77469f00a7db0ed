//! What all actions on an instance's machine share: finding and locking it, what its state allows, its audit record, its
//! task. An action is one transaction: [`Action::begin`], the action's own checks and writes, [`Action::audit`],
//! [`Action::enqueue`].

use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult},
    id::Id,
    store::{StoreError, Tx},
    tasks::TaskId,
};
use serde_json::Value;

use super::{
    api::{InstanceKind, InstanceStatus},
    rows::{self, InstanceRow, StateRow},
};
use crate::{
    machines::{MachineRow, kinds, rows as machines, wishes},
    tasks::{self, api::InstanceTask},
};

/// The description of a 202 in the document.
pub(crate) const ACCEPTED: &str =
    "Accepted. The task that carries out the action is returned; poll it, or list the tasks of the instance.";
/// The description of a 409 in the document.
pub(crate) const CONFLICT: &str =
    "The instance is in a state, or has a running task, that forbids this action";

/// An instance under an action, locked.
pub(crate) struct Action<'a, P> {
    scope: &'a ProjectScope<P>,
    /// The instance.
    pub(crate) row: InstanceRow,
    /// What was last seen of its machine.
    pub(crate) state: Option<StateRow>,
    machine: Option<MachineRow>,
}

impl<'a, P: Permission> Action<'a, P> {
    /// Finds and locks the instance.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn begin(
        tx: &mut Tx<'_>,
        scope: &'a ProjectScope<P>,
        id: Id<InstanceKind>,
    ) -> ApiResult<Self> {
        let (row, _, state) = rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        let machine = machines::find(tx.conn(), id)?;
        Ok(Self {
            scope,
            row,
            state,
            machine,
        })
    }

    /// The machine.
    ///
    /// # Errors
    /// 409: nothing runs for the instance.
    pub(crate) fn machine(&self) -> ApiResult<&MachineRow> {
        self.machine.as_ref().ok_or_else(|| {
            ApiError::conflict("This instance has no machine on a host: there is nothing to act on.")
        })
    }

    /// A copy of the machine to change and save.
    ///
    /// # Errors
    /// 409: nothing runs for the instance.
    pub(crate) fn machine_to_change(&self) -> ApiResult<MachineRow> {
        self.machine().cloned()
    }

    /// Refuses actions on what is not there yet, not paid, or not there any more.
    ///
    /// # Errors
    /// 403 while it is suspended; 409 otherwise.
    pub(crate) fn must_be_active(&self) -> ApiResult<()> {
        self.must_be_in_force()?;
        self.machine().map(drop)
    }

    /// The same for what needs no machine.
    ///
    /// # Errors
    /// 403 while it is suspended; 409 otherwise.
    pub(crate) fn must_be_in_force(&self) -> ApiResult<()> {
        match self.row.status {
            InstanceStatus::Active => Ok(()),
            InstanceStatus::Suspended => Err(ApiError::new(
                http::StatusCode::FORBIDDEN,
                "permission_denied",
                "The instance is suspended for an unpaid invoice: pay it first.",
            )),
            status => Err(ApiError::conflict(format!(
                "The instance is {}; it must be active for this.",
                status.as_str()
            ))),
        }
    }

    /// Writes the action's audit record.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn audit(
        &self,
        tx: &mut Tx<'_>,
        action: &'static str,
        description: String,
        changes: Changes,
    ) -> Result<(), StoreError> {
        let event = Event {
            action,
            resource_type: "instance",
            resource_id: self.row.id.cast(),
            resource_name: self.row.name.clone(),
            description,
            changes,
            status: AuditStatus::Success,
        };
        let origin = Origin::caller(&self.scope.caller, &self.scope.request);
        tx.audit(
            &origin,
            Some(self.row.organization_id),
            Some(self.row.project_id),
            &event,
        )
    }

    /// Enqueues the action's task, and answers it.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn enqueue(
        &mut self,
        tx: &mut Tx<'_>,
        kind: &'static str,
        parameters: Value,
    ) -> ApiResult<Answer<InstanceTask>> {
        let id = self.ask(tx, kind, parameters)?;
        self.answer(tx, id)
    }

    /// Writes what is wanted of the instance and its machine, enqueues the task that makes it true or takes it back, and
    /// answers the task. `row`: the instance as it is wanted, if anything of it changes.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn change(
        &mut self,
        tx: &mut Tx<'_>,
        kind: &'static str,
        parameters: Value,
        row: Option<InstanceRow>,
        machine: MachineRow,
    ) -> ApiResult<Answer<InstanceTask>> {
        let id = self.wish(tx, kind, parameters, row, machine)?;
        self.answer(tx, id)
    }

    /// As [`Self::change`], for who has more to do with the task.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn wish(
        &mut self,
        tx: &mut Tx<'_>,
        kind: &'static str,
        parameters: Value,
        row: Option<InstanceRow>,
        mut machine: MachineRow,
    ) -> ApiResult<TaskId> {
        let before = self.machine()?.clone();
        let id = self.ask(tx, kind, parameters)?;
        let wanted = row.as_ref().unwrap_or(&self.row);
        wishes::keep(tx, id, (&self.row, &before), (wanted, &machine))?;
        machines::save(tx, &mut machine)?;
        if let Some(mut row) = row {
            rows::save(tx, &mut row)?;
            self.row = row;
        }
        self.machine = Some(machine);
        Ok(id)
    }

    /// Enqueues a task of the instance. Most actions say what they want with [`Self::change`] or [`Self::enqueue`].
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn ask(&self, tx: &mut Tx<'_>, kind: &'static str, parameters: Value) -> ApiResult<TaskId> {
        let mut wanted = kinds::task(
            kind,
            &self.row,
            Some((self.scope.caller.user, self.scope.request.id)),
        );
        wanted.parameters = parameters;
        Ok(tx.enqueue(&wanted)?)
    }

    /// 202 with the task.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn answer(&self, tx: &mut Tx<'_>, id: TaskId) -> ApiResult<Answer<InstanceTask>> {
        let task = tasks::one(tx.conn(), self.scope.project, id)?;
        Ok(Answer::accepted(task, self.path_of(id)))
    }

    /// Where a task can be read.
    pub(crate) fn path_of(&self, id: TaskId) -> String {
        tasks::path(self.scope.organization, self.scope.project, id)
    }
}
