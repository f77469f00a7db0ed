//! How many requests a credential or an address may make.
//!
//! Two fixed windows a key, a second and a minute, each beginning with its first request: the published limits read
//! "100 requests per second" and "1000 requests per minute", and this is the counting under which the 101st request
//! of a second is refused whatever the pace of the first hundred (a leaky bucket would let it pass). Why not a
//! rate-limiting crate: `docs/decisions/0005-rate-limits.md`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

use http::HeaderValue;

use crate::time::Time;

const SHARDS: usize = 16;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Keys that a shard holds without being swept.
const CROWDED: usize = 4096;

/// Counts requests by key.
#[derive(Debug)]
pub struct Limiter {
    per_second: u32,
    per_minute: u32,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    keys: HashMap<u64, Windows>,
    /// Keys above which those at rest are forgotten; grows with the keys that are not.
    sweep_above: usize,
}

impl Shard {
    fn sweep(&mut self, now: i64) {
        if self.keys.len() > self.sweep_above.max(CROWDED) {
            self.keys.retain(|_, windows| now - windows.minute.began < MINUTE);
            self.sweep_above = self.keys.len() * 2;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Windows {
    second: Window,
    minute: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: i64,
    used: u32,
}

impl Window {
    /// The window that `now` lies in: this one, or a new one that begins now.
    const fn at(self, now: i64, length: i64) -> Self {
        if self.used > 0 && now >= self.began && now - self.began < length {
            self
        } else {
            Self { began: now, used: 0 }
        }
    }

    /// Whole seconds until a new window may begin, at least one.
    const fn ends_in(self, now: i64, length: i64) -> u64 {
        let micros = self.began + length - now;
        if micros <= SECOND {
            1
        } else {
            micros.unsigned_abs().div_ceil(SECOND.unsigned_abs())
        }
    }
}

/// Whether a request may pass, and what is left.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Seconds to wait, if it may not pass.
    pub retry_after: Option<u64>,
    per_second: (u32, u32),
    per_minute: (u32, u32, u64),
}

impl Limiter {
    /// A limiter of so many requests a second and a minute.
    pub fn new(per_second: u32, per_minute: u32) -> Self {
        Self {
            per_second,
            per_minute,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a request of `key` at `now`. A refused request is not counted.
    pub fn count(&self, key: impl Hash, now: Time) -> Verdict {
        let key = self.hasher.hash_one(key);
        let now = now.micros();
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 16")]
        let shard = &self.shards[(key % SHARDS as u64) as usize];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.sweep(now);
        let windows = shard.keys.entry(key).or_default();
        windows.second = windows.second.at(now, SECOND);
        windows.minute = windows.minute.at(now, MINUTE);
        let retry_after = if windows.minute.used >= self.per_minute {
            Some(windows.minute.ends_in(now, MINUTE))
        } else if windows.second.used >= self.per_second {
            Some(1)
        } else {
            windows.second.used += 1;
            windows.minute.used += 1;
            None
        };
        Verdict {
            retry_after,
            per_second: (
                self.per_second,
                self.per_second.saturating_sub(windows.second.used),
            ),
            per_minute: (
                self.per_minute,
                self.per_minute.saturating_sub(windows.minute.used),
                windows.minute.ends_in(now, MINUTE),
            ),
        }
    }
}

impl Verdict {
    /// The `RateLimit-Policy` field: quota `q` in a window of `w` seconds (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> HeaderValue {
        let text = format!(
            "\"second\";q={};w=1, \"minute\";q={};w=60",
            self.per_second.0, self.per_minute.0
        );
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The `RateLimit` field: remaining `r`, and seconds `t` until the window ends.
    pub fn state(&self) -> HeaderValue {
        let (_, left, ends_in) = self.per_minute;
        let text = format!(
            "\"second\";r={};t=1, \"minute\";r={left};t={ends_in}",
            self.per_second.1
        );
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_101st_request_within_a_second_is_refused_at_any_pace() {
        let limiter = Limiter::new(100, 1000);
        let start = Time::from_micros(1_000_000_000);
        for n in 0..100 {
            assert_eq!(
                limiter
                    .count("key", start + Duration::from_millis(n * 9))
                    .retry_after,
                None
            );
        }
        assert_eq!(
            limiter
                .count("key", start + Duration::from_millis(950))
                .retry_after,
            Some(1)
        );
        assert_eq!(
            limiter
                .count("other", start + Duration::from_millis(950))
                .retry_after,
            None
        );
        assert_eq!(
            limiter
                .count("key", start + Duration::from_millis(1001))
                .retry_after,
            None
        );
    }

    #[test]
    fn the_1001st_request_within_a_minute_waits_for_its_end() {
        let limiter = Limiter::new(100, 1000);
        let start = Time::from_micros(1_000_000_000);
        for n in 0..1000 {
            assert_eq!(
                limiter
                    .count(1, start + Duration::from_millis(n * 20))
                    .retry_after,
                None
            );
        }
        let verdict = limiter.count(1, start + Duration::from_secs(30));
        assert_eq!(verdict.retry_after, Some(30));
        assert_eq!(verdict.state(), "\"second\";r=100;t=1, \"minute\";r=0;t=30");
        assert_eq!(
            limiter.count(1, start + Duration::from_secs(61)).retry_after,
            None
        );
    }
}
