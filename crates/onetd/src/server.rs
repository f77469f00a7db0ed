//! A running onetd: the areas wired together, its listener and its workers.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use billing::{
    Billing,
    payments::{PaymentDriver, Sandbox, Stripe, stripe},
};
use compute::{
    Compute,
    images::{ImageStore, NodeStore},
};
use hypervisor::Hypervisor;
use identity::{Identity, notifications::Events};
use kernel::{
    App,
    audit::{self, SealKey},
    background,
    config::{Config, HypervisorKind, MailTransport},
    http::{self, Areas},
    mail::{self, Mailer, SendMail},
    reverse_dns::{RecordingReverseDns, ReverseDns},
    secrets::MasterSecret,
    store::Store,
    tasks::Engine,
    time::Clock,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, task::JoinHandle};

use crate::{account_pages, docs_page, openapi};

/// What a process of onetd is made of.
#[derive(Clone)]
pub struct Onet {
    /// The shared parts.
    pub app: App,
    /// Accounts, for operators' commands and tests.
    pub identity: Identity,
    /// What is sold and how it is paid; areas register their products with it.
    pub billing: Billing,
    /// Instances and what belongs to them.
    pub compute: Compute,
    images: Arc<dyn ImageStore>,
    reverse_dns: Arc<dyn ReverseDns>,
}

impl std::fmt::Debug for Onet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Onet").field(&self.app).finish()
    }
}

impl Onet {
    /// Opens the store and puts the areas together. Nothing is served yet.
    ///
    /// # Errors
    /// The store can't be opened or migrated, or the secret can't be read.
    pub fn open(config: Config, clock: Clock) -> Result<Self, String> {
        let store = Store::open(&config, clock.clone()).map_err(|error| error.to_string())?;
        if config.store.migrate_on_start {
            for name in store.migrate().map_err(|error| error.to_string())? {
                tracing::info!(name, "migrated");
            }
        } else {
            let missing = store.pending_migrations().map_err(|error| error.to_string())?;
            if !missing.is_empty() {
                return Err(format!(
                    "the database lacks {} migrations: run `onetd migrate`",
                    missing.len()
                ));
            }
        }
        let master = MasterSecret::load(&config).map_err(|error| error.to_string())?;
        store.seal_with(SealKey::new(master.derive("audit/1")));
        if config.mail.transport == MailTransport::Off {
            tracing::warn!("mail.transport is \"off\": no mail is sent");
        }
        let mailer = Mailer::new(
            &config,
            master.sealer(),
            &[identity::letters::all(), billing::letters::all()],
        )
        .map_err(|error| error.to_string())?;
        let identity = Identity::new(
            &config,
            store.clone(),
            clock.clone(),
            &master,
            mailer.clone(),
            Self::events(),
        )
        .map_err(|error| error.to_string())?;
        let access = Arc::new(identity.clone());
        let app = App::new(config, store, clock, access, master.sealer(), mailer);
        let drivers = payment_drivers(app.config())?;
        let billing = Billing::new(app.clone(), drivers);
        let compute = Compute::new(app.clone(), billing.clone());
        let images = NodeStore::new(compute.hosts(), app.config());
        Ok(Self {
            app,
            identity,
            billing,
            compute,
            images: Arc::new(images),
            reverse_dns: Arc::new(RecordingReverseDns),
        })
    }

    /// Where the files of images are.
    pub fn image_store(&self) -> &dyn ImageStore {
        self.images.as_ref()
    }

    /// All routes, and the document made from them.
    pub fn areas(&self) -> Areas {
        let parts = identity::Parts {
            counter: Arc::new(compute::Counter),
            resources: vec![Arc::new(compute::Resources)],
            permissions: [Compute::permissions(), billing::permissions()].concat(),
        };
        let routes = identity::routes(self.identity.clone(), self.app.clone(), parts)
            .merge(self.billing.routes())
            .merge(self.compute.routes());
        let pages = docs_page::routes()
            .merge(mail::page::routes(&self.app))
            .merge(self.billing.hooks())
            .merge(identity::pages(self.identity.clone()))
            .merge(self.compute.pages())
            .merge(account_pages::routes(self.app.config().server.account_pages));
        Areas::new(openapi::head(), routes, pages)
    }

