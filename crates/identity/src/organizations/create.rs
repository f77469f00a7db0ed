//! `create_organization`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Permission, Role},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change},
    json::JsonText,
    store::Tx,
};

use super::{
    OrganizationsUpdate,
    api::{Organization, OrganizationReplace},
    rows, rules,
};
use crate::{accounts, refusals::WriteRefusals, state::Area};

/// [Organizations] Create an organization
///
/// Create an organization. Only the name is needed. The caller becomes its owner; a default project is made with it.
/// A key needs the scope to write organizations, and must not be limited to one.
#[utoipa::path(
    post,
    path = "/v1/organizations",
    operation_id = "create_organization",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    request_body = Organization,
    responses((status = 201, body = Organization, description = "Organization created"), WriteRefusals),
    extensions(("x-scope" = json!(OrganizationsUpdate::SCOPE)))
)]
pub(super) async fn create_organization(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, .. }): State<Area>,
    change: Change<OrganizationReplace>,
) -> ApiResult<Response> {
    if !caller.has_scope(OrganizationsUpdate::SCOPE) || caller.organization.is_some() {
        return Err(ApiError::forbidden());
    }
    let settings = app.config().organizations.clone();
    let (owner, origin) = (caller.user, Origin::caller(&caller, &request));
    let work = move |tx: &mut Tx<'_>, change: &Change<OrganizationReplace>| {
        let wanted = &change.body()?.0;
        let most = settings.most_owned;
        if rows::count_owned(tx, owner)? >= most.into() {
            return Err(ApiError::refused(format!(
                "You own {most} organizations already: no more can be created."
            )));
        }
        let mut row = accounts::new_organization(tx, "")?;
        row.modules = JsonText::of(&settings.modules);
        let (row, changes) = rules::replace(&row, wanted)?;
        let project = accounts::insert_organization(tx, &row, owner)?;
        let event = Event {
            action: "organization.created",
            resource_type: "organization",
            resource_id: row.id.cast(),
            resource_name: row.name.clone(),
            description: format!("Organization {} created", row.name),
            changes,
            status: AuditStatus::Success,
        };
        tx.audit(&origin, Some(row.id), None, &event)?;
        let event = Event {
            action: "project.created",
            resource_type: "project",
            resource_id: project.cast(),
            resource_name: accounts::FIRST_PROJECT.to_owned(),
            description: "Default project created".to_owned(),
            changes: Changes::default(),
            status: AuditStatus::Success,
        };
        tx.audit(&origin, Some(row.id), Some(project), &event)?;
        let (version, path) = (row.modified.micros(), format!("/v1/organizations/{}", row.id));
        let body = Organization::seen_by(Role::Owner, row, 1);
        Ok(Answer::created(body, Some(version), path))
    };
    change.run(&app, &caller, "create_organization", work).await
}
