//! `replace_organization`, `update_organization`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Change},
    store::Tx,
};

use super::{
    OrganizationsUpdate,
    api::{Organization, OrganizationReplace, OrganizationUpdate, PatchedOrganization, Wanted},
    rows::{self, OrganizationRow},
    rules,
};
use crate::{
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Organizations] Replace organization details
///
/// Write the name, type, logo and address fields. Quotas, support plan, modules and is_active are ignored from
/// customers.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}",
    operation_id = "replace_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = Organization,
    responses((status = 200, body = Organization, description = "Organization updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(OrganizationsUpdate::NAME)),
        ("x-minimum-role" = json!(OrganizationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(OrganizationsUpdate::SCOPE)),
    )
)]
pub(super) async fn replace_organization(
    scope: OrganizationScope<OrganizationsUpdate>,
    State(Area { app, .. }): State<Area>,
    change: Change<OrganizationReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<OrganizationReplace>| {
        write(tx, &scope, change, |body| &body.0)
    };
    change.run(&app, &caller, "replace_organization", work).await
}

/// [Organizations] Update organization details
///
/// Same as replace, for the fields sent.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}",
    operation_id = "update_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = PatchedOrganization,
    responses((status = 200, body = Organization, description = "Organization updated"), WriteRefusals),
    extensions(
        ("x-permission" = json!(OrganizationsUpdate::NAME)),
        ("x-minimum-role" = json!(OrganizationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(OrganizationsUpdate::SCOPE)),
    )
)]
pub(super) async fn update_organization(
    scope: OrganizationScope<OrganizationsUpdate>,
    State(Area { app, .. }): State<Area>,
    change: Change<OrganizationUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &Change<OrganizationUpdate>| write(tx, &scope, change, |body| &body.0);
    change.run(&app, &caller, "update_organization", work).await
}

fn write<T>(
    tx: &mut Tx<'_>,
    scope: &OrganizationScope<OrganizationsUpdate>,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &Wanted,
) -> ApiResult<Answer<Organization>> {
    let id = scope.organization;
    let row = rows::lock(tx, id)?;
    change.check_version(row.modified.micros())?;
    let (mut new, changes) = rules::replace(&row, wanted(change.body()?))?;
    if !changes.is_empty() {
        new.modified = after(row.modified, tx.now());
        rows::update(tx, &new)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(id), None, &event(&new, changes))?;
    }
    let count = rows::project_counts(tx.conn(), &[id])?;
    let version = new.modified.micros();
    let count = count.get(&id).copied().unwrap_or(0);
    Ok(Answer::ok(Organization::seen_by(scope.role, new, count), version))
}

fn event(row: &OrganizationRow, changes: Changes) -> Event {
    let fields: Vec<&str> = changes.fields().collect();
    Event {
        action: "organization.updated",
        resource_type: "organization",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Changed {} of organization {}", fields.join(", "), row.name),
        changes,
        status: AuditStatus::Success,
    }
}
