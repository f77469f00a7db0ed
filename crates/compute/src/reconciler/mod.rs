//! The reconciler: looks at each host of this node every few seconds, writes down what its machines are and use, and mends
//! what is not as it should be.
//!
//! A look at a host is [`Reconciler::look`]: the driver lists its machines, the database is read ([`rows`]), what was seen
//! is compared with what is written ([`measure`], [`decide`]) and written in a few statements ([`rows`],
//! [`crate::metrics`]), and what was decided is carried out ([`act`], [`orphans`]), mostly by enqueueing tasks. A host that
//! is silent, or a database that can't be read, changes nothing.
//!
//! See `docs/metrics.md` for what an operator should know.

mod act;
mod decide;
mod measure;
mod orphans;
mod rows;
mod state;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use billing::calendar;
use hypervisor::{Hypervisor, Observed, VmId};
use kernel::{
    App,
    store::{Conn, StoreError},
    time::Time,
};
use tokio::{sync::watch, task::JoinSet};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    decide::{Case, Restarts, decide},
    measure::{Moment, Writes, measure, seen, word},
    orphans::Orphans,
    rows::{Known, Watched, claim},
};
use crate::{
    Compute,
    hosts::HostId,
    machines::plan::vm_of,
    metrics::{bandwidth, forget, series},
};

/// How many machines one transaction writes about.
const CHUNK: usize = 500;
/// How long a host may take to tell what is on it.
const LIST_LIMIT: Duration = Duration::from_secs(20);

/// Why a host could not be looked at.
#[derive(Clone, Debug)]
pub enum LookError {
    /// It is not this node's.
    Elsewhere,
    /// It did not answer, or not with what it was asked for.
    Silent(String),
    /// The database can't be read or written to.
    Store(String),
}

impl std::fmt::Display for LookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Elsewhere => f.write_str("the host is not this node's"),
            Self::Silent(why) => write!(f, "the host does not answer: {why}"),
            Self::Store(why) => write!(f, "the database does not serve: {why}"),
        }
    }
}

impl std::error::Error for LookError {}

impl From<StoreError> for LookError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What is kept in memory of looking. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reconciler(Arc<Mutex<HashMap<HostId, Arc<tokio::sync::Mutex<Memory>>>>>);

/// What is remembered of a host from look to look. Losing it does no harm.
#[derive(Debug, Default)]
struct Memory {
    /// When the last look began, and how it ended.
    last: Option<(Instant, Result<(), LookError>)>,
    orphans: Orphans,
    /// The minute in which old figures were last forgotten.
    forgot: i64,
}

/// The operations that the reconciler answers.
pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(state::get_instance_state))
        .routes(routes!(state::sync_instance_state))
}

/// Looks at each of this node's hosts every `compute.sync_seconds`, until `stop` turns true. Hosts may come later.
pub async fn run(compute: Compute, mut stop: watch::Receiver<bool>) {
    const FOR_NEW_HOSTS: Duration = Duration::from_secs(1);
    let (mut known, mut loops) = (std::collections::HashSet::new(), JoinSet::new());
    loop {
        for (host, _) in compute.hosts.all() {
            if known.insert(host) {
                loops.spawn(tend(compute.clone(), host, stop.clone()));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(FOR_NEW_HOSTS) => {}
            _ = stop.changed() => break,
        }
    }
    loops.join_all().await;
}

async fn tend(compute: Compute, host: HostId, mut stop: watch::Receiver<bool>) {
    let pause = Duration::from_secs(compute.app.config().compute.sync_seconds);
    let mut rounds = tokio::time::interval(pause);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_well = true;
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = stop.changed() => return,
        }
        let looked = compute.reconciler.look(&compute, host).await;
        if let (Err(error), true) = (&looked, was_well) {
            tracing::error!(%host, %error, "the machines of a host can't be looked at");
        } else if looked.is_ok() && !was_well {
            tracing::info!(%host, "the machines of a host can be looked at again");
        }
        was_well = looked.is_ok();
    }
}

/// Looks once at each of this node's hosts.
///
/// # Errors
/// One of them could not be looked at; the others were.
pub async fn round(compute: &Compute) -> Result<(), LookError> {
    let mut outcome = Ok(());
    for (host, _) in compute.hosts.all() {
        let looked = compute.reconciler.look(compute, host).await;
        outcome = outcome.and(looked);
    }
    outcome
}

impl Reconciler {
    /// Looks at a host. Whoever asks while it is being looked at waits for the next look, and all of them share that one.
    ///
    /// # Errors
    /// The host is another node's or silent, or the database does not serve.
    pub async fn look(&self, compute: &Compute, host: HostId) -> Result<(), LookError> {
        let asked = Instant::now();
        let driver = compute.hosts.get(host).ok_or(LookError::Elsewhere)?;
        let memory = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(host).or_default())
        };
        let mut memory = memory.lock().await;
        if let Some((begun, outcome)) = &memory.last
            && *begun >= asked
        {
            return outcome.clone();
        }
        let begun = Instant::now();
        let outcome = look(&compute.app, host, driver.as_ref(), &mut memory).await;
        metrics::histogram!("onet_look_seconds").record(begun.elapsed().as_secs_f64());
        memory.last = Some((begun, outcome.clone()));
        outcome
    }
}

