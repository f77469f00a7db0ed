//! Requests to addresses that customers name, such as webhooks.
//!
//! Whoever names an address may name one that only this host can reach: the database beside it, the metadata service
//! of a cloud, a neighbour's console (server-side request forgery, OWASP A10). So names are resolved here, each address
//! is judged ([`addresses`]), and the connection goes to the very address that was judged: a name that means something
//! else a moment later changes nothing. Each redirect is judged anew. Time and size are bounded, no proxy of the
//! environment is used, nothing is remembered between requests.

pub mod addresses;
mod download;
mod resolver;
pub mod trusted;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Url, redirect};

pub use self::download::{Download, DownloadError};
use self::resolver::GuardedResolver;
use crate::config;

/// The longest address that is called.
const LONGEST_URL: usize = 2048;
/// The most redirects that [`Call::redirects`] may ask for.
const MOST_REDIRECTS: u8 = 3;

/// A client that calls public addresses only. Clones share it.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    settings: config::Outbound,
    /// Made at the first request: reading the system's certificates takes a while.
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Outbound").field(&self.0.settings).finish()
    }
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// GET, POST, …
    pub method: Method,
    /// An absolute https:// address (http:// where the settings allow it).
    pub url: String,
    /// Header fields. They are not sent on to another origin by a redirect.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// How many redirects are followed, 3 at most. A redirect that is not followed is the answer.
    pub redirects: u8,
    /// Bytes of the answer's body that are read; the rest is cut off.
    pub longest_answer: usize,
    /// Time for all of it: resolving, redirects, the body of the answer.
    pub time: Duration,
}

impl Call {
    /// A request that follows no redirect, takes ten seconds at most and reads 64 KiB of the answer.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects: 0,
            longest_answer: 65_536,
            time: Duration::from_secs(10),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether `body` is all of it.
    pub is_whole: bool,
}

/// Why there is no answer, in words that a customer may read: nothing of our network is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It is no address that is called.
    #[error("{0}")]
    BadAddress(&'static str),
    /// It leads to an address that is not public.
    #[error("The address is not reachable on the public internet.")]
    Forbidden,
    /// The name has no address.
    #[error("The host name could not be resolved.")]
    Unresolved,
    /// Nobody answered there.
    #[error("The connection failed.")]
    Unreachable,
    /// The certificate, or TLS itself.
    #[error("No secure connection could be made: check the server's certificate.")]
    Tls,
    /// It took too long.
    #[error("The answer did not arrive in time.")]
    TimedOut,
    /// It was no HTTP, or ended early.
    #[error("The answer could not be read.")]
    Broken,
    /// More redirects than the call follows.
    #[error("Too many redirects.")]
    Redirects,
    /// This host can't make requests. The reason is in the log.
    #[error("Requests can't be made at the moment.")]
    Unavailable,
}

