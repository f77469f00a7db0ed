//! What follows a proof of who one is, the same for every way to log in.
//!
//! ```text
//! first factor ──► account in order? ──no──► 403 account_disabled, email_not_verified
//!                       │yes
//!                       ▼
//!                second factor needed? ──yes──► mfa_required with mfa_token ──► request_mfa_challenge ──► verify_mfa
//!                       │no                                                                                  │
//!                       ▼                                                                                    ▼
//!                    session ◄───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Everything here runs in the transaction that used up the proof.

use std::time::Duration;

use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl, dsl::exists, select};
use http::StatusCode;
use kernel::{
    access::{Credential, User},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    api::LoginResponse,
    challenges::{self, NewChallenge, Purpose},
    methods::{AuthMethod, MfaMethod, MfaStep},
    sessions::{self, NewSession},
    view,
};
use crate::{
    Identity,
    credentials::CredentialKind,
    letters,
    mfa::{self, Factors},
    schema::{credentials, oauth_connections, users},
    secrets,
    security::{self, Incident, SecurityEvent},
    users::{self as accounts, UserRow},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// How long the second factor may take to come.
pub(crate) const MFA_LIFETIME: Duration = Duration::from_secs(10 * MINUTE);

/// What a request that logs somebody in has at hand.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// The installation's secrets and settings.
    pub(crate) identity: Identity,
    /// From where the request came.
    pub(crate) request: RequestFacts,
}

/// What a first factor says about who reads the account's mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mailbox {
    /// Nothing.
    Unknown,
    /// The user has confirmed their registration by mail.
    Verification,
    /// A mailed code or link has logged the user in.
    Login,
}

/// A first factor that was proved.
#[derive(Clone, Debug)]
pub(crate) struct FirstFactor {
    /// Whose.
    pub(crate) user: Id<User>,
    /// How.
    pub(crate) method: AuthMethod,
    /// It counts as both factors: a passkey with user verification.
    pub(crate) is_multi_factor: bool,
    /// Whether it proves that the user reads the account's mail.
    pub(crate) mailbox: Mailbox,
    /// Whether the session shall have the long lifetime.
    pub(crate) remember_me: bool,
    /// What a remembered device shows.
    pub(crate) trusted_device_token: Option<String>,
}

/// What the second step needs to know of the first: the payload of a challenge for [`Purpose::Mfa`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The first factor.
    pub(crate) method: AuthMethod,
    /// Methods that may complete the login.
    pub(crate) methods: Vec<MfaStep>,
    /// As asked for at the first step.
    pub(crate) remember_me: bool,
}

/// A session to be opened, both factors being proved.
pub(crate) struct Opening {
    pub(crate) method: AuthMethod,
    /// The second factor, if one was asked for and given now.
    pub(crate) mfa: Option<MfaStep>,
    pub(crate) remember_me: bool,
    /// The trusted device that stood in for the second factor, or was made now.
    pub(crate) trusted_device: Option<Id<mfa::TrustedDevice>>,
}

/// Goes on after a first factor: a session, or the demand for a second factor.
///
/// # Errors
/// 403 for an account that is disabled or whose address is not verified.
pub(crate) fn proceed(tx: &mut Tx<'_>, desk: &Desk, first: &FirstFactor) -> ApiResult<LoginResponse> {
    let user = admit(tx, desk, first.user, first.mailbox)?;
    let factors = Factors::of(tx.conn(), user.id)?;
    let asked = methods_to_ask(&factors, first);
    if asked.is_empty() {
        return open(
            tx,
            desk,
            user,
            &Opening {
                method: first.method,
                mfa: None,
                remember_me: first.remember_me,
                trusted_device: None,
            },
        );
    }
    if let Some(token) = &first.trusted_device_token
        && let Some(device) = mfa::use_trusted_device(tx, desk, user.id, token)?
    {
        return open(
            tx,
            desk,
            user,
            &Opening {
                method: first.method,
                mfa: None,
                remember_me: first.remember_me,
                trusted_device: Some(device),
            },
        );
    }
    demand_second_factor(tx, desk, &user, &factors, asked, first)
}

/// The second factors that this login must be completed with one of; none where it is complete.
fn methods_to_ask(factors: &Factors, first: &FirstFactor) -> Vec<MfaMethod> {
    if first.is_multi_factor {
        return Vec::new();
    }
    let enabled = factors.methods().into_iter();
    // A code by mail says nothing new about who reads the mail already, nor a passkey about who has shown one.
    enabled
        .filter(|method| match method {
            MfaMethod::Totp => true,
            MfaMethod::Email => first.mailbox == Mailbox::Unknown,
            MfaMethod::Webauthn => first.method != AuthMethod::Passkey,
        })
        .collect()
}

fn demand_second_factor(
    tx: &mut Tx<'_>,
    desk: &Desk,
    user: &UserRow,
    factors: &Factors,
    asked: Vec<MfaMethod>,
    first: &FirstFactor,
) -> ApiResult<LoginResponse> {
    let mut methods: Vec<MfaStep> = asked.iter().map(|method| MfaStep::from(*method)).collect();
    if factors.recovery_codes_left > 0 {
        methods.push(MfaStep::RecoveryCode);
    }
    let default = user
        .mfa_default
        .filter(|method| asked.contains(method))
        .or(asked.first().copied());
    let token = secrets::new_challenge_token();
    let new = NewChallenge {
        purpose: Purpose::Mfa,
        user: Some(user.id),
        email_key: None,
        token: Some(&token),
        code: None,
        payload: Pending {
            method: first.method,
            methods: methods.clone(),
            remember_me: first.remember_me,
        },
        lifetime: MFA_LIFETIME,
    };
    challenges::issue(tx, desk.identity.secrets(), &new)?;
    Ok(LoginResponse::second_factor(
        token,
        methods,
        default,
        MFA_LIFETIME,
    ))
}

