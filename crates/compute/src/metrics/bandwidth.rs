//! Traffic of a calendar month: `instances.bandwidth_used_gb`, and `get_instance_bandwidth`.

use axum::extract::State;
use billing::calendar::{self, Day};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
    id::Id,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use serde_json::Value;

use super::{
    api::{InstanceBandwidth, InstanceBandwidthDay},
    batch::{self, Words},
    series::DAYS,
};
use crate::{
    Compute,
    instances::{InstancesRead, api::InstanceKind, rows},
    schema::metric_points,
};

/// A hundredth of a GB (10⁹ bytes), in bytes.
const HUNDREDTH: i64 = 10_000_000;

/// Bytes in GB, rounded to two places.
pub(crate) fn gigabytes(bytes: i64) -> Amount {
    Amount::from_cents((bytes.saturating_add(HUNDREDTH / 2)) / HUNDREDTH)
}

/// Writes into some instances' rows what they have used in the month that begins at `month`; rows: the instance.
///
/// Apart from what was seen: it locks instances, which who acts on one of them holds while waiting for its host.
pub(crate) fn renew(tx: &mut Tx<'_>, instances: &[Value], month: i64) -> Result<(), StoreError> {
    let words = Words::of(tx.conn());
    let (rows, id, step) = (words.rows(), words.id(0), DAYS.step);
    // As `gigabytes` does, in ten-thousandths.
    let sql = format!(
        "update instances set bandwidth_used_gb = u.used from (select {id} as id, \
         (coalesce((select cast(sum(coalesce(p.network_in_bytes, 0) + coalesce(p.network_out_bytes, 0)) as bigint) \
         from metric_points p where p.instance_id = {id} and p.step = {step} and p.slot >= {month}), 0) \
         + {HUNDREDTH} / 2) / {HUNDREDTH} * 100 as used from {rows}) as u \
         where instances.id = u.id and instances.bandwidth_used_gb <> u.used"
    );
    batch::run(tx, &sql, instances)?;
    let sql = format!(
        "update machine_watches set bandwidth_month = {month} from {rows} \
         where machine_watches.instance_id = {id} and machine_watches.bandwidth_month <> {month}"
    );
    batch::run(tx, &sql, instances).map(drop)
}

/// [Instances] Get bandwidth use of a compute instance
///
/// Traffic of a calendar month, by day (UTC). The present month unless another one is asked for.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/bandwidth",
    tag = "Compute", operation_id = "get_instance_bandwidth",
    params(
        ("month" = Option<String>, Query, description = "The month, such as `2026-11`.", pattern = r"^\d{4}-\d{2}$"),
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Traffic", body = InstanceBandwidth),
        (status = 400, description = "The request does not validate"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_bandwidth(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    mut query: Query,
) -> ApiResult<Versioned<InstanceBandwidth>> {
    let now = compute.app.clock().now();
    let month = match query.text("month") {
        None => calendar::month_of(now),
        Some(text) => calendar::read_month(&text).unwrap_or_else(|| {
            query.fault("month", "Enter a month such as 2026-11.");
            now
        }),
    };
    let faults = query.check();
    compute
        .app
        .store()
        .read("get_instance_bandwidth", move |conn| {
            if !rows::exists(conn, scope.project, id)? {
                return Err(ApiError::not_found());
            }
            faults?;
            let body = of_month(conn, id, month, now)?;
            Ok(Versioned {
                version: month.micros(),
                body,
            })
        })
        .await
}

fn of_month(
    conn: &mut Conn,
    id: Id<InstanceKind>,
    month: Time,
    now: Time,
) -> Result<InstanceBandwidth, StoreError> {
    let end = calendar::next_month(month);
    let found: Vec<(i64, Option<i64>, Option<i64>)> = metric_points::table
        .filter(metric_points::instance_id.eq(id))
        .filter(metric_points::step.eq(DAYS.step))
        .filter(metric_points::slot.ge(month.seconds()))
        .filter(metric_points::slot.lt(end.seconds()))
        .select((
            metric_points::slot,
            metric_points::network_in_bytes,
            metric_points::network_out_bytes,
        ))
        .load(conn)?;
    // Every day that has begun.
    let days: Vec<InstanceBandwidthDay> = (month.seconds()..end.seconds())
        .step_by(86_400)
        .take_while(|slot| *slot <= now.seconds())
        .map(|slot| {
            let used = found.iter().find(|(at, ..)| *at == slot);
            InstanceBandwidthDay {
                date: Day::of(Time::from_micros(slot * 1_000_000)),
                in_bytes: used.and_then(|(_, received, _)| *received).unwrap_or(0),
                out_bytes: used.and_then(|(.., sent)| *sent).unwrap_or(0),
            }
        })
        .collect();
    let in_bytes: i64 = days.iter().map(|day| day.in_bytes).sum();
    let out_bytes: i64 = days.iter().map(|day| day.out_bytes).sum();
    Ok(InstanceBandwidth {
        month: calendar::show_month(month),
        used_gb: gigabytes(in_bytes + out_bytes).fixed(),
        in_bytes,
        out_bytes,
        days,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gigabytes_are_decimal_and_rounded_to_hundredths() {
        let shown = |bytes: i64| gigabytes(bytes).fixed::<2>().to_string();
        assert_eq!(shown(0), "0.00");
        assert_eq!(shown(4_999_999), "0.00");
        assert_eq!(shown(5_000_000), "0.01");
        assert_eq!(shown(1_234_567_890), "1.23");
        assert_eq!(shown(i64::MAX), "9223372036.85");
    }
}
