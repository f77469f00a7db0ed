//! The way through a provider and back: what begins it, and what of it must come back.

use std::time::Duration;

use kernel::{
    access::User,
    http::ApiResult,
    id::Id,
    store::{StoreError, Tx},
};
use serde::{Deserialize, Serialize};

use super::api::Intent;
use crate::{
    Identity,
    auth::challenges::{self, NewChallenge, Purpose},
    secrets::{self, Secrets},
};

/// How long the way may take.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The secrets of one way.
///
/// `state` goes through the browser. The other two are keyed hashes of it, so that they need not be stored: the
/// database holds a hash of the state alone, and who sees the state can't compute them.
pub(super) struct Trip {
    /// Binds the answer to the beginning (RFC 6749, section 10.12).
    pub(super) state: String,
    /// Binds the ID token to the beginning (OpenID Connect Core, section 3.1.2.1).
    pub(super) nonce: String,
    /// PKCE's: 64 characters, and only their hash goes through the browser (RFC 7636, section 4.1).
    pub(super) verifier: String,
    /// Where the browser comes back to.
    pub(super) redirect_uri: String,
}

impl Trip {
    /// A new way.
    pub(super) fn begin(secrets: &Secrets, redirect_uri: &str) -> Self {
        Self::resume(secrets, secrets::new_challenge_token(), redirect_uri.to_owned())
    }

    /// The way that began with `state`.
    pub(super) fn resume(secrets: &Secrets, state: String, redirect_uri: String) -> Self {
        Self {
            nonce: secrets.hash_token(&format!("oauth-nonce/1:{state}")),
            verifier: secrets.hash_token(&format!("oauth-verifier/1:{state}")),
            state,
            redirect_uri,
        }
    }
}

/// What is remembered of a way: the payload of a challenge for [`Purpose::Oauth`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journey {
    /// The provider's slug: an answer counts at this provider only (RFC 9700, section 4.4).
    pub(super) provider: String,
    /// What for.
    pub(super) intent: Intent,
    /// To the letter, as the provider compares it again when the code is exchanged.
    pub(super) redirect_uri: String,
    /// The token of the invitation that a new account would use, sealed.
    pub(super) invitation: Option<String>,
}

impl Journey {
    /// The token of the invitation; `None` too if the master secret has changed meanwhile.
    pub(super) fn invitation_token(&self, identity: &Identity, state: &str) -> Option<String> {
        let sealed = self.invitation.as_ref()?;
        let opened = identity.sealer().open(&sealed_for(state), sealed).ok()?;
        String::from_utf8(opened).ok()
    }
}

/// Seals the token of an invitation for the way that begins with `state`.
pub(super) fn seal(identity: &Identity, state: &str, token: &str) -> String {
    identity.sealer().seal(&sealed_for(state), token.as_bytes())
}

fn sealed_for(state: &str) -> String {
    format!("oauth-invitation/{state}")
}

/// Remembers a way; one for `link` belongs to its user.
pub(super) fn remember(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    state: &str,
    user: Option<Id<User>>,
    journey: &Journey,
) -> Result<(), StoreError> {
    let new = NewChallenge {
        purpose: Purpose::Oauth,
        user,
        email_key: None,
        token: Some(state),
        code: None,
        payload: journey,
        lifetime: LIFETIME,
    };
    challenges::issue(tx, secrets, &new).map(drop)
}

/// What an answer of a provider claims to belong to.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) provider: String,
    pub(super) intent: Intent,
    pub(super) state: String,
    /// If the client repeats it.
    pub(super) redirect_uri: Option<String>,
    /// Who is logged in, for `link`.
    pub(super) user: Option<Id<User>>,
}

/// Uses the state up and gives what was remembered. `None` if it has ended, was used, never was, or belongs to
/// another provider, intent, page or user; then it is used up too: somebody has it who should not.
///
/// The transaction must be committed in any case.
pub(super) fn take(tx: &mut Tx<'_>, secrets: &Secrets, claim: &Claim) -> ApiResult<Option<Journey>> {
    let Some(row) = challenges::lock_by_token(tx, secrets, Purpose::Oauth, &claim.state)? else {
        return Ok(None);
    };
    if !challenges::use_up(tx, row.id)? {
        return Ok(None);
    }
    let journey: Journey = row.payload()?;
    let is_its_own = journey.provider == claim.provider
        && journey.intent == claim.intent
        && row.user_id == claim.user
        && claim
            .redirect_uri
            .as_ref()
            .is_none_or(|repeated| *repeated == journey.redirect_uri);
    if !is_its_own {
        tracing::warn!(
            began = journey.provider,
            ended = claim.provider,
            "the state of an OAuth login was shown where it does not belong"
        );
    }
    Ok(is_its_own.then_some(journey))
}
