//! `rotate_notification_webhook_secret`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId},
    store::Tx,
    time::Time,
};

use super::{
    api::{NotificationWebhook, WebhookId},
    create::{event, reveal, sealed_for},
    rows::{self, WebhookKind, WebhookRow},
    signature,
};
use crate::{
    notifications::WebhooksUpdate,
    refusals::WriteRefusals,
    state::{Area, after},
};

/// How long the former secret signs too.
const GRACE: Duration = Duration::from_hours(24);

/// [Notification Settings] Rotate the secret of a webhook
///
/// Gives the webhook another secret. For a day everything is signed with both, so that the receiver can change over in
/// peace. The secret is in this answer only: repeated under the same Idempotency-Key, it is null.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks/{id}/rotate",
    operation_id = "rotate_notification_webhook_secret",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("id" = inline(WebhookId), Path)),
    responses((status = 200, body = NotificationWebhook, description = "The webhook with its new secret"), WriteRefusals),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksUpdate::NAME)),
        ("x-minimum-role" = json!(WebhooksUpdate::ROLE.as_str())),
        ("x-scope" = json!(WebhooksUpdate::SCOPE)),
    )
)]
pub(super) async fn rotate_notification_webhook_secret(
    scope: OrganizationScope<WebhooksUpdate>,
    PathId(id): PathId<WebhookKind>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let secret = signature::new_secret();
    let sealed = identity.sealer().seal(&sealed_for(id), secret.as_bytes());
    let changed: Arc<Mutex<Option<Time>>> = Arc::default();
    let noted = Arc::clone(&changed);
    let work = move |tx: &mut Tx<'_>, change: &Change<NoBody>| {
        let row = rows::lock(tx, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
        change.check_version(row.modified.micros())?;
        let now = tx.now();
        let new = WebhookRow {
            secret: sealed.clone(),
            former_secret: Some(row.secret.clone()),
            former_until: Some(now + GRACE),
            modified: after(row.modified, now),
            ..row.clone()
        };
        rows::update(tx, &new)?;
        let mut changes = Changes::default();
        changes.note("former_secret_until", &row.former_until, &new.former_until);
        let origin = Origin::caller(&scope.caller, &scope.request);
        let event = event(
            &new,
            "notification_webhook.rotated",
            "has another secret",
            changes,
        );
        tx.audit(&origin, Some(scope.organization), None, &event)?;
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(new.modified);
        let version = new.modified.micros();
        Ok(Answer::ok(NotificationWebhook::from(new), version))
    };
    let answer = change
        .run(&app, &caller, "rotate_notification_webhook_secret", work)
        .await?;
    let changed = *changed.lock().unwrap_or_else(PoisonError::into_inner);
    match changed {
        Some(modified) => reveal(answer, id, Some(modified), secret).await,
        None => Ok(answer),
    }
}
