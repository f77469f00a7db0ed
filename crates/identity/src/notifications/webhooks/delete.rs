//! `delete_notification_webhook`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
};

use super::{
    api::WebhookId,
    create::event,
    rows::{self, WebhookKind},
};
use crate::{notifications::WebhooksUpdate, refusals::WriteRefusals, state::Area};

/// [Notification Settings] Delete a webhook
///
/// Nothing is posted to it any more; what was posted is forgotten.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks/{id}",
    operation_id = "delete_notification_webhook",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(WebhookId), Path)),
    responses((status = 204, description = "Webhook deleted"), WriteRefusals),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksUpdate::NAME)),
        ("x-minimum-role" = json!(WebhooksUpdate::ROLE.as_str())),
        ("x-scope" = json!(WebhooksUpdate::SCOPE)),
    )
)]
pub(super) async fn delete_notification_webhook(
    scope: OrganizationScope<WebhooksUpdate>,
    PathId(id): PathId<WebhookKind>,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let row = rows::lock(tx, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        rows::delete(tx, &row)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let event = event(
            &row,
            "notification_webhook.deleted",
            "deleted",
            Changes::default(),
        );
        tx.audit(&origin, Some(scope.organization), None, &event)?;
        Ok(Answer::empty())
    };
    change
        .run(&app, &caller, "delete_notification_webhook", work)
        .await
}
