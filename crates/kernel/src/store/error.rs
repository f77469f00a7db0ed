//! What can go wrong between onet and its database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, or gave up on a commit: nothing of the transaction happened.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The wait was given up, or the connection lost during the commit: the transaction may stand or not.
    #[error("the outcome is not known: {0}")]
    InDoubt(String),
    /// Too much work is waiting already.
    #[error("the store is overloaded")]
    Overloaded,
    /// Another transaction was in the way; trying again may succeed.
    #[error("the transaction lost against another: {0}")]
    Contended(String),
    /// A unique constraint refused a row; the name of the constraint or its columns.
    #[error("already exists: {0}")]
    Duplicate(String),
    /// The closure panicked; nothing of its transaction is kept.
    #[error("the work in the store panicked")]
    Panicked,
    /// A statement failed.
    #[error("a statement failed: {0}")]
    Statement(#[source] DieselError),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, facts) = &error else {
            return match error {
                DieselError::BrokenTransactionManager => Self::Unavailable("a broken connection".to_owned()),
                other => Self::Statement(other),
            };
        };
        let text = facts.message().to_owned();
        match kind {
            DatabaseErrorKind::UniqueViolation => {
                Self::Duplicate(facts.constraint_name().map_or(text, str::to_owned))
            }
            DatabaseErrorKind::SerializationFailure => Self::Contended(text),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::Unavailable(text)
            }
            // Diesel has no kinds for these: PostgreSQL's deadlock and shutdown, SQLite's lock and full disk.
            _ if text.contains("deadlock detected") => Self::Contended(text),
            _ if UNAVAILABLE.iter().any(|sign| text.contains(sign)) => Self::Unavailable(text),
            _ => Self::Statement(error),
        }
    }
}

/// Parts of the messages by which the two databases say that they can't serve at all.
const UNAVAILABLE: [&str; 9] = [
    "terminating connection",
    "server closed the connection",
    "the database system is",
    "connection to server",
    "no connection to the server",
    "database is locked",
    "database or disk is full",
    "disk I/O error",
    "unable to open database",
];

/// An error that a transaction may end with: it can wrap the store's own, and tell whether trying again makes sense.
pub trait Failure: From<StoreError> + Send + 'static {
    /// Whether the transaction lost against another and should be tried again.
    fn is_contended(&self) -> bool;
    /// Whether the connection can't be used any more.
    fn is_unavailable(&self) -> bool;
}

impl Failure for StoreError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Contended(_))
    }

    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
