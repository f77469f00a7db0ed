//! Storms: many clients that send one request after another, and what they waited.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::task::LocalSet;

use crate::client::Connection;

/// What a storm has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Answers altogether, the unmeasured ones too.
    pub(crate) answers: u32,
    /// Microseconds that the server's process worked for an answer, where it was looked at.
    pub(crate) effort: f64,
    /// Waiting times in microseconds, from the shortest.
    waits: Vec<u32>,
}

impl Outcome {
    fn new(mut waits: Vec<u32>, answers: u32, time: Duration) -> Self {
        waits.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "answers of some seconds, not 2^52")]
        let rate = waits.len() as f64 / time.as_secs_f64();
        Self {
            rate,
            answers,
            effort: f64::NAN,
            waits,
        }
    }

    /// The waiting time in milliseconds that `share` of the answers did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position in a list of some thousands"
        )]
        let at = (self.waits.len() as f64 * share) as usize;
        let wait = self.waits.get(at.min(self.waits.len().saturating_sub(1)));
        wait.map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }

    /// The median waiting time in milliseconds.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(0.5)
    }
}

/// For how long a storm goes on before it is measured, and then measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// Lets `clients` send what `next` writes into their buffers, one request after another.
///
/// An answer other than 200 ends the storm: figures of refusals are worth nothing.
pub(crate) async fn storm(
    address: SocketAddr,
    clients: usize,
    span: Span,
    next: impl FnMut(&mut Vec<u8>) + 'static,
) -> Result<Outcome> {
    let next = Rc::new(std::cell::RefCell::new(next));
    let begun = Instant::now() + span.warm_up;
    let end = begun + span.measured;
    let (stop, answers) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (next, stop, answers) = (Rc::clone(&next), Rc::clone(&stop), Rc::clone(&answers));
            local.spawn_local(async move {
                let mut connection = Connection::open(address).await?;
                let mut waits = Vec::with_capacity(1 << 14);
                let mut request = Vec::with_capacity(4096);
                while !stop.get() {
                    request.clear();
                    (next.borrow_mut())(&mut request);
                    let sent = Instant::now();
                    let status = connection.send(&request).await?;
                    let answered = Instant::now();
                    if status != 200 {
                        stop.set(true);
                        let body = String::from_utf8_lossy(connection.body()).into_owned();
                        bail!("{status} instead of 200: {body}");
                    }
                    answers.set(answers.get() + 1);
                    if answered >= end {
                        break;
                    }
                    if answered >= begun {
                        let micros = answered.duration_since(sent).as_micros();
                        waits.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    }
                }
                Ok(waits)
            })
        })
        .collect();
    local
        .run_until(async {
            let mut waits = Vec::new();
            for task in tasks {
                waits.extend(task.await??);
            }
            Ok(Outcome::new(waits, answers.get(), span.measured))
        })
        .await
}

/// Sends requests one after another and measures each.
pub(crate) async fn sequence(
    connection: &mut Connection,
    count: usize,
    mut next: impl FnMut(&mut Vec<u8>),
) -> Result<Outcome> {
    let mut waits = Vec::with_capacity(count);
    let mut request = Vec::new();
    let started = Instant::now();
    for _ in 0..count {
        request.clear();
        next(&mut request);
        let sent = Instant::now();
        let status = connection.send(&request).await?;
        waits.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        if status != 200 {
            bail!(
                "{status} instead of 200: {}",
                String::from_utf8_lossy(connection.body())
            );
        }
    }
    let answers = u32::try_from(count)?;
    Ok(Outcome::new(waits, answers, started.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_from_the_shortest_wait() {
        let outcome = Outcome::new(
            (1..=1000).rev().map(|n| n * 1000).collect(),
            1000,
            Duration::from_secs(2),
        );
        assert!((outcome.rate - 500.0).abs() < 1e-9);
        assert!((outcome.median() - 501.0).abs() < 1e-9);
        assert!((outcome.percentile(0.99) - 991.0).abs() < 1e-9);
        assert!((outcome.percentile(1.0) - 1000.0).abs() < 1e-9);
    }
}
