//! `complete_oauth_login`.

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use kernel::{
    audit::Origin,
    config::Registration,
    http::{ApiError, ApiResult, Change, RequestFacts},
    id::Id,
    language::Language,
    store::{StoreError, Tx},
};
use serde_json::json;

use super::{
    api::{Intent, OAuthCallback},
    authorize::own_page,
    journey::{self, Claim, Journey, Trip},
    providers::{Answer, Person, Provider, ProviderFault, Providers},
    rows::{self, ConnectionRow},
    rules,
    slug::Slug,
};
use crate::{
    Identity,
    auth::{
        AuthError, AuthMethod, Desk, LoginResponse, ValidationError,
        completion::{self, FirstFactor, Mailbox},
        register::{self, Enrolment},
    },
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{UserRow, email_key, find_by_email},
};

/// [OAuth] Log in with an identity provider
///
/// Exchanges the code, then logs in the linked user or registers a new one where registration is open. A verified
/// provider address that already belongs to an unlinked account is refused with 409: that user logs in first and links.
#[utoipa::path(
    post,
    path = "/v1/auth/oauth/{provider}/callback",
    operation_id = "complete_oauth_login",
    tag = "Authentication",
    security(()),
    params(("provider" = String, Path)),
    request_body = OAuthCallback,
    responses(
        (status = 200, body = LoginResponse, description = "Logged in, or second factor needed"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        (status = 401, body = AuthError, description = "Authentication credentials missing or invalid"),
        (status = 403, body = AuthError, description = "Insufficient permissions"),
        (status = 404, body = AuthError, description = "Not found"),
        (status = 409, body = AuthError, description = "Conflicts with the current state"),
        (status = 413, body = AuthError, description = "Body too large"),
        (status = 415, body = AuthError, description = "Unsupported media type"),
        (status = 429, body = AuthError, description = "Too many attempts; see the Retry-After header",
            headers(("Retry-After" = isize))),
        (status = 503, body = AuthError, description = "The provider can't be reached, or onet is busy"),
    )
)]
pub(super) async fn complete_oauth_login(
    Extension(request): Extension<RequestFacts>,
    slug: Slug,
    State(Area { identity, oauth, .. }): State<Area>,
    change: Change<OAuthCallback>,
) -> ApiResult<Json<LoginResponse>> {
    let provider = slug.find(&oauth, |provider| provider.settings().login_enabled)?;
    let OAuthCallback {
        code,
        state,
        redirect_uri,
        iss,
        remember_me,
        trusted_device_token,
    } = change.body()?;
    let claim = Claim {
        provider: provider.slug().to_owned(),
        intent: Intent::Login,
        state: state.clone(),
        redirect_uri: redirect_uri.clone(),
        user: None,
    };
    let arrived = arrive(&identity, &oauth, &provider, claim, code, iss.clone()).await;
    let (journey, person) = arrived.map_err(Denial::into_login_error)?;
    let invitation_token = journey.invitation_token(&identity, state);
    let store = identity.store().clone();
    let desk = Desk { identity, request };
    let (remember_me, trusted_device_token) = (*remember_me, trusted_device_token.clone());
    let answer = store
        .write("complete_oauth_login", move |tx| {
            let user = match known_user(tx, &person)? {
                Some(user) => user,
                None => register_person(tx, &desk, &provider, &person, invitation_token.as_deref())?,
            };
            let first = FirstFactor {
                user: user.id,
                method: AuthMethod::Oauth,
                is_multi_factor: false,
                mailbox: Mailbox::Unknown,
                remember_me,
                trusted_device_token: trusted_device_token.clone(),
            };
            completion::proceed(tx, &desk, &first)
        })
        .await?;
    Ok(Json(answer))
}

/// Why an answer of a provider does not count.
pub(super) enum Denial {
    /// The state has ended, was used, or belongs elsewhere.
    State,
    /// The provider does not stand by the code, or what it says does not hold.
    Code,
    /// Anything else.
    Other(ApiError),
}

