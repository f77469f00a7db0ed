//! Proofs that are mailed on request, to whoever owns an address: a reset link, a login code or link, another
//! verification mail.
//!
//! The request only writes down that an address has asked ([`ask`]), and does so whether anybody owns it. A task looks
//! the owner up, makes the proof and posts the mail. So the answer, its time and what is written tell nothing about
//! accounts (ASVS 5.0, V6.3.8), and no code or token is stored in the clear between the two.

use std::{sync::Arc, time::Duration};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    http::{ApiError, ApiResult, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::challenges::{self, ChallengeId, ChallengeRow, NewChallenge, Purpose};
use crate::{
    Identity,
    device::Device,
    letters,
    schema::challenges as table,
    secrets,
    users::{UserRow, find_by_email},
};

/// What is mailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// A link.
    Link,
    /// A code of six digits.
    Code,
    /// Either, as the reader likes.
    Both,
}

/// What the task needs to know; kept as the challenge's payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    form: Form,
    /// The page that the link leads to.
    page: String,
    /// From where it was asked for, for the mail.
    address: String,
    device: String,
}

impl Asked {
    /// A request for `form`, whose link leads to `page`.
    pub(super) fn new(form: Form, page: String, request: &RequestFacts) -> Self {
        Self {
            form,
            page,
            address: request.address.to_string(),
            device: Device::of(&request.user_agent).spoken(),
        }
    }
}

/// Notes that an address asks for a proof. The mail follows by itself.
///
/// # Errors
/// 429 if the address has asked for one of the same purpose a moment ago.
pub(super) fn ask(
    tx: &mut Tx<'_>,
    identity: &Identity,
    purpose: Purpose,
    email_key: &str,
    asked: Asked,
    lifetime: Duration,
) -> ApiResult<ChallengeId> {
    check_pause(tx, identity, purpose, email_key)?;
    let new = NewChallenge {
        purpose,
        user: None,
        email_key: Some(email_key),
        token: None,
        code: None,
        payload: asked,
        lifetime,
    };
    let row = challenges::issue(tx, identity.secrets(), &new)?;
    tx.enqueue(&task(row.id))?;
    Ok(row.id)
}

/// Refuses a mail so soon after the last of its kind to the same address.
///
/// # Errors
/// 429 until the pause is over.
pub(crate) fn check_pause(
    tx: &mut Tx<'_>,
    identity: &Identity,
    purpose: Purpose,
    email_key: &str,
) -> ApiResult<()> {
    let pause = Duration::from_secs(identity.settings().mail_pause_seconds);
    let Some(last) = challenges::last_for_address(tx, purpose, email_key)? else {
        return Ok(());
    };
    let passed = tx.now().since(last.created);
    if passed < pause {
        return Err(ApiError::throttled((pause - passed).as_secs().max(1)));
    }
    Ok(())
}

/// It belongs to no project, so no client ever sees it.
fn task(id: ChallengeId) -> NewTask {
    NewTask {
        kind: MailProof::NAME,
        organization: Id::nil(),
        project: Id::nil(),
        resource_type: "challenge",
        resource: id.cast(),
        parameters: json!({}),
        max_retries: 8,
        created_by: None,
        request: None,
    }
}

/// The kind `mail_proof`: makes the proof that an address has asked for, and posts it.
pub(crate) struct MailProof {
    steps: Vec<Arc<dyn Step>>,
}

impl MailProof {
    const NAME: &'static str = "mail_proof";

    pub(crate) fn new(identity: &Identity) -> Self {
        Self {
            steps: vec![Arc::new(Prove {
                identity: identity.clone(),
            })],
        }
    }
}

impl Kind for MailProof {
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

struct Prove {
    identity: Identity,
}

impl Step for Prove {
    fn name(&self) -> &'static str {
        "mail_proof"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        let (identity, id) = (self.identity.clone(), work.resource.cast());
        Box::pin(async move {
            let store = identity.store().clone();
            store
                .write("mail_proof", move |tx| prove(tx, &identity, id))
                .await
                .map_err(|error| StepError::passing("The mail could not be prepared.", error))
        })
    }

    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Fills the challenge `id` with a proof for whoever owns its address, and posts the mail. Once: a challenge that has
/// an owner is left alone.
fn prove(tx: &mut Tx<'_>, identity: &Identity, id: ChallengeId) -> ApiResult<()> {
    let Some(row) = find(tx, id)? else { return Ok(()) };
    if row.user_id.is_some() || !row.is_open(tx.now()) {
        return Ok(());
    }
    let Some(user) = find_by_email(tx.conn(), row.email_key.as_deref().unwrap_or_default())? else {
        return Ok(());
    };
    let asked: Asked = row.payload()?;
    // Whoever is no user of this installation any more, or has nothing to confirm, gets no mail.
    if !user.is_active || (row.purpose == Purpose::VerifyEmail && user.email_verified) {
        return Ok(());
    }
    // A new link or code voids the earlier ones.
    challenges::void(tx, row.purpose, user.id)?;
    let token = secrets::new_challenge_token();
    let code = secrets::new_code();
    let link = matches!(asked.form, Form::Link | Form::Both).then_some(token.as_str());
    let typed = matches!(asked.form, Form::Code | Form::Both).then_some(code.as_str());
    challenges::fill(tx, identity.secrets(), &row, user.id, link, typed)?;
    post(tx, identity, &row, &user, &asked, &token, &code)
}

fn find(tx: &mut Tx<'_>, id: ChallengeId) -> Result<Option<ChallengeRow>, StoreError> {
    use diesel::{OptionalExtension, SelectableHelper};
    let query = table::table
        .filter(table::id.eq(id))
        .select(ChallengeRow::as_select());
    Ok(query.first(tx.conn()).optional()?)
}

fn post(
    tx: &mut Tx<'_>,
    identity: &Identity,
    row: &ChallengeRow,
    user: &UserRow,
    asked: &Asked,
    token: &str,
    code: &str,
) -> ApiResult<()> {
    let minutes = row.expires_at.since(tx.now()).as_secs().div_ceil(60);
    let url = with_token(&asked.page, token);
    let (template, values) = match (row.purpose, asked.form) {
        (Purpose::VerifyEmail, _) => (letters::VERIFY_EMAIL, json!({"url": url, "code": code})),
        (Purpose::ResetPassword, _) => (letters::RESET_PASSWORD, json!({"url": url, "minutes": minutes})),
        (Purpose::Passwordless, Form::Link) => (
            letters::LOGIN_LINK,
            json!({"url": url, "minutes": minutes, "device": asked.device, "address": asked.address}),
        ),
        (Purpose::Passwordless, _) => (
            letters::LOGIN_CODE,
            json!({"code": code, "minutes": minutes, "device": asked.device, "address": asked.address}),
        ),
        (purpose, _) => {
            return Err(ApiError::internal(format!(
                "{} is not mailed on request",
                purpose.as_str()
            )));
        }
    };
    letters::post(tx, identity, user, template, values)?;
    Ok(())
}

/// `page` with the token as its last query parameter.
pub(super) fn with_token(page: &str, token: &str) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}token={token}")
}
