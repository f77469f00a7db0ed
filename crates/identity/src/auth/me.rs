//! `get_current_user`: who the caller is, and whether their token still works.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Authenticated, Caller, Organization, Role, User},
    http::ApiResult,
    id::{AnyId, Id},
    store::{Conn, StoreError},
    time::Time,
};

use super::{
    AuthError,
    api::{CurrentUser, Rights},
};
use crate::{
    credentials::Scope,
    schema::{memberships, organizations, users},
    state::Area,
};

/// 9999-12-31T23:59:59.999999Z, the latest time that every client can read: the end of what has none.
const NEVER: Time = Time::from_micros(253_402_300_799_999_999);

/// [Tokens] Get current authenticated user
///
/// Identity, permissions and token expiry of the caller; clients use it to check that a token still works.
#[utoipa::path(
    get,
    path = "/v1/auth/me",
    operation_id = "get_current_user",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses(
        (status = 200, body = CurrentUser, description = "Current user information and token expiration"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "The key may not be used from this address"),
        (status = 429, body = AuthError, description = "Too many requests"),
        (status = 503, body = AuthError, description = "Temporarily unavailable"),
    ),
    extensions(("x-credentials" = json!(["jwt", "api_key", "project_token"])))
)]
pub(super) async fn get_current_user(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<CurrentUser>> {
    let user = caller.user;
    let (roles, picture) = identity
        .store()
        .read("get_current_user", move |conn| {
            Ok::<_, StoreError>((roles(conn, user)?, picture(conn, user)?))
        })
        .await?;
    let picture = picture.map(|id| identity.picture_url(id));
    Ok(Json(view(caller, roles, picture)))
}

/// The user's active organizations, and their role there.
fn roles(conn: &mut Conn, user: Id<User>) -> Result<Vec<(Id<Organization>, Role)>, StoreError> {
    let query = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .filter(organizations::is_active.eq(true))
        .select((memberships::organization_id, memberships::role));
    Ok(query.load(conn)?)
}

fn picture(conn: &mut Conn, user: Id<User>) -> Result<Option<AnyId>, StoreError> {
    Ok(users::table.find(user).select(users::picture_id).first(conn)?)
}

fn view(caller: Caller, roles: Vec<(Id<Organization>, Role)>, picture: Option<String>) -> CurrentUser {
    let all = || Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect();
    let scopes: Vec<String> = caller.scopes.unwrap_or_else(all);
    let reached = roles
        .into_iter()
        .filter(|(id, _)| caller.organization.is_none_or(|only| only == *id));
    let permissions = reached
        .map(|(id, role)| {
            let rights = Rights {
                role: if caller.project.is_some() {
                    Role::Guest
                } else {
                    role
                },
                scopes: scopes.clone(),
                project_id: caller.project,
            };
            (id, rights)
        })
        .collect();
    CurrentUser {
        id: caller.user,
        email: Some(caller.email),
        name: Some(caller.name),
        is_staff: caller.is_staff,
        permissions,
        token_expires_at: caller.expires_at.unwrap_or(NEVER),
        picture,
    }
}