    /// What can be told: the events of all areas.
    pub fn events() -> Events {
        Events::new(&[
            identity::notifications::events::EVENTS,
            billing::EVENTS,
            compute::EVENTS,
            identity::notifications::events::AWAITED,
        ])
    }

    /// The permissions of all areas.
    pub fn permissions() -> identity::roles::Permissions {
        identity::roles::Permissions::new(identity::permissions().into_iter().chain(Compute::permissions()))
    }

    /// The task engine, with the kinds of all areas.
    pub fn engine(&self) -> Engine {
        let mut kinds = self.compute.kinds(&self.images, &self.reverse_dns);
        kinds.push(Arc::new(SendMail::default()));
        kinds.extend(identity::kinds(&self.identity));
        kinds.extend(self.billing.kinds());
        Engine::new(self.app.clone(), kinds)
    }

    /// Makes a host known that `driver` drives, as this node's. `false` while there is no location for it.
    ///
    /// # Errors
    /// What is missing on the host, for the log.
    pub async fn enlist(&self, driver: Arc<dyn Hypervisor>) -> Result<bool, String> {
        let enlisted = compute::hosts::enlist(&self.app, self.compute.hosts(), driver).await?;
        Ok(enlisted.is_some())
    }

    /// Serves requests on `listener`, and runs tasks, until `stop` is ready; then ends in peace.
    ///
    /// # Errors
    /// The listener failed for good.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> std::io::Result<()> {
        let areas = self.areas();
        self.app.name_operations(areas.operations());
        let service = http::build(&self.app, areas);
        let workers = Workers::start(self)?;
        let outcome = http::serve(&self.app, listener, service, stop).await;
        self.compute.consoles().end_all().await;
        workers.stop(&self.app).await;
        outcome
    }

    /// Runs tasks only, until `stop` is ready.
    ///
    /// # Errors
    /// No threads can be had.
    pub async fn work(&self, stop: impl Future<Output = ()> + Send) -> std::io::Result<()> {
        let workers = Workers::start(self)?;
        stop.await;
        workers.stop(&self.app).await;
        Ok(())
    }
}

/// Makes this machine known as a host, as soon as its hypervisor is there and there is a location that it is in.
async fn enlist_this_host(onet: Onet, mut stop: watch::Receiver<bool>) {
    const PAUSE: Duration = Duration::from_secs(30);
    let mut told = false;
    loop {
        let enlisted = match compute::hosts::open(onet.app.config()).await {
            Ok(driver) => onet.enlist(driver).await,
            Err(error) => Err(error.to_string()),
        };
        onet.compute.hosts().set_opening(false);
        match enlisted {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) if !told => {
                let advice = "install QEMU, or set compute.hypervisor to \"none\"";
                tracing::warn!(error, advice, "this host runs no machines");
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => return,
        }
    }
}

/// The drivers that payment methods can be stored with.
fn payment_drivers(config: &Config) -> Result<Vec<Arc<dyn PaymentDriver>>, String> {
    let settings = &config.billing;
    let console = match config.auth.console_url.as_str() {
        "" => config.server.base_url(),
        console => console.to_owned(),
    };
    match settings.payment_driver.as_str() {
        "" => Ok(Vec::new()),
        "sandbox" => Ok(vec![Arc::new(Sandbox)]),
        stripe::NAME => Ok(vec![Arc::new(Stripe::new(settings, console)?)]),
        other => Err(format!("billing.payment_driver: there is no driver `{other}`")),
    }
}

/// What runs beside the requests.
struct Workers {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
    /// Gives way to the one that serves requests.
    background: Option<Runtime>,
}

