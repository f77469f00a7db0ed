//! Project tokens: secrets for programs that work inside one project, such as a build server.
//!
//! A token belongs to its project, whose owners manage it, and has no more rights there than its maker has at the time.

mod api;
mod change;
mod look;

use kernel::permissions;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Area;

permissions! {
    /// Sees a project's tokens, without their secrets.
    TokensRead = "projects.tokens.read", Owner, "projects:read";
    /// Makes, changes, rotates and revokes a project's tokens.
    TokensManage = "projects.tokens.manage", Owner, "projects:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(look::list_project_tokens, change::create_project_token))
        .routes(routes!(
            look::get_project_token,
            change::update_project_token,
            change::revoke_project_token
        ))
        .routes(routes!(change::rotate_project_token))
        .routes(routes!(look::list_project_token_scopes))
}
