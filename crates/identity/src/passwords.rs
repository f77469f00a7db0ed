//! Passwords: argon2id (RFC 9106), a few at a time.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use kernel::{
    config::Auth,
    http::{ApiError, ApiResult},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes passwords and compares them, without letting a flood of logins take all processors and memory.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    /// Of no password: what an unknown account's password is compared with, so that it takes as long.
    dummy: String,
    /// Hashing and waiting.
    places: Arc<Semaphore>,
    /// Hashing.
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords")
            .field("params", self.0.argon2.params())
            .finish_non_exhaustive()
    }
}

impl Passwords {
    /// Prepares hashing at the configured cost; takes as long as hashing one password.
    ///
    /// # Errors
    /// The configured cost is out of argon2's range.
    pub fn new(settings: &Auth) -> Result<Self, password_hash::Error> {
        let params = Params::new(
            settings.argon2_memory_kib,
            settings.argon2_passes,
            settings.argon2_lanes,
            None,
        )?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = argon2.hash_password(b"")?.to_string();
        Ok(Self(Arc::new(Inner {
            argon2,
            dummy,
            places: Arc::new(Semaphore::new(
                settings
                    .hashing_concurrency
                    .saturating_add(settings.hashing_queue),
            )),
            turns: Arc::new(Semaphore::new(settings.hashing_concurrency)),
        })))
    }

    /// The PHC string of a password, with a random salt.
    ///
    /// # Errors
    /// Too many wait already (503); argon2 failed.
    pub async fn hash(&self, password: String) -> ApiResult<String> {
        self.run(move |inner| inner.argon2.hash_password(password.as_bytes()))
            .await?
            .map(|hash| hash.to_string())
            .map_err(ApiError::internal)
    }

    /// Whether `password` is the one that was hashed. Without a hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// Too many wait already (503); the stored hash can't be read.
    pub async fn verify(&self, password: String, hash: Option<String>) -> ApiResult<bool> {
        let known = hash.is_some();
        let outcome = self
            .run(move |inner| {
                let hash = hash.as_ref().unwrap_or(&inner.dummy);
                let hash = PasswordHash::new(hash)?;
                inner.argon2.verify_password(password.as_bytes(), &hash)
            })
            .await?;
        match outcome {
            Ok(()) => Ok(known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(ApiError::internal(error)),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, password_hash::Error> + Send + 'static,
    ) -> ApiResult<Result<T, password_hash::Error>> {
        let place = Arc::clone(&self.0.places)
            .try_acquire_owned()
            .map_err(|_| ApiError::unavailable("Too many logins are being checked; try again."))?;
        let turn = Arc::clone(&self.0.turns)
            .acquire_owned()
            .await
            .map_err(ApiError::internal)?;
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            // Held here, not by the request: a client that goes away does not stop the hashing it asked for.
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, turn);
            work(&inner)
        })
        .await
        .map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kernel::config::Config;

    use super::*;

    fn cheap() -> Auth {
        Auth {
            argon2_memory_kib: 64,
            hashing_concurrency: 1,
            hashing_queue: 0,
            ..Config::load(None, Path::new("unused")).unwrap().auth
        }
    }

    #[tokio::test]
    async fn passwords_are_compared_whole_and_exactly() {
        let passwords = Passwords::new(&cheap()).unwrap();
        let hash = passwords.hash(" Päss ".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        let verify = |text: &str, hash: &str| passwords.verify(text.to_owned(), Some(hash.to_owned()));
        assert!(verify(" Päss ", &hash).await.unwrap());
        assert!(!verify("Päss", &hash).await.unwrap());
        assert!(verify("x", "no hash").await.is_err());
    }

    #[tokio::test]
    async fn no_account_has_no_password() {
        let passwords = Passwords::new(&cheap()).unwrap();
        assert!(!passwords.verify(String::new(), None).await.unwrap());
        assert!(!passwords.verify("x".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_is_refused_at_once() {
        let passwords = Passwords::new(&cheap()).unwrap();
        let held = passwords.0.places.try_acquire().unwrap();
        let refused = passwords.hash("x".to_owned()).await.unwrap_err();
        assert_eq!(refused.status(), 503);
        drop(held);
        assert!(passwords.hash("x".to_owned()).await.is_ok());
    }
}
