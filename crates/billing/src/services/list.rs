//! `list_billing_services`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::schema::projects;
use kernel::{
    access::{OrganizationScope, Permission, Project},
    http::{ApiResult, Page, PageOf, Query},
    id::Id,
};

use super::{
    api::{BillingService, ServiceType},
    rows::{ServiceRow, ServiceStatus},
};
use crate::{Billing, BillingRead, accounts, calendar::Day, query::DayQuery, schema::services};

type ServicePage = PageOf<BillingService>;

/// [Billing] List billed services
///
/// Every recurring service of the organization with its cycle and next billing date. Cancelling is done on the resource
/// itself. What has ended is left out.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/services",
    tag = "Organizations", operation_id = "list_billing_services",
    params(
        ("service_type" = Option<String>, Query, description = "Only services of this type."),
        ("project_id" = Option<uuid::Uuid>, Query, description = "Only services in this project."),
        ("due_before" = inline(Option<Day>), Query, description = "Billed next on this day or earlier."),
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("organization_id" = String, Path),
    ),
    responses(
        (status = 200, description = "Page of services", body = ServicePage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn list_billing_services(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<BillingService>>> {
    let kind = query.choice("service_type", ServiceType::from_word);
    let project = query.id::<Project>("project_id");
    let due_before = query.day("due_before");
    query.check()?;
    let organization = scope.organization;
    let filtered = move || {
        let mut found = services::table
            .filter(services::organization_id.eq(organization))
            .filter(
                services::kind.eq_any(
                    ServiceType::ALL
                        .iter()
                        .flat_map(|kind| kind.kinds().iter().copied()),
                ),
            )
            .filter(services::status.ne_all([ServiceStatus::Terminated, ServiceStatus::Cancelled]))
            .into_boxed();
        if let Some(kind) = kind {
            found = found.filter(services::kind.eq_any(kind.kinds().iter().copied()));
        }
        if let Some(project) = project {
            found = found.filter(services::project_id.eq(project));
        }
        if let Some(day) = due_before {
            found = found.filter(services::next_billing_date.lt(day.end()));
        }
        found
    };
    let currency = billing.settings().currency.clone();
    let read = billing.app().store().read("list_billing_services", move |conn| {
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let found: Vec<ServiceRow> = filtered()
            .order((services::created.desc(), services::id.desc()))
            .offset(skip)
            .limit(take)
            .select(ServiceRow::as_select())
            .load(conn)?;
        let ids: Vec<Id<Project>> = found.iter().map(|row| row.project_id).collect();
        let names: Vec<(Id<Project>, String)> = projects::table
            .filter(projects::id.eq_any(ids))
            .select((projects::id, projects::name))
            .load(conn)?;
        let names: HashMap<_, _> = names.into_iter().collect();
        let account = accounts::find(conn, organization)?;
        let french = account.is_some_and(|account| account.invoice_language == "fr");
        let shown = found.iter().filter_map(|row| {
            let name = names.get(&row.project_id).cloned().unwrap_or_default();
            BillingService::of(row, name, &currency, french)
        });
        page.of(count, shown.collect()).map(Json)
    });
    read.await
}
