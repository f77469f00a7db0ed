//! A password asked for again, by a caller who is logged in already.

use kernel::{
    access::Caller,
    http::{ApiResult, RequestFacts},
};

use super::guard;
use crate::{
    Identity,
    users::{email_key, find_by_email},
};

impl Identity {
    /// Whether `password` is the caller's. Wrong ones count like failed logins: who has found an open session can't
    /// try passwords faster than anybody else.
    ///
    /// # Errors
    /// 429 after too many wrong ones; 503.
    pub(crate) async fn confirm_password(
        &self,
        caller: &Caller,
        request: &RequestFacts,
        password: String,
    ) -> ApiResult<bool> {
        let (key, now) = (email_key(&caller.email), self.clock().now());
        guard::admit(self, &key, request, None).await?;
        let wanted = key.clone();
        let user = self
            .store()
            .read("confirm_password", move |conn| find_by_email(conn, &wanted))
            .await?;
        let hash = user.and_then(|user| user.password_hash);
        let is_right = self.passwords().verify(password, hash).await?;
        self.throttle()
            .judge(&key, request.address, now, is_right)
            .map(drop)?;
        Ok(is_right)
    }
}