async fn look(
    app: &App,
    host: HostId,
    driver: &dyn Hypervisor,
    memory: &mut Memory,
) -> Result<(), LookError> {
    let settings = &app.config().compute;
    let at = app.clock().now();
    let listed = tokio::time::timeout(LIST_LIMIT, driver.list())
        .await
        .map_err(|_| LookError::Silent(format!("no list within {LIST_LIMIT:?}")))?;
    let found = listed.map_err(|error| LookError::Silent(error.to_string()))?;
    let read = app
        .store()
        .read("watched_machines", move |conn: &mut Conn| rows::read(conn, host));
    let Some(known) = read.await? else {
        return Err(LookError::Elsewhere);
    };
    let moment = Moment {
        at,
        month: calendar::month_of(at).seconds(),
        source: settings.host_name.clone(),
    };
    let by_id: HashMap<VmId, &Observed> = found.iter().map(|observed| (observed.id, observed)).collect();
    if !write(app, host, &known, &by_id, &moment).await? {
        // Another process of this node has looked meanwhile, and sees to all of it.
        return Ok(());
    }
    for machine in &known.machines {
        let observed = by_id.get(&vm_of(machine.owner.id)).copied();
        let verdict = decide(&case(machine, observed, &known, settings.restarts_per_hour, at));
        act::act(app, machine, verdict, at).await?;
    }
    tell_quotas(app, &known.machines, &moment, settings.bandwidth_quota_gb).await?;
    orphans::tend(app, driver, (&found, &known, at), &mut memory.orphans).await?;
    let minute = series::MINUTES.slot(at.seconds());
    if memory.forgot != minute {
        forget::old(app).await?;
        memory.forgot = minute;
    }
    Ok(())
}

/// Writes what was seen, some machines at a time; `false`: another process was faster.
async fn write(
    app: &App,
    host: HostId,
    known: &Known,
    found: &HashMap<VmId, &Observed>,
    moment: &Moment,
) -> Result<bool, StoreError> {
    let mut mark = known.mark;
    // A host without machines has been seen, too.
    let chunks = known
        .machines
        .chunks(CHUNK)
        .chain(known.machines.is_empty().then_some(&[][..]));
    for chunk in chunks {
        let writes = measure(chunk, found, moment);
        let renewed = chunk
            .iter()
            .filter(|machine| {
                machine.watch.unrolled_from.is_some() || machine.watch.bandwidth_month != moment.month
            })
            .map(|machine| serde_json::json!([measure::simple(machine.owner.id)]))
            .collect::<Vec<_>>();
        let (month, rolls) = (moment.month, !writes.rolls.is_empty());
        let claimed = app
            .store()
            .write("write_states", move |tx| {
                let Some(mark) = claim(tx, host, mark)? else {
                    return Ok::<_, StoreError>(None);
                };
                let Writes {
                    states,
                    samples,
                    counters,
                    rolls,
                } = &writes;
                rows::write_states(tx, states)?;
                series::add(tx, samples)?;
                rows::write_counters(tx, counters)?;
                series::roll_up(tx, rolls)?;
                Ok(Some(mark))
            })
            .await?;
        let Some(next) = claimed else { return Ok(false) };
        mark = Some(next);
        if rolls || chunk.iter().any(|machine| machine.watch.bandwidth_month != month) {
            app.store()
                .write("write_bandwidth", move |tx| bandwidth::renew(tx, &renewed, month))
                .await?;
        }
    }
    Ok(true)
}

fn case(machine: &Watched, observed: Option<&Observed>, known: &Known, most: u32, now: Time) -> Case {
    let watch = &machine.watch;
    Case {
        wanted: machine.wish.power,
        status: machine.owner.status,
        seen: seen(observed),
        seen_before: machine
            .state
            .as_ref()
            .is_some_and(|state| state.vm_status == word(observed)),
        is_busy: known.busy.contains(&machine.owner.id.cast()),
        restarts: Restarts {
            count: watch.restarts,
            since: watch.first_restart_at,
            last: watch.last_restart_at,
            most: i64::from(most),
        },
        now,
    }
}

/// Tells of instances that have used their traffic: by what was written at the look before this one.
async fn tell_quotas(
    app: &App,
    machines: &[Watched],
    moment: &Moment,
    quota_gb: u64,
) -> Result<(), StoreError> {
    if quota_gb == 0 {
        return Ok(());
    }
    let quota = kernel::money::Amount::from_cents(
        i64::try_from(quota_gb)
            .unwrap_or(i64::MAX / 10_000)
            .saturating_mul(100),
    );
    let over = machines.iter().filter(|machine| {
        let watch = &machine.watch;
        let is_current = watch.bandwidth_month == moment.month && watch.quota_told_month != moment.month;
        is_current && machine.owner.bandwidth_used_gb >= quota
    });
    for machine in over {
        act::tell_quota(app, machine, moment.month, quota_gb).await?;
    }
    Ok(())
}
