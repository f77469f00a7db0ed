//! Old slots are forgotten, a bounded number at once.

use diesel::{RunQueryDsl, sql_query, sql_types::BigInt};
use kernel::{
    App,
    store::{StoreError, Tx},
};

use super::series::{ALL, Series};

/// What one transaction deletes at most, and how many there are in a row: the rest waits for the next minute.
const BATCH: usize = 1000;
const BATCHES: usize = 10;

/// Deletes what has been kept long enough, and watches of machines that are no more.
///
/// # Errors
/// The database refused.
pub(crate) async fn old(app: &App) -> Result<(), StoreError> {
    let now = app.clock().now().seconds();
    for series in ALL {
        for _ in 0..BATCHES {
            let deleted = app
                .store()
                .write("forget_metrics", move |tx| slots(tx, series, now - series.kept))
                .await?;
            if deleted < BATCH {
                break;
            }
        }
    }
    app.store().write("forget_watches", watches).await
}

/// A slot that has not reached the coarser series yet stays, however old it is: its host's node was away.
fn slots(tx: &mut Tx<'_>, Series { step, .. }: Series, before: i64) -> Result<usize, StoreError> {
    let sql = format!(
        "delete from metric_points where (instance_id, step, slot) in (\
         select p.instance_id, p.step, p.slot from metric_points p where p.step = {step} and p.slot < $1 \
         and not exists (select 1 from machine_watches w where w.instance_id = p.instance_id and w.unrolled_from <= p.slot) \
         limit {BATCH})"
    );
    Ok(sql_query(sql).bind::<BigInt, _>(before).execute(tx.conn())?)
}

fn watches(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let sql = format!(
        "delete from machine_watches where instance_id in (select w.instance_id from machine_watches w \
         where not exists (select 1 from machines m where m.instance_id = w.instance_id) limit {BATCH})"
    );
    sql_query(sql).execute(tx.conn())?;
    Ok(())
}
