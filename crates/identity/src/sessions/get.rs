//! `get_session`.

use axum::{Json, extract::State};
use kernel::{
    access::{Authenticated, Credential},
    http::{ApiError, ApiResult, PathId},
};

use super::{api::Session, rows};
use crate::{
    auth::{AuthError, refusals::Reading},
    login_only,
    state::Area,
};

/// [Sessions] Get a session
///
/// One session of the current user.
#[utoipa::path(
    get,
    path = "/v1/auth/sessions/{id}",
    operation_id = "get_session",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(kernel::access::CredentialId), Path)),
    responses(
        (status = 200, body = Session, description = "Session"),
        (status = 404, body = AuthError, description = "Not found"),
        Reading,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn get_session(
    Authenticated { caller, .. }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Session>> {
    login_only(&caller)?;
    let (user, now) = (caller.user, identity.clock().now());
    let row = identity
        .store()
        .read("get_session", move |conn| rows::find(conn, user, id, now))
        .await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    Ok(Json(Session::new(row, caller.credential)))
}
