//! The task that tells what has happened: mails into the outbox, deliveries for webhooks, or held for a digest.

use std::{sync::Arc, time::Duration};

use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::Organization,
    config,
    id::Id,
    mail::{Letter, wording},
    schema::tasks,
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};
use serde_json::{Value, json};

use super::{
    audience::{self, Owner, Reader},
    digest,
    events::Event,
    notice::{Audience, NoticeRow, NoticeState},
    settings::{self, Settings},
    webhooks::{self, WebhookRow},
};
use crate::{Identity, letters, organizations, schema::notices};

/// Notices that one transaction tells.
const AT_ONCE: i64 = 50;

/// The kind `tell_notices`: one step, for all that an organization was not told yet.
pub(super) struct TellNotices {
    steps: [Arc<dyn Step>; 1],
}

impl TellNotices {
    const NAME: &'static str = "tell_notices";

    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            steps: [Arc::new(Tell(identity.clone()))],
        }
    }

    /// The task for an organization. It belongs to no project, so no client ever sees it; those of one organization run
    /// one after the other.
    pub(super) fn task(organization: Id<Organization>) -> NewTask {
        internal(Self::NAME, "organization", organization.cast(), json!({}))
    }
}

/// A task of onet's own.
pub(super) fn internal(
    kind: &'static str,
    resource_type: &'static str,
    resource: Id<kernel::id::Any>,
    parameters: Value,
) -> NewTask {
    /// With pauses up to `tasks.retry_longest_ms`: some hours without a database.
    const MAX_RETRIES: i32 = 50;
    NewTask {
        kind,
        organization: Id::nil(),
        project: Id::nil(),
        resource_type,
        resource,
        parameters,
        max_retries: MAX_RETRIES,
        created_by: None,
        request: None,
    }
}

impl Kind for TellNotices {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// There is one such task for each notice: those that have ended are of no use to anybody.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        let former = tasks::table
            .filter(tasks::resource_id.eq(task.resource_id))
            .filter(tasks::kind.eq(Self::NAME))
            .filter(tasks::id.ne(task.id))
            .filter(tasks::completed_at.is_not_null());
        diesel::delete(former).execute(tx.conn())?;
        Ok(())
    }
}

struct Tell(Identity);

impl Step for Tell {
    fn name(&self) -> &'static str {
        "tell_notices"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        let organization: Id<Organization> = work.resource.cast();
        let (identity, limits) = (self.0.clone(), work.app.config().notifications.clone());
        Box::pin(async move {
            let store = identity.store().clone();
            store
                .write("tell_notices", move |tx| {
                    tell(tx, &identity, &limits, organization)
                })
                .await?;
            Ok::<_, StepError>(())
        })
    }

    /// What was told can't be called back.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// All that decides who is told how, read under the organization's lock.
pub(super) struct Desk<'a> {
    pub(super) identity: &'a Identity,
    pub(super) settings: Settings,
    pub(super) owners: Vec<Owner>,
}

impl<'a> Desk<'a> {
    /// Locks the organization, so that of its notices each is either mailed or in a digest. Nothing if it is deleted: then
    /// there is nobody to be told.
    pub(super) fn open(
        tx: &mut Tx<'_>,
        identity: &'a Identity,
        organization: Id<Organization>,
    ) -> Result<Option<Self>, StoreError> {
        if organizations::lock_active(tx, organization)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            identity,
            settings: settings::find(tx.conn(), organization)?.0,
            owners: audience::owners(tx.conn(), organization)?,
        }))
    }

    /// The event of a notice with those who are mailed it. None for an event that this release does not know.
    pub(super) fn readers(&self, notice: &NoticeRow) -> Option<(&'a Event, Vec<Reader>)> {
        let event = self.identity.events().find(&notice.event)?;
        let is_on = notice.switch.is_none_or(|switch| self.settings.is_on(switch));
        let audience: Audience = notice.audience.read().unwrap_or_default();
        let readers = audience::readers(event, is_on, &audience, &self.settings, &self.owners);
        Some((event, readers))
    }
}

