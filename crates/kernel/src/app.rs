//! What every handler can reach.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Method;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{
    access::Access, config::Config, http::limits::Limiter, mail::Mailer, outbound::Outbound, secrets::Sealer,
    store::Store, time::Clock,
};

/// The shared parts of a running onetd. Clones are cheap and share them.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    store: Store,
    clock: Clock,
    access: Arc<dyn Access>,
    sealer: Sealer,
    mailer: Mailer,
    outbound: Outbound,
    by_credential: Limiter,
    by_address: Limiter,
    running_keys: crate::http::RunningKeys,
    operations: OnceLock<HashMap<(Method, String), &'static str>>,
    stopping: AtomicBool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("App").field(&self.0.store).finish()
    }
}

/// The process's one metrics recorder.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    /// Bounds in seconds, from a cached read to a request that is about to time out.
    const SECONDS: [f64; 12] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
    ];
    let handle = RECORDER.get_or_init(|| {
        let sizes = Matcher::Full("onet_store_group_size".to_owned());
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?;
        let builder = builder
            .set_buckets_for_metric(sizes, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])
            .ok()?;
        builder.install_recorder().ok()
    });
    handle.as_ref()
}

impl App {
    /// Puts the parts together.
    pub fn new(
        config: Config,
        store: Store,
        clock: Clock,
        access: Arc<dyn Access>,
        sealer: Sealer,
        mailer: Mailer,
    ) -> Self {
        recorder();
        let limits = &config.limits;
        let by_credential = Limiter::new(limits.credential_per_second, limits.credential_per_minute);
        let by_address = Limiter::new(limits.address_per_second, limits.address_per_minute);
        let outbound = Outbound::new(&config.outbound);
        Self(Arc::new(Inner {
            config,
            store,
            clock,
            access,
            sealer,
            mailer,
            outbound,
            by_credential,
            by_address,
            running_keys: crate::http::RunningKeys::default(),
            operations: OnceLock::new(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Who finds callers.
    pub fn access(&self) -> &dyn Access {
        self.0.access.as_ref()
    }

    /// Seals what the database keeps but must not show.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// Posts mails.
    pub fn mailer(&self) -> &Mailer {
        &self.0.mailer
    }

    /// The client for requests to addresses that customers name.
    pub fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    pub(crate) fn credential_limit(&self) -> &Limiter {
        &self.0.by_credential
    }

    pub(crate) fn address_limit(&self) -> &Limiter {
        &self.0.by_address
    }

    pub(crate) fn running_keys(&self) -> &crate::http::RunningKeys {
        &self.0.running_keys
    }

    /// Tells what the operations are called; once, when the router is built.
    pub fn name_operations(&self, operations: HashMap<(Method, String), &'static str>) {
        let _ = self.0.operations.set(operations);
    }

    /// The operation's id, for logs and metrics.
    pub(crate) fn operation(&self, method: &Method, path: Option<&str>) -> &'static str {
        let Some(path) = path else { return "none" };
        let names = self.0.operations.get();
        names
            .and_then(|names| names.get(&(method.clone(), path.to_owned())).copied())
            .unwrap_or("other")
    }

    /// From now on the process is about to end: not ready any more.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Whether the process is about to end.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    /// Folds what was measured since the last time: without it the figures of every request would be kept until
    /// somebody reads the metrics.
    pub fn tend_metrics(&self) {
        if let Some(recorder) = recorder() {
            recorder.run_upkeep();
        }
    }

    /// All metrics as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        recorder()
            .map(|recorder| {
                recorder.run_upkeep();
                recorder.render()
            })
            .unwrap_or_default()
    }
}
