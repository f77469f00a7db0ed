//! The one way to the database: [`Store::read`] and [`Store::write`], the same on SQLite and PostgreSQL.
//!
//! Closures are plain synchronous Rust on a [`Conn`]; they run on threads of their own, so that no statement blocks
//! the async runtime and none costs a thread hop of its own. A write is one transaction: it may run again if it
//! lost against another, so it must touch nothing but the database.

mod backup;
mod conn;
mod error;
mod migrations;
mod pool;
pub mod sql;
mod sqlite;
mod tx;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use diesel::{Connection, connection::SimpleConnection, pg::PgConnection, sqlite::SqliteConnection};
use tokio::sync::{Notify, oneshot};

pub use self::{
    backup::restore,
    conn::Conn,
    error::{Failure, StoreError},
    sql::lock,
    tx::Tx,
};
use self::{
    pool::{Connect, Pool},
    tx::{Pending, run_on_postgres},
    writer::Writer,
};
use crate::{audit::SealKey, background, config, time::Clock};

/// The database of this installation. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    place: Place,
    connect: Connect,
    /// Requests' connections,
    pool: Pool,
    /// and those of background work.
    background: Pool,
    /// SQLite's; PostgreSQL writes through the pools.
    writer: Option<Writer>,
    clock: Clock,
    timeout: Duration,
    /// Rung after each commit that enqueued a task.
    bell: Arc<Notify>,
    /// Given by who knows the master secret, after opening.
    seal_key: OnceLock<SealKey>,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by its URL (which may hold a password: never log it).
    Postgres(String),
}

impl Place {
    /// The place that the settings name.
    ///
    /// # Errors
    /// The URL is neither `sqlite:` nor `postgres:`.
    pub fn of(config: &config::Config) -> Result<Self, StoreError> {
        let url = config.store.url.expose();
        if url.is_empty() {
            return Ok(Self::Sqlite(config.data_dir.join("onet.db")));
        }
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(PathBuf::from(
                path.strip_prefix("//").unwrap_or(path),
            )));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(StoreError::Unavailable(
            "store.url must begin with sqlite: or postgres://".to_owned(),
        ))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_sqlite() {
            "Store(SQLite)"
        } else {
            "Store(PostgreSQL)"
        })
    }
}

impl Store {
    /// Opens the database that the settings name. Does not migrate it; see [`Store::migrate`].
    ///
    /// # Errors
    /// The database can't be reached or opened.
    pub fn open(config: &config::Config, clock: Clock) -> Result<Self, StoreError> {
        let place = Place::of(config)?;
        let settings = &config.store;
        let timeout = Duration::from_millis(settings.timeout_ms);
        let io = |error: std::io::Error| StoreError::Unavailable(format!("no thread for the store: {error}"));
        let start = |size: usize, background: usize, connect: &Connect| {
            let pool = Pool::start("store", size, settings.queue, connect, || {});
            let give_way = background::give_way;
            let back = Pool::start("store-back", background, settings.queue, connect, give_way);
            Ok::<_, StoreError>((pool.map_err(io)?, back.map_err(io)?))
        };
        let (connect, (pool, background), writer) = match &place {
            Place::Sqlite(path) => {
                let connect = sqlite::connector(path.clone(), settings);
                drop(connect()?);
                sqlite::start_checkpoints(
                    path.clone(),
                    Arc::clone(&connect),
                    settings.sqlite_wal_limit_bytes,
                )
                .map_err(io)?;
                let pools = start(settings.connections, settings.background_connections, &connect)?;
                let writer = Writer::start(&connect, settings.queue, settings.sqlite_group).map_err(io)?;
                (connect, pools, Some(writer))
            }
            Place::Postgres(url) => {
                let connect = postgres_connector(url.clone(), settings.timeout_ms);
                drop(connect()?);
                let background = settings.postgres_background_connections;
                let pools = start(settings.postgres_connections, background, &connect)?;
                (connect, pools, None)
            }
        };
        Ok(Self(Arc::new(Inner {
            place,
            connect,
            pool,
            background,
            writer,
            clock,
            timeout,
            bell: Arc::default(),
            seal_key: OnceLock::new(),
        })))
    }

    /// From now on audit records are sealed with this key. The first key given stays.
    pub fn seal_with(&self, key: SealKey) {
        let _ = self.0.seal_key.set(key);
    }

    /// The key that audit records are sealed with.
    pub fn seal_key(&self) -> Option<SealKey> {
        self.0.seal_key.get().copied()
    }

