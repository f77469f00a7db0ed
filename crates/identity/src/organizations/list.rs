//! `list_organizations`.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, Permission, Role},
    http::{ApiError, ApiResult},
    id::Id,
    store::StoreError,
};

use super::{OrganizationsRead, api::Organization, rows};
use crate::state::Area;

/// [Organizations] List accessible organizations
///
/// Every organization the caller belongs to, whatever the role, ordered by name. Deleted and suspended ones are left out.
#[utoipa::path(
    get,
    path = "/v1/organizations",
    operation_id = "list_organizations",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    responses(
        (status = 200, body = Vec<Organization>,
            description = "List of organizations the user has access to"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(OrganizationsRead::NAME)),
        ("x-scope" = json!(OrganizationsRead::SCOPE)),
    )
)]
pub(super) async fn list_organizations(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Vec<Organization>>> {
    if !caller.has_scope(OrganizationsRead::SCOPE) {
        return Err(ApiError::forbidden());
    }
    let (user, only) = (caller.user, caller.organization);
    let is_limited = caller.project.is_some();
    let listed = identity
        .store()
        .read("list_organizations", move |conn| {
            let mut found = rows::of_user(conn, user)?;
            found.retain(|(row, _)| only.is_none_or(|only| only == row.id));
            // By name here, not in SQL: the databases' collations differ.
            found.sort_by_cached_key(|(row, _)| (row.name.to_lowercase(), row.id));
            let ids: Vec<Id<_>> = found.iter().map(|(row, _)| row.id).collect();
            let counts = rows::project_counts(conn, &ids)?;
            let views = found.into_iter().map(|(row, role)| {
                let count = counts.get(&row.id).copied().unwrap_or(0);
                Organization::seen_by(if is_limited { Role::Guest } else { role }, row, count)
            });
            Ok::<_, StoreError>(views.collect())
        })
        .await?;
    Ok(Json(listed))
}
