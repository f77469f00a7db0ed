//! `list_organization_roles`, `list_organization_permissions`.

use axum::{Json, extract::State};
use kernel::access::{OrganizationScope, Permission as _, Role};

use super::{
    RolesRead,
    api::{Permission, Role as RoleView, RoleScope},
};
use crate::state::Area;

/// [Roles] List roles
///
/// The fixed roles with the permissions each grants.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/roles",
    operation_id = "list_organization_roles",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Vec<RoleView>, description = "List of roles"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(RolesRead::NAME)),
        ("x-minimum-role" = json!(RolesRead::ROLE.as_str())),
        ("x-scope" = json!(RolesRead::SCOPE)),
    )
)]
pub(super) async fn list_organization_roles(
    scope: OrganizationScope<RolesRead>,
    State(Area { permissions, .. }): State<Area>,
) -> Json<Vec<RoleView>> {
    let gives = scope.role == Role::Owner;
    let roles = Role::ALL
        .iter()
        .rev()
        .map(|role| RoleView::of(*role, RoleScope::Organization, &permissions, gives));
    Json(roles.collect())
}

/// [Roles] List permissions
///
/// Catalogue of permission codes that roles grant.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/permissions",
    operation_id = "list_organization_permissions",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Vec<Permission>, description = "List of permissions"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(RolesRead::NAME)),
        ("x-minimum-role" = json!(RolesRead::ROLE.as_str())),
        ("x-scope" = json!(RolesRead::SCOPE)),
    )
)]
pub(super) async fn list_organization_permissions(
    _scope: OrganizationScope<RolesRead>,
    State(Area { permissions, .. }): State<Area>,
) -> Json<Vec<Permission>> {
    Json(permissions.all().iter().map(Permission::from).collect())
}
