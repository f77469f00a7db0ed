//! `close_instance_console_session`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    http::{self, Answer, ApiError, ApiResult, NoBody, PathId},
    store::Tx,
};

use super::{api::SessionPath, create::session_noted, ending::Ending, rows};
use crate::{
    Compute,
    instances::{InstancesOperate, actions::Action, api::InstanceKind},
};

/// [Instances] Close console session
///
/// End the session and cut its connection.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/console/{session_id}",
    tag = "Compute", operation_id = "close_instance_console_session",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("session_id" = String, Path, description = "The console session."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 204, description = "Session closed"), http::WriteRefusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)),
        ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())), ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn close_instance_console_session(
    scope: ProjectScope<InstancesOperate>,
    PathId(instance): PathId<InstanceKind>,
    SessionPath(id): SessionPath,
    State(compute): State<Compute>,
    change: http::Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, _: &http::Change<NoBody>| -> ApiResult<Answer<()>> {
        let action = Action::begin(tx, &scope, instance)?;
        let now = tx.now();
        rows::find(tx.conn(), scope.project, instance, id)?
            .filter(|session| session.is_shown(now))
            .ok_or_else(ApiError::not_found)?;
        if rows::end(tx, id, Ending::Closed)? {
            let text = format!("Closed a console session of instance {}", action.row.name);
            action.audit(tx, "instance.console_closed", text, session_noted(id))?;
        }
        Ok(Answer::empty())
    };
    let answer = change
        .run(&compute.app, &caller, "close_instance_console_session", work)
        .await?;
    compute.consoles.ring(id);
    Ok(answer)
}
