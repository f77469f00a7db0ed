//! `update_notification_webhook`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, PathId},
    store::Tx,
};

use super::{
    api::{NotificationWebhook, PatchedNotificationWebhook, WebhookId, WebhookUpdate},
    create::event,
    rows::{self, WebhookKind},
    rules,
};
use crate::{
    notifications::WebhooksUpdate,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// [Notification Settings] Update a webhook
///
/// Changes the fields sent. Switched off, it gets nothing, and what is still on its way to it is given up. Switched on
/// again, or with another address, it begins anew.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks/{id}",
    operation_id = "update_notification_webhook",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(WebhookId), Path)),
    request_body = PatchedNotificationWebhook,
    responses((status = 200, body = NotificationWebhook, description = "Webhook updated"), WriteRefusals),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksUpdate::NAME)),
        ("x-minimum-role" = json!(WebhooksUpdate::ROLE.as_str())),
        ("x-scope" = json!(WebhooksUpdate::SCOPE)),
    )
)]
pub(super) async fn update_notification_webhook(
    scope: OrganizationScope<WebhooksUpdate>,
    PathId(id): PathId<WebhookKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<WebhookUpdate>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let outbound = app.outbound().clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<WebhookUpdate>| {
        let row = rows::lock(tx, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let wanted = &change.body()?.0;
        let (mut new, changes) = rules::change(&row, wanted, identity.events(), &outbound)?;
        if !changes.is_empty() {
            new.modified = after(row.modified, tx.now());
            rows::update(tx, &new)?;
            if row.is_enabled && !new.is_enabled {
                rows::give_up(tx, id, "The webhook was switched off.")?;
            }
            let origin = Origin::caller(&scope.caller, &scope.request);
            let event = event(&new, "notification_webhook.updated", "changed", changes);
            tx.audit(&origin, Some(scope.organization), None, &event)?;
        }
        let version = new.modified.micros();
        Ok(Answer::ok(NotificationWebhook::from(new), version))
    };
    change
        .run(&app, &caller, "update_notification_webhook", work)
        .await
}
