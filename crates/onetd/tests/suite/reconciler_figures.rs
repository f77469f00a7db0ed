//! How long a look at a host of 1,000 machines takes, and in how much memory: run by hand, with `--run-ignored only`.

use std::time::{Duration, Instant};

use hypervisor::{Hypervisor, Statistics};
use serde_json::json;
use testkit::{Engine, Server};

use crate::{machines::Site, reconciler::look};

const MACHINES: usize = 1000;

/// Resident memory of this process, MB: the server with its database, the double and this test.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0");
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .unwrap_or(0)
        / 1024
}

async fn figures(engine: Engine) {
    let server = Server::start(engine, |config| {
        config.compute.user_forwards.clear();
        config.store.timeout_ms = 60_000;
    })
    .await;
    let site = Site::open(&server).await;
    site.credit(&server, "1000000").await;
    site.quota(&server, 10_000).await;
    site.capacity(&server, 100_000, 100_000_000, 10_000_000).await;
    let started = Instant::now();
    for number in 0..MACHINES {
        site.create(&server, json!({ "name": format!("m{number}") }))
            .await
            .expect(201);
    }
    server.run_tasks().await;
    assert_eq!(site.machines().await, MACHINES);
    println!(
        "{engine:?}: {MACHINES} machines made in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let before = resident();
    let ids: Vec<_> = site
        .host
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|observed| observed.id)
        .collect();
    let (mut times, mut minutes) = (Vec::new(), Vec::new());
    for round in 1..=36_u64 {
        for vm in &ids {
            site.host.count(
                *vm,
                Statistics {
                    uptime: Duration::from_secs(round * 5),
                    cpu_time: Duration::from_secs(round),
                    memory_used_bytes: Some(round << 24),
                    network_received_bytes: Some(round << 20),
                    network_sent_bytes: Some(round << 18),
                    ..Statistics::default()
                },
            );
        }
        server.clock.advance(Duration::from_secs(5));
        let started = Instant::now();
        look(&server).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        // Every twelfth round begins a minute, and sums up the one before.
        if milliseconds > times.last().copied().unwrap_or(f64::MAX) * 2.0 {
            minutes.push(milliseconds);
        } else {
            times.push(milliseconds);
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{engine:?}: a look at {MACHINES} machines: median {:.0} ms, most {:.0} ms; with sums {minutes:.0?} ms; resident {before} MB before, {} MB after",
        times[times.len() / 2],
        times.last().unwrap(),
        resident()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn a_look_at_a_thousand_machines_on_sqlite() {
    figures(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn a_look_at_a_thousand_machines_on_postgres() {
    figures(Engine::Postgres).await;
}
