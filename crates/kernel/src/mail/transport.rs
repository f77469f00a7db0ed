//! How mails leave: not at all, by SMTP, or into a folder.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{Content, Mail, MailError, MailRow};
use crate::{
    config::{self, Config, MailTransport},
    id::Id,
};

/// The error of mails that are posted or due while nothing is sent.
pub(super) const OFF: &str = "mail.transport is \"off\": no mail is sent";

/// Where the transport `mailbox` puts mails, below the data folder.
pub(super) const MAILBOX: &str = "mailbox";

/// Why a mail could not be handed over.
#[derive(Debug)]
pub(super) struct Fault {
    /// For operators.
    pub(super) detail: String,
    /// Whether it may go later.
    pub(super) passing: bool,
}

impl Fault {
    pub(super) fn lasting(detail: impl std::fmt::Display) -> Self {
        Self {
            detail: detail.to_string(),
            passing: false,
        }
    }

    fn passing(detail: impl std::fmt::Display) -> Self {
        Self {
            detail: detail.to_string(),
            passing: true,
        }
    }
}

/// A transport with its settings read.
pub(super) enum Transport {
    Off,
    Smtp {
        relay: Box<AsyncSmtpTransport<Tokio1Executor>>,
        sender: Sender,
        /// For one mail, from connecting to the server's last answer.
        limit: Duration,
    },
    Mailbox {
        folder: PathBuf,
        sender: Sender,
    },
}

/// Whom mails are from.
pub(super) struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Smtp { .. } => "smtp",
            Self::Mailbox { .. } => "mailbox",
        })
    }
}

/// Whether mails could be sent with these settings; nothing is connected to.
///
/// # Errors
/// Names the faulty setting.
pub fn check(config: &Config) -> Result<(), MailError> {
    Transport::new(config).map(drop)
}

impl Transport {
    pub(super) fn new(config: &Config) -> Result<Self, MailError> {
        let mail = &config.mail;
        Ok(match mail.transport {
            MailTransport::Off => Self::Off,
            MailTransport::Smtp => Self::Smtp {
                sender: Sender::new(mail, None)?,
                relay: Box::new(relay(mail)?),
                limit: Duration::from_secs(mail.timeout_seconds),
            },
            MailTransport::Mailbox => Self::Mailbox {
                sender: Sender::new(mail, Some("no-reply@mailbox.invalid"))?,
                folder: config.data_dir.join(MAILBOX),
            },
        })
    }

    fn sender(&self) -> Option<&Sender> {
        match self {
            Self::Off => None,
            Self::Smtp { sender, .. } | Self::Mailbox { sender, .. } => Some(sender),
        }
    }

    /// A mail's Message-ID (RFC 5322, 3.6.4): its id at the sender's domain.
    pub(super) fn message_id(&self, id: Id<Mail>) -> String {
        let domain = self
            .sender()
            .map_or("localhost", |sender| sender.from.email.domain());
        format!("<{id}@{domain}>")
    }

    /// Hands the mail over.
    pub(super) async fn deliver(&self, row: &MailRow, content: Content) -> Result<(), Fault> {
        match self {
            Self::Off => Err(Fault::lasting(OFF)),
            Self::Smtp { relay, sender, limit } => {
                let message = message(sender, row, content)?;
                match tokio::time::timeout(*limit, relay.send(message)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(judge(&error)),
                    Err(_) => Err(Fault::passing(format!(
                        "the mail server did not take the mail within {} s",
                        limit.as_secs()
                    ))),
                }
            }
            Self::Mailbox { folder, sender } => {
                let bytes = message(sender, row, content)?.formatted();
                let (folder, id) = (folder.clone(), row.id);
                let kept = tokio::task::spawn_blocking(move || keep(&folder, id, &bytes)).await;
                kept.map_err(Fault::passing)?.map_err(Fault::passing)
            }
        }
    }
}

impl Sender {
    fn new(mail: &config::Mail, otherwise: Option<&str>) -> Result<Self, MailError> {
        let read = |name, text: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                MailError::Setting(
                    name,
                    format!(
                        "`{text}` is no address such as `Example Hosting <no-reply@example.org>` ({error})"
                    ),
                )
            })
        };
        let from = match (mail.from.as_str(), otherwise) {
            ("", Some(address)) => read("mail.from", &format!("onet <{address}>"))?,
            (text, _) => read("mail.from", text)?,
        };
        let reply_to = match mail.reply_to.as_str() {
            "" => None,
            text => Some(read("mail.reply_to", text)?),
        };
        Ok(Self { from, reply_to })
    }
}

fn relay(mail: &config::Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let url = mail.smtp_url.expose();
    // The URL holds a password: an error must not repeat it.
    let fault = |error: &dyn std::fmt::Display| {
        MailError::Setting(
            "mail.smtp_url",
            format!("must be such as smtps://user:password@mail.example.org ({error})"),
        )
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
        .map_err(|error| fault(&chain(&error)))?
        .timeout(Some(Duration::from_secs(mail.timeout_seconds)));
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    if authority.split(['/', '?']).next().is_some_and(|authority| {
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| !user.contains(':'))
    }) {
        return Err(fault(&"a user without a password"));
    }
    if !mail.smtp_ca_file.is_empty() {
        let setting = |error: String| MailError::Setting("mail.smtp_ca_file", error);
        let pem = std::fs::read(&mail.smtp_ca_file)
            .map_err(|error| setting(format!("{}: {error}", mail.smtp_ca_file)))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| setting(chain(&error)))?;
        let host = url::host(url).ok_or_else(|| fault(&"no host"))?;
        let parameters = TlsParameters::builder(host)
            .add_root_certificate(certificate)
            .build()
            .map_err(|error| setting(chain(&error)))?;
        builder = match url::tls(url) {
            url::Protection::None => builder,
            url::Protection::Opportunistic => builder.tls(Tls::Opportunistic(parameters)),
            url::Protection::Required => builder.tls(Tls::Required(parameters)),
            url::Protection::FromTheStart => builder.tls(Tls::Wrapper(parameters)),
        };
    }
    Ok(builder.build())
}

