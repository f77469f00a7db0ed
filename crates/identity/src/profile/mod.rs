//! A user's own profile, and its picture.

mod api;
mod change;
mod get;
mod image;
mod picture;
mod rules;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{image::Workshop, picture::pages};
use crate::state::Area;

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(
            get::get_profile,
            change::replace_profile,
            change::update_profile
        ))
        .routes(routes!(
            picture::upload_profile_picture,
            picture::delete_profile_picture
        ))
}