impl Workers {
    fn start(onet: &Onet) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut running = Vec::new();
        if onet.app.config().compute.hypervisor != HypervisorKind::None {
            onet.compute.hosts().set_opening(true);
            // Consoles live as long as the requests: the host is theirs, too.
            running.push(tokio::spawn(enlist_this_host(onet.clone(), stopped.clone())));
        }
        let runtime = background::runtime()?;
        let background = runtime.enter();
        running.push(onet.engine().start(&stopped));
        // Nodes that only serve requests leave the clocks to others, as they do with tasks.
        if onet.app.config().tasks.chores && onet.app.config().tasks.workers > 0 {
            running.push(tokio::spawn(billing::clocks::run(
                onet.billing.clone(),
                stopped.clone(),
            )));
            running.push(tokio::spawn(compute::reconciler::run(
                onet.compute.clone(),
                stopped.clone(),
            )));
            running.push(tokio::spawn(compute::backups::schedules::clock::run(
                onet.compute.clone(),
                stopped.clone(),
            )));
        }
        running.push(tokio::spawn(housekeeping(onet.clone(), stopped.clone())));
        if onet.app.config().tasks.chores
            && let Some(key) = onet.app.store().seal_key()
        {
            running.push(tokio::spawn(audit::sealer::run(
                onet.app.store().clone(),
                key,
                stopped,
            )));
        }
        drop(background);
        Ok(Self {
            stop,
            running,
            background: Some(runtime),
        })
    }

    /// Tells them to end, and waits for their present steps as long as the settings allow.
    async fn stop(mut self, app: &App) {
        let _ = self.stop.send(true);
        let grace = Duration::from_secs(app.config().server.shutdown_grace_seconds);
        let all = async {
            for worker in &mut self.running {
                let _ = worker.await;
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!(
                "some tasks were still running: another worker goes on with them when their leases end"
            );
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, and nothing may wait here.
        if let Some(runtime) = self.background.take() {
            runtime.shutdown_background();
        }
    }
}

/// Tends the metrics every few seconds, learns of other nodes' signing keys twice a minute, and forgets what was kept long
/// enough every hour.
async fn housekeeping(onet: Onet, mut stop: watch::Receiver<bool>) {
    let app = &onet.app;
    const PAUSE: Duration = Duration::from_secs(5);
    const ROUNDS_IN_HALF_A_MINUTE: u32 = 6;
    const ROUNDS_IN_AN_HOUR: u32 = 720;
    let does_chores = onet.app.config().tasks.chores;
    let is_time = |round: u32| does_chores && round.is_multiple_of(ROUNDS_IN_AN_HOUR);
    let mut round: u32 = 0;
    loop {
        app.tend_metrics();
        if round.is_multiple_of(ROUNDS_IN_HALF_A_MINUTE)
            && let Err(error) = onet.identity.renew_signing_keys().await
        {
            tracing::warn!(%error, "the signing keys could not be read again");
        }
        if is_time(round)
            && let Err(error) = http::forget_old_keys(app).await
        {
            tracing::warn!(%error, "old idempotency keys could not be forgotten");
        }
        if is_time(round)
            && let Err(error) = compute::images::files::tidy(app, onet.image_store()).await
        {
            tracing::warn!(%error, "files of images that nothing needs are still there");
        }
        if is_time(round)
            && let Err(error) = compute::tasks::secrets::forget_old(app).await
        {
            tracing::warn!(%error, "secrets that nobody has read could not be erased");
        }
        if is_time(round)
            && let Err(error) = mail::forget_old(app).await
        {
            tracing::warn!(%error, "old mails could not be forgotten");
        }
        if is_time(round)
            && let Err(error) = identity::housekeeping(app, &onet.identity).await
        {
            tracing::warn!(%error, "notices, proofs and accounts whose time is over are still there");
        }
        if is_time(round)
            && let Some(key) = onet.app.store().seal_key()
            && let Err(error) = audit::forget_old(&onet.app, key).await
        {
            tracing::warn!(%error, "old audit records could not be forgotten");
        }
        if is_time(round)
            && let Err(error) = identity::organizations::purge(app).await
        {
            tracing::warn!(%error, "deleted organizations could not be emptied");
        }
        round += 1;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Binds the configured address.
///
/// # Errors
/// It is in use, or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("can't listen on {address}: {error}"))
}
