//! Carries verdicts out: each in a transaction of its own, which locks the instance and looks again.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    audit::{AuditStatus, Changes},
    store::{StoreError, Tx},
    time::Time,
};

use super::{
    decide::{Trouble, Verdict},
    rows::{self, Watched},
};
use crate::{
    instances::{
        api::InstanceStatus,
        rows::{InstanceRow, lock_row},
    },
    machines::{
        Power,
        kinds::{name, task, tell},
        rows as machines,
    },
    schema::machine_watches,
};

/// Does what was decided about a machine, if nothing has happened to it since `looked`.
///
/// # Errors
/// The database refused.
pub(super) async fn act(
    app: &App,
    machine: &Watched,
    verdict: Verdict,
    looked: Time,
) -> Result<(), StoreError> {
    if verdict == Verdict::Nothing {
        return Ok(());
    }
    let instance = machine.owner.id;
    let (project, wanted) = (machine.owner.project_id, machine.wish.power);
    let write = app.store().write("reconcile_machine", move |tx| {
        let Some(row) = lock_row(tx, project, instance)? else {
            return Ok(false);
        };
        let Some(machine) = machines::find(tx.conn(), instance)? else {
            return Ok(false);
        };
        if machine.power != wanted || !rows::is_quiet(tx.conn(), instance.cast(), looked)? {
            return Ok(false);
        }
        perform(tx, &row, verdict).map(|()| true)
    });
    if write.await? {
        tracing::warn!(%instance, ?verdict, "a machine was not as it should be");
    }
    Ok(())
}

fn perform(tx: &mut Tx<'_>, row: &InstanceRow, verdict: Verdict) -> Result<(), StoreError> {
    let called = &row.name;
    match verdict {
        Verdict::Nothing => Ok(()),
        Verdict::StartAgain { count, since } => {
            if row.status != InstanceStatus::Active {
                return Ok(());
            }
            count_restarts(tx, row, count, Some(since))?;
            tx.enqueue(&task(name::START, row, None))?;
            let text =
                format!("The machine of instance {called} has ended unexpectedly: it is started again");
            tell(
                tx,
                row,
                "instance.started_again",
                text,
                (Changes::default(), AuditStatus::Success),
            )
        }
        Verdict::GiveUp => {
            // Whoever starts it by hand begins anew.
            count_restarts(tx, row, 0, None)?;
            let text =
                format!("The machine of instance {called} ends unexpectedly again and again: it stays off");
            leave_off(tx, row, "instance.restarts_given_up", text, AuditStatus::Failure)
        }
        Verdict::StayOff => {
            let text = format!("The system of instance {called} has switched itself off");
            leave_off(
                tx,
                row,
                "instance.switched_itself_off",
                text,
                AuditStatus::Success,
            )
        }
        Verdict::Stop => {
            tx.enqueue(&task(name::STOP, row, None))?;
            let text =
                format!("The machine of instance {called} runs although it should be off: it is stopped");
            tell(
                tx,
                row,
                "instance.stopped",
                text,
                (Changes::default(), AuditStatus::Success),
            )
        }
        Verdict::Tell(trouble) => {
            let (action, text) = match trouble {
                Trouble::Missing => (
                    "instance.machine_missing",
                    format!("The machine of instance {called} is not on its host"),
                ),
                Trouble::Paused => (
                    "instance.machine_paused",
                    format!("The machine of instance {called} is held by its host"),
                ),
            };
            tell(tx, row, action, text, (Changes::default(), AuditStatus::Failure))
        }
    }
}

/// The wish follows the machine: it is off.
fn leave_off(
    tx: &mut Tx<'_>,
    row: &InstanceRow,
    action: &'static str,
    text: String,
    status: AuditStatus,
) -> Result<(), StoreError> {
    machines::set_power(tx, row.id, Power::Off)?;
    let mut changes = Changes::default();
    changes.note("power", &Power::On, &Power::Off);
    tell(tx, row, action, text, (changes, status))
}

fn count_restarts(
    tx: &mut Tx<'_>,
    row: &InstanceRow,
    count: i64,
    since: Option<Time>,
) -> Result<(), StoreError> {
    let last = since.map(|_| tx.now());
    diesel::update(machine_watches::table.find(row.id))
        .set((
            machine_watches::restarts.eq(count),
            machine_watches::first_restart_at.eq(since),
            machine_watches::last_restart_at.eq(last),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Tells, once a month, that an instance has used its traffic.
///
/// # Errors
/// The database refused.
pub(super) async fn tell_quota(
    app: &App,
    machine: &Watched,
    month: i64,
    quota_gb: u64,
) -> Result<(), StoreError> {
    let (instance, project) = (machine.owner.id, machine.owner.project_id);
    let write = app.store().write("bandwidth_quota", move |tx| {
        let Some(row) = lock_row(tx, project, instance)? else {
            return Ok(());
        };
        let watch = machine_watches::table
            .find(instance)
            .filter(machine_watches::quota_told_month.ne(month));
        let told = diesel::update(watch)
            .set(machine_watches::quota_told_month.eq(month))
            .execute(tx.conn())?;
        if told == 0 {
            return Ok(());
        }
        let used = row.bandwidth_used_gb.fixed::<2>();
        let text = format!(
            "Instance {} has used {used} GB of its {quota_gb} GB of traffic this month",
            row.name
        );
        tell(
            tx,
            &row,
            "instance.bandwidth_exceeded",
            text,
            (Changes::default(), AuditStatus::Success),
        )
    });
    write.await
}