/// What is needed of the URL beside what lettre reads of it.
mod url {
    /// How a connection is protected.
    pub(super) enum Protection {
        None,
        Opportunistic,
        Required,
        FromTheStart,
    }

    pub(super) fn tls(url: &str) -> Protection {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let wish = query.split('&').find_map(|pair| pair.strip_prefix("tls="));
        match (url.starts_with("smtps://"), wish) {
            (true, _) => Protection::FromTheStart,
            (false, Some("required")) => Protection::Required,
            (false, Some("opportunistic")) => Protection::Opportunistic,
            (false, _) => Protection::None,
        }
    }

    pub(super) fn host(url: &str) -> Option<String> {
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?']).next()?;
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        if let Some(v6) = place.strip_prefix('[') {
            return v6.split_once(']').map(|(address, _)| address.to_owned());
        }
        place.split(':').next().map(str::to_owned)
    }
}

fn message(sender: &Sender, row: &MailRow, content: Content) -> Result<Message, Fault> {
    let to: Address = row
        .to_address
        .parse()
        .map_err(|error| Fault::lasting(format!("the recipient's address: {error}")))?;
    let created = u64::try_from(row.created.micros()).unwrap_or(0);
    let mut builder = Message::builder()
        .from(sender.from.clone())
        .to(Mailbox::new(None, to))
        .subject(content.subject)
        .message_id(Some(row.message_id.clone()))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(created))
        // Nobody's holiday notice answers to it (RFC 3834, 5).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    if let Some(reply_to) = &sender.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    builder
        .multipart(MultiPart::alternative_plain_html(content.text, content.html))
        .map_err(Fault::lasting)
}

/// Whether a failed hand-over may succeed later.
///
/// A permanent refusal (5yz) is about this mail and its recipient, unless it is about our login or says that the server
/// takes no mail at all: those are for the operator to mend, and no mail is lost meanwhile. So is everything that is no
/// answer: no connection, a bad certificate, no STARTTLS where it is required.
fn judge(error: &smtp::Error) -> Fault {
    // 521: no mail here (RFC 7504). 530, 534, 535, 538: authentication (RFC 4954), STARTTLS first (RFC 3207).
    const OURS_TO_MEND: [&str; 5] = ["521", "530", "534", "535", "538"];
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let detail = chain(error);
    if error.is_permanent() && !OURS_TO_MEND.contains(&code.as_str()) {
        Fault::lasting(detail)
    } else {
        Fault::passing(detail)
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Writes a mail into the folder, so that it is whole or absent; once more if it is there already.
fn keep(folder: &Path, id: Id<Mail>, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let draft = folder.join(format!("{id}.draft"));
    std::fs::write(&draft, bytes)?;
    std::fs::rename(&draft, folder.join(format!("{id}.eml")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn fault(change: impl FnOnce(&mut config::Mail)) -> String {
        let mut config = Config::load(None, Path::new("onet-data")).unwrap();
        config.mail.transport = MailTransport::Smtp;
        config.mail.from = "Example <no-reply@example.org>".to_owned();
        config.mail.smtp_url = Secret::new("smtp://127.0.0.1".to_owned());
        change(&mut config.mail);
        check(&config)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn faulty_settings_are_named_without_the_password() {
        assert_eq!(fault(|_| ()), "");
        assert!(fault(|mail| mail.from.clear()).starts_with("mail.from: "));
        assert!(fault(|mail| mail.from = "nobody".to_owned()).starts_with("mail.from: "));
        assert!(fault(|mail| mail.reply_to = "a@b@c".to_owned()).starts_with("mail.reply_to: "));
        assert!(fault(|mail| mail.smtp_ca_file = "/nowhere".to_owned()).starts_with("mail.smtp_ca_file: "));
        for url in [
            "",
            "mail.example.org",
            "http://u:hunter2@mail.example.org",
            "smtp://u:hunter2@mail.example.org?tls=maybe",
            "smtp://user@mail.example.org",
        ] {
            let fault = fault(|mail| mail.smtp_url = Secret::new(url.to_owned()));
            assert!(fault.starts_with("mail.smtp_url: "), "{url}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        for url in [
            "smtps://u:p@mail.example.org",
            "smtp://[::1]:2525?tls=required",
            "smtp://h?tls=opportunistic",
        ] {
            assert_eq!(
                fault(|mail| mail.smtp_url = Secret::new(url.to_owned())),
                "",
                "{url}"
            );
        }
    }

    #[test]
    fn the_host_of_a_url_is_found() {
        let host = |text| url::host(text).unwrap();
        assert_eq!(
            host("smtp://u:p%40@mail.example.org:587?tls=required"),
            "mail.example.org"
        );
        assert_eq!(host("smtps://mail.example.org/ehlo-name"), "mail.example.org");
        assert_eq!(host("smtp://[::1]:25"), "::1");
    }
}
