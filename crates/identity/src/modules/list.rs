//! `list_organization_modules`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult},
};

use super::{ModulesRead, api::OrganizationModule, rows};
use crate::{
    organizations,
    state::{Area, Place},
};

/// [Modules] List modules
///
/// All modules of the platform with their state in the organization.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/modules",
    operation_id = "list_organization_modules",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Vec<OrganizationModule>, description = "List of modules"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ModulesRead::NAME)),
        ("x-minimum-role" = json!(ModulesRead::ROLE.as_str())),
        ("x-scope" = json!(ModulesRead::SCOPE)),
    )
)]
pub(super) async fn list_organization_modules(
    scope: OrganizationScope<ModulesRead>,
    State(Area { app, counter, .. }): State<Area>,
) -> ApiResult<Json<Vec<OrganizationModule>>> {
    let offered = app.config().organizations.modules.clone();
    let id = scope.organization;
    app.store()
        .read("list_organization_modules", move |conn| {
            let row = organizations::find(conn, id)?.ok_or_else(ApiError::not_found)?;
            let counts = counter.live(conn, Place::Organization(id))?;
            Ok::<_, ApiError>(Json(rows::views(conn, &row, &offered, &counts)?))
        })
        .await
}
