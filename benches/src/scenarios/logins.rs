//! What a flood of logins does to everybody else: hashing a password is expensive by design.

use std::{
    rc::Rc,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread,
};

use anyhow::{Result, bail};

use crate::{
    client::Connection,
    load::{Outcome, Span, storm},
    options::Plan,
    report::{self, Goal, Limit, figure},
    scenarios::storms::Subject,
};

/// Logins at once.
const LOGINS: usize = 50;
/// Clients that read meanwhile: few, so that what they wait is not each other.
const READERS: usize = 4;

/// The waiting times of GET, without logins and with them.
pub(crate) async fn run(plan: &Plan, subject: &Subject) -> Result<Goal> {
    report::step("logins");
    let span = Span {
        warm_up: plan.warm_up,
        measured: plan.measured,
    };
    let read = || {
        let tenant = Rc::clone(&subject.tenant);
        storm(subject.running.address, READERS, span, move |request| {
            tenant.get(request, tenant.any())
        })
    };
    let before = read().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut request = Vec::new();
    subject.tenant.login(&mut request);
    let flood = {
        let (stop, address) = (Arc::clone(&stop), subject.running.address);
        thread::spawn(move || flood(address, &request, &stop))
    };
    let during = read().await;
    stop.store(true, Ordering::Relaxed);
    let logins = flood
        .join()
        .map_err(|_| anyhow::anyhow!("the logins panicked"))??;
    let during = during?;
    #[expect(clippy::cast_precision_loss, reason = "some hundred logins")]
    let rate = logins as f64 / (span.warm_up + span.measured).as_secs_f64();
    let row = |name: String, outcome: &Outcome| {
        [
            name,
            figure(outcome.rate),
            figure(outcome.median()),
            figure(outcome.percentile(0.99)),
        ]
    };
    let title = format!("GET on SQLite by {READERS} clients during logins");
    let with = format!("{LOGINS} logins at once ({} a second)", figure(rate));
    let rows = [row("no logins".to_owned(), &before), row(with, &during)];
    report::table(&title, ["", "requests/s", "median ms", "p99 ms"], rows);
    let ratio = during.percentile(0.99) / before.percentile(0.99);
    Ok(Goal::of(
        "p99 of GET, with logins ÷ without",
        Limit::None,
        "",
        ratio,
    ))
}

/// Logs in on many connections until told to stop, in a thread and runtime of its own; returns how often.
fn flood(address: std::net::SocketAddr, request: &[u8], stop: &Arc<AtomicBool>) -> Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let request: Rc<[u8]> = request.into();
    runtime.block_on(local.run_until(async {
        let client = |request: Rc<[u8]>, stop: Arc<AtomicBool>| async move {
            let mut connection = Connection::open(address).await?;
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let status = connection.send(&request).await?;
                if status != 200 {
                    bail!("a login was answered with {status}");
                }
                count += 1;
            }
            Ok(count)
        };
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..LOGINS {
            let request = Rc::clone(&request);
            all.spawn_local(client(request, Arc::clone(stop)));
        }
        let mut count = 0;
        while let Some(outcome) = all.join_next().await {
            count += outcome??;
        }
        Ok(count)
    }))
}
