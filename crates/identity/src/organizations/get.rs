//! `get_organization`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, Versioned},
};

use super::{OrganizationsRead, api::Organization, rows};
use crate::state::Area;

/// [Organizations] Get an organization
///
/// Details of one organization. A guest gets it with the address, phone and VAT fields blank.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}",
    operation_id = "get_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Organization, description = "Organization details"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Organization not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(OrganizationsRead::NAME)),
        ("x-minimum-role" = json!(OrganizationsRead::ROLE.as_str())),
        ("x-scope" = json!(OrganizationsRead::SCOPE)),
    )
)]
pub(super) async fn get_organization(
    scope: OrganizationScope<OrganizationsRead>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<Organization>> {
    let (id, role) = (scope.organization, scope.role);
    identity
        .store()
        .read("get_organization", move |conn| {
            let row = rows::find(conn, id)?.ok_or_else(ApiError::not_found)?;
            let count = rows::project_counts(conn, &[id])?.get(&id).copied().unwrap_or(0);
            Ok(Versioned {
                version: row.modified.micros(),
                body: Organization::seen_by(role, row, count),
            })
        })
        .await
}
