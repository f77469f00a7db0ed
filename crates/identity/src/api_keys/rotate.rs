//! `rotate_api_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential, CredentialId},
    http::{Answer, ApiResult, Change, PathId},
};

use super::api::{ApiKey, ApiKeyCreated};
use crate::{
    auth::refusals::WritingOne,
    keys::{
        self, Desk, Holder, NewSecret,
        api::{Created, Reveal, Rotate},
    },
    login_only,
    state::Area,
};

/// [API Keys] Rotate an API key
///
/// Issues a new secret with the same settings; the old one ends at once or after the grace period. A secret that was
/// replaced by an earlier rotation ends in any case. The secret is in this response only: repeated under the same
/// Idempotency-Key, the answer has an empty `key`.
#[utoipa::path(
    post,
    path = "/v1/auth/api-keys/{id}/rotate",
    operation_id = "rotate_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(("id" = inline(CredentialId), Path)),
    request_body = Rotate,
    responses((status = 200, body = ApiKeyCreated, description = "New secret"), WritingOne),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn rotate_api_key(
    Authenticated { caller, request }: Authenticated,
    PathId(id): PathId<Credential>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Rotate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let (secret, key) = NewSecret::make(&identity);
    let reveal = Reveal::<ApiKey>::new(id, secret.prefix.clone(), key);
    let desk = Desk::new(&identity, &caller, &request, Holder::User(caller.user));
    let rotated = change
        .run(&app, &caller, "rotate_api_key", move |tx, change| {
            let row = keys::rotate(tx, &desk, id, &secret, change)?;
            let body = Created::unrevealed(ApiKey::at(tx.now(), row));
            Ok(Answer::plain(body))
        })
        .await?;
    reveal.into(rotated).await
}
