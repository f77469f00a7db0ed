//! `get_organization_quotas`, and how other areas keep within quotas.

use axum::extract::State;
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Organization, OrganizationScope, Permission, Project},
    http::{ApiError, ApiResult, Versioned},
    id::Id,
    openapi::Whole,
    store::Tx,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{QuotasRead, rows};
use crate::{
    members,
    modules::Module,
    schema::projects,
    state::{Area, Place},
};

/// The limits of an organization with what is used of each.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganizationQuotas {
    /// Members plus pending invitations
    #[schema(read_only)]
    users: QuotaUsage,
    /// Projects
    #[schema(read_only)]
    projects: QuotaUsage,
    /// Instances in every project, terminated ones excluded
    #[schema(read_only)]
    instances: QuotaUsage,
    /// Domains in every project
    #[schema(read_only)]
    domains: QuotaUsage,
}

/// A limit, and what is counted against it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct QuotaUsage {
    /// Allowed maximum
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    limit: i64,
    /// Currently counted against the limit
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    used: i64,
    /// limit - used, never below zero
    #[schema(value_type = Whole)]
    available: i64,
}

impl QuotaUsage {
    fn of(limit: i64, used: i64) -> Self {
        Self {
            limit,
            used,
            available: (limit - used).max(0),
        }
    }
}

/// [Organizations] Get quota usage
///
/// The four limits of the organization with what is used of each.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/quotas",
    operation_id = "get_organization_quotas",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = OrganizationQuotas, description = "Quota usage"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(QuotasRead::NAME)),
        ("x-minimum-role" = json!(QuotasRead::ROLE.as_str())),
        ("x-scope" = json!(QuotasRead::SCOPE)),
    )
)]
pub(super) async fn get_organization_quotas(
    scope: OrganizationScope<QuotasRead>,
    State(Area { app, counter, .. }): State<Area>,
) -> ApiResult<Versioned<OrganizationQuotas>> {
    let (id, now) = (scope.organization, app.clock().now());
    app.store()
        .read("get_organization_quotas", move |conn| {
            let row = rows::find(conn, id)?.ok_or_else(ApiError::not_found)?;
            let projects = rows::project_counts(conn, &[id])?.get(&id).copied().unwrap_or(0);
            let users = members::count_with_pending(conn, id, now)?;
            let live = counter.live(conn, Place::Organization(id))?;
            let body = OrganizationQuotas {
                users: QuotaUsage::of(row.user_quota, users),
                projects: QuotaUsage::of(row.project_quota, projects),
                instances: QuotaUsage::of(row.instance_quota, live.instances),
                domains: QuotaUsage::of(row.domain_quota, live.domains),
            };
            let version = row.modified.micros();
            Ok(Versioned { body, version })
        })
        .await
}

/// The quotas of an organization that others count against.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Most instances, terminated ones not counted.
    pub instances: i64,
    /// Most domains.
    pub domains: i64,
}

/// For areas that add a resource to a project: call it first in the transaction, then count what the organization
/// has, then insert.
///
/// It locks the organization's row until the transaction ends. Of many requests at once, each counts what the one
/// before has added, and neither the project nor the module can vanish meanwhile.
///
/// # Errors
/// 404 if organization or project are gone since the caller was found to reach them, 403 if the module is off.
pub fn enter(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    project: Id<Project>,
    module: Module,
) -> ApiResult<Quotas> {
    let row = rows::lock(tx, organization)?;
    if !Module::read(&row.modules).contains(&module) {
        return Err(ApiError::forbidden());
    }
    let alive: i64 = projects::table
        .filter(projects::id.eq(project))
        .filter(projects::organization_id.eq(organization))
        .filter(projects::deleted_at.is_null())
        .count()
        .get_result(tx.conn())?;
    if alive == 0 {
        return Err(ApiError::not_found());
    }
    Ok(Quotas {
        instances: row.instance_quota,
        domains: row.domain_quota,
    })
}
