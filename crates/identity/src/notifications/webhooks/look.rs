//! `list_notification_webhooks`, `get_notification_webhook`.

use axum::{Json, extract::State};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, PathId, Versioned},
};

use super::{
    api::{NotificationWebhook, WebhookId},
    rows::{self, WebhookKind},
};
use crate::{notifications::WebhooksRead, state::Area};

/// [Notification Settings] List webhooks
///
/// The webhooks of the organization, in the order in which they were made. Secrets are never included.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks",
    operation_id = "list_notification_webhooks",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses(
        (status = 200, body = Vec<NotificationWebhook>, description = "List of webhooks"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksRead::NAME)),
        ("x-minimum-role" = json!(WebhooksRead::ROLE.as_str())),
        ("x-scope" = json!(WebhooksRead::SCOPE)),
    )
)]
pub(super) async fn list_notification_webhooks(
    scope: OrganizationScope<WebhooksRead>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Json<Vec<NotificationWebhook>>> {
    let read = identity.store().read("list_notification_webhooks", move |conn| {
        let all = rows::all(conn, scope.organization)?;
        Ok::<_, ApiError>(Json(all.into_iter().map(NotificationWebhook::from).collect()))
    });
    read.await
}

/// [Notification Settings] Get a webhook
///
/// One webhook, without its secret.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks/{id}",
    operation_id = "get_notification_webhook",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(WebhookId), Path)),
    responses((status = 200, body = NotificationWebhook, description = "Webhook"), kernel::http::Refusals),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksRead::NAME)),
        ("x-minimum-role" = json!(WebhooksRead::ROLE.as_str())),
        ("x-scope" = json!(WebhooksRead::SCOPE)),
    )
)]
pub(super) async fn get_notification_webhook(
    scope: OrganizationScope<WebhooksRead>,
    PathId(id): PathId<WebhookKind>,
    State(Area { identity, .. }): State<Area>,
) -> ApiResult<Versioned<NotificationWebhook>> {
    let read = identity.store().read("get_notification_webhook", move |conn| {
        let row = rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>(Versioned {
            version: row.modified.micros(),
            body: row.into(),
        })
    });
    read.await
}
