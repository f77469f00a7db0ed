//! How fast renewals are: run by hand, with `--run-ignored only` and a release build. See docs/performance.md.

use std::{sync::Arc, time::Instant};

use billing::{
    clocks,
    schema::services,
    services::{Cycle, ServiceRow},
};
use diesel::RunQueryDsl;
use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    store::StoreError,
};
use testkit::{Engine, Server, server::Config};

use super::Shop;

/// Services that are due at once.
const SERVICES: usize = 5_000;
const ROUNDS: usize = 3;
/// As many writes at once as the clocks have.
const TOGETHER: usize = 64;

/// The least that a write of onet's can be: one audit record, by as many at once as the clocks. Writes a second.
async fn baseline(server: &Server) -> f64 {
    let organization = server.facts.owner.organization_id;
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..TOGETHER {
        let store = server.app.store().clone();
        running.spawn(async move {
            for _ in 0..SERVICES / TOGETHER {
                let write = store.write("test", move |tx| {
                    let event = Event {
                        action: "test.done",
                        resource_type: "test",
                        resource_id: Id::new(),
                        resource_name: "a resource".to_owned(),
                        description: "Something was done".to_owned(),
                        changes: Changes::default(),
                        status: AuditStatus::Success,
                    };
                    tx.audit(&Origin::system("test"), Some(organization), None, &event)
                });
                write.await.unwrap();
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    rate(SERVICES / TOGETHER * TOGETHER, started)
}

fn rate(count: usize, started: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / started.elapsed().as_secs_f64()
}

/// Renewals a second of services that are all due, with credit for all of them or for none.
async fn renewals(engine: Engine, with_credit: bool) -> (f64, f64) {
    let server = Server::start(engine, |config: &mut Config| {
        config.billing.seller_country = "FR".to_owned();
        config.store.timeout_ms = 600_000;
    })
    .await;
    let shop = Shop::open(&server);
    let first = shop.running(&server, Cycle::Monthly, "10").await;
    let first = shop.service(&server, first).await;
    let copies: Arc<Vec<ServiceRow>> = Arc::new(
        (1..SERVICES)
            .map(|_| ServiceRow {
                id: Id::new(),
                resource_id: Id::new(),
                ..first.clone()
            })
            .collect(),
    );
    let written = server.app.store().write("test", move |tx| {
        for some in copies.chunks(500) {
            for row in some {
                diesel::insert_into(services::table)
                    .values(row)
                    .execute(tx.conn())?;
            }
        }
        Ok::<_, StoreError>(())
    });
    written.await.unwrap();
    if with_credit {
        shop.credit(&server, "100000").await;
    }
    let least = baseline(&server).await;
    server.clock.advance(std::time::Duration::from_hours(24 * 20));
    let started = Instant::now();
    let round = clocks::round(&shop.billing).await.unwrap();
    let rate = rate(SERVICES, started);
    assert_eq!((round.done, round.failed), (SERVICES, 0));
    shop.books_are_right(&server).await;
    (rate, least)
}

async fn figures(engine: Engine) {
    for with_credit in [false, true] {
        for _ in 0..ROUNDS {
            let (rate, least) = renewals(engine, with_credit).await;
            println!(
                "{engine:?}, {}: {rate:.0} renewals a second, {least:.0} bare writes a second, ratio {:.2}",
                if with_credit {
                    "paid from credit"
                } else {
                    "to be paid"
                },
                rate / least
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn renewals_on_sqlite() {
    figures(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn renewals_on_postgres() {
    figures(Engine::Postgres).await;
}
