//! The folder that the transport `mailbox` fills: for demos and tests.

use std::{
    io,
    path::{Path, PathBuf},
};

use mail_parser::{Message, MessageParser};
use serde::Serialize;

use super::{Mail, transport::MAILBOX};
use crate::id::Id;

/// A mail as a recipient's program reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedMail {
    /// Its id in the table `mails`, if it comes from the folder.
    pub id: Option<Id<Mail>>,
    /// The recipient's address.
    pub to: String,
    /// The sender's address.
    pub from: String,
    /// The subject, decoded.
    pub subject: String,
    /// RFC 3339.
    pub date: String,
    /// Without angle brackets.
    pub message_id: String,
    /// The part for readers without HTML.
    pub text: String,
    /// The part for the others.
    pub html: String,
}

impl ReceivedMail {
    /// Reads what is written on the wire (RFC 5322). Nothing if it is no mail.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(bytes)?;
        let text = message.body_text(0)?.replace("\r\n", "\n");
        Some(Self {
            id: None,
            to: address(message.to()),
            from: address(message.from()),
            subject: message.subject().unwrap_or_default().to_owned(),
            date: message
                .date()
                .map(mail_parser::DateTime::to_rfc3339)
                .unwrap_or_default(),
            message_id: message.message_id().unwrap_or_default().to_owned(),
            text,
            html: html(&message),
        })
    }

    /// The addresses of its links, in their order.
    pub fn links(&self) -> Vec<&str> {
        self.text
            .split_whitespace()
            .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
            .collect()
    }

    /// The first code of six digits that stands by itself.
    pub fn code(&self) -> Option<&str> {
        self.text
            .split_whitespace()
            .find(|word| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

fn address(addresses: Option<&mail_parser::Address<'_>>) -> String {
    let first = addresses.and_then(mail_parser::Address::first);
    first
        .and_then(|address| address.address())
        .unwrap_or_default()
        .to_owned()
}

/// The HTML part itself: mail-parser would make one of the text if there were none.
fn html(message: &Message<'_>) -> String {
    let part = message.html_bodies().find(|part| part.is_text_html());
    part.and_then(|part| part.text_contents())
        .unwrap_or_default()
        .to_owned()
}

/// The folder of the mailbox.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(MAILBOX)
}

/// The newest `limit` mails, newest first.
///
/// # Errors
/// The folder can't be read. One that is not there yet is empty.
pub fn list(folder: &Path, limit: usize) -> io::Result<Vec<ReceivedMail>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut ids: Vec<Id<Mail>> = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".eml"));
        ids.extend(id.and_then(|id| id.parse::<Id<Mail>>().ok()));
    }
    // Ids grow with time.
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(limit);
    let mut mails = Vec::with_capacity(ids.len());
    for id in ids {
        mails.extend(read(folder, id)?);
    }
    Ok(mails)
}

/// One mail, if it is there.
///
/// # Errors
/// The file can't be read.
pub fn read(folder: &Path, id: Id<Mail>) -> io::Result<Option<ReceivedMail>> {
    let bytes = match std::fs::read(folder.join(format!("{id}.eml"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    Ok(ReceivedMail::parse(&bytes).map(|mail| ReceivedMail { id: Some(id), ..mail }))
}
