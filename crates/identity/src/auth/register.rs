//! `register`: a new account, with a personal organization and a default project.

use std::time::Duration;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use kernel::{
    access::User as UserKind,
    audit::{AuditStatus, Changes, Event, Origin},
    config::Registration,
    http::{ApiError, ApiResult, Body, Change, Faults, RequestFacts},
    id::Id,
    language::Language,
    openapi::Whole,
    store::Tx,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    AuthError, ValidationError,
    api::{LoginResponse, User},
    challenges::Purpose,
    completion::{self, Desk, Opening},
    methods::AuthMethod,
    password_rules,
    proof_mail::{self, Asked, Form},
    refusals::Public,
    view,
};
use crate::{
    Identity,
    accounts::{self, AccountError, NewUser},
    counters, invitations, letters,
    state::Area,
    users::{self, UserRow, email_key, find_by_email},
};

/// The body of `register`.
#[derive(Clone, Deserialize, ToSchema)]
pub(super) struct Register {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// At least 8 characters with one uppercase letter, one lowercase letter and one number.
    #[schema(
        format = "password",
        min_length = 8,
        max_length = 128,
        write_only,
        extensions(("x-verbatim" = json!(true)))
    )]
    password: String,
    #[schema(max_length = 150)]
    first_name: String,
    #[schema(max_length = 150)]
    last_name: String,
    #[serde(default)]
    #[schema(value_type = Language, required = false)]
    language: Option<Language>,
    /// Name of the personal organization created with the account; derived from the user name when absent.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255)]
    organization_name: Option<String>,
    /// Token of an organization invitation to accept together with the registration; it also proves the address, so
    /// no verification mail is sent.
    #[serde(default)]
    #[schema(value_type = String, required = false, max_length = 255, write_only)]
    invitation_token: Option<String>,
    /// Must be true where terms of service are configured.
    #[schema(write_only)]
    accept_terms: bool,
    #[serde(default)]
    #[schema(default = false)]
    marketing_consent: bool,
}

impl Body for Register {
    type Wire = Self;
}

/// A new account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegisterResponse {
    user: User,
    /// True when a verification mail was sent and login stays refused until it is followed.
    verification_required: bool,
    /// Access token; null while verification is required.
    #[schema(required)]
    access: Option<String>,
    /// Refresh token; null while verification is required.
    #[schema(required)]
    refresh: Option<String>,
    /// Lifetime of the access token in seconds.
    #[schema(required, value_type = Option<Whole>)]
    expires_in: Option<u64>,
}

