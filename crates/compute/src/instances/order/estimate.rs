//! `estimate_instance`.

use axum::{Json, extract::State};
use billing::orders;
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, ApiResult, Faults},
    id::AnyId,
};

use super::{
    super::InstancesRead,
    api::{InstanceEstimate, InstanceEstimateRequest},
    items,
    rules::{self, Ids},
};
use crate::Compute;

/// [Instances] Estimate price of a compute instance
///
/// Price an order without placing it: lines, tax, credit that would be used, amount due now and each period. Takes
/// the body of create.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/estimate",
    tag = "Compute", operation_id = "estimate_instance",
    params(
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceEstimateRequest),
    responses(
        (status = 200, description = "Estimate", body = InstanceEstimate),
        (status = 400, description = "The request does not validate"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn estimate_instance(
    scope: ProjectScope<InstancesRead>,
    State(compute): State<Compute>,
    change: http::Change<InstanceEstimateRequest>,
) -> ApiResult<Json<InstanceEstimate>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let body = change.body()?;
    let mut faults = Faults::default();
    let ids = Ids::from(body);
    let choice = rules::choose(
        &catalogue,
        scope.organization,
        scope.caller.is_staff,
        &ids,
        &mut faults,
    );
    faults.into_result()?;
    let choice = choice.ok_or_else(|| http::ApiError::internal("a choice without faults"))?;
    let addon_ids: Vec<AnyId> = choice.addons.iter().map(|_| AnyId::new()).collect();
    let mut wanted = items::items(&choice, scope.project, AnyId::new(), &addon_ids);
    for item in &mut wanted {
        item.quantity = body.quantity;
    }
    let order = items::order(&scope, wanted);
    let (billing, now, quantity) = (compute.billing.clone(), compute.app.clock().now(), body.quantity);
    compute
        .app
        .store()
        .read("estimate_instance", move |conn| {
            let quote = orders::quote(conn, &billing, &order, now)?;
            Ok(Json(items::estimate(&choice, &quote, quantity)))
        })
        .await
}
