//! `get_notification_settings`.

use axum::extract::State;
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, Versioned},
    time::Time,
};

use super::{api::OrganizationNotificationSettings, rows};
use crate::{
    notifications::NotificationsRead,
    organizations::{self, OrganizationRow},
    state::Area,
};

/// [Notification Settings] Get notification settings
///
/// Settings of the organization; they exist with defaults from the start.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/notification-settings",
    operation_id = "get_notification_settings",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = OrganizationNotificationSettings, description = "Notification settings"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(NotificationsRead::NAME)),
        ("x-minimum-role" = json!(NotificationsRead::ROLE.as_str())),
        ("x-scope" = json!(NotificationsRead::SCOPE)),
    )
)]
pub(super) async fn get_notification_settings(
    scope: OrganizationScope<NotificationsRead>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<OrganizationNotificationSettings>> {
    let id = scope.organization;
    let read = identity.store().read("get_notification_settings", move |conn| {
        let organization = organizations::find(conn, id)?.ok_or_else(ApiError::not_found)?;
        let (settings, kept) = rows::find(conn, id)?;
        let (created, modified) = times(&organization, kept);
        Ok::<_, ApiError>(Versioned {
            version: modified.micros(),
            body: OrganizationNotificationSettings::of(id, &settings, (created, modified)),
        })
    });
    read.await
}

/// When settings were made and last changed: with the organization, while they are as they began.
pub(super) fn times(organization: &OrganizationRow, modified: Option<Time>) -> (Time, Time) {
    (organization.created, modified.unwrap_or(organization.created))
}
