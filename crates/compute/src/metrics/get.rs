//! `get_instance_metrics`: a series of an instance, from what is kept.

use std::collections::HashMap;

use axum::extract::State;
use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId, Query, Versioned},
    money::Amount,
    time::Time,
};

use super::{
    api::{Aggregate, InstanceMetricPoint, InstanceMetrics, MetricPeriod},
    series::{DAYS, FIVE_MINUTES, HOURS, MINUTES, Series},
};
use crate::{
    Compute,
    instances::{InstancesRead, api::InstanceKind, rows},
    schema::metric_points,
};

/// A slot, as far as a chart shows it.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = metric_points)]
struct Slot {
    slot: i64,
    samples: i64,
    cpu_sum: i64,
    cpu_max: i64,
    memory_sum: i64,
    memory_max: i64,
    disk_read_bytes: i64,
    disk_write_bytes: i64,
    network_in_bytes: Option<i64>,
    network_out_bytes: Option<i64>,
}

impl MetricPeriod {
    /// The series that shows it, and with how many points.
    const fn series(self) -> (Series, i64) {
        match self {
            Self::Hour => (MINUTES, 60),
            Self::Day => (FIVE_MINUTES, 288),
            Self::Week => (HOURS, 7 * 24),
            Self::Month => (HOURS, 30 * 24),
            Self::Year => (DAYS, 365),
        }
    }
}

/// [Instances] Get metrics of a compute instance
///
/// Time series of CPU, memory, disk and network use. Processor and memory are the average or the greatest value of each
/// step, bytes what went through in it. Times are the steps' beginnings; what was not measured is null.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/metrics",
    tag = "Compute", operation_id = "get_instance_metrics",
    params(
        ("period" = Option<MetricPeriod>, Query, description = "How far back; `hour` unless stated."),
        ("aggregate" = Option<Aggregate>, Query, description = "What of a step is shown; `average` unless stated."),
        ("id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Series", body = InstanceMetrics),
        (status = 400, description = "The request does not validate"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_metrics(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    mut query: Query,
) -> ApiResult<Versioned<InstanceMetrics>> {
    let period = query
        .choice("period", MetricPeriod::from_word)
        .unwrap_or(MetricPeriod::Hour);
    let aggregate = query
        .choice("aggregate", Aggregate::from_word)
        .unwrap_or(Aggregate::Average);
    let faults = query.check();
    let (series, count) = period.series();
    let last = series.slot(compute.app.clock().now().seconds());
    let first = last - (count - 1) * series.step;
    compute
        .app
        .store()
        .read("get_instance_metrics", move |conn| {
            if !rows::exists(conn, scope.project, id)? {
                return Err(ApiError::not_found());
            }
            faults?;
            let found: Vec<Slot> = metric_points::table
                .filter(metric_points::instance_id.eq(id))
                .filter(metric_points::step.eq(series.step))
                .filter(metric_points::slot.between(first, last))
                .select(Slot::as_select())
                .load(conn)?;
            let found: HashMap<i64, Slot> = found.into_iter().map(|slot| (slot.slot, slot)).collect();
            let slots = (0..count).map(|number| first + number * series.step);
            let points = slots.map(|at| point(at, found.get(&at), aggregate)).collect();
            let body = InstanceMetrics {
                instance_id: id,
                period,
                step_seconds: series.step,
                points,
            };
            Ok(Versioned { version: last, body })
        })
        .await
}

fn point(at: i64, slot: Option<&Slot>, aggregate: Aggregate) -> InstanceMetricPoint {
    // Hundredths of a percent are cents of one.
    let cpu = |slot: &Slot| match aggregate {
        Aggregate::Average => Amount::from_cents(average(slot.cpu_sum, slot.samples)),
        Aggregate::Max => Amount::from_cents(slot.cpu_max),
    };
    let memory = |slot: &Slot| match aggregate {
        Aggregate::Average => average(slot.memory_sum, slot.samples),
        Aggregate::Max => slot.memory_max,
    };
    InstanceMetricPoint {
        time: Time::from_micros(at * 1_000_000),
        cpu_usage: slot.map(|slot| cpu(slot).fixed()),
        memory_usage_mb: slot.map(memory),
        disk_read_bytes: slot.map(|slot| slot.disk_read_bytes),
        disk_write_bytes: slot.map(|slot| slot.disk_write_bytes),
        network_in_bytes: slot.and_then(|slot| slot.network_in_bytes),
        network_out_bytes: slot.and_then(|slot| slot.network_out_bytes),
    }
}

fn average(sum: i64, samples: i64) -> i64 {
    (sum + samples / 2) / samples.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_is_within_what_its_series_keeps() {
        for period in MetricPeriod::ALL {
            let (series, count) = period.series();
            assert!(count * series.step < series.kept, "{period:?}");
        }
    }
}
