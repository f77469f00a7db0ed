//! Who calls, and what they reach: the kernel's [`Access`], asked once for every request.

mod roles;
mod rows;
mod signing;

use std::{net::IpAddr, sync::Arc, time::Duration};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{
        Access, ActorType, AuthFault, Bearer, Caller, Credential, INVALID, Later, Organization, Project,
        Reach,
    },
    config::{Auth, Config, Network},
    http::{ApiError, ApiResult, Faults, RequestFacts, limits::Limiter},
    id::{AnyId, Id},
    mail::Mailer,
    secrets::{MasterSecret, Sealer},
    store::{Store, StoreError},
    time::{Clock, Time},
};
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

pub(crate) use self::roles::in_project;
use self::rows::{CredentialFacts, Found, UserFacts};
use crate::{
    auth::Throttle,
    credentials::CredentialKind,
    notifications::Events,
    passwords::Passwords,
    profile::Workshop,
    schema,
    secrets::{Secrets, is_key},
    tokens::{Tokens, ring},
    users::UserRow,
    webauthn::{RelyingParty, RelyingPartyError},
};

/// Mails that one address may ask for one account, in the throttle's window.
const MAILS_TO_ONE: u32 = 10;
/// Numbers of older clients whose ids are remembered.
const REMEMBERED_NUMBERS: usize = 10_000;
/// Keys whose last use is remembered.
const REMEMBERED_KEYS: usize = 10_000;
/// How far behind a key's `last_used_at` may be.
const USE_LAG: Duration = Duration::from_secs(60);

