//! `create_notification_webhook`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{self, Answer, ApiError, ApiResult, Change},
    id::Id,
    json::JsonText,
    store::Tx,
    time::Time,
};

use super::{
    api::{NewWebhook, NotificationWebhook},
    rows::{self, WebhookKind, WebhookRow},
    rules, signature,
};
use crate::{notifications::WebhooksUpdate, organizations, refusals::WriteRefusals, state::Area};

/// Webhooks of an organization.
const MOST_WEBHOOKS: usize = 10;

/// [Notification Settings] Create a webhook
///
/// Adds an address that the events of the organization are posted to, each signed with the webhook's secret. The secret is
/// in this answer only: repeated under the same Idempotency-Key, it is null.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks",
    operation_id = "create_notification_webhook",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = NotificationWebhook,
    responses((status = 201, body = NotificationWebhook, description = "Webhook created"), WriteRefusals),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksUpdate::NAME)),
        ("x-minimum-role" = json!(WebhooksUpdate::ROLE.as_str())),
        ("x-scope" = json!(WebhooksUpdate::SCOPE)),
    )
)]
pub(super) async fn create_notification_webhook(
    scope: OrganizationScope<WebhooksUpdate>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NewWebhook>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let id = Id::<WebhookKind>::new();
    let secret = signature::new_secret();
    let sealed = identity.sealer().seal(&sealed_for(id), secret.as_bytes());
    let outbound = app.outbound().clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NewWebhook>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let now = tx.now();
        let blank = WebhookRow {
            id,
            organization_id: organization.id,
            url: String::new(),
            description: String::new(),
            events: JsonText::of::<[&str]>(&[]),
            is_enabled: true,
            disabled_reason: String::new(),
            secret: sealed.clone(),
            former_secret: None,
            former_until: None,
            failing_since: None,
            created: now,
            modified: now,
        };
        let wanted = &change.body()?.0;
        let (row, changes) = rules::change(&blank, wanted, identity.events(), &outbound)?;
        if rows::all(tx.conn(), organization.id)?.len() >= MOST_WEBHOOKS {
            return Err(ApiError::refused(format!(
                "There are {MOST_WEBHOOKS} webhooks already: delete one first."
            )));
        }
        rows::insert(tx, &row)?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let event = event(&row, "notification_webhook.created", "created", changes);
        tx.audit(&origin, Some(organization.id), None, &event)?;
        let path = format!(
            "/v1/organizations/{}/notification-settings/webhooks/{id}",
            organization.id
        );
        Ok(Answer::created(
            NotificationWebhook::from(row),
            Some(now.micros()),
            path,
        ))
    };
    let answer = change
        .run(&app, &caller, "create_notification_webhook", work)
        .await?;
    reveal(answer, id, None, secret).await
}

/// The context that a webhook's secret is sealed for.
pub(super) fn sealed_for(id: Id<WebhookKind>) -> String {
    format!("webhook/{id}")
}

/// What is recorded of a webhook: the host only, since the rest of an address may be as good as a password.
pub(super) fn event(row: &WebhookRow, action: &'static str, done: &str, changes: Changes) -> Event {
    let host = rules::host(&row.url);
    Event {
        action,
        resource_type: "notification_webhook",
        resource_id: row.id.cast(),
        description: format!("Webhook to {host} {done}"),
        resource_name: host,
        changes,
        status: AuditStatus::Success,
    }
}

/// Puts the secret into an answer that was kept for its Idempotency-Key without. An answer to an earlier request is left
/// as it is: it is about another webhook, or an earlier change of it.
pub(super) async fn reveal(
    answer: Response,
    id: Id<WebhookKind>,
    modified: Option<Time>,
    secret: String,
) -> ApiResult<Response> {
    http::reveal(answer, |shown| {
        let is_this = shown["id"] == id.to_string()
            && modified.is_none_or(|modified| shown["modified"] == modified.to_string());
        if is_this {
            shown["secret"] = secret.into();
        }
    })
    .await
}
