//! Protection from deletion: an addition to the published API.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, PathId, Versioned},
    store::Tx,
};

use super::{
    InstancesDelete, InstancesRead,
    actions::{self, Action},
    api::InstanceKind,
    requests::InstanceProtection,
    rows,
};
use crate::{Compute, machines::rows as machines};

/// [Instances] Get protection of a compute instance
///
/// Whether deleting and cancelling the instance are refused. An addition to the published API.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/protection",
    tag = "Compute", operation_id = "get_instance_protection",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Protection", body = InstanceProtection),
        http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE)), ("x-addition" = json!(true))),
)]
pub(crate) async fn get_instance_protection(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceProtection>> {
    compute
        .app
        .store()
        .read("get_instance_protection", move |conn| {
            let (row, ..) = rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
            let machine = machines::find(conn, id)?;
            Ok(Versioned {
                version: row.version,
                body: InstanceProtection {
                    delete: machine.is_some_and(|machine| machine.is_protected),
                },
            })
        })
        .await
}

/// [Instances] Change protection of a compute instance
///
/// Refuse, or allow again, that the instance is deleted or cancelled. What is not paid is terminated all the same. An
/// addition to the published API.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/protection",
    tag = "Compute", operation_id = "change_instance_protection",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceProtection),
    responses(
        (status = 200, description = "Protection changed", body = InstanceProtection),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesDelete::NAME)), ("x-minimum-role" = json!(InstancesDelete::ROLE.as_str())),
        ("x-scope" = json!(InstancesDelete::SCOPE)), ("x-addition" = json!(true))),
)]
pub(crate) async fn change_instance_protection(
    scope: ProjectScope<InstancesDelete>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceProtection>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<InstanceProtection>|
          -> ApiResult<Answer<InstanceProtection>> {
        let mut action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let wanted = *change.body()?;
        let mut machine = action.machine_to_change()?;
        if machine.is_protected != wanted.delete {
            let mut changes = Changes::default();
            changes.note("is_protected", &machine.is_protected, &wanted.delete);
            let text = format!("Changed the protection of instance {}", action.row.name);
            action.audit(tx, "instance.protection_changed", text, changes)?;
            machine.is_protected = wanted.delete;
            machines::save(tx, &mut machine)?;
            rows::save(tx, &mut action.row)?;
        }
        Ok(Answer::ok(wanted, action.row.version))
    };
    change
        .run(&compute.app, &caller, "change_instance_protection", work)
        .await
}