/// Names the process's cryptography for TLS, which every HTTP client of the process needs to be made.
///
/// [`Outbound::new`] does it, so a process with an [`App`](crate::App) has it; tests without one do it themselves.
pub fn install_tls() {
    // Fails if the process has a provider already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Outbound {
    /// A client with these settings.
    pub fn new(settings: &config::Outbound) -> Self {
        install_tls();
        Self(Arc::new(Inner {
            settings: settings.clone(),
            client: OnceLock::new(),
        }))
    }

    /// Judges an address without calling it, as far as it can be judged without resolving its name: for refusing it
    /// where it is entered.
    ///
    /// # Errors
    /// Why it will never be called.
    pub fn judge(&self, url: &str) -> Result<(), OutboundError> {
        self.target(url).map(drop)
    }

    /// Makes the request.
    ///
    /// # Errors
    /// There is no answer. An answer of any status is an answer.
    pub async fn send(&self, call: Call) -> Result<Reply, OutboundError> {
        let (limit, longest) = (call.time, call.longest_answer);
        let answered = async { read(self.follow(call).await?, longest).await };
        tokio::time::timeout(limit, answered)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))
    }

    /// Makes the request and those that redirects ask for; the last answer's body is still to be read.
    async fn follow(&self, call: Call) -> Result<reqwest::Response, OutboundError> {
        let mut url = self.target(&call.url)?;
        let (mut method, mut headers, mut body) = (call.method, call.headers, call.body);
        let mut left = call.redirects.min(MOST_REDIRECTS);
        loop {
            let response = self
                .client()?
                .request(method.clone(), url.clone())
                .headers(headers.clone())
                .body(body.clone())
                .send()
                .await
                .map_err(|error| explain(&error))?;
            let Some(next) = redirected(&response).filter(|_| call.redirects > 0) else {
                return Ok(response);
            };
            left = left.checked_sub(1).ok_or(OutboundError::Redirects)?;
            let next = url
                .join(&next)
                .map_err(|_| OutboundError::BadAddress("The redirect leads to no valid address."))?;
            let next = self.target(next.as_str())?;
            // RFC 9110, 15.4: 303 always asks with GET, 301 and 302 do so for POST as everybody does.
            let status = response.status();
            let becomes_get = status == StatusCode::SEE_OTHER
                || (method == Method::POST && matches!(status.as_u16(), 301 | 302));
            if becomes_get && method != Method::HEAD {
                method = Method::GET;
                body = Bytes::new();
                headers.remove(header::CONTENT_TYPE);
            }
            if next.origin() != url.origin() {
                headers.clear();
            }
            url = next;
        }
    }

    /// The address, if it may be called as far as can be seen without resolving its name.
    fn target(&self, url: &str) -> Result<Url, OutboundError> {
        if url.len() > LONGEST_URL {
            return Err(OutboundError::BadAddress("The address is too long."));
        }
        let url = Url::parse(url).map_err(|_| OutboundError::BadAddress("Enter a valid URL."))?;
        match url.scheme() {
            "https" => {}
            "http" if self.0.settings.allow_http => {}
            _ => {
                return Err(OutboundError::BadAddress("The address must begin with https://."));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::BadAddress(
                "The address must not contain a user name or password.",
            ));
        }
        // Also the odd spellings (127.1, 0x7f000001): the parser has made addresses of them.
        let host = url
            .host_str()
            .ok_or(OutboundError::BadAddress("Enter a valid URL."))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>()
            && !addresses::may_be_called(address, &self.0.settings.allowed_networks)
        {
            return Err(OutboundError::Forbidden);
        }
        Ok(url)
    }

    fn client(&self) -> Result<&reqwest::Client, OutboundError> {
        let made = self.0.client.get_or_init(|| {
            reqwest::Client::builder()
                .user_agent(concat!("onet/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(Duration::from_secs(5))
                // A connection kept open would be one that was judged under older settings of its name.
                .pool_max_idle_per_host(0)
                .dns_resolver(Arc::new(GuardedResolver::new(
                    self.0.settings.allowed_networks.clone(),
                )))
                .build()
                .map_err(|error| format!("{error:?}"))
        });
        made.as_ref().map_err(|error| {
            tracing::error!(error, "no client for outbound requests");
            OutboundError::Unavailable
        })
    }
}

/// Where a redirect leads.
fn redirected(response: &reqwest::Response) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?;
    location.to_str().ok().map(str::to_owned)
}

/// Reads the answer's body as far as it is wanted.
async fn read(mut response: reqwest::Response, longest: usize) -> Result<Reply, OutboundError> {
    let mut body = BytesMut::new();
    let mut is_whole = true;
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        let room = longest - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            is_whole = false;
            break;
        }
    }
    Ok(Reply {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
        is_whole,
    })
}

/// The reason that a customer may read; the whole chain of causes goes to the log.
fn explain(error: &reqwest::Error) -> OutboundError {
    tracing::debug!(?error, "an outbound request failed");
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(present) = cause {
        if let Some(ours) = present.downcast_ref::<OutboundError>() {
            return ours.clone();
        }
        if present.is::<rustls::Error>() {
            return OutboundError::Tls;
        }
        // An `io::Error` does not name what it wraps as its source, but what lies behind that.
        cause = match present
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::get_ref)
        {
            Some(inner) => inner.map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => present.source(),
        };
    }
    if error.is_timeout() {
        OutboundError::TimedOut
    } else if error.is_connect() {
        OutboundError::Unreachable
    } else {
        OutboundError::Broken
    }
}

#[cfg(test)]
mod tests;
