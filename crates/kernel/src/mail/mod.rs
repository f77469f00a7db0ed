//! The mails that onet sends: written in the transaction of what they tell about, sent by a task after its commit.
//!
//! [`Mailer::post`] renders a [`Letter`], seals it and puts it into the table `mails` with a task `send_mail`. Nothing
//! of a mail can make the operation that posts it fail: a mail server that is away is tried again for about a day, and
//! what can't be sent ends as a `failed` row that says why.
//!
//! Letters are files, one a language, which the areas hand over ([`letters!`](crate::letters)); [`layout`] makes text
//! and HTML of them.

pub mod layout;
pub mod mailbox;
pub mod page;
mod rows;
mod send;
mod transport;
pub mod wording;

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    layout::{Layout, LayoutError, Rendered},
    transport::Transport,
};
pub use self::{
    rows::{MailRow, MailStatus, forget_old},
    send::SendMail,
    transport::check,
};
use crate::{
    config::Config,
    id::Id,
    language::Language,
    secrets::Sealer,
    store::{StoreError, Tx},
};

/// Names the ids of mails.
#[derive(Debug)]
pub enum Mail {}

/// A mail to be written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The recipient's address, bare: `ada@example.org`.
    pub to: String,
    /// The recipient's language.
    pub language: Language,
    /// The name of a [`Template`]: the constants that [`letters!`](crate::letters) makes.
    pub template: &'static str,
    /// What the template asks for: an object. `name`, the recipient's name, is always among it and may be empty.
    pub values: Value,
}

/// The text of a letter in every language. Made by [`letters!`](crate::letters).
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// What [`Letter::template`] calls it.
    pub name: &'static str,
    /// The source in this language: see [`layout`].
    pub source: fn(Language) -> &'static str,
    /// All the values that it takes, for tests and previews.
    pub sample: fn() -> Value,
}

/// Declares an area's letters: for each a constant with its name, and `all()` with their texts.
///
/// ```text
/// kernel::letters! {
///     /// Confirms the address of a new account.
///     VERIFY_EMAIL = "verify_email" { "name": "Ada", "url": "https://…", "code": "123456" }
/// }
/// ```
/// The texts are `letters/en/verify_email.txt` and `letters/fr/verify_email.txt` of the calling crate: without either it
/// does not compile. The object is a sample of all values that the letter takes.
#[macro_export]
macro_rules! letters {
    ($($(#[$meta:meta])* $constant:ident = $name:literal { $($sample:tt)* })+) => {
        $($(#[$meta])* pub const $constant: &str = $name;)+

        /// All letters of this area.
        pub fn all() -> &'static [$crate::mail::Template] {
            const ALL: &[$crate::mail::Template] = &[$($crate::mail::Template {
                name: $name,
                source: |language| match language {
                    $crate::language::Language::En =>
                        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/letters/en/", $name, ".txt")),
                    $crate::language::Language::Fr =>
                        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/letters/fr/", $name, ".txt")),
                },
                sample: || ::serde_json::json!({ $($sample)* }),
            }),+];
            ALL
        }
    };
}

/// Mails can't be sent with these settings, or a letter's text is faulty.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A setting of `[mail]`.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// A letter's text.
    #[error("the letter {0} ({1}): {2}")]
    Letter(&'static str, &'static str, LayoutError),
}

/// Posts letters. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    letters: HashMap<(&'static str, Language), Layout>,
    product: String,
    sealer: Sealer,
    transport: Transport,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer")
            .field("letters", &self.0.letters.len())
            .field("transport", &self.0.transport)
            .finish_non_exhaustive()
    }
}

/// What is sealed in a mail's row.
#[derive(Serialize, Deserialize)]
struct Content {
    subject: String,
    text: String,
    html: String,
}

impl Mailer {
    /// A mailer for the letters of all areas.
    ///
    /// # Errors
    /// A setting of `[mail]` or a letter's text is faulty.
    pub fn new(config: &Config, sealer: Sealer, areas: &[&'static [Template]]) -> Result<Self, MailError> {
        let mut letters = HashMap::new();
        for template in areas.iter().copied().flatten() {
            for language in Language::ALL {
                let layout = Layout::parse((template.source)(*language))
                    .map_err(|fault| MailError::Letter(template.name, language.as_str(), fault))?;
                letters.insert((template.name, *language), layout);
            }
        }
        Ok(Self(Arc::new(Inner {
            letters,
            product: config.mail.product.clone(),
            sealer,
            transport: Transport::new(config)?,
        })))
    }

    /// Writes `letter` in this transaction, to be sent when it is committed.
    ///
    /// A letter that can't be rendered, or that nothing can send, is kept as failed and logged: the operation that
    /// posts it goes on.
    ///
    /// # Errors
    /// The database refused.
    pub fn post(&self, tx: &mut Tx<'_>, letter: &Letter) -> Result<Id<Mail>, StoreError> {
        let id = Id::<Mail>::new();
        let message_id = self.0.transport.message_id(id);
        let content = self.content(letter).map(|content| {
            let plain = serde_json::to_vec(&content).unwrap_or_default();
            self.0.sealer.seal(&sealed_for(id), &plain)
        });
        // That no mail is sent at all was said when onetd started.
        if let Err(fault) = &content
            && !matches!(self.0.transport, Transport::Off)
        {
            tracing::error!(template = letter.template, fault, "a mail was not written");
        }
        rows::insert(tx, id, letter, message_id, &content)?;
        if content.is_ok() {
            tx.enqueue(&SendMail::task(id))?;
        }
        Ok(id)
    }

    /// What `letter` says, or why it can't be sent.
    fn content(&self, letter: &Letter) -> Result<Content, String> {
        if matches!(self.0.transport, Transport::Off) {
            return Err(transport::OFF.to_owned());
        }
        let Rendered { subject, text, html } = self.render(letter).map_err(|fault| fault.to_string())?;
        Ok(Content { subject, text, html })
    }

    /// The letter as it would be sent.
    ///
    /// # Errors
    /// There is no such letter, or it asks for a value that is not given.
    pub fn render(&self, letter: &Letter) -> Result<Rendered, LayoutError> {
        let layout = self
            .0
            .letters
            .get(&(letter.template, letter.language))
            .ok_or(LayoutError::Unknown)?;
        layout.render(letter.language, &self.0.product, &letter.values)
    }
}

/// The context that a mail's content is sealed for.
fn sealed_for(id: Id<Mail>) -> String {
    format!("mail/{id}")
}