    /// Whether this is SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.0.writer.is_some()
    }

    /// Where the data is.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The bell that rings when a committed transaction has enqueued a task.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.0.bell)
    }

    /// Runs the migrations that are missing, under a lock that other nodes respect. Returns their names.
    ///
    /// # Errors
    /// A migration failed (it was rolled back), or the database can't be reached.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrations::run(&mut (self.0.connect)()?)
    }

    /// Names of the migrations that have not run yet.
    ///
    /// # Errors
    /// The database can't be reached.
    pub fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrations::pending(&mut (self.0.connect)()?)
    }

    /// Runs `work` here and now on a connection of its own: for what is needed before requests are served.
    ///
    /// # Errors
    /// The database can't be reached, or refused.
    pub fn read_now<T>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&mut (self.0.connect)()?)
    }

    /// Runs `work` on a reading connection. `name` is the operation, for metrics.
    ///
    /// # Errors
    /// What `work` returns; unavailable or overloaded if it could not run in time.
    pub async fn read<T, E, F>(&self, name: &'static str, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.pool().submit(move |slot| {
            // A request that gave up meanwhile needs no answer.
            if answer.is_closed() {
                return;
            }
            let result = slot.conn().map_err(E::from).and_then(work);
            if result.as_ref().is_err_and(Failure::is_unavailable) {
                slot.discard();
            }
            let _ = answer.send(result);
        })?;
        self.wait(name, outcome).await
    }

    /// As [`Store::read`], with every statement seeing the database at the same moment: for answers that are put together
    /// from statements between which rows may move, such as audit records that are being chained.
    ///
    /// # Errors
    /// As those of [`Store::read`].
    pub async fn read_at_one_moment<T, E, F>(&self, name: &'static str, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        self.read(name, move |conn| {
            let begin = if conn.is_sqlite() {
                "BEGIN"
            } else {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            };
            conn.batch_execute(begin).map_err(StoreError::from)?;
            // Should it panic, its thread takes a new connection.
            let result = work(conn);
            // Nothing was written: either end does, also after a statement that failed.
            conn.batch_execute("ROLLBACK").map_err(StoreError::from)?;
            result
        })
        .await
    }

    /// Runs `work` as one transaction and answers when it is committed durably, or has left no trace.
    ///
    /// `work` may run more than once (lost against another transaction): it must have no effect but on the database.
    ///
    /// # Errors
    /// What `work` returns, after which nothing of it is kept; unavailable if the commit failed.
    pub async fn write<T, E, F>(&self, name: &'static str, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let pending = Pending::new(
            work,
            answer,
            self.0.clock.clone(),
            Arc::clone(&self.0.bell),
            self.seal_key(),
        );
        match &self.0.writer {
            Some(writer) => writer.submit(Box::new(pending), background::is_here())?,
            None => self.pool().submit(move |slot| run_on_postgres(slot, pending))?,
        }
        self.wait(name, outcome).await
    }

    /// The connections of whoever calls.
    fn pool(&self) -> &Pool {
        if background::is_here() {
            &self.0.background
        } else {
            &self.0.pool
        }
    }

    /// Waits for the answer of a job.
    async fn wait<T, E: Failure>(
        &self,
        name: &'static str,
        outcome: oneshot::Receiver<Result<T, E>>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let result = tokio::time::timeout(self.0.timeout, outcome).await;
        metrics::histogram!("onet_store_seconds", "operation" => name)
            .record(started.elapsed().as_secs_f64());
        match result {
            Ok(Ok(result)) => result,
            // The job's thread panicked and dropped its end.
            Ok(Err(_)) => Err(StoreError::Panicked.into()),
            Err(_) => Err(StoreError::InDoubt(format!("`{name}` took too long")).into()),
        }
    }
}

/// Opens connections to PostgreSQL with bounded waits, so that a lost server is noticed.
fn postgres_connector(url: String, timeout_ms: u64) -> Connect {
    let seconds = timeout_ms.div_ceil(1000).max(2);
    let separator = if url.contains('?') { '&' } else { '?' };
    let address = format!(
        "{url}{separator}connect_timeout={seconds}&tcp_user_timeout={timeout_ms}\
         &keepalives_idle=10&keepalives_interval=5&keepalives_count=3&application_name=onetd"
    );
    Arc::new(move || {
        let mut conn = PgConnection::establish(&address)
            .map_err(|error| StoreError::Unavailable(format!("connection to PostgreSQL: {error}")))?;
        conn.batch_execute(&format!(
            "SET statement_timeout = {timeout_ms}; SET idle_in_transaction_session_timeout = {}; SET timezone = 'UTC'",
            timeout_ms * 2
        ))?;
        Ok(conn.into())
    })
}

/// Opens an SQLite file.
fn open_sqlite(path: &std::path::Path) -> Result<SqliteConnection, StoreError> {
    SqliteConnection::establish(&path.to_string_lossy())
        .map_err(|error| StoreError::Unavailable(format!("unable to open {}: {error}", path.display())))
}
