//! `list_instance_resize_options`.

use axum::{Json, extract::State};
use billing::services;
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Faults, PathId},
    money::Amount,
};

use super::{
    api::InstanceResizeOption,
    rules::{self, Present, Wanted, grown_and_shrunk},
};
use crate::{
    Compute, hosts,
    instances::{InstancesRead, api::InstanceKind, order, rows},
    machines::rows as machines,
    product,
};

/// [Instances] List resize options of a compute instance
///
/// Sizes this instance can move to, each with the price difference and what is due now (pro rata to the end of the paid
/// period).
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/resize",
    tag = "Compute", operation_id = "list_instance_resize_options",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Plain array, not paginated", body = Vec<InstanceResizeOption>), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instance_resize_options(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Json<Vec<InstanceResizeOption>>> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (billing, now) = (compute.billing.clone(), compute.app.clock().now());
    compute
        .app
        .store()
        .read("list_instance_resize_options", move |conn| {
            let (row, ..) = rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
            // Without a machine there is nothing to resize.
            let Some(machine) = machines::find(conn, id)? else {
                return Ok(Json(Vec::new()));
            };
            let service = services::of_resource(conn, scope.organization, product::KIND, id.cast())?;
            let host = hosts::rows::find(conn, machine.host_id)?;
            let rate = order::tax_rate(conn, &billing, &scope, now)?;
            let image = catalogue.image(row.image_id);
            let present = Present::of(
                &row,
                machine.share(),
                image.map(|image| &**image),
                service.as_ref(),
            );
            let mut options = Vec::new();
            for size in catalogue.sizes().iter().filter(|size| size.id != row.size_id) {
                let judged = rules::judge(size, &present, Wanted::default(), &mut Faults::default());
                let (Some(target), Some(cycle)) = (judged, present.cycle) else {
                    continue;
                };
                let old = service.as_ref().map_or(target.price, |service| service.price);
                let change = target.change("");
                let net = service.as_ref().map_or(Amount::ZERO, |service| {
                    services::difference(service, &change, now)
                });
                let (grown, _) = grown_and_shrunk(machine.share(), target.share);
                options.push(InstanceResizeOption {
                    size: size.clone(),
                    price_difference: (target.price - old).to_cents().fixed(),
                    amount_due_now: (net + net.percent(rate).to_cents()).fixed(),
                    billing_cycle: cycle,
                    requires_restart: true,
                    is_available: host.as_ref().is_some_and(|host| grown.is_free_on(host)),
                });
            }
            Ok(Json(options))
        })
        .await
}
