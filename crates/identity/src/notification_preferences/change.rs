//! `replace_notification_preferences` and `update_notification_preferences`.

use axum::{extract::State, response::Response};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Authenticated, Caller},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Change},
    store::{Tx, lock},
};

use super::{
    api::{NotificationPreferences, NotificationPreferencesUpdate},
    get::view,
    rows,
    rules::Wishes,
};
use crate::{
    auth::refusals::Writing, login_only, notifications::Events, schema::users, state::Area, users::UserRow,
};

/// [Notification Preferences] Replace notification preferences
///
/// Sets every preference; events left out go back to their default.
#[utoipa::path(
    put,
    path = "/v1/auth/notification-preferences",
    operation_id = "replace_notification_preferences",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = NotificationPreferencesUpdate,
    responses((status = 200, body = NotificationPreferences, description = "Preferences saved"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn replace_notification_preferences(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NotificationPreferencesUpdate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.clone();
    change
        .run(
            &app,
            &caller,
            "replace_notification_preferences",
            move |tx, change| {
                edit(tx, identity.events(), &owner, &origin, change, |_| {
                    Wishes::default()
                })
            },
        )
        .await
}

/// [Notification Preferences] Update notification preferences
///
/// Changes the events given. Mandatory events cannot be switched off.
#[utoipa::path(
    patch,
    path = "/v1/auth/notification-preferences",
    operation_id = "update_notification_preferences",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body = NotificationPreferencesUpdate,
    responses((status = 200, body = NotificationPreferences, description = "Preferences saved"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn update_notification_preferences(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NotificationPreferencesUpdate>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.clone();
    change
        .run(
            &app,
            &caller,
            "update_notification_preferences",
            move |tx, change| edit(tx, identity.events(), &owner, &origin, change, Clone::clone),
        )
        .await
}

/// Makes the wanted wishes to those that `start` takes over from the present ones.
fn edit(
    tx: &mut Tx<'_>,
    events: &Events,
    caller: &Caller,
    origin: &Origin,
    change: &Change<NotificationPreferencesUpdate>,
    start: impl Fn(&Wishes) -> Wishes,
) -> ApiResult<Answer<NotificationPreferences>> {
    let user: UserRow =
        lock("users", users::table.filter(users::id.eq(caller.user))).get_result(tx.conn())?;
    let (present, modified) = rows::find(tx.conn(), user.id)?;
    let version = modified.unwrap_or(user.created);
    change.check_version(version.micros())?;
    let wanted = start(&present).with(change.body()?, events)?;
    if wanted == present {
        return Ok(Answer::ok(
            view(events, &user, &present, version),
            version.micros(),
        ));
    }
    rows::save(tx, user.id, &wanted, modified.is_none())?;
    let event = Event {
        action: "user.notification_preferences_updated",
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: "Notification preferences changed".to_owned(),
        changes: changes(&present, &wanted),
        status: AuditStatus::Success,
    };
    tx.audit(origin, None, None, &event)?;
    let now = tx.now();
    Ok(Answer::ok(view(events, &user, &wanted, now), now.micros()))
}

fn changes(old: &Wishes, new: &Wishes) -> Changes {
    let mut changes = Changes::default();
    changes.note("email_enabled", &old.email_enabled, &new.email_enabled);
    changes.note("digest", &old.digest, &new.digest);
    changes.note("preferences", &old.events, &new.events);
    changes
}
