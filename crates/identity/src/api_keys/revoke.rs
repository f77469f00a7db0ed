//! `revoke_api_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential, CredentialId},
    http::{Answer, ApiResult, Change, NoBody, PathId},
};

use crate::{
    auth::AuthError,
    keys::{self, Desk, Holder},
    login_only,
    state::Area,
};

/// [API Keys] Revoke an API key
///
/// Immediate and final: requests with the key are refused from now on.
#[utoipa::path(
    delete,
    path = "/v1/auth/api-keys/{id}",
    operation_id = "revoke_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(CredentialId), Path)),
    responses(
        (status = 204, description = "API key revoked"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 409, body = AuthError,
            description = "The first request with this Idempotency-Key still runs"),
        (status = 412, body = AuthError, description = "If-Match does not match"),
        (status = 422, body = AuthError, description = "This Idempotency-Key was used for another request"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn revoke_api_key(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let desk = Desk::new(&identity, &caller, &request, Holder::User(caller.user));
    change
        .run(&app, &caller, "revoke_api_key", move |tx, change| {
            keys::revoke(tx, &desk, id, change)?;
            Ok(Answer::empty())
        })
        .await
}
