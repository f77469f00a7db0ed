//! The connection of the store: Diesel's connection to one of two databases, with statements kept prepared.
//!
//! Diesel writes the text of a statement three times for each execution on such a connection, and prepares every `UPDATE`
//! and many an `INSERT` anew, because their texts may vary without end. Here a text is written once for each kind of
//! statement (or once for an execution, where it varies), and statements stay prepared up to a number of different texts.
//! See `docs/decisions/0034-statements-kept.md`.

use std::{
    any::TypeId,
    cell::{OnceCell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

use diesel::{
    QueryResult,
    backend::Backend,
    connection::{
        CacheSize, Connection, Instrumentation, LoadConnection, SimpleConnection, TransactionManager,
        TransactionManagerStatus,
    },
    expression::QueryMetadata,
    migration::MigrationConnection,
    pg::PgConnection,
    query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId},
    sqlite::SqliteConnection,
};

use super::sql::{MultiBackend, Native};

type Builder = <MultiBackend as Backend>::QueryBuilder;

/// Different texts of varying statements that stay prepared, for each thread that has connections. Beyond, they are
/// prepared anew each time: what varies without end would fill the memory.
const VARYING_TEXTS: usize = 1000;
/// Longer texts are lists of rows, hardly the same twice.
const LONGEST_KEPT: usize = 8 << 10;

/// A connection to whichever database this installation uses.
pub struct Conn(Native);

impl Conn {
    /// Whether this is SQLite.
    pub const fn is_sqlite(&self) -> bool {
        matches!(self.0, Native::Sqlite(_))
    }
}

impl From<SqliteConnection> for Conn {
    fn from(conn: SqliteConnection) -> Self {
        Self(Native::Sqlite(conn))
    }
}

impl From<PgConnection> for Conn {
    fn from(conn: PgConnection) -> Self {
        Self(Native::Postgres(conn))
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_sqlite() {
            "Conn(SQLite)"
        } else {
            "Conn(PostgreSQL)"
        })
    }
}

/// What is known of a kind of statement, for one database.
#[derive(Clone)]
struct Text {
    sql: Rc<str>,
    is_safe: bool,
}

thread_local! {
    static FIXED: RefCell<HashMap<(TypeId, bool), Text>> = RefCell::default();
    static VARYING: RefCell<HashSet<Rc<str>>> = RefCell::default();
}

/// A query whose text is written once.
struct Kept<T> {
    query: T,
    is_sqlite: bool,
    text: OnceCell<Text>,
}

impl<T: QueryFragment<MultiBackend> + QueryId> Kept<T> {
    const fn new(query: T, is_sqlite: bool) -> Self {
        Self {
            query,
            is_sqlite,
            text: OnceCell::new(),
        }
    }

    fn text(&self, backend: &MultiBackend) -> QueryResult<&Text> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let text = match T::query_id() {
            Some(id) => self.fixed(id, backend)?,
            None => self.varying(backend)?,
        };
        Ok(self.text.get_or_init(|| text))
    }

    /// The text of a kind of statement that is always the same.
    fn fixed(&self, id: TypeId, backend: &MultiBackend) -> QueryResult<Text> {
        let key = (id, self.is_sqlite);
        if let Some(text) = FIXED.with_borrow(|texts| texts.get(&key).cloned()) {
            return Ok(text);
        }
        let text = Text {
            sql: self.write(backend)?,
            is_safe: self.query.is_safe_to_cache_prepared(backend)?,
        };
        if !text.is_safe {
            // Its kind is fixed and its text is not: kept by its kind, one would be taken for another.
            return Ok(text);
        }
        FIXED.with_borrow_mut(|texts| texts.insert(key, text.clone()));
        Ok(text)
    }

    fn varying(&self, backend: &MultiBackend) -> QueryResult<Text> {
        let sql = self.write(backend)?;
        let is_safe = VARYING.with_borrow_mut(|texts| {
            if texts.contains(&sql) {
                return true;
            }
            let has_room = texts.len() < VARYING_TEXTS && sql.len() <= LONGEST_KEPT;
            has_room && texts.insert(Rc::clone(&sql))
        });
        Ok(Text { sql, is_safe })
    }

    fn write(&self, backend: &MultiBackend) -> QueryResult<Rc<str>> {
        let mut builder = if self.is_sqlite {
            Builder::Sqlite(Default::default())
        } else {
            Builder::Postgres(Default::default())
        };
        self.query.to_sql(&mut builder, backend)?;
        Ok(builder.finish().into())
    }
}

impl<T: QueryFragment<MultiBackend> + QueryId> QueryFragment<MultiBackend> for Kept<T> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        self.query.walk_ast(pass)
    }

    fn to_sql(&self, out: &mut Builder, backend: &MultiBackend) -> QueryResult<()> {
        out.push_sql(&self.text(backend)?.sql);
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, backend: &MultiBackend) -> QueryResult<bool> {
        Ok(self.text(backend)?.is_safe)
    }
}

impl<T: QueryId> QueryId for Kept<T> {
    type QueryId = T::QueryId;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T: Query> Query for Kept<T> {
    type SqlType = T::SqlType;
}

impl SimpleConnection for Conn {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.0.batch_execute(query)
    }
}

impl diesel::internal::derives::multiconnection::ConnectionSealed for Conn {}

impl Connection for Conn {
    type Backend = MultiBackend;
    type TransactionManager = Self;

    fn establish(url: &str) -> diesel::ConnectionResult<Self> {
        Native::establish(url).map(Self)
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Self::Backend> + QueryId,
    {
        let kept = Kept::new(source, self.is_sqlite());
        self.0.execute_returning_count(&kept)
    }

    fn transaction_state(&mut self) -> &mut Native {
        self.0.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.0.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.0.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.0.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for Conn {
    type Cursor<'conn, 'query> = <Native as LoadConnection>::Cursor<'conn, 'query>;
    type Row<'conn, 'query> = <Native as LoadConnection>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        let kept = Kept::new(source, self.is_sqlite());
        self.0.load(kept)
    }
}

impl TransactionManager<Self> for Conn {
    type TransactionStateData = Native;

    fn begin_transaction(conn: &mut Self) -> QueryResult<()> {
        Native::begin_transaction(&mut conn.0)
    }

    fn rollback_transaction(conn: &mut Self) -> QueryResult<()> {
        Native::rollback_transaction(&mut conn.0)
    }

    fn commit_transaction(conn: &mut Self) -> QueryResult<()> {
        Native::commit_transaction(&mut conn.0)
    }

    fn transaction_manager_status_mut(conn: &mut Self) -> &mut TransactionManagerStatus {
        Native::transaction_manager_status_mut(&mut conn.0)
    }
}

impl MigrationConnection for Conn {
    fn setup(&mut self) -> QueryResult<usize> {
        self.0.setup()
    }
}
