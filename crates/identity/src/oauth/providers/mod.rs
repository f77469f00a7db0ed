//! The configured identity providers, and what they say of people.

mod discovery;
mod github;
mod microsoft;
mod oauth2;
mod oidc;

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderValue, StatusCode, header};
use kernel::{
    config::{OauthKind, OauthProvider},
    http::ApiError,
    outbound::trusted::Http,
    time::Time,
};
use tokio::sync::Semaphore;

use self::oidc::Oidc;
use super::journey::Trip;

/// Logins that talk to one provider at once: a slow one can't hold more of the server than this.
const AT_ONCE: usize = 32;
/// The longest subject (OpenID Connect Core, section 2).
const LONGEST_SUBJECT: usize = 255;

/// All configured providers. Clones share them and what is known of them.
#[derive(Clone, Debug)]
pub(crate) struct Providers(Arc<BTreeMap<String, Arc<Provider>>>);

impl Providers {
    /// The providers of these settings, which were checked.
    pub(crate) fn new(settings: &BTreeMap<String, OauthProvider>) -> Self {
        let http = Arc::new(Http::default());
        let made = settings.iter().map(|(slug, settings)| {
            let provider = Provider::new(slug.clone(), settings.clone(), Arc::clone(&http));
            (slug.clone(), Arc::new(provider))
        });
        Self(Arc::new(made.collect()))
    }

    /// The provider of this name.
    pub(super) fn get(&self, slug: &str) -> Option<Arc<Provider>> {
        self.0.get(slug).cloned()
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values().map(AsRef::as_ref)
    }

    /// Whether an answer could be somebody else's: with one provider there is nobody to mix it up with.
    pub(super) fn are_many(&self) -> bool {
        self.0.len() > 1
    }
}

/// One identity provider.
#[derive(Debug)]
pub(crate) struct Provider {
    slug: String,
    settings: OauthProvider,
    http: Arc<Http>,
    /// For all but GitHub.
    oidc: Oidc,
    places: Semaphore,
}

/// Somebody whom a provider has identified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// Which provider, as it names itself.
    pub(super) issuer: String,
    /// Which account of it: never given to another.
    pub(super) subject: String,
    pub(super) email: Option<String>,
    /// The provider says that this person reads that mailbox.
    pub(super) is_email_verified: bool,
    /// Google's: the organization that manages the account.
    pub(super) hosted_domain: Option<String>,
    pub(super) first_name: String,
    pub(super) last_name: String,
}

impl Person {
    /// First and last name joined, as far as there are any.
    pub(super) fn display_name(&self) -> Option<String> {
        crate::access::display_name(&self.first_name, &self.last_name)
            .map(|name| name.chars().take(255).collect())
    }
}

/// What came back from a provider through the browser.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) code: String,
    /// RFC 9207.
    pub(super) iss: Option<String>,
    /// Whether an answer without `iss` is refused where the provider promises one.
    pub(super) must_name_issuer: bool,
}

/// Why nobody was identified. The texts are for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderFault {
    /// The provider does not answer, answers nonsense, or does not know us.
    #[error("{0}")]
    Unavailable(String),
    /// The code or what it stands for is not good.
    #[error("{0}")]
    Refused(String),
}

impl ProviderFault {
    fn unavailable(cause: impl std::fmt::Display) -> Self {
        Self::Unavailable(cause.to_string())
    }

    fn refused(cause: impl std::fmt::Display) -> Self {
        Self::Refused(cause.to_string())
    }
}

impl Provider {
    fn new(slug: String, settings: OauthProvider, http: Arc<Http>) -> Self {
        Self {
            slug,
            settings,
            http,
            oidc: Oidc::default(),
            places: Semaphore::new(AT_ONCE),
        }
    }

    pub(super) fn slug(&self) -> &str {
        &self.slug
    }

    pub(super) fn settings(&self) -> &OauthProvider {
        &self.settings
    }

    /// Where the browser goes to log in.
    pub(super) async fn authorization_url(&self, trip: &Trip, now: Time) -> Result<String, ProviderFault> {
        let _place = self.place()?;
        match self.settings.kind {
            OauthKind::Github => github::authorization_url(&self.settings, trip),
            OauthKind::Google | OauthKind::Gitlab | OauthKind::Microsoft | OauthKind::Oidc => {
                self.oidc
                    .authorization_url(&self.settings, &self.http, trip, now)
                    .await
            }
        }
    }

    /// Exchanges the code and tells whose it was.
    pub(super) async fn identify(
        &self,
        answer: &Answer,
        trip: &Trip,
        now: Time,
    ) -> Result<Person, ProviderFault> {
        let _place = self.place()?;
        let mut person = match self.settings.kind {
            OauthKind::Github => github::identify(&self.settings, &self.http, answer, trip).await?,
            OauthKind::Google | OauthKind::Gitlab | OauthKind::Microsoft | OauthKind::Oidc => {
                self.oidc
                    .identify(&self.settings, &self.http, answer, trip, now)
                    .await?
            }
        };
        if person.subject.is_empty() || person.subject.len() > LONGEST_SUBJECT {
            return Err(ProviderFault::refused("a subject of no or too many characters"));
        }
        person.email = person
            .email
            .map(|email| email.trim().to_owned())
            .filter(|email| kernel::http::shape::is_email(email) && email.chars().count() <= 254);
        person.is_email_verified &= person.email.is_some();
        Ok(person)
    }

    fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, ProviderFault> {
        self.places
            .try_acquire()
            .map_err(|_| ProviderFault::unavailable("too many logins wait for it"))
    }

    /// 503: somebody must look after it, or wait.
    pub(super) fn unavailable(&self, cause: &str) -> ApiError {
        tracing::warn!(provider = self.slug, cause, "an identity provider can't be used");
        let detail = format!(
            "{} can't be reached at the moment. Try again later, or log in another way.",
            self.settings.name()
        );
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }
}
