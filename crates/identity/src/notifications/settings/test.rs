//! `test_notification_settings`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    access::{Organization, OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody},
    id::Id,
    mail::{Letter, Mail, MailStatus, wording},
    schema::mails,
    store::Tx,
    time::Time,
};
use serde_json::json;

use super::{api::NotificationTestResult, rows};
use crate::{
    Identity, letters,
    notifications::{
        NotificationsUpdate,
        audience::{self, Reader},
        webhooks::{self, DeliveryKind},
    },
    organizations,
    refusals::WriteRefusals,
    state::Area,
};

/// How soon a test may follow another.
const PAUSE: Duration = Duration::from_mins(1);
/// How long the outcome is waited for. Mails and webhooks go on without us after that.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often the outcome is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// What a test has sent.
#[derive(Clone, Debug, Default)]
struct Sent {
    mails: Vec<Id<Mail>>,
    deliveries: Vec<Id<DeliveryKind>>,
    recipients: Vec<String>,
    email_enabled: bool,
}

/// [Notification Settings] Send a test notification
///
/// Send a test e-mail to the recipients and report the outcome. Webhooks that are on get an event `test`; `detail` tells
/// what their endpoints answered. The outcome is waited for some seconds; what was not taken by then is tried again later.
/// Once a minute.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/notification-settings/test",
    operation_id = "test_notification_settings",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    responses((status = 200, body = NotificationTestResult, description = "Outcome"), WriteRefusals),
    extensions(
        ("x-permission" = json!(NotificationsUpdate::NAME)),
        ("x-minimum-role" = json!(NotificationsUpdate::ROLE.as_str())),
        ("x-scope" = json!(NotificationsUpdate::SCOPE)),
    )
)]
pub(super) async fn test_notification_settings(
    scope: OrganizationScope<NotificationsUpdate>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    let sent: Arc<Mutex<Option<Sent>>> = Arc::default();
    let noted = Arc::clone(&sent);
    let work = move |tx: &mut Tx<'_>, _: &Change<NoBody>| {
        let origin = Origin::caller(&scope.caller, &scope.request);
        let all = send(tx, &identity, scope.organization, &origin)?;
        // What a repetition of the request is answered, whose outcome is known by then.
        let answer = NotificationTestResult {
            delivered: false,
            recipients: all.recipients.clone(),
            detail: "The test was sent with the first request of this Idempotency-Key.".to_owned(),
        };
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
        Ok(Answer::plain(answer))
    };
    let kept = change
        .run(&app, &caller, "test_notification_settings", work)
        .await?;
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).take();
    match sent {
        Some(sent) => Ok(Json(outcome(&app, sent).await?).into_response()),
        None => Ok(kept),
    }
}

/// Writes the mails and deliveries of a test, with its audit record.
fn send(tx: &mut Tx<'_>, identity: &Identity, id: Id<Organization>, origin: &Origin) -> ApiResult<Sent> {
    let organization = organizations::lock(tx, id)?;
    let (settings, _) = rows::find(tx.conn(), id)?;
    let owners = audience::owners(tx.conn(), id)?;
    let readers = if settings.email_enabled {
        audience::everybody(&settings, &owners)
    } else {
        Vec::new()
    };
    check_pause(tx, id, &readers)?;
    let mut sent = Sent {
        email_enabled: settings.email_enabled,
        ..Sent::default()
    };
    for reader in readers {
        let letter = Letter {
            to: reader.address.clone(),
            language: reader.language,
            template: letters::NOTICE_TEST,
            values: json!({
                "name": reader.name,
                "organization": organization.name,
                "time": wording::moment(tx.now(), reader.language),
            }),
        };
        sent.mails.push(identity.mailer().post(tx, &letter)?);
        sent.recipients.push(reader.address);
    }
    for webhook in webhooks::enabled(tx.conn(), id)? {
        sent.deliveries
            .push(webhooks::post_test(tx, &webhook, &organization.name)?);
    }
    let event = Event {
        action: "notification_settings.tested",
        resource_type: "notification_settings",
        resource_id: id.cast(),
        resource_name: organization.name,
        description: format!(
            "Sent a test to {} addresses and {} webhooks",
            sent.recipients.len(),
            sent.deliveries.len()
        ),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(origin, Some(id), None, &event)?;
    Ok(sent)
}

/// Nobody shall be flooded with tests: neither owners, nor addresses that were entered for them, nor endpoints.
fn check_pause(tx: &mut Tx<'_>, id: Id<Organization>, readers: &[Reader]) -> ApiResult<()> {
    let now = tx.now();
    let addresses: Vec<&str> = readers.iter().map(|reader| reader.address.as_str()).collect();
    let mailed: Option<Time> = mails::table
        .filter(mails::to_address.eq_any(addresses))
        .filter(mails::created.gt(now - PAUSE))
        .filter(mails::template.eq(letters::NOTICE_TEST))
        .order(mails::created.desc())
        .select(mails::created)
        .first(tx.conn())
        .optional()?;
    let posted = webhooks::last_test(tx.conn(), id, now - PAUSE)?;
    match mailed.max(posted) {
        Some(last) => Err(ApiError::throttled((PAUSE - now.since(last)).as_secs() + 1)),
        None => Ok(()),
    }
}

/// Waits for workers to have tried everything once, for a while, and tells how that went.
async fn outcome(app: &App, sent: Sent) -> ApiResult<NotificationTestResult> {
    let glances = PATIENCE.as_millis() / GLANCE.as_millis();
    let mut seen = look(app, &sent).await?;
    for _ in 0..glances {
        if seen.is_over {
            break;
        }
        tokio::time::sleep(GLANCE).await;
        seen = look(app, &sent).await?;
    }
    let Sent {
        recipients,
        email_enabled,
        ..
    } = sent;
    let delivered = !recipients.is_empty() && seen.taken == recipients.len();
    let mut detail = vec![if !email_enabled {
        "E-mail is switched off.".to_owned()
    } else if recipients.is_empty() {
        "There is nobody to be mailed.".to_owned()
    } else if delivered {
        "The mail server took the message.".to_owned()
    } else if seen.refused > 0 {
        format!("{} of {} mails can't be sent.", seen.refused, recipients.len())
    } else {
        format!(
            "The mail server has not taken {} of {} mails yet: it is tried again.",
            recipients.len() - seen.taken,
            recipients.len()
        )
    }];
    detail.extend(seen.webhooks);
    Ok(NotificationTestResult {
        delivered,
        recipients,
        detail: detail.join(" "),
    })
}

/// How far a test is.
struct Seen {
    taken: usize,
    refused: usize,
    webhooks: Vec<String>,
    is_over: bool,
}

async fn look(app: &App, sent: &Sent) -> ApiResult<Seen> {
    let (mail_ids, delivery_ids) = (sent.mails.clone(), sent.deliveries.clone());
    let read = app.store().read("test_notification_settings", move |conn| {
        let found: Vec<(MailStatus, i32)> = mails::table
            .filter(mails::id.eq_any(&mail_ids))
            .select((mails::status, mails::attempts))
            .load(conn)?;
        let count = |wanted: MailStatus| found.iter().filter(|(status, _)| *status == wanted).count();
        let waits = found
            .iter()
            .any(|(status, attempts)| *status == MailStatus::Pending && *attempts == 0);
        let webhooks = webhooks::outcomes(conn, &delivery_ids)?;
        Ok::<_, ApiError>(Seen {
            taken: count(MailStatus::Sent),
            refused: count(MailStatus::Failed),
            is_over: !waits && webhooks.len() == delivery_ids.len(),
            webhooks,
        })
    });
    read.await
}
