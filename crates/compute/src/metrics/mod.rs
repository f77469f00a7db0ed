//! What machines use, over time: counters become samples ([`counters`]), samples slots of time ([`series`]), slots charts
//! ([`get`]) and traffic by month ([`bandwidth`]). The reconciler feeds it; see `docs/metrics.md`.

pub mod api;
pub(crate) mod bandwidth;
pub(crate) mod batch;
pub(crate) mod counters;
pub(crate) mod forget;
mod get;
pub(crate) mod series;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Compute;

pub(crate) fn routes() -> OpenApiRouter<Compute> {
    OpenApiRouter::new()
        .routes(routes!(get::get_instance_metrics))
        .routes(routes!(bandwidth::get_instance_bandwidth))
}
