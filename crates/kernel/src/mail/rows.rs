//! The table of mails.

use std::time::Duration;

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};

use super::{Letter, Mail};
use crate::{
    App,
    id::Id,
    language::Language,
    schema::{mails, tasks},
    store::{Conn, StoreError, Tx},
    time::Time,
};

crate::words! {
    /// What became of a mail.
    pub enum MailStatus {
        /// Not sent yet.
        Pending = "pending",
        /// Taken over by the mail server.
        Sent = "sent",
        /// Given up: `error` says why.
        Failed = "failed",
    }
}

/// A row of `mails`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = mails)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct MailRow {
    pub id: Id<Mail>,
    pub to_address: String,
    pub language: Language,
    pub template: String,
    pub content: Option<String>,
    pub message_id: String,
    pub status: MailStatus,
    pub attempts: i32,
    pub error: Option<String>,
    pub created: Time,
    pub modified: Time,
    pub sent_at: Option<Time>,
}

/// Characters of an error that are kept.
const ERROR_LENGTH: usize = 500;

fn cut(error: &str) -> String {
    error.chars().take(ERROR_LENGTH).collect()
}

/// A new mail: pending with its sealed content, or failed at once.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: Id<Mail>,
    letter: &Letter,
    message_id: String,
    content: &Result<String, String>,
) -> Result<(), StoreError> {
    let row = MailRow {
        id,
        to_address: letter.to.clone(),
        language: letter.language,
        template: letter.template.to_owned(),
        content: content.as_ref().ok().cloned(),
        message_id,
        status: if content.is_ok() {
            MailStatus::Pending
        } else {
            MailStatus::Failed
        },
        attempts: 0,
        error: content.as_ref().err().map(|error| cut(error)),
        created: tx.now(),
        modified: tx.now(),
        sent_at: None,
    };
    diesel::insert_into(mails::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(())
}

/// The mail, if it was not forgotten.
pub(super) fn find(conn: &mut Conn, id: Id<Mail>) -> Result<Option<MailRow>, StoreError> {
    Ok(mails::table
        .find(id)
        .select(MailRow::as_select())
        .first(conn)
        .optional()?)
}

/// The mail server has it: nobody needs its content any more.
pub(super) fn record_sent(tx: &mut Tx<'_>, id: Id<Mail>) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(mails::table.find(id))
        .set((
            mails::status.eq(MailStatus::Sent),
            mails::content.eq(None::<String>),
            mails::error.eq(None::<String>),
            mails::attempts.eq(mails::attempts + 1),
            mails::sent_at.eq(Some(now)),
            mails::modified.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// An attempt failed; whether it was the last is decided by the task.
pub(super) fn record_fault(tx: &mut Tx<'_>, id: Id<Mail>, fault: &str) -> Result<(), StoreError> {
    let now = tx.now();
    diesel::update(mails::table.find(id))
        .set((
            mails::error.eq(Some(cut(fault))),
            mails::attempts.eq(mails::attempts + 1),
            mails::modified.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// No further attempt: the content is erased. A mail that was sent stays sent.
pub(super) fn give_up(tx: &mut Tx<'_>, id: Id<Mail>, fault: Option<&str>) -> Result<(), StoreError> {
    let now = tx.now();
    let target = mails::table
        .find(id)
        .filter(mails::status.eq(MailStatus::Pending));
    diesel::update(target)
        .set((
            mails::status.eq(MailStatus::Failed),
            mails::content.eq(None::<String>),
            mails::error.eq(fault.map(cut)),
            mails::modified.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes what is older than `mail.keep_days` and not pending, with the tasks that sent it. In portions, so that no
/// transaction is long. Answers how many mails there were.
///
/// # Errors
/// The database refused.
pub async fn forget_old(app: &App) -> Result<usize, StoreError> {
    const PORTION: i64 = 500;
    let age = Duration::from_hours(24 * u64::from(app.config().mail.keep_days));
    let before = app.clock().now() - age;
    let mut forgotten = 0;
    loop {
        let deleted = app
            .store()
            .write("forget_mails", move |tx| {
                let old: Vec<Id<Mail>> = mails::table
                    .filter(mails::created.lt(before))
                    .filter(mails::status.ne(MailStatus::Pending))
                    .order(mails::created)
                    .limit(PORTION)
                    .select(mails::id)
                    .load(tx.conn())?;
                let resources: Vec<Id<crate::id::Any>> = old.iter().map(|id| id.cast()).collect();
                let ended = tasks::table
                    .filter(tasks::resource_id.eq_any(resources))
                    .filter(tasks::completed_at.is_not_null());
                diesel::delete(ended).execute(tx.conn())?;
                diesel::delete(mails::table.filter(mails::id.eq_any(&old))).execute(tx.conn())?;
                Ok::<_, StoreError>(old.len())
            })
            .await?;
        forgotten += deleted;
        if i64::try_from(deleted).unwrap_or(0) < PORTION {
            return Ok(forgotten);
        }
    }
}
