//! The generations of the key that signs access tokens, as all nodes come to know them; and questions about tokens.

use std::{net::IpAddr, time::Duration};

use kernel::{
    access::{Bearer, Caller},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{ApiError, ApiResult},
    id::Id,
    time::Time,
};

use super::{Identity, caller};
use crate::{auth::network, tokens::ring};

/// The pause between two readings of the generations because of tokens that name unknown ones.
const PAUSE: Duration = Duration::from_secs(2);

impl Identity {
    /// Counts a question about a token against its address.
    ///
    /// # Errors
    /// 429 for too many.
    pub(crate) fn count_token_check(&self, address: IpAddr) -> ApiResult<()> {
        let verdict = self.0.token_checks.count(network(address), self.0.clock.now());
        verdict
            .retry_after
            .map_or(Ok(()), |wait| Err(ApiError::throttled(wait)))
    }

    /// Reads the generations of signing keys again: what another node has begun or retired counts from now on.
    ///
    /// # Errors
    /// The database refused, or a key can't be derived.
    pub async fn renew_signing_keys(&self) -> ApiResult<()> {
        let mut read = self.0.keys_read.lock().await;
        *read = self.0.clock.now();
        self.read_signing_keys().await
    }

    async fn read_signing_keys(&self) -> ApiResult<()> {
        let rows = self.0.store.read("signing_keys", ring::load).await?;
        self.0.tokens.renew(&rows).map_err(ApiError::internal)
    }

    /// Begins a new generation of the key that signs access tokens, which this process signs with from now on and others
    /// half a minute later. Tokens of the earlier ones hold for their lifetime more, or with `retire_old_now` until the
    /// nodes have learnt of it. Returns the new generation's number. `actor` is who the audit log names.
    ///
    /// # Errors
    /// The database refused.
    pub async fn rotate_signing_key(&self, actor: &'static str, retire_old_now: bool) -> ApiResult<i64> {
        let lifetime = Duration::from_secs(self.0.settings.access_minutes.saturating_mul(60));
        let generation = self
            .0
            .store
            .write("rotate_signing_key", move |tx| {
                let generation = ring::rotate(tx, lifetime, retire_old_now)?;
                let event = Event {
                    action: "signing_key.rotated",
                    resource_type: "signing_key",
                    resource_id: Id::new(),
                    resource_name: format!("generation {generation}"),
                    description: if retire_old_now {
                        "New signing key; tokens of the earlier ones are refused".to_owned()
                    } else {
                        "New signing key; tokens of the earlier ones hold until they end".to_owned()
                    },
                    changes: Changes::default(),
                    status: AuditStatus::Success,
                };
                tx.audit(&Origin::system(actor), None, None, &event)?;
                Ok::<_, ApiError>(generation)
            })
            .await?;
        self.renew_signing_keys().await?;
        Ok(generation)
    }

    /// Reads the generations again if `token` names one that is not known. Tells whether it is now.
    pub(super) async fn look_for_key(&self, token: &str) -> ApiResult<bool> {
        let tokens = &self.0.tokens;
        if !tokens.names_unknown_key(token) {
            return Ok(false);
        }
        let mut read = self.0.keys_read.lock().await;
        // Whoever held the lock may have learnt it.
        if !tokens.names_unknown_key(token) {
            return Ok(true);
        }
        let now = self.0.clock.now();
        if now.since(*read) < PAUSE {
            return Ok(false);
        }
        *read = now;
        self.read_signing_keys().await?;
        Ok(!tokens.names_unknown_key(token))
    }

    /// Whom a credential belongs to, and since when there is one, if it holds. From where it is used does not matter, and
    /// this is no use of it.
    pub(crate) async fn inspect(&self, bearer: &Bearer) -> ApiResult<Option<(Caller, Time)>> {
        let found = self.find_holding("verify_token", bearer, None, None).await?;
        Ok(found.map(|(credential, user, _)| {
            let created = credential.created;
            (caller(bearer, credential, user), created)
        }))
    }
}
