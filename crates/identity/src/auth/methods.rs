//! The ways to prove who one is.

kernel::words! {
    /// How a second factor is given
    pub enum MfaMethod {
        /// Authenticator app
        Totp = "totp",
        /// Email verification
        Email = "email",
        /// Security key or passkey
        Webauthn = "webauthn",
    }
}

kernel::words! {
    /// How a login can be completed
    pub enum MfaStep {
        /// Authenticator app
        Totp = "totp",
        /// Email verification
        Email = "email",
        /// Security key or passkey
        Webauthn = "webauthn",
        /// Recovery code
        RecoveryCode = "recovery_code",
    }
}

impl From<MfaMethod> for MfaStep {
    fn from(method: MfaMethod) -> Self {
        match method {
            MfaMethod::Totp => Self::Totp,
            MfaMethod::Email => Self::Email,
            MfaMethod::Webauthn => Self::Webauthn,
        }
    }
}

kernel::words! {
    /// The first factor of a login
    pub enum AuthMethod {
        /// Password
        Password = "password",
        /// Code or link by mail
        Passwordless = "passwordless",
        /// Identity provider
        Oauth = "oauth",
        /// Passkey
        Passkey = "passkey",
    }
}

/// The `amr` claim of a session's access tokens (RFC 8176, section 2).
pub(crate) fn references(first: AuthMethod, second: Option<MfaStep>) -> Vec<&'static str> {
    let mut methods = vec![match first {
        AuthMethod::Password => "pwd",
        AuthMethod::Passwordless => "otp",
        AuthMethod::Oauth => "fed",
        AuthMethod::Passkey => "hwk",
    }];
    if let Some(second) = second {
        methods.push(match second {
            MfaStep::Totp | MfaStep::Email | MfaStep::RecoveryCode => "otp",
            MfaStep::Webauthn => "hwk",
        });
        methods.push("mfa");
    }
    methods.dedup();
    methods
}
