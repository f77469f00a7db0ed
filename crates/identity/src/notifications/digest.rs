//! Floods: what comes above `notifications.digest_above` of one event is gathered, and mailed as one when the window
//! ends. A flood that goes on makes one mail in each window.

use std::{collections::HashMap, sync::Arc};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::Organization,
    config,
    id::Id,
    mail::{Letter, wording},
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, TaskRow, Work},
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    audience::Reader,
    events::Event,
    notice::{NoticeRow, NoticeState},
    tell::{Desk, internal, window},
};
use crate::{Identity, letters, schema::notices};

/// Notices that one digest tells of.
const MOST: i64 = 1000;
/// Sentences that it quotes.
const QUOTED: usize = 20;

/// What is gathered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flood {
    organization_id: Id<Organization>,
    event: String,
}

/// The kind `send_digest`: one step.
pub(super) struct SendDigest {
    steps: [Arc<dyn Step>; 1],
}

impl SendDigest {
    const NAME: &'static str = "send_digest";

    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            steps: [Arc::new(Gather(identity.clone()))],
        }
    }
}

impl Kind for SendDigest {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, _tx: &mut Tx<'_>, _task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Sees to it that there will be a digest, before a notice is held, under the organization's lock.
pub(super) fn expect(
    tx: &mut Tx<'_>,
    limits: &config::Notifications,
    notice: &NoticeRow,
) -> Result<(), StoreError> {
    let held: i64 = notices::table
        .filter(notices::organization_id.eq(notice.organization_id))
        .filter(notices::event.eq(&notice.event))
        .filter(notices::state.eq(NoticeState::Held))
        .count()
        .get_result(tx.conn())?;
    if held > 0 {
        return Ok(());
    }
    let flood = Flood {
        organization_id: notice.organization_id,
        event: notice.event.clone(),
    };
    let at = tx.now() + window(limits);
    tx.enqueue_at(&task(&flood), at)?;
    Ok(())
}

fn task(flood: &Flood) -> NewTask {
    // A resource of its own: waiting for its time, it is in nobody's way.
    internal(SendDigest::NAME, "digest", Id::new(), json!(flood))
}

struct Gather(Identity);

impl Step for Gather {
    fn name(&self) -> &'static str {
        "send_digest"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        let identity = self.0.clone();
        Box::pin(async move {
            let flood: Flood = work.parameters()?;
            let store = identity.store().clone();
            store
                .write("send_digest", move |tx| gather(tx, &identity, &flood))
                .await?;
            Ok(())
        })
    }

    /// What was told can't be called back.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// What one reader is told.
struct Told<'a> {
    event: &'a Event,
    first: Time,
    last: Time,
    sentences: Vec<String>,
    count: usize,
    organization: Value,
}

fn gather(tx: &mut Tx<'_>, identity: &Identity, flood: &Flood) -> Result<(), StoreError> {
    let desk = Desk::open(tx, identity, flood.organization_id)?;
    let held: Vec<NoticeRow> = notices::table
        .filter(notices::organization_id.eq(flood.organization_id))
        .filter(notices::event.eq(&flood.event))
        .filter(notices::state.eq(NoticeState::Held))
        .order((notices::created, notices::id))
        .limit(MOST)
        .select(NoticeRow::as_select())
        .load(tx.conn())?;
    if let Some(desk) = &desk {
        // In the order in which readers first come up, so that two runs write the same.
        let mut order: Vec<Reader> = Vec::new();
        let mut told: HashMap<Reader, Told<'_>> = HashMap::new();
        for notice in &held {
            let Some((event, readers)) = desk.readers(notice) else {
                continue;
            };
            let facts: Value = notice.facts.read().unwrap_or_default();
            for reader in readers {
                let sentence = event.sentence(&facts, reader.language);
                let entry = told.entry(reader.clone()).or_insert_with(|| {
                    order.push(reader);
                    Told {
                        event,
                        first: notice.created,
                        last: notice.created,
                        sentences: Vec::new(),
                        count: 0,
                        organization: facts["organization"].clone(),
                    }
                });
                entry.count += 1;
                entry.last = notice.created;
                if entry.sentences.len() < QUOTED {
                    entry.sentences.push(sentence);
                }
            }
        }
        for reader in order {
            if let Some(told) = told.remove(&reader) {
                desk.identity.mailer().post(tx, &letter(reader, told))?;
            }
        }
    }
    let ids: Vec<_> = held.iter().map(|notice| notice.id).collect();
    diesel::update(notices::table.filter(notices::id.eq_any(&ids)))
        .set(notices::state.eq(NoticeState::Told))
        .execute(tx.conn())?;
    if i64::try_from(held.len()).is_ok_and(|count| count == MOST) {
        tx.enqueue(&task(flood))?;
    }
    Ok(())
}

fn letter(reader: Reader, told: Told<'_>) -> Letter {
    let language = reader.language;
    Letter {
        to: reader.address,
        language,
        template: letters::NOTICE_DIGEST,
        values: json!({
            "name": reader.name,
            "organization": told.organization,
            "event": told.event.name_in(language),
            "count": told.count,
            "first": wording::moment(told.first, language),
            "last": wording::moment(told.last, language),
            "sentences": told.sentences.join("\n"),
            "more": told.count - told.sentences.len(),
        }),
    }
}
