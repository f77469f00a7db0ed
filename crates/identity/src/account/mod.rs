//! The end of an account: asked for by its user, carried out after a grace period.

mod delete;
pub(crate) mod purge;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{auth::optional_body, state::Area};

pub(crate) fn routes() -> OpenApiRouter<Area> {
    let mut routes = OpenApiRouter::new().routes(routes!(delete::delete_account));
    optional_body(&mut routes, "/v1/auth/profile/delete");
    routes
}
