//! `replace_notification_settings`, `update_notification_settings`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Event, Origin},
    http::{Answer, ApiResult, Change},
    store::Tx,
};

use super::{
    api::{
        OrganizationNotificationSettings, PatchedOrganizationNotificationSettings, SettingsReplace,
        SettingsUpdate, Wanted,
    },
    get::times,
    rows,
};
use crate::{
    notifications::NotificationsUpdate,
    organizations,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Notification Settings] Replace notification settings
///
/// Write all settings. A field that is left out keeps its value.
#[utoipa::path(
    put,
    path = "/v1/organizations/{organization_id}/notification-settings",
    operation_id = "replace_notification_settings",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = OrganizationNotificationSettings,
    responses(
        (status = 200, body = OrganizationNotificationSettings, description = "Settings updated"),
        WriteRefusals,
    ),
    extensions(
        ("x-permission" = json!(NotificationsUpdate::NAME)),
        ("x-minimum-role" = json!(NotificationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(NotificationsUpdate::SCOPE)),
    )
)]
pub(super) async fn replace_notification_settings(
    scope: OrganizationScope<NotificationsUpdate>,
    State(Area { app, .. }): State<Area>,
    change: Change<SettingsReplace>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &Change<SettingsReplace>| write(tx, &scope, change, |body| &body.0);
    change
        .run(&app, &caller, "replace_notification_settings", work)
        .await
}

/// [Notification Settings] Update notification settings
///
/// Write the settings sent.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/notification-settings",
    operation_id = "update_notification_settings",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = PatchedOrganizationNotificationSettings,
    responses(
        (status = 200, body = OrganizationNotificationSettings, description = "Settings updated"),
        WriteRefusals,
    ),
    extensions(
        ("x-permission" = json!(NotificationsUpdate::NAME)),
        ("x-minimum-role" = json!(NotificationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(NotificationsUpdate::SCOPE)),
    )
)]
pub(super) async fn update_notification_settings(
    scope: OrganizationScope<NotificationsUpdate>,
    State(Area { app, .. }): State<Area>,
    change: Change<SettingsUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &Change<SettingsUpdate>| write(tx, &scope, change, |body| &body.0);
    change
        .run(&app, &caller, "update_notification_settings", work)
        .await
}

fn write<T>(
    tx: &mut Tx<'_>,
    scope: &OrganizationScope<NotificationsUpdate>,
    change: &Change<T>,
    wanted: impl Fn(&T) -> &Wanted,
) -> ApiResult<Answer<OrganizationNotificationSettings>> {
    let id = scope.organization;
    let organization = organizations::lock(tx, id)?;
    let (settings, kept) = rows::find(tx.conn(), id)?;
    let (created, mut modified) = times(&organization, kept);
    change.check_version(modified.micros())?;
    let new = settings.with(wanted(change.body()?))?;
    let changes = settings.changes(&new);
    if !changes.is_empty() {
        modified = after(modified, tx.now());
        rows::save(tx, id, &new, modified, kept.is_none())?;
        let fields: Vec<&str> = changes.fields().collect();
        let event = Event {
            action: "notification_settings.updated",
            resource_type: "notification_settings",
            resource_id: id.cast(),
            resource_name: organization.name.clone(),
            description: format!("Changed {} of the notification settings", fields.join(", ")),
            changes,
            status: AuditStatus::Success,
        };
        let origin = Origin::caller(&scope.caller, &scope.request);
        tx.audit(&origin, Some(id), None, &event)?;
    }
    let body = OrganizationNotificationSettings::of(id, &new, (created, modified));
    Ok(Answer::ok(body, modified.micros()))
}
