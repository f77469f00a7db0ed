//! `transfer_project_resources`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope, Role},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, Faults},
    id::{Any, Id},
    store::Tx,
};

use super::{
    ProjectResources, ResourceType, ResourcesTransfer, Transfer,
    api::{ResourceReference, ResourceTransferRequest, ResourceTransferResult},
};
use crate::{organizations, projects, refusals::WriteRefusals, state::Area};

/// [Project Resources] Move resources to another project
///
/// Move resources to another project of the same organization, all or none. The caller must be able to write in both.
/// What belongs to an instance goes with it: addresses, volumes, the history of its tasks. An instance in a VPC of
/// the project that it leaves is moved to the default VPC of the other project in its location, by a task.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/resources/transfer",
    operation_id = "transfer_project_resources",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("project_id" = String, Path)),
    request_body = ResourceTransferRequest,
    responses((status = 200, body = ResourceTransferResult, description = "Resources moved"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ResourcesTransfer::NAME)),
        ("x-minimum-role" = json!(ResourcesTransfer::ROLE.as_str())),
        ("x-scope" = json!(ResourcesTransfer::SCOPE)),
    )
)]
pub(super) async fn transfer_project_resources(
    scope: ProjectScope<ResourcesTransfer>,
    State(Area { app, resources, .. }): State<Area>,
    change: Change<ResourceTransferRequest>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<ResourceTransferRequest>| {
        // Neither project can vanish while the organization is locked.
        organizations::lock(tx, scope.organization)?;
        let wanted = change.body()?;
        let transfer = judge(tx, &scope, wanted)?;
        let mut moved = Vec::new();
        for kind in ResourceType::ALL {
            let named = wanted.resources.iter().enumerate();
            let named: Vec<(usize, Id<Any>)> = named
                .filter(|(_, named)| ResourceType::from(named.resource_type) == *kind)
                .map(|(index, named)| (index, named.id))
                .collect();
            if named.is_empty() {
                continue;
            }
            let area = resources.iter().find(|area| area.kinds().contains(kind));
            check_known(tx, area.map(AsRef::as_ref), *kind, &transfer, &named)?;
            if let Some(area) = area {
                let ids: Vec<Id<Any>> = named.iter().map(|(_, id)| *id).collect();
                moved.extend(area.transfer(tx, *kind, &transfer, &ids)?);
            }
        }
        Ok(Answer::plain(ResourceTransferResult { moved }))
    };
    change
        .run(&app, &caller, "transfer_project_resources", work)
        .await
}

/// Whether the caller may move such things there.
fn judge(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<ResourcesTransfer>,
    wanted: &ResourceTransferRequest,
) -> ApiResult<Transfer> {
    let mut faults = Faults::default();
    faults.check(
        "resources",
        !wanted.resources.is_empty(),
        "This list may not be empty.",
    );
    let names: Vec<(&str, Id<Any>)> = wanted
        .resources
        .iter()
        .map(|ResourceReference { resource_type, id }| (resource_type.as_str(), *id))
        .collect();
    let is_repeated = (1..names.len()).any(|index| names[..index].contains(&names[index]));
    faults.check("resources", !is_repeated, "A resource is named twice.");
    let target = wanted.target_project_id;
    let visible = projects::visible(tx.conn(), scope.organization, &scope.caller)?;
    let role = visible
        .into_iter()
        .find(|(row, ..)| row.id == target)
        .map(|(.., role)| role);
    let message = format!("Invalid pk \"{target}\" - object does not exist.");
    faults.check("target_project_id", role.is_some(), message);
    faults.check(
        "target_project_id",
        target != scope.project,
        "The resources are in this project already.",
    );
    faults.into_result()?;
    let may = wanted.resources.iter().all(|named| {
        let scope_of_kind = ResourceType::from(named.resource_type).write_scope();
        let area = scope_of_kind.split(':').next().unwrap_or_default();
        scope.caller.has_scope(scope_of_kind) && !scope.closed.contains(&area)
    });
    if !may || role < Some(Role::Editor) {
        return Err(ApiError::forbidden());
    }
    Ok(Transfer {
        organization: scope.organization,
        from: scope.project,
        to: target,
        caller: scope.caller.clone(),
        origin: Origin::caller(&scope.caller, &scope.request),
    })
}

/// Names every resource that is not in the project.
fn check_known(
    tx: &mut Tx<'_>,
    area: Option<&dyn ProjectResources>,
    kind: ResourceType,
    transfer: &Transfer,
    named: &[(usize, Id<Any>)],
) -> ApiResult<()> {
    let ids: Vec<Id<Any>> = named.iter().map(|(_, id)| *id).collect();
    let known = match area {
        Some(area) => area.show(tx.conn(), kind, transfer.from, &ids)?,
        None => Vec::new(),
    };
    let mut items = Faults::default();
    for (index, id) in named {
        if !known.iter().any(|resource| resource.id == *id) {
            let message = format!("Invalid pk \"{id}\" - object does not exist.");
            items.nest(&index.to_string(), Faults::one("id", message));
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    let mut faults = Faults::default();
    faults.nest("resources", items);
    Err(faults.into())
}
