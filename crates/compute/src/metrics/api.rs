//! Metrics as the API shows them.
#![allow(missing_docs, reason = "the fields are the published API's")]

use billing::calendar::Day;
use kernel::{money::Fixed, openapi::Whole, time::Time, words};
use serde::Serialize;
use utoipa::ToSchema;

use crate::instances::api::InstanceId;

words! {
    /// How far back a series goes
    pub enum MetricPeriod {
        /// By the minute
        Hour = "hour",
        /// By 5 minutes
        Day = "day",
        /// By the hour
        Week = "week",
        /// By the hour
        Month = "month",
        /// By the day
        Year = "year",
    }
}

words! {
    /// What of a step is shown
    pub enum Aggregate {
        /// The average
        Average = "average",
        /// The greatest value
        Max = "max",
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceMetrics {
    pub instance_id: InstanceId,
    pub period: MetricPeriod,
    /// The time between two points, seconds
    #[schema(value_type = Whole)]
    pub step_seconds: i64,
    /// The oldest first
    pub points: Vec<InstanceMetricPoint>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceMetricPoint {
    /// When the step begins
    pub time: Time,
    /// Percent of all processors
    #[schema(required = false, nullable, value_type = Option<String>, pattern = r"^-?\d{0,3}(?:\.\d{0,2})?$")]
    pub cpu_usage: Option<Fixed<2>>,
    #[schema(required = false, nullable, value_type = Option<Whole>)]
    pub memory_usage_mb: Option<i64>,
    /// In this step
    #[schema(required = false)]
    pub disk_read_bytes: Option<i64>,
    /// In this step
    #[schema(required = false)]
    pub disk_write_bytes: Option<i64>,
    /// In this step
    #[schema(required = false)]
    pub network_in_bytes: Option<i64>,
    /// In this step
    #[schema(required = false)]
    pub network_out_bytes: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceBandwidth {
    /// Such as `2026-11`
    pub month: String,
    /// In and out together, in GB of 10⁹ bytes
    #[schema(value_type = String, pattern = r"^-?\d{0,13}(?:\.\d{0,2})?$")]
    pub used_gb: Fixed<2>,
    pub in_bytes: i64,
    pub out_bytes: i64,
    /// Every day of the month that has begun
    pub days: Vec<InstanceBandwidthDay>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceBandwidthDay {
    /// In UTC
    pub date: Day,
    pub in_bytes: i64,
    pub out_bytes: i64,
}
