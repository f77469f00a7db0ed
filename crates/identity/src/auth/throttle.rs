//! Guessing, slowed down: failures are counted by account and address, by address alone, and by account alone.
//!
//! An account that is attacked from many addresses is closed to places that its user was never seen at
//! ([`Throttle::is_besieged`]); the user's own devices still get in, so that nobody can lock them out by guessing.
//!
//! In memory, so that an attack costs no writes: each node counts its own.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kernel::{
    http::{ApiError, ApiResult},
    time::Time,
};

/// Failures are forgotten this long after the first of them.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Windows kept of each kind; then the oldest are forgotten.
const MOST: usize = 50_000;

#[derive(Clone, Copy)]
struct Window {
    began: Time,
    failures: u32,
}

/// Counts failed logins.
pub(crate) struct Throttle {
    per_account: u32,
    per_address: u32,
    anywhere: u32,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    accounts: HashMap<(String, u128), Window>,
    addresses: HashMap<u128, Window>,
    anywhere: HashMap<String, Window>,
}

/// What a failure has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Counted,
    /// The account is closed to strangers from now on: this was the failure that did it.
    Besieged,
}

impl Throttle {
    /// Allows so many failures in a window.
    pub(crate) fn new(per_account: u32, per_address: u32, anywhere: u32) -> Self {
        Self {
            per_account,
            per_address,
            anywhere,
            counts: Mutex::default(),
        }
    }

    /// Refuses an attempt before anything is computed for it.
    ///
    /// # Errors
    /// 429 until the window ends.
    pub(crate) fn admit(&self, account: &str, address: IpAddr, now: Time) -> ApiResult<()> {
        let key = (account.to_owned(), network(address));
        self.check(
            &self.counts.lock().unwrap_or_else(PoisonError::into_inner),
            &key,
            now,
        )
    }

    /// Counts the outcome of an attempt.
    ///
    /// Of many attempts that were admitted at once, those judged after the limit was reached get no answer
    /// either, not even that they were right.
    ///
    /// # Errors
    /// 429 until the window ends.
    pub(crate) fn judge(
        &self,
        account: &str,
        address: IpAddr,
        now: Time,
        is_right: bool,
    ) -> ApiResult<Verdict> {
        let key = (account.to_owned(), network(address));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(&counts, &key, now)?;
        if is_right {
            counts.accounts.remove(&key);
            return Ok(Verdict::Counted);
        }
        add(&mut counts.addresses, key.1, now);
        add(&mut counts.accounts, key, now);
        if account.is_empty() {
            return Ok(Verdict::Counted);
        }
        let failures = add(&mut counts.anywhere, account.to_owned(), now);
        Ok(if failures == self.anywhere {
            Verdict::Besieged
        } else {
            Verdict::Counted
        })
    }

    /// Counts a request that is limited whatever becomes of it: one that has a mail sent.
    ///
    /// # Errors
    /// 429 until the window ends.
    pub(crate) fn count(&self, account: &str, address: IpAddr, now: Time) -> ApiResult<()> {
        self.judge(account, address, now, false).map(drop)
    }

    /// How long an account is still closed to places that its user was never seen at.
    pub(crate) fn is_besieged(&self, account: &str, now: Time) -> Option<Duration> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = wait(&counts.anywhere, account, self.anywhere, now);
        (!left.is_zero()).then_some(left)
    }

    fn check(&self, counts: &Counts, key: &(String, u128), now: Time) -> ApiResult<()> {
        // Guesses that name no account are limited by address alone.
        let account = if key.0.is_empty() {
            Duration::ZERO
        } else {
            wait(&counts.accounts, key, self.per_account, now)
        };
        let address = wait(&counts.addresses, &key.1, self.per_address, now);
        let longest = account.max(address);
        if longest.is_zero() {
            return Ok(());
        }
        metrics::counter!("onet_logins_throttled").increment(1);
        Err(refusal(longest))
    }
}

