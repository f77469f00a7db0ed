//! What is known of every request before anyone looks at it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use http::{HeaderMap, header, request::Parts};

use super::error::ApiError;
use crate::{config::Network, id::Id};

/// Names the ids of requests.
#[derive(Debug)]
pub enum Request {}

/// Which request, from where.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The client's `X-Request-Id` if that is a UUID, otherwise one of ours.
    pub id: Id<Request>,
    /// The client's address, behind trusted proxies too.
    pub address: IpAddr,
    /// `User-Agent`, cut to 255 characters.
    pub user_agent: String,
}

impl RequestFacts {
    /// The facts that the envelope has put beside the request.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_else(|| Self {
            id: Id::new(),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            user_agent: String::new(),
        })
    }

    pub(super) fn read(request: &axum::extract::Request, proxies: &[Network]) -> Self {
        let headers = request.headers();
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        Self {
            id: text("x-request-id")
                .and_then(|id| id.parse().ok())
                .unwrap_or_default(),
            address: client_address(peer, headers, proxies),
            user_agent: text(header::USER_AGENT.as_str())
                .unwrap_or_default()
                .chars()
                .take(255)
                .collect(),
        }
    }
}

/// The right-most address of `X-Forwarded-For` that is no trusted proxy, if the peer is one; else the peer.
fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    if !trusted(peer) {
        return peer;
    }
    let hops = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        match hop.parse::<IpAddr>() {
            Ok(address) if trusted(address) => {}
            Ok(address) => return address.to_canonical(),
            // Whoever wrote this is not to be believed any further.
            Err(_) => break,
        }
    }
    peer
}

/// The path's `{id}`. Anything but a UUID names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct PathId<K: 'static>(pub Id<K>);

impl<K, S: Send + Sync> FromRequestParts<S> for PathId<K> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        id_of_path(parts, state, "id").await.map(Self)
    }
}

/// How paths name the id of something that belongs to the resource of `{id}`.
pub trait NamedInPaths: 'static {
    /// Without braces: `ip_id`.
    const NAME: &'static str;
}

/// The id of what belongs to the resource of the path. Anything but a UUID names nothing: 404.
#[derive(Debug)]
pub struct NestedId<K: NamedInPaths>(pub Id<K>);

impl<K: NamedInPaths, S: Send + Sync> FromRequestParts<S> for NestedId<K> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        id_of_path(parts, state, K::NAME).await.map(Self)
    }
}

async fn id_of_path<K: 'static, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<Id<K>, ApiError> {
    let path = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| ApiError::not_found())?;
    let id = path.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    id.and_then(|id| id.parse().ok()).ok_or_else(ApiError::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            "6.6.6.6, 203.0.113.9, 10.0.0.2".parse().unwrap(),
        );
        let client = |peer: &str| client_address(peer.parse().unwrap(), &headers, &proxies).to_string();
        assert_eq!(client("10.0.0.1"), "203.0.113.9");
        assert_eq!(client("198.51.100.1"), "198.51.100.1");
    }
}
