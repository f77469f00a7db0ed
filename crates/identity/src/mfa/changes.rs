//! What switching a method on or off brings with it: recovery codes, the default, who is told.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Caller, Credential},
    audit::Origin,
    http::{ApiResult, RequestFacts},
    id::Id,
    store::{StoreError, Tx},
};
use serde_json::json;

use super::{
    Factors,
    api::MfaStatus,
    policy,
    proofs::{self, Proof},
    recovery, rows, status, trusted_devices,
};
use crate::{
    Identity,
    auth::MfaMethod,
    letters, schema,
    security::{self, Incident, SecurityEvent},
    state::Area,
    users::{self, UserRow},
};

/// A method's change: whose, by which request, in which session.
pub(crate) struct Change<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) origin: &'a Origin,
    /// Locked.
    pub(crate) user: &'a UserRow,
    pub(crate) session: Id<Credential>,
}

impl Change<'_> {
    /// Goes with enabling a method whose row was just written. `before` is how it was without it.
    ///
    /// Returns recovery codes where the account had no second factor before.
    ///
    /// # Errors
    /// The database refused.
    pub(crate) fn enabled(
        &self,
        tx: &mut Tx<'_>,
        method: MfaMethod,
        before: &Factors,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let default = self.user.mfa_default.filter(|default| before.has(*default));
        self.set_default(tx, Some(default.unwrap_or(method)))?;
        let codes = if before.is_enabled() {
            None
        } else {
            Some(recovery::renew(tx, self.identity, self.user.id)?)
        };
        self.tell(tx, SecurityEvent::MfaEnabled, letters::MFA_ENABLED, method)?;
        Ok(codes)
    }

    /// Goes with disabling a method whose row was just removed. The last one takes recovery codes and trusted devices
    /// with it.
    ///
    /// # Errors
    /// 409 if an organization demands a second factor and this was the last.
    pub(crate) fn disabled(&self, tx: &mut Tx<'_>, method: MfaMethod) -> ApiResult<()> {
        let left = Factors::of(tx.conn(), self.user.id)?;
        policy::check_removal(tx.conn(), self.user.id, &left)?;
        let default = self.user.mfa_default.filter(|default| left.has(*default));
        self.set_default(tx, default.or(left.methods().first().copied()))?;
        if !left.is_enabled() {
            recovery::forget(tx, self.user.id)?;
            trusted_devices::forget_trusted_devices(tx, self.user.id)?;
        }
        self.tell(tx, SecurityEvent::MfaDisabled, letters::MFA_DISABLED, method)?;
        Ok(())
    }

    /// The user's row shows which methods there are: it has changed too.
    fn set_default(&self, tx: &mut Tx<'_>, default: Option<MfaMethod>) -> Result<(), StoreError> {
        diesel::update(schema::users::table.find(self.user.id))
            .set((
                schema::users::mfa_default.eq(default),
                schema::users::modified.eq(tx.now()),
            ))
            .execute(tx.conn())?;
        Ok(())
    }

    fn tell(
        &self,
        tx: &mut Tx<'_>,
        event: SecurityEvent,
        template: &'static str,
        method: MfaMethod,
    ) -> Result<(), StoreError> {
        let enabled = event == SecurityEvent::MfaEnabled;
        let incident = Incident {
            user: self.user,
            event,
            description: if enabled {
                "Second factor enabled"
            } else {
                "Second factor disabled"
            },
            session: Some(self.session),
            metadata: json!({ "mfa_method": method }),
            letter: Some((template, json!({ "method": spoken(method) }))),
        };
        security::record(tx, self.identity, self.origin, &incident)
    }
}

/// What people call a method.
const fn spoken(method: MfaMethod) -> &'static str {
    match method {
        MfaMethod::Totp => "TOTP",
        MfaMethod::Email => "e-mail",
        MfaMethod::Webauthn => "passkey",
    }
}

/// Disables the authenticator app or mailed codes, given a proof. Disabling what is not enabled changes nothing.
///
/// # Errors
/// What [`proofs::require`] says; 409 if an organization demands a second factor and this is the last.
pub(super) async fn disable(
    area: Area,
    caller: Caller,
    request: RequestFacts,
    proof: Proof,
    method: MfaMethod,
) -> ApiResult<MfaStatus> {
    proofs::require(&area, &caller, &request, &proof).await?;
    let identity = area.identity;
    let store = identity.store().clone();
    let origin = Origin::caller(&caller, &request);
    store
        .write("disable_mfa", move |tx| {
            let user = users::lock(tx, caller.user)?;
            if Factors::of(tx.conn(), user.id)?.has(method) {
                rows::remove(tx, user.id, method)?;
                let change = Change {
                    identity: &identity,
                    origin: &origin,
                    user: &user,
                    session: caller.credential,
                };
                change.disabled(tx, method)?;
            }
            let user = users::find(tx.conn(), user.id)?;
            Ok(status::view(tx.conn(), &user)?)
        })
        .await
}
