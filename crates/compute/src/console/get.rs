//! `get_instance_console_session`.

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, PathId},
};

use super::{
    api::{ConsoleSession, InstanceWithConsoleSession, SessionPath},
    rows,
};
use crate::{
    Compute,
    instances::{InstancesRead, api::InstanceKind, views},
};

/// [Instances] Get console session details
///
/// Read a console session: the instance, with the session as `console_session`.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/console/{session_id}",
    tag = "Compute", operation_id = "get_instance_console_session",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("session_id" = String, Path, description = "The console session."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Session and its instance", body = InstanceWithConsoleSession),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_console_session(
    scope: ProjectScope<InstancesRead>,
    PathId(instance): PathId<InstanceKind>,
    SessionPath(id): SessionPath,
    State(compute): State<Compute>,
) -> ApiResult<Json<InstanceWithConsoleSession>> {
    let app = &compute.app;
    let catalogue = compute.catalogues.current(app).await?;
    let (now, base) = (app.clock().now(), app.config().server.base_url());
    let found = app.store().read("get_instance_console_session", move |conn| {
        let session = rows::find(conn, scope.project, instance, id)?
            .filter(|session| session.is_shown(now))
            .ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>(InstanceWithConsoleSession {
            instance: views::one(conn, &catalogue, scope.project, instance)?.body,
            console_session: ConsoleSession::at(now, &base, session),
        })
    });
    found.await.map(Json)
}
