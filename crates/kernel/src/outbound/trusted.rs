//! Requests to addresses that operators name: identity providers, payment providers.
//!
//! They may lie in a private network. That is why [`Outbound`](super::Outbound) is not used: to let it reach a provider
//! inside, its `allowed_networks` would have to be opened, and with them the network to every address that a customer
//! names. Still bounded in time and size, without redirects (a code or secret would follow them), and without what the
//! environment says of proxies.

use std::{sync::OnceLock, time::Duration};

use reqwest::redirect::Policy;

/// Time for a whole request.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer; key sets of identity providers are far smaller.
const LONGEST_ANSWER: usize = 1 << 20;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpFault {
    /// No connection, broken off, too slow. The text holds no secret: addresses are left out of it.
    #[error("{0}")]
    Failed(String),
    /// More than [`LONGEST_ANSWER`].
    #[error("the answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
}

impl From<reqwest::Error> for HttpFault {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(present) = cause {
            text = format!("{text}: {present}");
            cause = present.source();
        }
        Self::Failed(text)
    }
}

/// Makes requests; connections are kept for the next one.
#[derive(Debug, Default)]
pub struct Http {
    /// Made at the first request: reading the system's certificates takes a while.
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Http {
    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, HttpFault> {
        let client = self.client.get_or_init(connect).as_ref();
        let client = client.map_err(|fault| HttpFault::Failed(fault.clone()))?;
        let mut answer = client.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > LONGEST_ANSWER {
                return Err(HttpFault::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

fn connect() -> Result<reqwest::Client, String> {
    super::install_tls();
    reqwest::Client::builder()
        .timeout(TIME)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent("onet")
        .build()
        .map_err(|error| error.to_string())
}