/// [Authentication] Create an account
///
/// Creates a user together with a personal organization and a default project, and mails a verification link with a
/// code. The answer does not differ for an address that already has an account when verification is required; the owner
/// of that address gets a mail about it instead.
#[utoipa::path(
    post,
    path = "/v1/auth/register",
    operation_id = "register",
    tag = "Authentication",
    security(()),
    request_body = Register,
    responses(
        (status = 201, body = RegisterResponse, description = "Account created"),
        (status = 403, body = AuthError, description = "Registration is closed"),
        (status = 400, body = ValidationError, description = "Invalid request parameters"),
        Public,
    )
)]
pub(super) async fn register(
    Extension(request): Extension<RequestFacts>,
    State(Area { identity, .. }): State<Area>,
    change: Change<Register>,
) -> ApiResult<(StatusCode, Json<RegisterResponse>)> {
    let wanted = change.body()?.clone();
    let invited = wanted.invitation_token.is_some();
    match identity.settings().registration {
        Registration::Open => {}
        Registration::Invited if invited => {}
        Registration::Invited | Registration::Closed => return Err(closed()),
    }
    judge(&identity, &wanted)?;
    identity
        .mail_throttle()
        .count(&email_key(&wanted.email), request.address, identity.clock().now())?;
    let hash = identity.passwords().hash(wanted.password.clone()).await?;
    let desk = Desk { identity, request };
    let store = desk.identity.store().clone();
    let answer = store
        .write("register", move |tx| enrol(tx, &desk, &wanted, &hash))
        .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// 403: accounts are made by operators, or for whoever is invited.
pub(crate) fn closed() -> ApiError {
    let detail = "Registration is closed on this installation.";
    ApiError::new(StatusCode::FORBIDDEN, "registration_closed", detail)
}

fn judge(identity: &Identity, wanted: &Register) -> Result<(), Faults> {
    let mut faults = Faults::default();
    password_rules::judge(&mut faults, "password", &wanted.password, &wanted.email, None);
    let must_accept = !identity.settings().terms_url.is_empty();
    faults.check(
        "accept_terms",
        wanted.accept_terms || !must_accept,
        "The terms of service must be accepted.",
    );
    faults.into_result()
}

fn enrol(tx: &mut Tx<'_>, desk: &Desk, wanted: &Register, hash: &str) -> ApiResult<RegisterResponse> {
    let identity = &desk.identity;
    let must_verify = identity.settings().email_verification && wanted.invitation_token.is_none();
    let key = email_key(&wanted.email);
    if let Some(owner) = find_by_email(tx.conn(), &key)? {
        if !must_verify {
            let message = "A user with this email address already exists.";
            return Err(Faults::one("email", message).into());
        }
        letters::post(
            tx,
            identity,
            &owner,
            letters::ACCOUNT_EXISTS,
            json!({"login_url": identity.account_url("login")}),
        )?;
        return look_alike(tx, desk, wanted);
    }
    let new = Enrolment {
        email: wanted.email.clone(),
        email_verified: false,
        password_hash: Some(hash.to_owned()),
        first_name: wanted.first_name.clone(),
        last_name: wanted.last_name.clone(),
        language: wanted.language.unwrap_or(Language::En),
        marketing_consent: wanted.marketing_consent,
        organization_name: wanted.organization_name.clone(),
        invitation_token: wanted.invitation_token.clone(),
    };
    let user = create(tx, desk, &new)?;
    if must_verify {
        let asked = Asked::new(Form::Both, identity.account_url("verify-email"), &desk.request);
        proof_mail::ask(
            tx,
            identity,
            Purpose::VerifyEmail,
            &key,
            asked,
            verification(identity),
        )?;
        return Ok(RegisterResponse {
            user: view::user(tx.conn(), identity, user)?,
            verification_required: true,
            access: None,
            refresh: None,
            expires_in: None,
        });
    }
    let opening = Opening {
        method: AuthMethod::Password,
        mfa: None,
        remember_me: false,
        trusted_device: None,
    };
    let login: LoginResponse = completion::open(tx, desk, user.clone(), &opening)?;
    Ok(RegisterResponse {
        user: view::user(tx.conn(), identity, user)?,
        verification_required: false,
        access: login.access,
        refresh: login.refresh,
        expires_in: login.expires_in,
    })
}

/// How long a verification link works.
pub(super) fn verification(identity: &Identity) -> Duration {
    Duration::from_secs(identity.settings().verification_hours.saturating_mul(60 * 60))
}

/// What registering an address that is taken answers: a user that does not exist, as new ones look.
fn look_alike(tx: &mut Tx<'_>, desk: &Desk, wanted: &Register) -> ApiResult<RegisterResponse> {
    let row = UserRow::new(
        Id::<UserKind>::new(),
        counters::next(tx, "users")?,
        wanted.email.trim(),
        tx.now(),
    );
    let row = UserRow {
        password_hash: Some(String::new()),
        first_name: wanted.first_name.clone(),
        last_name: wanted.last_name.clone(),
        language: wanted.language.unwrap_or(Language::En),
        marketing_consent: wanted.marketing_consent,
        ..row
    };
    Ok(RegisterResponse {
        user: view::user(tx.conn(), &desk.identity, row)?,
        verification_required: true,
        access: None,
        refresh: None,
        expires_in: None,
    })
}

/// An account to be made, however its owner came here.
pub(crate) struct Enrolment {
    pub(crate) email: String,
    /// Whether somebody trustworthy says that the address is theirs: an identity provider.
    pub(crate) email_verified: bool,
    pub(crate) password_hash: Option<String>,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) language: Language,
    pub(crate) marketing_consent: bool,
    /// Of the personal organization; from the user's name if absent.
    pub(crate) organization_name: Option<String>,
    /// Proves the address too, since it was mailed there.
    pub(crate) invitation_token: Option<String>,
}

/// Makes an account with a personal organization and a default project, and accepts the invitation that brought it.
///
/// # Errors
/// 400 if the address is taken, or the invitation is not for it.
pub(crate) fn create(tx: &mut Tx<'_>, desk: &Desk, new: &Enrolment) -> ApiResult<UserRow> {
    let user = NewUser {
        email: new.email.clone(),
        password_hash: new.password_hash.clone(),
        first_name: new.first_name.clone(),
        last_name: new.last_name.clone(),
        is_staff: false,
        language: new.language,
    };
    let id = accounts::create_user(tx, user).map_err(taken)?;
    users::set_verified(tx, id, new.email_verified || new.invitation_token.is_some())?;
    users::set_marketing_consent(tx, id, new.marketing_consent)?;
    let row = users::find(tx.conn(), id)?;
    let organization = new
        .organization_name
        .clone()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| row.name().unwrap_or_else(|| row.email.clone()));
    let (organization, _) = accounts::create_organization(tx, &organization, id)?;
    let origin = Origin::caller(&row.caller(Id::new()), &desk.request);
    let event = Event {
        action: "user.registered",
        resource_type: "user",
        resource_id: id.cast(),
        resource_name: row.email.clone(),
        description: "Account created".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(&origin, Some(organization), None, &event)?;
    if let Some(token) = &new.invitation_token {
        invitations::accept_in(&desk.identity, tx, id, token, &origin).map_err(|error| {
            if error.status().is_client_error() {
                Faults::one("invitation_token", "This invitation is not valid.").into()
            } else {
                error
            }
        })?;
    }
    Ok(row)
}

fn taken(error: AccountError) -> ApiError {
    match error {
        AccountError::DuplicateEmail(_) => {
            Faults::one("email", "A user with this email address already exists.").into()
        }
        AccountError::InvalidEmail(_) => Faults::one("email", "Enter a valid email address.").into(),
        AccountError::Store(error) => error.into(),
    }
}
