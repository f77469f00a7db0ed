//! Who uses onet: users and their sessions, API keys, organizations, projects, roles, and the log of what
//! they did.
//!
//! The other areas ask nothing of this one but its tables ([`schema`]) and numbers ([`counters`]): who calls
//! and what they may do reaches them through [`kernel::access`], which [`Identity`] implements.

mod access;
mod account;
pub mod accounts;
mod api_keys;
mod audit_logs;
mod auth;
pub mod counters;
pub mod credentials;
mod device;
pub mod invitations;
mod keys;
pub mod letters;
mod mails;
mod members;
mod mfa;
mod modules;
pub mod notification_preferences;
pub mod notifications;
mod oauth;
pub mod operators;
pub mod organizations;
pub mod passwords;
mod people;
mod profile;
mod project_members;
mod project_tokens;
mod projects;
mod refusals;
pub mod resources;
pub mod roles;
pub mod schema;
pub mod secrets;
mod security;
mod sessions;
mod state;
mod tokens;
mod users;
mod webauthn;

use std::{sync::Arc, time::Duration};

pub use kernel::language::Language;
use kernel::{
    App,
    access::{ActorType, Caller, Declared},
    http::{ApiError, ApiResult},
};
use utoipa_axum::router::OpenApiRouter;

pub use self::{
    access::{Identity, IdentityError},
    modules::Module,
    projects::ResourceCounts,
    state::{Parts, Place, ResourceCounter},
};
use self::{roles::Permissions, state::Area};

/// The area's operations; `parts` are what other areas hand over.
pub fn routes(identity: Identity, app: App, parts: Parts) -> OpenApiRouter {
    let Parts {
        counter,
        resources,
        permissions: theirs,
    } = parts;
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(mfa::routes())
        .merge(account::routes())
        .merge(sessions::routes())
        .merge(security::routes())
        .merge(webauthn::routes())
        .merge(tokens::routes())
        .merge(profile::routes())
        .merge(notification_preferences::routes())
        .merge(notifications::routes())
        .merge(oauth::routes())
        .merge(api_keys::routes())
        .merge(project_tokens::routes())
        .merge(organizations::routes())
        .merge(modules::routes())
        .merge(members::routes())
        .merge(roles::routes())
        .merge(invitations::routes())
        .merge(projects::routes())
        .merge(project_members::routes())
        .merge(resources::routes())
        .merge(audit_logs::routes())
        .with_state(Area {
            oauth: oauth::Providers::new(&identity.settings().oauth),
            app,
            identity,
            counter,
            resources: resources.into(),
            permissions: Arc::new(Permissions::new(permissions().into_iter().chain(theirs))),
        })
}

/// The kinds of tasks that the area's operations enqueue.
pub fn kinds(identity: &Identity) -> Vec<Arc<dyn kernel::tasks::Kind>> {
    let mut kinds: Vec<Arc<dyn kernel::tasks::Kind>> = vec![Arc::new(auth::MailProof::new(identity))];
    kinds.extend(notifications::kinds(identity));
    kinds
}

/// Forgets what was told, and proofs that have ended, long ago, and ends accounts whose time has come. Called every hour or so.
///
/// # Errors
/// The database refused; what was not done is done the next time.
pub async fn housekeeping(app: &App, identity: &Identity) -> Result<(), kernel::store::StoreError> {
    notifications::forget_old(app).await?;
    let store = identity.store();
    while store
        .write("forget_challenges", auth::challenges::forget_old)
        .await?
        > 0
    {}
    loop {
        let desk = identity.clone();
        let purged = store.write("purge_account", move |tx| account::purge::purge_one(tx, &desk));
        if !purged.await? {
            return Ok(());
        }
    }
}

/// What the area serves beside the API's document: the public keys of access tokens, and pictures.
pub fn pages(identity: Identity) -> axum::Router {
    tokens::pages().merge(profile::pages()).with_state(identity)
}

/// The permissions that this area declares.
pub fn permissions() -> Vec<Declared> {
    [
        organizations::PERMISSIONS,
        modules::PERMISSIONS,
        members::PERMISSIONS,
        roles::PERMISSIONS,
        invitations::PERMISSIONS,
        projects::PERMISSIONS,
        project_tokens::PERMISSIONS,
        project_members::PERMISSIONS,
        resources::PERMISSIONS,
        audit_logs::PERMISSIONS,
        notifications::PERMISSIONS,
    ]
    .concat()
}

/// Lets logins pass: keys and tokens can't manage credentials.
pub(crate) fn login_only(caller: &Caller) -> ApiResult<()> {
    if caller.actor_type == ActorType::User {
        Ok(())
    } else {
        Err(ApiError::forbidden())
    }
}

/// Lets logins pass whose user has proved who they are a short while ago: for changes of credentials
/// (`x-requires-recent-auth` in the document).
pub(crate) fn recent_login_only(identity: &Identity, caller: &Caller) -> ApiResult<()> {
    login_only(caller)?;
    if is_recent_login(identity, caller) {
        return Ok(());
    }
    let detail = "Confirm your identity first: this needs a recent login or `reauthenticate`.";
    Err(ApiError::new(
        http::StatusCode::FORBIDDEN,
        "reauthentication_required",
        detail,
    ))
}

/// Whether the caller has logged in or confirmed their identity within `auth.recent_minutes`.
pub(crate) fn is_recent_login(identity: &Identity, caller: &Caller) -> bool {
    let window = Duration::from_secs(identity.settings().recent_minutes.saturating_mul(60));
    let now = identity.clock().now();
    caller
        .authenticated_at
        .is_some_and(|then| now.since(then) < window)
}
