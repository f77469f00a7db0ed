//! `get_notification_preferences`.

use axum::extract::State;
use kernel::{
    access::Authenticated,
    http::{ApiError, ApiResult, Versioned},
    time::Time,
};

use super::{
    api::{NotificationPreference, NotificationPreferences},
    rows,
    rules::{Ways, Wishes},
};
use crate::{
    auth::refusals::Reading,
    login_only,
    notifications::{Event, Events},
    state::Area,
    users::{self, UserRow},
};

/// [Notification Preferences] Get notification preferences
///
/// Every event with the ways in which the user is told of it.
#[utoipa::path(
    get,
    path = "/v1/auth/notification-preferences",
    operation_id = "get_notification_preferences",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, body = NotificationPreferences, description = "Notification preferences"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn get_notification_preferences(
    Authenticated { caller, .. }: Authenticated,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<NotificationPreferences>> {
    login_only(&caller)?;
    let shared = identity.clone();
    identity
        .store()
        .read("get_notification_preferences", move |conn| {
            let events = shared.events();
            let user = users::find(conn, caller.user)?;
            let (wishes, modified) = rows::find(conn, caller.user)?;
            let modified = modified.unwrap_or(user.created);
            Ok::<_, ApiError>(Versioned {
                version: modified.micros(),
                body: view(events, &user, &wishes, modified),
            })
        })
        .await
}

/// All events with a user's wishes.
pub(super) fn view(
    events: &Events,
    user: &UserRow,
    wishes: &Wishes,
    modified: Time,
) -> NotificationPreferences {
    let preference = |event: &Event| {
        let Event {
            slug,
            category,
            name,
            description,
            is_mandatory,
            email: _,
            in_app: _,
            news: _,
        } = *event;
        let Ways { email, in_app } = wishes.ways(event);
        NotificationPreference {
            event: slug,
            category,
            name,
            description,
            email,
            in_app,
            is_mandatory,
        }
    };
    NotificationPreferences {
        language: user.language,
        email_enabled: wishes.email_enabled,
        digest: wishes.digest,
        preferences: events.all().iter().map(preference).collect(),
        modified,
    }
}