/// Identity can't begin its work.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No signing keys.
    #[error("the keys of access tokens: {0}")]
    Keys(#[from] jsonwebtoken::errors::Error),
    /// The generations of signing keys can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cost of hashing is out of range.
    #[error("auth.argon2_*: {0}")]
    Hashing(#[from] argon2::password_hash::Error),
    /// The domain and the pages of passkeys.
    #[error(transparent)]
    Passkeys(#[from] RelyingPartyError),
}

/// What authentication needs of this installation. Clones are cheap and share it.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    secrets: Arc<Secrets>,
    tokens: Tokens,
    /// When the generations of signing keys were last read; held while they are.
    keys_read: Mutex<Time>,
    /// Questions about tokens, by address.
    token_checks: Limiter,
    passwords: Passwords,
    relying_party: RelyingParty,
    workshop: Workshop,
    throttle: Throttle,
    mail_throttle: Throttle,
    sealer: Sealer,
    mailer: Mailer,
    events: Events,
    settings: Auth,
    base_url: String,
    /// Ids by the numbers of older clients: they never change.
    organizations: Cache<i64, Id<Organization>>,
    projects: Cache<i64, Id<Project>>,
    /// When the last use of a key was last written by this process.
    used: Cache<Id<Credential>, Time>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("tokens", &self.0.tokens)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Derives the keys from the master secret and prepares hashing. Takes as long as hashing one
    /// password.
    ///
    /// # Errors
    /// A setting is out of its range, or the database can't be read.
    pub fn new(
        config: &Config,
        store: Store,
        clock: Clock,
        master: &MasterSecret,
        mailer: Mailer,
        events: Events,
    ) -> Result<Self, IdentityError> {
        let secrets = Arc::new(Secrets::derive(master));
        let generations = store.read_now(ring::load)?;
        let checks = config.limits.token_checks_per_address;
        Ok(Self(Arc::new(Inner {
            store,
            keys_read: Mutex::new(clock.now()),
            clock,
            token_checks: Limiter::new(checks, checks),
            tokens: Tokens::new(Arc::clone(&secrets), &config.auth, &generations)?,
            secrets,
            passwords: Passwords::new(&config.auth)?,
            relying_party: RelyingParty::new(&config.auth, &config.server.base_url())?,
            workshop: Workshop::default(),
            throttle: Throttle::new(
                config.limits.login_failures_per_account,
                config.limits.login_failures_per_address,
                config.limits.login_failures_anywhere,
            ),
            mail_throttle: Throttle::new(
                MAILS_TO_ONE,
                config.limits.mails_per_address,
                config.limits.login_failures_anywhere,
            ),
            sealer: master.sealer(),
            mailer,
            events,
            settings: config.auth.clone(),
            base_url: config.server.base_url(),
            organizations: Cache::new(REMEMBERED_NUMBERS),
            projects: Cache::new(REMEMBERED_NUMBERS),
            used: Cache::new(REMEMBERED_KEYS),
        })))
    }

    /// The secrets of this installation, for making API keys.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// The hasher of passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// What judges passkeys.
    pub(crate) fn relying_party(&self) -> &RelyingParty {
        &self.0.relying_party
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.0.workshop
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// Limits how many mails a client can have sent.
    pub(crate) fn mail_throttle(&self) -> &Throttle {
        &self.0.mail_throttle
    }

    /// Compares a password that somebody who is logged in gives once more. Guesses are counted as those at a login are.
    ///
    /// # Errors
    /// 400 on `field` if it is another, 429 after too many.
    pub(crate) async fn check_password(
        &self,
        user: &UserRow,
        password: &str,
        request: &RequestFacts,
        field: &str,
    ) -> ApiResult<()> {
        let now = self.0.clock.now();
        self.0.throttle.admit(&user.email_key, request.address, now)?;
        let hash = user.password_hash.clone();
        let is_right = self.0.passwords.verify(password.to_owned(), hash).await?;
        self.0
            .throttle
            .judge(&user.email_key, request.address, now, is_right)?;
        if is_right {
            return Ok(());
        }
        Err(Faults::one(field, "This password is not correct.").into())
    }

    /// Whether a link or a provider may lead to this page.
    pub(crate) fn allows_redirect(&self, uri: &str) -> bool {
        let listed = self.0.settings.redirect_uris.iter().any(|allowed| allowed == uri);
        listed
            || ["login", "oauth/callback"]
                .iter()
                .any(|page| self.account_url(page) == uri)
    }

    /// Where a user's picture is served.
    pub(crate) fn picture_url(&self, id: AnyId) -> String {
        format!("{}/media/pictures/{id}", self.0.base_url)
    }

    /// Where a link in a mail leads: a page of the console, or of onetd itself where there is none.
    pub(crate) fn account_url(&self, page: &str) -> String {
        let console = self.0.settings.console_url.trim_end_matches('/');
        let base = if console.is_empty() {
            &self.0.base_url
        } else {
            console
        };
        format!("{base}/account/{page}")
    }

    /// Seals what must be stored and read again: the secret of an authenticator app, say.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    pub(crate) fn mailer(&self) -> &Mailer {
        &self.0.mailer
    }

    /// What can be told: the events of all areas.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    pub(crate) fn settings(&self) -> &Auth {
        &self.0.settings
    }

    /// A credential that holds, with its user and where that one stands.
    async fn find_holding(
        &self,
        operation: &'static str,
        bearer: &Bearer,
        organization: Option<Id<Organization>>,
        project: Option<Id<Project>>,
    ) -> ApiResult<Option<Found>> {
        let wanted = bearer.clone();
        let now = self.0.clock.now();
        let found = self
            .0
            .store
            .read(operation, move |conn| {
                rows::find(conn, &wanted, organization, project, now)
            })
            .await?;
        Ok(found.filter(|(credential, user, _)| holds(credential, user, now)))
    }

    /// The same for a request: it must come from where the credential may be used, and counts as its use.
    async fn find(
        &self,
        operation: &'static str,
        bearer: &Bearer,
        address: IpAddr,
        organization: Option<Id<Organization>>,
        project: Option<Id<Project>>,
    ) -> ApiResult<Found> {
        let found = self
            .find_holding(operation, bearer, organization, project)
            .await?
            .ok_or(INVALID)?;
        if matches!(bearer, Bearer::Secret { .. }) {
            check_address(&found.0, address)?;
            self.note_use(&found.0, address, self.0.clock.now());
        }
        Ok(found)
    }

    /// Writes when and from where a key was used, a minute late at most, and without letting the request
    /// wait.
    fn note_use(&self, key: &CredentialFacts, address: IpAddr, now: Time) {
        let is_recent = |then: Option<Time>| then.is_some_and(|then| now.since(then) < USE_LAG);
        if is_recent(key.last_used_at) || is_recent(self.0.used.get(&key.id)) {
            return;
        }
        self.0.used.insert(key.id, now);
        let (store, id) = (self.0.store.clone(), key.id);
        tokio::spawn(async move {
            let written = store.write("note_key_use", move |tx| {
                use schema::credentials::{dsl, last_used_at, last_used_ip};
                diesel::update(dsl::credentials.find(id))
                    .set((last_used_at.eq(now), last_used_ip.eq(address.to_string())))
                    .execute(tx.conn())
                    .map_err(StoreError::from)
            });
            if let Err(error) = written.await {
                tracing::debug!(%error, "the use of a key was not noted");
            }
        });
    }

    async fn organization(&self, text: &str) -> ApiResult<Option<Id<Organization>>> {
        if let Ok(id) = text.parse() {
            return Ok(Some(id));
        }
        let Some(number) = legacy_id(text) else {
            return Ok(None);
        };
        if let Some(id) = self.0.organizations.get(&number) {
            return Ok(Some(id));
        }
        let store = &self.0.store;
        let id = store
            .read("resolve_organization", move |conn| {
                rows::organization_of(conn, number)
            })
            .await?;
        if let Some(id) = id {
            self.0.organizations.insert(number, id);
        }
        Ok(id)
    }

    async fn project(&self, text: &str) -> ApiResult<Option<Id<Project>>> {
        if let Ok(id) = text.parse() {
            return Ok(Some(id));
        }
        let Some(number) = legacy_id(text) else {
            return Ok(None);
        };
        if let Some(id) = self.0.projects.get(&number) {
            return Ok(Some(id));
        }
        let store = &self.0.store;
        let id = store
            .read("resolve_project", move |conn| rows::project_of(conn, number))
            .await?;
        if let Some(id) = id {
            self.0.projects.insert(number, id);
        }
        Ok(id)
    }
}

