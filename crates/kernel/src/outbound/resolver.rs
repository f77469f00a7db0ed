//! Names to addresses, of which only those that may be called are handed on.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{OutboundError, addresses::may_be_called};
use crate::config::Network;

/// The system's resolver, with a judgement on what it says.
pub(super) struct GuardedResolver {
    allowed: Vec<Network>,
}

impl GuardedResolver {
    pub(super) const fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|_| OutboundError::Unresolved)?
                .collect();
            Ok(judged(found, &allowed)?)
        })
    }
}

/// The addresses that may be called, if there are any.
fn judged(found: Vec<SocketAddr>, allowed: &[Network]) -> Result<Addrs, OutboundError> {
    if found.is_empty() {
        return Err(OutboundError::Unresolved);
    }
    let good: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| may_be_called(address.ip(), allowed))
        .collect();
    if good.is_empty() {
        return Err(OutboundError::Forbidden);
    }
    Ok(Box::new(good.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_mixed_addresses_only_the_public_ones_are_tried() {
        let found = ["127.0.0.1:0", "1.1.1.1:0", "[::1]:0"].map(|text| text.parse().unwrap());
        let good: Vec<SocketAddr> = judged(found.to_vec(), &[]).ok().unwrap().collect();
        assert_eq!(good, ["1.1.1.1:0".parse().unwrap()]);
        let none = judged(vec!["10.0.0.1:0".parse().unwrap()], &[]);
        assert_eq!(none.err(), Some(OutboundError::Forbidden));
        assert_eq!(judged(Vec::new(), &[]).err(), Some(OutboundError::Unresolved));
    }
}