impl From<ApiError> for Denial {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

pub(super) const STATE_GONE: &str = "This login has expired or was completed already. Start again.";
pub(super) const CODE_REFUSED: &str = "The provider did not confirm this login. Start again.";

impl Denial {
    /// The code and the state are a login's credentials.
    fn into_login_error(self) -> ApiError {
        match self {
            Self::State => ApiError::unauthenticated("challenge_expired", STATE_GONE),
            Self::Code => ApiError::unauthenticated("invalid_code", CODE_REFUSED),
            Self::Other(error) => error,
        }
    }
}

/// Uses the state up, asks the provider whose the code is, and whether they may come in.
///
/// The state is used up before anything is asked: however often an answer is shown, and however long the provider
/// takes, its code is exchanged once.
pub(super) async fn arrive(
    identity: &Identity,
    providers: &Providers,
    provider: &Provider,
    claim: Claim,
    code: &str,
    iss: Option<String>,
) -> Result<(Journey, Person), Denial> {
    let state = claim.state.clone();
    let keeper = identity.clone();
    let journey = identity
        .store()
        .write("take_oauth_state", move |tx| {
            journey::take(tx, keeper.secrets(), &claim)
        })
        .await?
        .ok_or(Denial::State)?;
    let answer = Answer {
        code: code.to_owned(),
        iss,
        must_name_issuer: providers.are_many() && journey.redirect_uri != own_page(identity, provider.slug()),
    };
    let trip = Trip::resume(identity.secrets(), state, journey.redirect_uri.clone());
    let person = match provider.identify(&answer, &trip, identity.clock().now()).await {
        Ok(person) => person,
        Err(ProviderFault::Refused(cause)) => {
            tracing::warn!(provider = provider.slug(), cause, "an OAuth login was refused");
            return Err(Denial::Code);
        }
        Err(ProviderFault::Unavailable(cause)) => return Err(Denial::Other(provider.unavailable(&cause))),
    };
    let settings = provider.settings();
    if !rules::is_domain_allowed(&person, settings.kind, &settings.allowed_domains) {
        let detail = "Only people with a confirmed address in certain domains may use this provider here.";
        let error = ApiError::new(StatusCode::FORBIDDEN, "domain_not_allowed", detail);
        return Err(Denial::Other(error));
    }
    Ok((journey, person))
}

/// The user to whom the person is linked, locked; the connection's use is noted.
fn known_user(tx: &mut Tx<'_>, person: &Person) -> Result<Option<UserRow>, StoreError> {
    let Some(connection) = rows::find_person(tx.conn(), &person.issuer, &person.subject)? else {
        return Ok(None);
    };
    // The user first: whoever unlinks holds it too.
    let user = rows::lock_user(tx, connection.user_id)?;
    Ok(rows::note_use(tx, &connection, person)?.then_some(user))
}

/// An account for somebody who has none, where that is allowed.
///
/// An address that the provider has not confirmed opens none, whether it is taken or not: who claims the address of
/// another would wait in an account for them to come.
fn register_person(
    tx: &mut Tx<'_>,
    desk: &Desk,
    provider: &Provider,
    person: &Person,
    invitation_token: Option<&str>,
) -> ApiResult<UserRow> {
    let name = provider.settings().name();
    let email = person.email.as_ref().filter(|_| person.is_email_verified);
    let Some(email) = email else {
        let detail = format!(
            "{name} has not confirmed your e-mail address. Confirm it there, or log in another way and link {name}."
        );
        return Err(ApiError::new(StatusCode::FORBIDDEN, "email_not_verified", detail));
    };
    if find_by_email(tx.conn(), &email_key(email))?.is_some() {
        let detail = format!("An account with this address exists. Log in to it, then link {name}.");
        return Err(ApiError::new(StatusCode::CONFLICT, "account_exists", detail));
    }
    let is_invited = invitation_token.is_some();
    match desk.identity.settings().registration {
        Registration::Open => {}
        Registration::Invited if is_invited => {}
        Registration::Invited | Registration::Closed => return Err(register::closed()),
    }
    let new = Enrolment {
        email: email.clone(),
        email_verified: true,
        password_hash: None,
        first_name: person.first_name.chars().take(150).collect(),
        last_name: person.last_name.chars().take(150).collect(),
        language: Language::En,
        marketing_consent: false,
        organization_name: None,
        invitation_token: invitation_token.map(str::to_owned),
    };
    let user = register::create(tx, desk, &new).map_err(|error| {
        // The address was free a moment ago: this transaction has lost against another, and is tried again.
        let has_lost = error.status() == StatusCode::BAD_REQUEST && !is_invited;
        if has_lost {
            StoreError::Contended("the same address at once".to_owned()).into()
        } else {
            error
        }
    })?;
    connect(tx, desk, provider, person, &user)?;
    Ok(user)
}

/// The first connection of a new account.
fn connect(
    tx: &mut Tx<'_>,
    desk: &Desk,
    provider: &Provider,
    person: &Person,
    user: &UserRow,
) -> Result<(), StoreError> {
    let row = ConnectionRow {
        last_used_at: Some(tx.now()),
        ..new_connection(tx, provider, person, user)
    };
    rows::insert(tx, &row)?;
    let origin = Origin::caller(&user.caller(Id::new()), &desk.request);
    let incident = Incident {
        user,
        event: SecurityEvent::OauthLinked,
        description: "Registered with an identity provider",
        session: None,
        metadata: json!({"provider": provider.slug(), "registered": true}),
        letter: None,
    };
    security::record(tx, &desk.identity, &origin, &incident)
}

/// The row of a new connection.
pub(super) fn new_connection(
    tx: &Tx<'_>,
    provider: &Provider,
    person: &Person,
    user: &UserRow,
) -> ConnectionRow {
    ConnectionRow {
        id: Id::new(),
        user_id: user.id,
        provider: provider.slug().to_owned(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        email: person.email.clone(),
        display_name: person.display_name(),
        last_used_at: None,
        created: tx.now(),
    }
}