impl Access for Identity {
    fn read_bearer(&self, token: &str) -> Result<Bearer, AuthFault> {
        if is_key(token) {
            let hash = self.0.secrets.hash_token(token);
            return Ok(Bearer::Secret { hash });
        }
        let claims = self.0.tokens.read(token, self.0.clock.now())?;
        Ok(Bearer::Session {
            id: claims.sid,
            expires_at: Time::from_micros(claims.exp.saturating_mul(1_000_000)),
        })
    }

    fn learn_key<'a>(&'a self, token: &'a str) -> Later<'a, bool> {
        Box::pin(self.look_for_key(token))
    }

    fn caller<'a>(&'a self, bearer: &'a Bearer, address: IpAddr) -> Later<'a, Caller> {
        Box::pin(async move {
            let (credential, user, _) = self.find("find_caller", bearer, address, None, None).await?;
            Ok(caller(bearer, credential, user))
        })
    }

    fn reach<'a>(
        &'a self,
        bearer: &'a Bearer,
        address: IpAddr,
        organization: &'a str,
        project: Option<&'a str>,
    ) -> Later<'a, (Caller, Option<Reach>)> {
        Box::pin(async move {
            let organization = self.organization(organization).await?;
            let asked = match project {
                Some(text) => self.project(text).await?,
                None => None,
            };
            let (credential, user, standing) = self
                .find("find_reach", bearer, address, organization, asked)
                .await?;
            let only = (credential.organization_id, credential.project_id);
            let reach = organization.and_then(|organization| {
                roles::reach(&standing, organization, project.is_some(), only.0, only.1)
            });
            Ok((caller(bearer, credential, user), reach))
        })
    }

    fn standing<'a>(
        &'a self,
        credential: Id<Credential>,
        organization: Id<Organization>,
        project: Id<Project>,
    ) -> Later<'a, Option<(Caller, Reach)>> {
        Box::pin(async move {
            let now = self.0.clock.now();
            let found = self
                .0
                .store
                .read("find_standing", move |conn| {
                    rows::find_by_id(conn, credential, organization, project)
                })
                .await?;
            let Some((credential, user, standing)) =
                found.filter(|(credential, user, _)| holds(credential, user, now))
            else {
                return Ok(None);
            };
            let only = (credential.organization_id, credential.project_id);
            let reach = roles::reach(&standing, organization, true, only.0, only.1);
            Ok(reach.map(|reach| (holder(credential, user), reach)))
        })
    }
}