/// The user, locked, if the account may be logged in to now.
///
/// Whoever reads the mail of an address that was never confirmed owns it. A password that was set before that is
/// somebody else's guess at it, and is dropped (account pre-hijacking), unless this very mail confirms the registration.
///
/// # Errors
/// 403 for an account that is disabled, or whose address must be confirmed first.
pub(crate) fn admit(tx: &mut Tx<'_>, desk: &Desk, user: Id<User>, mailbox: Mailbox) -> ApiResult<UserRow> {
    let mut user = accounts::lock(tx, user)?;
    if !user.is_active || user.deleted_at.is_some() {
        let detail = "This account is disabled.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "account_disabled", detail));
    }
    if !user.email_verified && mailbox != Mailbox::Unknown {
        if mailbox == Mailbox::Login {
            user.password_hash = None;
            diesel::delete(oauth_connections::table.filter(oauth_connections::user_id.eq(user.id)))
                .execute(tx.conn())?;
            sessions::end_others(tx, user.id, None)?;
        }
        diesel::update(users::table.find(user.id))
            .set((
                users::email_verified.eq(true),
                users::password_hash.eq(&user.password_hash),
            ))
            .execute(tx.conn())?;
        user.email_verified = true;
    }
    if !user.email_verified && desk.identity.settings().email_verification {
        let detail = "Confirm your e-mail address first: follow the link that was mailed to you.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "email_not_verified", detail));
    }
    Ok(user)
}

/// Opens the session of a login that is complete, and tells the user if the device is new.
///
/// # Errors
/// The database refused.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    desk: &Desk,
    mut user: UserRow,
    opening: &Opening,
) -> ApiResult<LoginResponse> {
    let now = tx.now();
    let identity = &desk.identity;
    let session = Id::<Credential>::new();
    let origin = Origin::caller(&user.caller(session), &desk.request);
    keep_account(tx, desk, &mut user, &origin)?;
    let letter =
        is_new_device(tx, user.id, &desk.request.user_agent)?.then(|| (letters::NEW_DEVICE, json!({})));
    let lifetime = lifetime(identity, opening.remember_me);
    let refresh = secrets::new_refresh_token();
    let new = NewSession {
        id: session,
        user: user.id,
        request: &desk.request,
        method: opening.method,
        mfa: opening.mfa,
        trusted_device: opening.trusted_device,
        lifetime,
    };
    sessions::open(tx, &new, &identity.secrets().hash_token(&refresh))?;
    diesel::update(users::table.find(user.id))
        .set(users::last_login.eq(now))
        .execute(tx.conn())?;
    user.last_login = Some(now);
    let incident = Incident {
        user: &user,
        event: SecurityEvent::LoginSucceeded,
        description: "Logged in",
        session: Some(session),
        metadata: json!({
            "auth_method": opening.method,
            "mfa_method": opening.mfa,
            "trusted_device": opening.trusted_device.is_some(),
        }),
        letter,
    };
    security::record(tx, identity, &origin, &incident)?;
    let tokens = sessions::pair(identity, &(&new).into(), now, refresh)?;
    let user = view::user(tx.conn(), identity, user)?;
    Ok(LoginResponse::complete(tokens, session, user))
}

/// A login takes back the wish to be deleted.
fn keep_account(tx: &mut Tx<'_>, desk: &Desk, user: &mut UserRow, origin: &Origin) -> Result<(), StoreError> {
    if user.deletion_at.take().is_none() {
        return Ok(());
    }
    diesel::update(users::table.find(user.id))
        .set((
            users::deletion_at.eq(None::<kernel::time::Time>),
            users::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    let event = Event {
        action: "user.deletion_cancelled",
        resource_type: "user",
        resource_id: user.id.cast(),
        resource_name: user.email.clone(),
        description: "Logged in before the account's deletion: it is kept".to_owned(),
        changes: Changes::default(),
        status: AuditStatus::Success,
    };
    tx.audit(origin, None, None, &event)?;
    security::notify(
        tx,
        &desk.identity,
        origin,
        user,
        letters::ACCOUNT_RESTORED,
        &json!({}),
    )
}

/// Whether the user has logged in before, but never with this kind of browser or program.
fn is_new_device(tx: &mut Tx<'_>, user: Id<User>, user_agent: &str) -> Result<bool, StoreError> {
    let of_user = credentials::user_id
        .eq(user)
        .and(credentials::kind.eq(CredentialKind::Session));
    let known: bool = select(exists(
        credentials::table
            .filter(of_user)
            .filter(credentials::user_agent.eq(user_agent)),
    ))
    .get_result(tx.conn())?;
    if known {
        return Ok(false);
    }
    Ok(select(exists(credentials::table.filter(of_user))).get_result(tx.conn())?)
}

/// How long a session lives after its last refresh.
pub(crate) fn lifetime(identity: &Identity, remember_me: bool) -> Duration {
    let settings = identity.settings();
    if remember_me {
        Duration::from_secs(settings.refresh_remember_days.saturating_mul(DAY))
    } else {
        Duration::from_secs(settings.refresh_hours.saturating_mul(HOUR))
    }
}
