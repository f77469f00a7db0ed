//! `get_billing_usage`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::schema::projects;
use kernel::{
    access::{Organization, OrganizationScope, Permission, Project},
    http::{ApiResult, Query},
    id::Id,
    money::Amount,
    store::{Conn, StoreError},
    time::Time,
};

use super::{
    UsageRow,
    api::{UsageLine, UsageReport},
};
use crate::{
    Billing, BillingRead,
    calendar::{month_of, next_month, read_month, show_month},
    schema::{services, usage_records},
    services::{ServiceId, ServiceRow},
};

/// [Billing] Get usage of a month
///
/// Metered use per project and service for one month; the present one as it stands now.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/usage",
    tag = "Organizations", operation_id = "get_billing_usage",
    params(
        ("period" = Option<String>, Query, description = "YYYY-MM; the present month when left out.",
            pattern = r"^\d{4}-\d{2}$"),
        ("project_id" = Option<uuid::Uuid>, Query, description = "Only this project."),
        ("organization_id" = String, Path),
    ),
    responses(
        (status = 200, body = UsageReport, description = "Usage report"),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_billing_usage(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
    mut query: Query,
) -> ApiResult<Json<UsageReport>> {
    let now = billing.app().clock().now();
    let project = query.id::<Project>("project_id");
    let month = match query.text("period") {
        None => Some(month_of(now)),
        Some(text) => read_month(&text),
    };
    if month.is_none() {
        query.fault("period", "Enter a month such as 2026-11.");
    }
    query.check()?;
    let month = month.unwrap_or(now);
    let currency = billing.settings().currency.clone();
    let read = billing.app().store().read("get_billing_usage", move |conn| {
        report(conn, scope.organization, (month, now), project, currency).map(Json)
    });
    Ok(read.await?)
}

/// What was used of each service from `month` on until `until`, which lies in that month: what is recorded, and what
/// goes on.
pub(crate) fn of_month(
    conn: &mut Conn,
    organization: Id<Organization>,
    month: Time,
    until: Time,
) -> Result<Vec<(UsageRow, bool)>, StoreError> {
    let recorded: Vec<UsageRow> = usage_records::table
        .filter(usage_records::organization_id.eq(organization))
        .filter(usage_records::used_from.ge(month))
        .filter(usage_records::used_from.lt(next_month(month)))
        .order((usage_records::used_from, usage_records::service_id))
        .select(UsageRow::as_select())
        .load(conn)?;
    let mut all: Vec<(UsageRow, bool)> = recorded.into_iter().map(|row| (row, true)).collect();
    let running: Vec<ServiceRow> = services::table
        .filter(services::organization_id.eq(organization))
        .filter(services::used_from.lt(until))
        .order(services::id)
        .select(ServiceRow::as_select())
        .load(conn)?;
    for service in running {
        let from = service.used_from.unwrap_or(until).max(month);
        let to = until.min(next_month(month));
        if from < to {
            all.push((super::reckon(conn, &service, from, to, until)?, false));
        }
    }
    Ok(all)
}

fn report(
    conn: &mut Conn,
    organization: Id<Organization>,
    (month, now): (Time, Time),
    project: Option<Id<Project>>,
    currency: String,
) -> Result<UsageReport, StoreError> {
    let mut rows = of_month(conn, organization, month, now)?;
    rows.retain(|(row, _)| project.is_none_or(|project| row.project_id == project));
    let ids: Vec<ServiceId> = rows.iter().map(|(row, _)| row.service_id).collect();
    let known: Vec<ServiceRow> = services::table
        .filter(services::id.eq_any(ids))
        .select(ServiceRow::as_select())
        .load(conn)?;
    let known: HashMap<ServiceId, ServiceRow> = known.into_iter().map(|row| (row.id, row)).collect();
    let ids: Vec<Id<Project>> = rows.iter().map(|(row, _)| row.project_id).collect();
    let names: Vec<(Id<Project>, String)> = projects::table
        .filter(projects::id.eq_any(ids))
        .select((projects::id, projects::name))
        .load(conn)?;
    let names: HashMap<_, _> = names.into_iter().collect();
    let is_invoiced = |row: &UsageRow| row.invoice_id.is_some() || row.amount.is_zero();
    let is_final =
        next_month(month) <= now && rows.iter().all(|(row, recorded)| *recorded && is_invoiced(row));
    let total: Amount = rows.iter().map(|(row, _)| row.amount).sum();
    let lines = rows.into_iter().filter_map(|(row, _)| {
        let service = known.get(&row.service_id)?;
        Some(UsageLine {
            project_id: row.project_id,
            project_name: names.get(&row.project_id).cloned().unwrap_or_default(),
            service_type: service.kind.clone(),
            service_id: Some(service.resource_id),
            service_name: service.name.clone(),
            unit: "hour".to_owned(),
            quantity: row.hours.fixed(),
            unit_price: row.unit_price.fixed(),
            amount: row.amount.fixed(),
        })
    });
    Ok(UsageReport {
        period: show_month(month),
        currency,
        total: total.fixed(),
        is_final,
        lines: lines.collect(),
    })
}
