//! The task that sends a mail.

use std::{sync::Arc, time::Duration};

use super::{Content, Mail, MailRow, MailStatus, rows, sealed_for, transport::Fault};
use crate::{
    App,
    id::Id,
    store::{StoreError, Tx},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};

/// The kind `send_mail`: one step.
pub struct SendMail {
    steps: Vec<Arc<dyn Step>>,
}

impl std::fmt::Debug for SendMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SendMail")
    }
}

impl Default for SendMail {
    fn default() -> Self {
        Self {
            steps: vec![Arc::new(HandOver)],
        }
    }
}

impl SendMail {
    const NAME: &'static str = "send_mail";
    /// With pauses that double from a second to [`Self::LONGEST_PAUSE`], a quarter less on average: about a day.
    const MAX_RETRIES: i32 = 75;
    /// What mail servers use among themselves (RFC 5321, 4.5.4.1).
    const LONGEST_PAUSE: Duration = Duration::from_mins(30);

    /// The task that sends the mail `id`. It belongs to no project, so no client ever sees it.
    pub(super) fn task(id: Id<Mail>) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization: Id::from_uuid(uuid::Uuid::nil()),
            project: Id::from_uuid(uuid::Uuid::nil()),
            resource_type: "mail",
            resource: id.cast(),
            parameters: serde_json::json!({}),
            max_retries: Self::MAX_RETRIES,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for SendMail {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn longest_pause(&self) -> Option<Duration> {
        Some(Self::LONGEST_PAUSE)
    }

    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Completed => Ok(()),
            Outcome::Failed => rows::give_up(tx, task.resource_id.cast(), task.error_detail.as_deref()),
        }
    }
}

/// Hands the mail over to the transport.
struct HandOver;

impl Step for HandOver {
    fn name(&self) -> &'static str {
        "hand_over_mail"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(hand_over(&work.app, work.resource.cast()))
    }

    /// A mail that was sent can't be called back.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

async fn hand_over(app: &App, id: Id<Mail>) -> Result<(), StepError> {
    let row = app
        .store()
        .read("find_mail", move |conn| rows::find(conn, id))
        .await?;
    // Sent by a worker that died before it could say so to the queue, or forgotten.
    let Some(row) = row.filter(|row| row.status == MailStatus::Pending) else {
        return Ok(());
    };
    let outcome = deliver(app, &row).await;
    // Between the server's answer and our record of it, a crash makes the mail go out twice, with the same Message-ID.
    if outcome.is_ok() && crate::crash::point("mail.sent") {
        return Err(StepError::passing(FAILED, "A test made the record fail."));
    }
    let fault = outcome.as_ref().err().map(|fault| fault.detail.clone());
    app.store()
        .write("record_mail", move |tx| match &fault {
            None => rows::record_sent(tx, id),
            Some(fault) => rows::record_fault(tx, id, fault),
        })
        .await?;
    let (template, attempt) = (row.template, row.attempts + 1);
    match outcome {
        Ok(()) => {
            metrics::counter!("onet_mails", "outcome" => "sent").increment(1);
            tracing::info!(%id, template, attempt, "a mail was sent");
            Ok(())
        }
        Err(fault) if fault.passing => {
            metrics::counter!("onet_mails", "outcome" => "retried").increment(1);
            Err(StepError::passing(FAILED, fault.detail))
        }
        Err(fault) => {
            metrics::counter!("onet_mails", "outcome" => "failed").increment(1);
            Err(StepError::fatal(FAILED, fault.detail))
        }
    }
}

const FAILED: &str = "The mail could not be sent.";

async fn deliver(app: &App, row: &MailRow) -> Result<(), Fault> {
    let mailer = app.mailer();
    let sealed = row
        .content
        .as_deref()
        .ok_or_else(|| Fault::lasting("the mail has no content any more"))?;
    let plain = mailer
        .0
        .sealer
        .open(&sealed_for(row.id), sealed)
        .map_err(|fault| Fault::lasting(format!("the content can't be opened: {fault}")))?;
    let content: Content = serde_json::from_slice(&plain)
        .map_err(|fault| Fault::lasting(format!("the content can't be read: {fault}")))?;
    mailer.0.transport.deliver(row, content).await
}
