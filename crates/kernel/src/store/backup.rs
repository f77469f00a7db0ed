//! Copies of the SQLite database, taken while it is in use, and put back while it is not.

use std::path::Path;

use diesel::{RunQueryDsl, connection::SimpleConnection, sql_types::Text, sqlite::SqliteConnection};

use super::{Place, Store, error::StoreError, open_sqlite, sqlite::make_private};

/// What is to be done instead on PostgreSQL.
const POSTGRES: &str = "this installation uses PostgreSQL: take backups with `pg_dump --format=custom` or continuous \
                        archiving (pgBackRest, Barman), and put them back with `pg_restore`";

#[derive(diesel::QueryableByName)]
struct Check {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

impl Store {
    /// Writes a consistent copy of the database to `target`, while requests go on.
    ///
    /// # Errors
    /// On PostgreSQL (with what to do there); the file exists already; no room.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        if !self.is_sqlite() {
            return Err(StoreError::Unavailable(POSTGRES.to_owned()));
        }
        if target.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} exists already",
                target.display()
            )));
        }
        // Written beside and renamed, so that a backup that was cut short is never taken for one.
        let part = target.with_extension("part");
        let io = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", target.display()));
        let _ = std::fs::remove_file(&part);
        make_private(&part).map_err(io)?;
        let quoted = part.to_string_lossy().replace('\'', "''");
        (self.0.connect)()?.batch_execute(&format!("VACUUM INTO '{quoted}'"))?;
        check(&part)?;
        std::fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(io)?;
        std::fs::rename(&part, target)
            .and_then(|()| sync_folder(target))
            .map_err(io)
    }
}

/// Puts a backup in the database's place. The server must not run. What was there is kept as `onet.db.before-restore`.
///
/// # Errors
/// On PostgreSQL; the backup is damaged (nothing is changed then); the database is in use.
pub fn restore(place: &Place, backup: &Path) -> Result<(), StoreError> {
    let Place::Sqlite(path) = place else {
        return Err(StoreError::Unavailable(POSTGRES.to_owned()));
    };
    check(backup)?;
    let io = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let with_suffix = |suffix: &str| {
        path.with_file_name(format!(
            "{}{suffix}",
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default()
        ))
    };
    if path.exists() {
        let mut conn = open_sqlite(path)?;
        // Folds the log into the file, and fails if anybody has the database open.
        let alone = conn.batch_execute(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_checkpoint(TRUNCATE); BEGIN EXCLUSIVE; COMMIT; \
             PRAGMA journal_mode = DELETE",
        );
        alone.map_err(|error| {
            StoreError::Unavailable(format!(
                "{} is in use ({error}): stop onetd first",
                path.display()
            ))
        })?;
        drop(conn);
        std::fs::rename(path, with_suffix(".before-restore")).map_err(io)?;
    }
    // A log that was left behind belongs to another database: it must not be replayed onto this one.
    for left_behind in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(with_suffix(left_behind));
    }
    let part = with_suffix(".part");
    let _ = std::fs::remove_file(&part);
    make_private(&part).map_err(io)?;
    std::fs::copy(backup, &part).map_err(io)?;
    std::fs::File::open(&part)
        .and_then(|file| file.sync_all())
        .map_err(io)?;
    std::fs::rename(&part, path)
        .and_then(|()| sync_folder(path))
        .map_err(io)
}

/// Makes a rename in the file's folder survive a power cut.
fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn check(file: &Path) -> Result<(), StoreError> {
    if !file.exists() {
        return Err(StoreError::Unavailable(format!(
            "{} does not exist",
            file.display()
        )));
    }
    let mut conn = open_sqlite(file)?;
    let rows: Vec<Check> = diesel::sql_query("PRAGMA integrity_check").load(&mut conn)?;
    match rows.first() {
        Some(row) if row.integrity_check == "ok" => check_ours(file, &mut conn),
        other => Err(StoreError::Unavailable(format!(
            "{} is damaged: {}",
            file.display(),
            other.map_or("unreadable", |row| row.integrity_check.as_str())
        ))),
    }
}

/// Any SQLite file is whole; ours has our migrations in it.
fn check_ours(file: &Path, conn: &mut SqliteConnection) -> Result<(), StoreError> {
    conn.batch_execute("SELECT 1 FROM audit_records, users, tasks LIMIT 1")
        .map_err(|_| StoreError::Unavailable(format!("{} is no database of onet", file.display())))
}
