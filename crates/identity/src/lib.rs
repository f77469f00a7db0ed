//! Who uses onet: users and their sessions, API keys, organizations, projects, roles, and the log of what
//! they did.
//!
//! The other areas ask nothing of this one but its tables ([`schema`]) and numbers ([`counters`]): who calls
//! and what they may do reaches them through [`kernel::access`], which [`Identity`] implements.

mod access;
pub mod accounts;
mod api_keys;
mod audit_logs;
mod auth;
pub mod counters;
pub mod credentials;
mod organizations;
pub mod passwords;
mod projects;
pub mod schema;
pub mod secrets;
mod state;
mod tokens;
mod users;

use std::sync::Arc;

use kernel::{
    App,
    access::{ActorType, Caller},
    http::{ApiError, ApiResult},
};
use utoipa_axum::router::OpenApiRouter;

use self::state::Area;
pub use self::{
    access::{Identity, IdentityError},
    projects::ResourceCounts,
    state::ResourceCounter,
    users::Language,
};

/// The area's operations. `counter` counts what other areas keep in projects.
pub fn routes(identity: Identity, app: App, counter: Arc<dyn ResourceCounter>) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(api_keys::routes())
        .merge(organizations::routes())
        .merge(projects::routes())
        .merge(audit_logs::routes())
        .with_state(Area {
            app,
            identity,
            counter,
        })
}

/// Lets logins pass: keys and tokens can't manage credentials.
pub(crate) fn login_only(caller: &Caller) -> ApiResult<()> {
    if caller.actor_type == ActorType::User {
        Ok(())
    } else {
        Err(ApiError::forbidden())
    }
}
