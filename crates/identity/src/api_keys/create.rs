//! `create_api_key`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Authenticated, Credential, Organization, User},
    http::{Answer, ApiError, ApiResult, Change, Faults},
    id::Id,
    store::Tx,
};

use super::api::{ApiKey, ApiKeyCreated, NewKey};
use crate::{
    auth::{AuthError, ValidationError},
    keys::{
        self, Desk, Holder, NewSecret,
        api::{Created, Reveal},
        rows,
    },
    login_only,
    state::Area,
};

/// [API Keys] Create an API key
///
/// Creates a key with a name, scopes and an optional expiry. The caller must belong to an organization. The
/// secret is in this response only: repeated under the same Idempotency-Key, the answer has an empty `key`.
#[utoipa::path(
    post,
    path = "/v1/auth/api-keys",
    operation_id = "create_api_key",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = ApiKey,
    responses(
        (status = 201, body = ApiKeyCreated, description = "API key created"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 409, body = AuthError,
            description = "The first request with this Idempotency-Key still runs"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 422, body = AuthError, description = "This Idempotency-Key was used for another request"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn create_api_key(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NewKey>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let id = Id::<Credential>::new();
    let (secret, key) = NewSecret::make(&identity);
    let reveal = Reveal::<ApiKey>::new(id, secret.prefix.clone(), key);
    let desk = Desk::new(&identity, &caller, &request, Holder::User(caller.user));
    let owner = caller.user;
    let created = change
        .run(&app, &caller, "create_api_key", move |tx, change| {
            let wanted = change.body()?;
            let organization = wanted.organization_id;
            let row = keys::create(
                tx,
                &desk,
                id,
                &secret,
                organization,
                &wanted.settings,
                |tx, faults| check_organization(tx, owner, organization, faults),
            )?;
            let body = Created::unrevealed(ApiKey::at(tx.now(), row));
            Ok(Answer::created(body, None, format!("/v1/auth/api-keys/{id}")))
        })
        .await?;
    reveal.into(created).await
}

/// A key is of use in an organization only, and reaches only those of its owner.
fn check_organization(
    tx: &mut Tx<'_>,
    owner: Id<User>,
    wanted: Option<Id<Organization>>,
    faults: &mut Faults,
) -> ApiResult<()> {
    let organizations = rows::organizations_of(tx, owner)?;
    if let Some(organization) = wanted {
        let message = format!("Invalid pk \"{organization}\" - object does not exist.");
        faults.check("organization_id", organizations.contains(&organization), message);
    }
    if organizations.is_empty() && faults.is_empty() {
        return Err(ApiError::refused(
            "You must belong to an organization before you can create an API key.",
        ));
    }
    Ok(())
}
