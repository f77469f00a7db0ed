//! Secrets that tasks have made up: sealed until who asked for the task has read them, once.

use std::time::Duration;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    access::User,
    http::{ApiError, ApiResult},
    id::Id,
    secrets::Sealer,
    store::{Conn, StoreError, Tx},
    tasks::TaskId,
};

use crate::schema::task_secrets;

/// How long a secret waits to be read.
const KEPT: Duration = Duration::from_hours(24);

fn context(task: TaskId) -> String {
    format!("task/{}/secret", task.uuid())
}

/// Keeps a secret for a user.
///
/// # Errors
/// The database refused.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    task: TaskId,
    user: Id<User>,
    secret: &str,
) -> Result<(), StoreError> {
    let row = (
        task_secrets::task_id.eq(task),
        task_secrets::user_id.eq(user),
        task_secrets::sealed.eq(sealer.seal(&context(task), secret.as_bytes())),
        task_secrets::expires.eq(tx.now() + KEPT),
    );
    diesel::insert_into(task_secrets::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Whether there is one for this user.
///
/// # Errors
/// The database refused.
pub(crate) fn waits_for(conn: &mut Conn, task: TaskId, user: Id<User>) -> Result<bool, StoreError> {
    let found: i64 = task_secrets::table
        .filter(task_secrets::task_id.eq(task))
        .filter(task_secrets::user_id.eq(user))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// Takes the secret out: of two readers at once, one gets it.
///
/// # Errors
/// The database refused, or the secret does not open.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    task: TaskId,
    user: Id<User>,
) -> ApiResult<Option<String>> {
    let now = tx.now();
    let own = task_secrets::table
        .filter(task_secrets::task_id.eq(task))
        .filter(task_secrets::user_id.eq(user));
    let sealed: Option<String> = own
        .filter(task_secrets::expires.gt(now))
        .select(task_secrets::sealed)
        .first(tx.conn())
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    let taken = diesel::delete(task_secrets::table.find(task)).execute(tx.conn())?;
    if taken == 0 {
        return Ok(None);
    }
    let opened = sealer.open(&context(task), &sealed).map_err(ApiError::internal)?;
    Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
}

/// Erases a task's secret: it has come to nothing.
///
/// # Errors
/// The database refused.
pub(crate) fn erase(tx: &mut Tx<'_>, task: TaskId) -> Result<(), StoreError> {
    diesel::delete(task_secrets::table.find(task)).execute(tx.conn())?;
    Ok(())
}

/// Erases what nobody has read in time.
///
/// # Errors
/// The database refused.
pub async fn forget_old(app: &App) -> ApiResult<usize> {
    let erase = app.store().write("forget_task_secrets", |tx| {
        let now = tx.now();
        let old = task_secrets::table.filter(task_secrets::expires.le(now));
        Ok::<_, ApiError>(diesel::delete(old).execute(tx.conn())?)
    });
    erase.await
}