/// A key that is limited to some addresses is refused from others. A list that can't be read lets nobody in.
fn check_address(key: &CredentialFacts, address: IpAddr) -> ApiResult<()> {
    if key.allowed_ips.as_str() == "[]" {
        return Ok(());
    }
    let allowed: Vec<Network> = key.allowed_ips.read().unwrap_or_default();
    if allowed.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    Err(ApiError::new(
        http::StatusCode::FORBIDDEN,
        "address_not_allowed",
        "This key may not be used from your address.",
    ))
}

/// Whether a credential may still be used.
fn holds(credential: &CredentialFacts, user: &UserFacts, now: Time) -> bool {
    let has_ended = credential.expires_at.is_some_and(|end| end <= now);
    credential.revoked_at.is_none() && !has_ended && user.is_active
}

/// Who shows `bearer`. An access token ends before its session.
fn caller(bearer: &Bearer, credential: CredentialFacts, user: UserFacts) -> Caller {
    let holder = holder(credential, user);
    match (holder.actor_type, bearer) {
        (ActorType::User, Bearer::Session { expires_at, .. }) => Caller {
            expires_at: Some(*expires_at),
            ..holder
        },
        _ => holder,
    }
}

/// Who holds a credential, whether or not it is being shown.
fn holder(credential: CredentialFacts, user: UserFacts) -> Caller {
    let name = display_name(&user.first_name, &user.last_name).unwrap_or_else(|| user.email.clone());
    let actor_type = match credential.kind {
        CredentialKind::ApiKey => ActorType::ApiKey,
        CredentialKind::ProjectToken => ActorType::ProjectToken,
        CredentialKind::Session => ActorType::User,
    };
    let is_session = credential.kind == CredentialKind::Session;
    Caller {
        user: user.id,
        email: user.email,
        is_staff: user.is_staff,
        actor_type,
        credential: credential.id,
        credential_name: if is_session { name.clone() } else { credential.name },
        name,
        // A list that can't be read gives nothing.
        scopes: (!is_session).then(|| credential.scopes.read().unwrap_or_default()),
        organization: credential.organization_id,
        project: credential.project_id,
        expires_at: credential.expires_at,
        authenticated_at: credential.authenticated_at,
    }
}

/// First and last name joined, if there is any.
pub(crate) fn display_name(first: &str, last: &str) -> Option<String> {
    let name = format!("{first} {last}").trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// A number as older clients write it: digits without sign or leading zeros.
fn legacy_id(text: &str) -> Option<i64> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_legacy_ids() {
        assert_eq!(legacy_id("42"), Some(42));
        for text in ["", "0", "042", "+42", "-42", "4 2", "9223372036854775808", "٤٢"] {
            assert_eq!(legacy_id(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_joined_or_absent() {
        assert_eq!(display_name("Ada", "Lovelace").as_deref(), Some("Ada Lovelace"));
        assert_eq!(display_name("", "Lovelace").as_deref(), Some("Lovelace"));
        assert_eq!(display_name("", ""), None);
    }
}
