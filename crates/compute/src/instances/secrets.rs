//! What lets people into a machine: the administrator's password, given or made up, and the customer's document, sealed.
//! Made before the transaction, since hashing takes its time.

use kernel::{
    http::{ApiResult, Faults},
    id::Id,
    store::{StoreError, Tx},
    tasks::TaskId,
};

use super::{
    api::InstanceKind,
    order::{SecretDocument, user_data_fault},
};
use crate::{
    Compute,
    machines::{passwords, plan},
    tasks::secrets,
};

/// Sealed secrets for a machine.
#[derive(Default)]
pub(super) struct Secrets {
    /// Shown once, by the task that sets it.
    generated: Option<String>,
    pub(super) password: Option<String>,
    pub(super) user_data: Option<String>,
}

/// Where a password will be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The machine's own system.
    Own,
    /// The rescue system.
    Rescue,
}

impl Secrets {
    /// Seals a password, or one that is made up if `generate` says so and none is given.
    pub(super) async fn make(
        compute: &Compute,
        id: Id<InstanceKind>,
        place: Place,
        password: Option<&SecretDocument>,
        generate: bool,
    ) -> ApiResult<Self> {
        let generated = (password.is_none() && generate).then(passwords::generate);
        let clear = generated.clone().or_else(|| password.map(|text| text.0.clone()));
        let Some(clear) = clear else {
            return Ok(Self::default());
        };
        let what = match place {
            Place::Own => "password",
            Place::Rescue => "rescue_password",
        };
        let hashed = passwords::hash(clear).await?;
        let password = compute
            .app
            .sealer()
            .seal(&plan::seal_context(id, what), hashed.as_bytes());
        Ok(Self {
            generated,
            password: Some(password),
            user_data: None,
        })
    }

    /// With the customer's document.
    pub(super) fn with_user_data(
        mut self,
        compute: &Compute,
        id: Id<InstanceKind>,
        text: Option<&SecretDocument>,
    ) -> Self {
        let seal = |text: &SecretDocument| {
            let context = plan::seal_context(id, "user_data");
            compute.app.sealer().seal(&context, text.0.as_bytes())
        };
        self.user_data = text.filter(|text| !text.0.is_empty()).map(seal);
        self
    }

    /// Whether the password was made up.
    pub(super) const fn is_generated(&self) -> bool {
        self.generated.is_some()
    }

    /// Keeps a password that was made up for who has asked for the task.
    ///
    /// # Errors
    /// The database refused.
    pub(super) fn hand_over<P>(
        &self,
        tx: &mut Tx<'_>,
        compute: &Compute,
        scope: &kernel::access::ProjectScope<P>,
        task: TaskId,
    ) -> Result<(), StoreError> {
        match &self.generated {
            Some(password) => secrets::keep(tx, compute.app.sealer(), task, scope.caller.user, password),
            None => Ok(()),
        }
    }
}

/// Notes what is wrong with secrets that somebody has chosen.
pub(super) fn check(
    password: Option<&SecretDocument>,
    user_data: Option<&SecretDocument>,
    faults: &mut Faults,
) {
    if let Some(fault) = password.and_then(|text| passwords::fault(&text.0)) {
        faults.add("password", fault);
    }
    if let Some(fault) = user_data.and_then(|text| user_data_fault(&text.0)) {
        faults.add("user_data", fault);
    }
}
