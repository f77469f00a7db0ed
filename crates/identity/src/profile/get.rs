//! `get_profile`.

use axum::extract::State;
use kernel::{
    access::{ActorType, Authenticated, Caller},
    http::{ApiError, ApiResult, Versioned},
};

use crate::{
    auth::refusals::Reading,
    auth::{User, view},
    credentials::Scope,
    state::Area,
    users,
};

/// [Profile] Get the profile
///
/// Editable profile of the caller. With an API key it needs `account:read`; project tokens are refused.
#[utoipa::path(
    get,
    path = "/v1/auth/profile",
    operation_id = "get_profile",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = User, description = "Profile"), Reading),
    extensions(("x-credentials" = json!(["jwt", "api_key"])))
)]
pub(super) async fn get_profile(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<User>> {
    if !may_read(&caller) {
        return Err(ApiError::forbidden());
    }
    let shared = identity.clone();
    identity
        .store()
        .read("get_profile", move |conn| {
            let row = users::find(conn, caller.user)?;
            let version = row.modified.micros();
            let body = view::user(conn, &shared, row)?;
            Ok::<_, ApiError>(Versioned { version, body })
        })
        .await
}

fn may_read(caller: &Caller) -> bool {
    match caller.actor_type {
        ActorType::User => true,
        ActorType::ApiKey => caller.has_scope(Scope::AccountRead.as_str()),
        ActorType::ProjectToken | ActorType::System => false,
    }
}