/// Tells some of what an organization was not told yet.
fn tell(
    tx: &mut Tx<'_>,
    identity: &Identity,
    limits: &config::Notifications,
    organization: Id<Organization>,
) -> Result<(), StoreError> {
    let Some(desk) = Desk::open(tx, identity, organization)? else {
        return set_state(tx, organization, None, NoticeState::Told);
    };
    let new: Vec<NoticeRow> = notices::table
        .filter(notices::organization_id.eq(organization))
        .filter(notices::state.eq(NoticeState::New))
        .order((notices::created, notices::id))
        .limit(AT_ONCE)
        .select(NoticeRow::as_select())
        .load(tx.conn())?;
    if new.is_empty() {
        return Ok(());
    }
    let webhooks = webhooks::enabled(tx.conn(), organization)?;
    for notice in &new {
        let state = tell_one(tx, &desk, limits, &webhooks, notice)?;
        set_state(tx, organization, Some(notice.id), state)?;
    }
    Ok(())
}

fn tell_one(
    tx: &mut Tx<'_>,
    desk: &Desk<'_>,
    limits: &config::Notifications,
    webhooks: &[WebhookRow],
    notice: &NoticeRow,
) -> Result<NoticeState, StoreError> {
    let Some((event, readers)) = desk.readers(notice) else {
        tracing::error!(event = notice.event, "nobody has declared this event");
        return Ok(NoticeState::Told);
    };
    let facts: Value = notice.facts.read().unwrap_or_default();
    for webhook in webhooks.iter().filter(|webhook| webhook.wants(event.slug)) {
        webhooks::post(tx, webhook, event, &facts, notice.created)?;
    }
    if readers.is_empty() {
        return Ok(NoticeState::Told);
    }
    if is_flood(tx, limits, notice)? {
        digest::expect(tx, limits, notice)?;
        return Ok(NoticeState::Held);
    }
    let own = event.news.and_then(|news| news.letter);
    let values: Option<Value> = notice.letter.as_ref().and_then(|letter| letter.read().ok());
    for reader in readers {
        let letter = match (own, &values) {
            (Some(template), Some(values)) => {
                let mut values = values.clone();
                values["name"] = reader.name.into();
                Letter {
                    to: reader.address,
                    language: reader.language,
                    template,
                    values,
                }
            }
            _ => shared(event, &facts, notice, reader),
        };
        desk.identity.mailer().post(tx, &letter)?;
    }
    Ok(NoticeState::Told)
}

/// The letter of events that have none of their own.
fn shared(event: &Event, facts: &Value, notice: &NoticeRow, reader: Reader) -> Letter {
    let language = reader.language;
    Letter {
        to: reader.address,
        language,
        template: letters::NOTICE,
        values: json!({
            "name": reader.name,
            "organization": facts["organization"],
            "event": event.name_in(language),
            "sentence": event.sentence(facts, language),
            "time": wording::moment(notice.created, language),
        }),
    }
}

/// Whether as many notices of this event came shortly before as are mailed one by one.
fn is_flood(tx: &mut Tx<'_>, limits: &config::Notifications, notice: &NoticeRow) -> Result<bool, StoreError> {
    let since = notice.created - window(limits);
    let earlier = notices::created
        .lt(notice.created)
        .or(notices::created.eq(notice.created).and(notices::id.lt(notice.id)));
    let count: i64 = notices::table
        .filter(notices::organization_id.eq(notice.organization_id))
        .filter(notices::event.eq(&notice.event))
        .filter(notices::created.gt(since))
        .filter(earlier)
        .count()
        .get_result(tx.conn())?;
    Ok(count >= i64::from(limits.digest_above))
}

/// How long a flood is watched.
pub(super) const fn window(limits: &config::Notifications) -> Duration {
    Duration::from_secs(limits.digest_minutes.saturating_mul(60))
}

/// Writes where a notice stands; without one, where all new ones of the organization do.
fn set_state(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    notice: Option<Id<super::notice::NoticeKind>>,
    state: NoticeState,
) -> Result<(), StoreError> {
    let theirs = notices::table.filter(notices::organization_id.eq(organization));
    match notice {
        Some(id) => diesel::update(theirs.filter(notices::id.eq(id)))
            .set(notices::state.eq(state))
            .execute(tx.conn())?,
        None => diesel::update(theirs.filter(notices::state.eq(NoticeState::New)))
            .set(notices::state.eq(state))
            .execute(tx.conn())?,
    };
    Ok(())
}
