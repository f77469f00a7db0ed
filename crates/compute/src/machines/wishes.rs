//! What tasks are to make true, and what was there before.
//!
//! A request writes at once what is wanted, so that whoever reads it sees it and whatever is asked for next builds on it.
//! A task that fails, or is withdrawn, must leave everything as if it had never been asked for. So it keeps what it has
//! changed, field by field: taking it back gives a field its earlier value, unless a later task has changed it again;
//! then that one is made to come from the earlier value.

use std::collections::BTreeMap;

use diesel::{ExpressionMethods, Insertable, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use kernel::{
    audit::Changes,
    id::{Any, Id},
    schema::tasks,
    store::{Conn, StoreError, Tx},
    tasks::{Task, TaskId, TaskRow, TaskStatus},
    time::Time,
    words,
};

use super::{MachineRow, Power, rows};
use crate::{
    instances::{
        api::InstanceKind,
        rows::{self as instances, InstanceRow},
    },
    schema::instance_wishes,
};

words! {
    /// What a task can change
    #[derive(PartialOrd, Ord)]
    pub(crate) enum Field {
        /// `instances.hostname`
        Hostname = "hostname",
        /// `instances.image_id`
        ImageId = "image_id",
        /// `instances.os_name`
        OsName = "os_name",
        /// `instances.is_installed`
        IsInstalled = "is_installed",
        /// `machines.password`
        Password = "password",
        /// `machines.user_data`
        UserData = "user_data",
        /// `machines.seed_id`
        SeedId = "seed_id",
        /// `machines.rescue_image_id`
        RescueImageId = "rescue_image_id",
        /// `machines.rescue_password`
        RescuePassword = "rescue_password",
        /// `machines.power`
        Power = "power",
        /// `machines.cpus`
        Cpus = "cpus",
        /// `machines.memory_mb`
        MemoryMb = "memory_mb",
        /// `machines.disk_gb`
        DiskGb = "disk_gb",
    }
}

impl Field {
    /// Whether records may say its value.
    const fn is_public(self) -> bool {
        !matches!(
            self,
            Self::Password | Self::UserData | Self::RescuePassword | Self::SeedId
        )
    }
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = instance_wishes)]
struct Wish {
    task_id: TaskId,
    instance_id: Id<InstanceKind>,
    field: Field,
    value_before: Option<String>,
    value_after: Option<String>,
}

/// The fields of an instance and its machine, as text.
fn values(instance: &InstanceRow, machine: &MachineRow) -> BTreeMap<Field, Option<String>> {
    let read = |field: Field| match field {
        Field::Hostname => Some(instance.hostname.clone()),
        Field::ImageId => Some(instance.image_id.to_string()),
        Field::OsName => Some(instance.os_name.clone()),
        Field::IsInstalled => Some(instance.is_installed.to_string()),
        Field::Password => machine.password.clone(),
        Field::UserData => machine.user_data.clone(),
        Field::SeedId => Some(machine.seed_id.to_string()),
        Field::RescueImageId => machine.rescue_image_id.map(|id| id.to_string()),
        Field::RescuePassword => machine.rescue_password.clone(),
        Field::Power => Some(machine.power.as_str().to_owned()),
        Field::Cpus => Some(machine.cpus.to_string()),
        Field::MemoryMb => Some(machine.memory_mb.to_string()),
        Field::DiskGb => Some(machine.disk_gb.to_string()),
    };
    Field::ALL.iter().map(|field| (*field, read(*field))).collect()
}

/// Gives a field a value. One that is none of the field's, which nobody writes, leaves it as it is.
fn assign(instance: &mut InstanceRow, machine: &mut MachineRow, field: Field, value: Option<&str>) {
    fn put<T: std::str::FromStr>(target: &mut T, value: Option<&str>) {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            *target = value;
        }
    }
    match field {
        Field::Hostname => {
            put(&mut instance.hostname, value);
            instance.search = InstanceRow::search_text(&instance.name, &instance.hostname);
        }
        Field::ImageId => put(&mut instance.image_id, value),
        Field::OsName => put(&mut instance.os_name, value),
        Field::IsInstalled => put(&mut instance.is_installed, value),
        Field::Password => machine.password = value.map(str::to_owned),
        Field::UserData => machine.user_data = value.map(str::to_owned),
        Field::SeedId => put(&mut machine.seed_id, value),
        Field::RescueImageId => machine.rescue_image_id = value.and_then(|value| value.parse().ok()),
        Field::RescuePassword => machine.rescue_password = value.map(str::to_owned),
        Field::Power => machine.power = value.and_then(Power::from_word).unwrap_or(machine.power),
        Field::Cpus => put(&mut machine.cpus, value),
        Field::MemoryMb => put(&mut machine.memory_mb, value),
        Field::DiskGb => put(&mut machine.disk_gb, value),
    }
}

fn of_task(conn: &mut Conn, task: TaskId) -> Result<Vec<Wish>, StoreError> {
    Ok(instance_wishes::table
        .filter(instance_wishes::task_id.eq(task))
        .order(instance_wishes::field)
        .select(Wish::as_select())
        .load(conn)?)
}

/// An instance and its machine, before or after a change.
pub(crate) type Pair<'a> = (&'a InstanceRow, &'a MachineRow);

