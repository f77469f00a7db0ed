//! `list_sessions`.

use axum::{Json, extract::State};
use kernel::{access::Authenticated, http::ApiResult};

use super::{api::Session, rows};
use crate::{auth::refusals::Reading, login_only, state::Area};

/// [Sessions] List active sessions
///
/// Live sessions with device and last activity, newest activity first.
#[utoipa::path(
    get,
    path = "/v1/auth/sessions",
    operation_id = "list_sessions",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = Vec<Session>, description = "List of sessions"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_sessions(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Vec<Session>>> {
    login_only(&caller)?;
    let (user, now) = (caller.user, identity.clock().now());
    let sessions = identity
        .store()
        .read("list_sessions", move |conn| rows::all(conn, user, now))
        .await?;
    let shown = sessions
        .into_iter()
        .map(|row| Session::new(row, caller.credential));
    Ok(Json(shown.collect()))
}