/// 429 for so long.
pub(crate) fn refusal(left: Duration) -> ApiError {
    ApiError::throttled(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// How long `key` must wait; zero if it need not.
fn wait<K: Hash + Eq + Borrow<Q>, Q: Hash + Eq + ?Sized>(
    windows: &HashMap<K, Window>,
    key: &Q,
    limit: u32,
    now: Time,
) -> Duration {
    windows
        .get(key)
        .filter(|window| window.failures >= limit)
        .map_or(Duration::ZERO, |window| (window.began + WINDOW).since(now))
}

/// Counts a failure and tells how many there have been in its window.
fn add<K: Hash + Eq>(windows: &mut HashMap<K, Window>, key: K, now: Time) -> u32 {
    if windows.len() >= MOST && !windows.contains_key(&key) {
        make_room(windows, now);
    }
    let window = windows.entry(key).or_insert(Window {
        began: now,
        failures: 0,
    });
    if (window.began + WINDOW) <= now {
        *window = Window {
            began: now,
            failures: 0,
        };
    }
    window.failures = window.failures.saturating_add(1);
    window.failures
}

/// Forgets the windows that have ended, and the older half if that is not enough: rarely, so that adding
/// stays cheap.
fn make_room<K: Hash + Eq>(windows: &mut HashMap<K, Window>, now: Time) {
    windows.retain(|_, window| (window.began + WINDOW) > now);
    if windows.len() > MOST / 2 {
        let mut began: Vec<Time> = windows.values().map(|window| window.began).collect();
        let (_, middle, _) = began.select_nth_unstable(windows.len() / 2);
        let middle = *middle;
        windows.retain(|_, window| window.began > middle);
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 host can choose its addresses from.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_800_000_000_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn fail(throttle: &Throttle, account: &str, from: IpAddr, times: u32) {
        for _ in 0..times {
            throttle.judge(account, from, NOW, false).unwrap();
        }
    }

    #[test]
    fn an_account_is_closed_to_the_address_that_failed() {
        let throttle = Throttle::new(5, 50, 100);
        fail(&throttle, "a", address(1), 4);
        assert!(throttle.admit("a", address(1), NOW).is_ok());
        fail(&throttle, "a", address(1), 1);
        let refused = throttle
            .admit("a", address(1), NOW + Duration::from_secs(1))
            .unwrap_err();
        assert_eq!(refused.status(), 429);
        assert!(refused.to_string().contains("899 seconds"), "{refused}");
        assert!(throttle.judge("a", address(1), NOW, true).is_err());
        assert!(throttle.admit("b", address(1), NOW).is_ok());
        assert!(throttle.admit("a", address(2), NOW).is_ok());
        assert!(throttle.admit("a", address(1), NOW + WINDOW).is_ok());
    }

    #[test]
    fn an_address_that_tries_many_accounts_is_closed() {
        let throttle = Throttle::new(5, 50, 100);
        for account in 0..50 {
            fail(&throttle, &account.to_string(), address(1), 1);
        }
        assert!(throttle.admit("new", address(1), NOW).is_err());
        assert!(throttle.admit("new", address(2), NOW).is_ok());
    }

    #[test]
    fn success_forgets_the_accounts_failures_alone() {
        let throttle = Throttle::new(5, 8, 100);
        fail(&throttle, "a", address(1), 4);
        throttle.judge("a", address(1), NOW, true).unwrap();
        fail(&throttle, "a", address(1), 4);
        assert!(throttle.admit("b", address(1), NOW).is_err());
    }

    #[test]
    fn a_window_begins_anew_after_its_end() {
        let throttle = Throttle::new(2, 50, 100);
        fail(&throttle, "a", address(1), 1);
        throttle.judge("a", address(1), NOW + WINDOW, false).unwrap();
        assert!(throttle.admit("a", address(1), NOW + WINDOW).is_ok());
    }

    #[test]
    fn the_hosts_of_one_ipv6_network_are_one_client() {
        let throttle = Throttle::new(2, 50, 100);
        fail(&throttle, "a", "2001:db8::1".parse().unwrap(), 2);
        assert!(
            throttle
                .admit("a", "2001:db8::ffff".parse().unwrap(), NOW)
                .is_err()
        );
        assert!(
            throttle
                .admit("a", "2001:db8:0:1::1".parse().unwrap(), NOW)
                .is_ok()
        );
    }

    #[test]
    fn an_account_that_is_attacked_from_everywhere_is_besieged() {
        let throttle = Throttle::new(5, 50, 20);
        let mut verdicts = Vec::new();
        for host in 0..25 {
            verdicts.push(throttle.judge("a", address(host), NOW, false).unwrap());
        }
        assert_eq!(
            verdicts
                .iter()
                .filter(|verdict| **verdict == Verdict::Besieged)
                .count(),
            1
        );
        assert_eq!(throttle.is_besieged("a", NOW), Some(WINDOW));
        assert_eq!(throttle.is_besieged("b", NOW), None);
        assert_eq!(throttle.is_besieged("a", NOW + WINDOW), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut windows = HashMap::new();
        for key in 0..u32::try_from(3 * MOST).unwrap() {
            add(&mut windows, key, NOW + Duration::from_micros(u64::from(key)));
        }
        assert!(windows.len() <= MOST);
        assert!(windows.contains_key(&u32::try_from(3 * MOST - 1).unwrap()));
    }
}