/// Keeps what is different between `before` and `after` as what the task is to make true. The rows themselves are the
/// caller's to write.
///
/// # Errors
/// The database refused.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    task: TaskId,
    before: Pair<'_>,
    after: Pair<'_>,
) -> Result<(), StoreError> {
    let mut old = values(before.0, before.1);
    for (field, value_after) in values(after.0, after.1) {
        let value_before = old.remove(&field).flatten();
        if value_before == value_after {
            continue;
        }
        let wish = Wish {
            task_id: task,
            instance_id: after.0.id,
            field,
            value_before,
            value_after,
        };
        diesel::insert_into(instance_wishes::table)
            .values(&wish)
            .execute(tx.conn())?;
    }
    Ok(())
}

/// The task's wishes have come true, or are nobody's any more.
///
/// # Errors
/// The database refused.
pub(crate) fn forget(tx: &mut Tx<'_>, task: TaskId) -> Result<(), StoreError> {
    diesel::delete(instance_wishes::table.filter(instance_wishes::task_id.eq(task))).execute(tx.conn())?;
    Ok(())
}

/// The instance is over.
///
/// # Errors
/// The database refused.
pub(crate) fn forget_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    diesel::delete(instance_wishes::table.filter(instance_wishes::instance_id.eq(instance)))
        .execute(tx.conn())?;
    Ok(())
}

/// Shows an instance and its machine as they were before the task. `false`: it has changed nothing of them.
///
/// # Errors
/// The database refused.
pub(crate) fn rewind(
    conn: &mut Conn,
    task: TaskId,
    instance: &mut InstanceRow,
    machine: &mut MachineRow,
) -> Result<bool, StoreError> {
    let wishes = of_task(conn, task)?;
    for wish in &wishes {
        assign(instance, machine, wish.field, wish.value_before.as_deref());
    }
    Ok(!wishes.is_empty())
}

/// Takes back what the task has changed. Its wishes are kept for another try. Gives what an audit record may say of it.
///
/// # Errors
/// The database refused.
pub(crate) fn take_back(tx: &mut Tx<'_>, task: &TaskRow, except: &[Field]) -> Result<Changes, StoreError> {
    let mut changes = Changes::default();
    let id: Id<InstanceKind> = task.resource_id.cast();
    let Some(mut instance) = instances::lock_row(tx, task.project_id, id)? else {
        return Ok(changes);
    };
    let Some(mut machine) = rows::find(tx.conn(), id)? else {
        return Ok(changes);
    };
    let later = unfinished_after(tx.conn(), task.resource_id, task.created)?;
    let now = values(&instance, &machine);
    let mut is_changed = false;
    for wish in of_task(tx.conn(), task.id)? {
        if except.contains(&wish.field) {
            continue;
        }
        if pass_on(tx, &wish, &later)? {
            continue;
        }
        if now
            .get(&wish.field)
            .is_some_and(|value| *value == wish.value_after)
        {
            if wish.field.is_public() {
                changes.note(wish.field.as_str(), &wish.value_after, &wish.value_before);
            }
            assign(
                &mut instance,
                &mut machine,
                wish.field,
                wish.value_before.as_deref(),
            );
            is_changed = true;
        }
    }
    if is_changed {
        rows::save(tx, &mut machine)?;
        instances::save(tx, &mut instance)?;
    }
    Ok(changes)
}

/// Makes the next task that changes the same field come from where this one came from. `false`: there is none.
fn pass_on(tx: &mut Tx<'_>, wish: &Wish, later: &[TaskId]) -> Result<bool, StoreError> {
    for task in later {
        let next = instance_wishes::table
            .filter(instance_wishes::task_id.eq(*task))
            .filter(instance_wishes::field.eq(wish.field));
        let passed = diesel::update(next)
            .set(instance_wishes::value_before.eq(&wish.value_before))
            .execute(tx.conn())?;
        if passed > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tasks of an instance that wait or run and were asked for later, in their order.
fn unfinished_after(conn: &mut Conn, instance: Id<Any>, created: Time) -> Result<Vec<Id<Task>>, StoreError> {
    Ok(tasks::table
        .filter(tasks::resource_id.eq(instance))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .filter(tasks::created.gt(created))
        .order((tasks::created, tasks::id))
        .select(tasks::id)
        .load(conn)?)
}

/// Wishes again what was taken back when the task failed.
///
/// # Errors
/// The database refused.
pub(crate) fn renew(tx: &mut Tx<'_>, task: &TaskRow) -> Result<(), StoreError> {
    let id: Id<InstanceKind> = task.resource_id.cast();
    let Some(mut instance) = instances::lock_row(tx, task.project_id, id)? else {
        return Ok(());
    };
    let Some(mut machine) = rows::find(tx.conn(), id)? else {
        return Ok(());
    };
    let wishes = of_task(tx.conn(), task.id)?;
    if wishes.is_empty() {
        return Ok(());
    }
    let (instance_before, machine_before) = (instance.clone(), machine.clone());
    for wish in &wishes {
        assign(
            &mut instance,
            &mut machine,
            wish.field,
            wish.value_after.as_deref(),
        );
    }
    forget(tx, task.id)?;
    keep(
        tx,
        task.id,
        (&instance_before, &machine_before),
        (&instance, &machine),
    )?;
    rows::save(tx, &mut machine)?;
    instances::save(tx, &mut instance)
}
