//! A whole onetd in this process.

use std::{path::Path, sync::Arc, time::Duration};

use diesel::{Connection, connection::SimpleConnection, pg::PgConnection};
use kernel::{
    App,
    access::{Role, UserId},
    config::{HypervisorKind, MailTransport, Secret},
    mail::mailbox::{self, ReceivedMail},
    time::Clock,
};
use onetd::{
    demo::{self, Amounts, Facts},
    server::Onet,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub use kernel::config::Config;

use crate::{
    client::Client,
    conformance::Conformance,
    postgres::{Durability, Postgres},
};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file in a folder of its own.
    Sqlite,
    /// A database of its own on the suite's server.
    Postgres,
}

/// A running onetd with demo data in it.
pub struct Server {
    /// Its shared parts, for tests that look behind the API.
    pub app: App,
    /// Whom the demo data belongs to.
    pub facts: Facts,
    /// Turns the server's time.
    pub clock: Clock,
    /// `http://127.0.0.1:PORT`
    pub base: String,
    /// The API's document.
    pub document: Arc<Value>,
    engine: kernel::tasks::Engine,
    onet: Onet,
    conformance: Arc<Conformance>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<std::io::Result<()>>>,
    _folder: TempDir,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Settings for tests: quick hashing, no limits in the way, no workers (tests run tasks themselves), mails kept in a
/// folder.
#[must_use]
pub fn settings(folder: &Path) -> Config {
    let mut config = Config::load(None, folder).expect("the defaults are valid");
    config.auth.argon2_memory_kib = 64;
    config.limits.credential_per_second = 1_000_000;
    config.limits.credential_per_minute = 1_000_000;
    config.limits.address_per_second = 1_000_000;
    config.limits.address_per_minute = 1_000_000;
    config.tasks.workers = 0;
    config.store.connections = 2;
    config.store.postgres_connections = 6;
    config.mail.transport = MailTransport::Mailbox;
    // No test asks a name server.
    config.compute.reverse_dns_forward_check = false;
    config.log.level = "off".to_owned();
    // Tests that need a host bring their own.
    config.compute.hypervisor = HypervisorKind::None;
    // Guests that look away do so in no test to find out how long one waits for them.
    config.compute.shutdown_seconds = 2;
    config.compute.switch_off_seconds = 1;
    config
}

/// The URL of a fresh database on the suite's PostgreSQL, which is started here if nobody has.
#[must_use]
pub fn postgres_database() -> String {
    static SERVER: std::sync::OnceLock<Postgres> = std::sync::OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "set by the test command, and no setting of onet's"
    )]
    let given = std::env::var("ONET_TEST_POSTGRES").ok();
    let admin = given.unwrap_or_else(|| {
        SERVER
            .get_or_init(|| Postgres::start(Durability::Relaxed).expect("PostgreSQL starts"))
            .url("postgres")
    });
    let name = format!("test_{}", kernel::id::AnyId::new().uuid().simple());
    let mut conn = PgConnection::establish(&admin).expect("the suite's PostgreSQL answers");
    conn.batch_execute(&format!("CREATE DATABASE {name}"))
        .expect("a database can be created");
    let (server, _) = admin.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

impl Server {
    /// Starts a server on `engine`, with settings changed by `tweak`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(engine: Engine, tweak: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = settings(folder.path());
        if engine == Engine::Postgres {
            config.store.url = Secret::new(postgres_database());
        }
        tweak(&mut config);
        let clock = Clock::default();
        let onet = Onet::open(config.clone(), clock.clone()).expect("the store opens");
        let facts = demo::load(&onet, &Amounts::default())
            .await
            .expect("demo data loads");
        let app = onet.app.clone();
        let document = Arc::new(onet.areas().document);
        let engine = onet.engine();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("a bound address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = onet.clone();
        let running = tokio::spawn(async move {
            serving
                .serve(listener, async {
                    let _ = stopped.await;
                })
                .await
        });
        let conformance = Arc::new(Conformance::new(&document));
        Self {
            app,
            facts,
            clock,
            base,
            document,
            engine,
            onet,
            conformance,
            stop: Some(stop),
            running: Some(running),
            _folder: folder,
        }
    }

    /// A client with this bearer token.
    #[must_use]
    pub fn client(&self, bearer: &str) -> Client {
        Client::new(&self.base, Some(bearer.to_owned()), Arc::clone(&self.conformance))
    }

