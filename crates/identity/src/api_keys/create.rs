//! `create_api_key`.

use axum::{
    body::{self, Body},
    extract::State,
    response::Response,
};
use kernel::{
    access::{Authenticated, Caller, Credential},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults},
    id::Id,
    json::JsonText,
    store::Tx,
};
use serde_json::Value;

use super::{
    api::{ApiKey, ApiKeyCreated, NewKey},
    rows::{self, KeyRow, NewCredential},
};
use crate::{
    auth::{AuthError, ValidationError},
    credentials::{CredentialKind, Scope},
    login_only, secrets,
    state::Area,
};

/// Keys of a user that may work at once.
const MOST_KEYS: i64 = 100;
/// The answer is far shorter.
const LONGEST_ANSWER: usize = 65_536;

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
    let (key, prefix) = secrets::new_api_key();
    let hash = identity.secrets().hash_token(&key);
    let origin = Origin::caller(&caller, &request);
    let owner = caller.clone();
    let created = change
        .run(&app, &caller, "create_api_key", move |tx, change| {
            let wanted = change.body()?;
            let row = judge(tx, &owner, wanted, id, &prefix, &hash)?;
            rows::insert(tx, &row)?;
            tx.audit(&origin, row.organization_id, None, &event(&row))?;
            let body = ApiKeyCreated {
                about: ApiKey::at(tx.now(), shown(row)),
                key: String::new(),
            };
            Ok(Answer::created(body, None, format!("/v1/auth/api-keys/{id}")))
        })
        .await?;
    reveal(created, id, key).await
}

/// Decides what the new key will be.
fn judge(
    tx: &mut Tx<'_>,
    owner: &Caller,
    wanted: &NewKey,
    id: Id<Credential>,
    prefix: &str,
    hash: &str,
) -> ApiResult<NewCredential> {
    rows::lock_user(tx, owner.user)?;
    let now = tx.now();
    let organizations = rows::organizations_of(tx, owner.user)?;
    let mut faults = Faults::default();
    faults.check("scopes", !wanted.scopes.is_empty(), "This list may not be empty.");
    faults.check(
        "allowed_ips",
        wanted.allowed_ips.is_empty(),
        "Limits by address are not supported yet.",
    );
    let is_past = wanted.expires_at.is_some_and(|end| end <= now);
    faults.check("expires_at", !is_past, "Ensure this time is in the future.");
    if let Some(organization) = wanted.organization_id {
        let belongs = organizations.contains(&organization);
        let message = format!("Invalid pk \"{organization}\" - object does not exist.");
        faults.check("organization_id", belongs, message);
    }
    faults.into_result()?;
    if organizations.is_empty() {
        return Err(ApiError::refused(
            "You must belong to an organization before you can create an API key.",
        ));
    }
    if rows::count_active(tx, owner.user)? >= MOST_KEYS {
        return Err(ApiError::refused(format!(
            "You have {MOST_KEYS} active API keys already: revoke one first."
        )));
    }
    // In the documented order, each once.
    let asked = Scope::ALL.iter().filter(|scope| wanted.scopes.contains(scope));
    let scopes: Vec<Scope> = asked.copied().collect();
    Ok(NewCredential {
        id,
        kind: CredentialKind::ApiKey,
        user_id: owner.user,
        name: wanted.name.clone(),
        prefix: prefix.to_owned(),
        secret_hash: hash.to_owned(),
        scopes: JsonText::of(&scopes),
        organization_id: wanted.organization_id,
        project_id: None,
        expires_at: wanted.expires_at,
        user_agent: String::new(),
        created: now,
        modified: now,
    })
}

fn event(row: &NewCredential) -> Event {
    let mut changes = Changes::default();
    let scopes: Vec<Scope> = row.scopes.read().unwrap_or_default();
    changes.note("name", &None, &Some(&row.name));
    changes.note("scopes", &None, &Some(scopes));
    changes.note("expires_at", &None, &row.expires_at);
    Event {
        action: "api_key.created",
        resource_type: "api_key",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("API key {}… created", row.prefix),
        changes,
        status: AuditStatus::Success,
    }
}

/// The new row as it would be read back.
fn shown(row: NewCredential) -> KeyRow {
    KeyRow {
        id: row.id,
        name: row.name,
        prefix: row.prefix,
        scopes: row.scopes,
        organization_id: row.organization_id,
        expires_at: row.expires_at,
        revoked_at: None,
        last_used_at: None,
        last_used_ip: None,
        created: row.created,
        modified: row.modified,
    }
}

/// Puts the secret into the answer, which was kept for its Idempotency-Key without: no secret is stored in
/// the clear.
async fn reveal(answer: Response, id: Id<Credential>, key: String) -> ApiResult<Response> {
    let (parts, body) = answer.into_parts();
    let bytes = body::to_bytes(body, LONGEST_ANSWER)
        .await
        .map_err(ApiError::internal)?;
    let mut created: Value = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
    // Another id: this is the answer to an earlier request, whose secret nobody has any more.
    if created["id"] == id.to_string() {
        created["key"] = key.into();
    }
    Ok(Response::from_parts(parts, Body::from(created.to_string())))
}
