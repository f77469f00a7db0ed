//! The schema's history: one tree of SQL for both databases, in `migrations/`.
//!
//! The files name PostgreSQL's types. SQLite takes any type name and stores what it is given: 16-byte blobs in
//! `uuid`, integers in `timestamptz` and `boolean`.

use diesel::{connection::SimpleConnection, migration::Migration};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{conn::Conn, error::StoreError, sql::MultiBackend};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Any number will do, as long as every node uses the same.
const LOCK: i64 = 0x6f6e_6574;

pub(super) fn run(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let postgres = !conn.is_sqlite();
    if postgres {
        conn.batch_execute(&format!(
            "SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})"
        ))?;
    }
    let outcome = MigrationHarness::<MultiBackend>::run_pending_migrations(conn, MIGRATIONS)
        .map(|done| done.iter().map(ToString::to_string).collect())
        .map_err(|error| StoreError::Unavailable(format!("a migration failed: {error}")));
    if postgres {
        conn.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
    }
    outcome
}

pub(super) fn pending(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let pending = MigrationHarness::<MultiBackend>::pending_migrations(conn, MIGRATIONS)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(pending
        .iter()
        .map(|migration| migration.name().to_string())
        .collect())
}