    /// A client without a credential.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::new(&self.base, None, Arc::clone(&self.conformance))
    }

    /// The owner of the demo's first organization, by API key.
    #[must_use]
    pub fn owner(&self) -> Client {
        self.client(&self.facts.owner.api_key)
    }

    /// Somebody of another organization.
    #[must_use]
    pub fn stranger(&self) -> Client {
        self.client(&self.facts.stranger.api_key)
    }

    /// A new member of the demo's first organization, by API key, with the user's id.
    ///
    /// # Panics
    /// If it can't be created.
    pub async fn member(&self, role: Role) -> (Client, UserId) {
        let email = format!("{}-{}@example.org", role.as_str(), kernel::id::AnyId::new());
        let organization = self.facts.owner.organization_id;
        let made = demo::add_member(&self.onet, organization, &email, "Member-Pass-9", role).await;
        let (user, key) = made.expect("a member can be added");
        (self.client(&key), user)
    }

    /// Logs in; the client carries the access token.
    ///
    /// # Panics
    /// If the login is refused.
    pub async fn log_in(&self, email: &str, password: &str) -> (Client, Value) {
        let body = serde_json::json!({ "email": email, "password": password });
        let answer = self.anonymous().post("/v1/auth/login", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (
            self.client(answer.body["access"].as_str().expect("an access token")),
            answer.body,
        )
    }

    /// The owner of the demo's first organization, logged in.
    ///
    /// # Panics
    /// If the login is refused.
    pub async fn owner_login(&self) -> Client {
        let owner = &self.facts.owner;
        self.log_in(&owner.email, &owner.password).await.0
    }

    /// A new member of the demo's first organization, logged in, with the user's id.
    ///
    /// # Panics
    /// If it can't be created.
    pub async fn member_login(&self, role: Role) -> (Client, UserId) {
        let (by_key, user) = self.member(role).await;
        let me = by_key.get("/v1/auth/me").await.expect(200).body;
        let email = me["email"].as_str().expect("an address");
        (self.log_in(email, "Member-Pass-9").await.0, user)
    }

    /// `/v1/organizations/{o}/projects/{p}` of the demo's first project, with `rest` behind it.
    #[must_use]
    pub fn project(&self, rest: &str) -> String {
        let owner = &self.facts.owner;
        format!(
            "/v1/organizations/{}/projects/{}{rest}",
            owner.organization_id, owner.project_id
        )
    }

    /// The path of the demo's instance.
    #[must_use]
    pub fn instance(&self) -> String {
        self.project(&format!("/compute/instances/{}", self.facts.owner.instance_id))
    }

    /// Runs every task that is due, and those that become due by that, here and now.
    ///
    /// # Panics
    /// If the database fails.
    pub async fn run_tasks(&self) {
        let (_keep, stop) = tokio::sync::watch::channel(false);
        while self.engine.run_one(&stop).await.expect("the queue can be read") {}
    }

    /// Runs what is due, then reads all mails that were sent, oldest first.
    ///
    /// # Panics
    /// If the database fails, or the mailbox can't be read.
    pub async fn mails(&self) -> Vec<ReceivedMail> {
        self.run_tasks().await;
        let folder = mailbox::folder(&self.app.config().data_dir);
        let mut mails = mailbox::list(&folder, usize::MAX).expect("the mailbox can be read");
        mails.reverse();
        mails
    }

    /// Runs what is due, then reads the newest mail to this address.
    ///
    /// # Panics
    /// If there is none.
    pub async fn mail_to(&self, address: &str) -> ReceivedMail {
        let mails = self.mails().await;
        let newest = mails.iter().rfind(|mail| mail.to == address);
        newest.cloned().unwrap_or_else(|| {
            let others: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
            panic!("no mail to {address}, only to {others:?}")
        })
    }

    /// The engine, for tests of tasks.
    #[must_use]
    pub fn engine(&self) -> &kernel::tasks::Engine {
        &self.engine
    }

    /// The areas, for tests that look behind the API.
    #[must_use]
    pub fn onet(&self) -> &Onet {
        &self.onet
    }

    /// Ends the server as SIGTERM does, and waits for its end.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
            ended
                .expect("it ends in time")
                .expect("it does not panic")
                .expect("it ends well");
        }
    }
}
