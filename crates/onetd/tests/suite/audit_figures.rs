//! Figures for the decision about the chain and for the list's cost: run by hand, with `--run-ignored only`.

use std::{sync::Arc, time::Instant};

use diesel::connection::SimpleConnection;
use kernel::{
    access::Organization,
    audit::{AuditStatus, Changes, Event, Origin, SealKey},
    config::{Config, Secret},
    id::Id,
    store::{Store, StoreError, Tx},
    time::Clock,
};
use testkit::{
    Engine, Server,
    postgres::{Durability, Postgres},
};

const CLIENTS: usize = 32;
const WRITES: usize = 50;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The record alone, without a seal and without the chain's indexes: as it was before.
    Before,
    /// The record with its seal; chained later.
    Later,
    /// The record, and its link in the same transaction under a lock of the chain's end.
    Inline,
}

/// Writes a second, by 32 clients on so many organizations.
async fn rate(store: &Store, way: Way, organizations: usize) -> f64 {
    let ids: Arc<Vec<Id<Organization>>> = Arc::new((0..organizations).map(|_| Id::new()).collect());
    if way == Way::Inline {
        for id in ids.iter().copied() {
            store
                .write("test", move |tx| {
                    let (chain, zero) = (blob(tx.conn().is_sqlite(), id), zero(tx.conn().is_sqlite()));
                    tx.conn().batch_execute(&format!(
                        "insert into audit_heads values ({chain}, 0, '', 0, '', {zero}, '')"
                    ))?;
                    Ok::<_, StoreError>(())
                })
                .await
                .unwrap();
        }
    }
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS).map(|client| {
        let (store, ids) = (store.clone(), Arc::clone(&ids));
        tokio::spawn(async move {
            for number in 0..WRITES {
                let organization = ids[(client + number * 7) % ids.len()];
                store.write("test", move |tx: &mut Tx<'_>| {
                    let event = Event {
                        action: "test.done", resource_type: "test", resource_id: Id::new(),
                        resource_name: "a resource".to_owned(), description: "Something was done".to_owned(),
                        changes: Changes::default(), status: AuditStatus::Success,
                    };
                    if way == Way::Inline {
                        let chain = blob(tx.conn().is_sqlite(), organization);
                        tx.conn().batch_execute(&format!(
                            "update audit_heads set sequence = sequence + 1 where chain = {chain}"))?;
                    }
                    tx.audit(&Origin::system("test"), Some(organization), None, &event)?;
                    if way == Way::Inline {
                        let (chain, record) = (blob(tx.conn().is_sqlite(), organization), blob(tx.conn().is_sqlite(), Id::<Organization>::new()));
                        tx.conn().batch_execute(&format!(
                            "insert into audit_links select chain, sequence, {record}, true, '{}' from audit_heads where chain = {chain}",
                            "0".repeat(64)))?;
                    }
                    Ok::<_, StoreError>(())
                }).await.unwrap();
            }
        })
    }).collect();
    for client in clients {
        client.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    f64::from(u32::try_from(CLIENTS * WRITES).unwrap()) / seconds
}

fn blob<K>(sqlite: bool, id: Id<K>) -> String {
    if sqlite {
        format!("x'{}'", id.uuid().simple())
    } else {
        format!("'{id}'")
    }
}

fn zero(sqlite: bool) -> &'static str {
    if sqlite { "0" } else { "'1970-01-01'" }
}

const INDEXES: [(&str, &str); 3] = [
    ("actor", "actor_id"),
    ("action", "action"),
    ("project", "project_id"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn chaining() {
    let server = Postgres::start(Durability::Full).unwrap();
    for postgres in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(None, folder.path()).unwrap();
        if postgres {
            config.store.url = Secret::new(server.url("postgres"));
        }
        let plain = Store::open(&config, Clock::default()).unwrap();
        plain.migrate().unwrap();
        let sealing = Store::open(&config, Clock::default()).unwrap();
        sealing.seal_with(SealKey::new([1; 32]));
        let name = if postgres { "PostgreSQL" } else { "SQLite" };
        for round in 0..2 {
            for organizations in [1, 100] {
                let indexes = async |make: bool| {
                    for (short, column) in INDEXES {
                        let sql = if make {
                            format!(
                                "create index audit_records_of_{short} on audit_records (organization_id, {column}, created, id)"
                            )
                        } else {
                            format!("drop index audit_records_of_{short}")
                        };
                        sealing
                            .write("test", move |tx| {
                                Ok::<_, StoreError>(tx.conn().batch_execute(&sql)?)
                            })
                            .await
                            .unwrap();
                    }
                };
                indexes(false).await;
                let before = rate(&plain, Way::Before, organizations).await;
                indexes(true).await;
                let later = rate(&sealing, Way::Later, organizations).await;
                let inline = rate(&sealing, Way::Inline, organizations).await;
                println!(
                    "{name} round {round}, {organizations} organizations: before {before:.0}/s, sealed {later:.0}/s, inline {inline:.0}/s"
                );
            }
        }
    }
}

async fn generate(server: &Server, count: usize) {
    let organization = server.facts.owner.organization_id;
    server.app.store().write("test", move |tx| {
        let sqlite = tx.conn().is_sqlite();
        let chain = blob(sqlite, organization);
        let (series, id, text, time, epoch) = if sqlite {
            (format!("with recursive s(n) as (select 1 union all select n + 1 from s where n < {count}) select n, randomblob(16) as id from s"),
             "cast(id as blob)", "cast(n as text)", "n * 1000000", "0")
        } else {
            (format!("select n, gen_random_uuid() as id from generate_series(1, {count}) as n"),
             "id", "n::text", "'1970-01-01'::timestamptz + n * interval '1 second'", "")
        };
        let _ = epoch;
        tx.conn().batch_execute(&format!("create temporary table made as {series}"))?;
        tx.conn().batch_execute(&format!(
            "delete from audit_links where chain = {chain}; delete from audit_heads where chain = {chain};
             delete from audit_records where organization_id = {chain};
             insert into audit_records select {id}, {chain}, null, 'user', {chain}, 'somebody', null,
               case n % 10 when 0 then 'a.rare' else 'b.often' end, 'thing', null, 'thing ' || {text}, 'success', 'done', '{{}}', '10.0.0.1', 'agent', null, {time}, '' from made;
             insert into audit_links select {chain}, n, {id}, true, '' from made;
             insert into audit_heads select {chain}, {count}, '', 0, '', {time}, '' from made where n = {count};
             drop table made"))?;
        if !sqlite {
            tx.conn().batch_execute("analyze audit_records; analyze audit_links")?;
        }
        Ok::<_, StoreError>(())
    }).await.unwrap();
}

async fn paging(engine: Engine) {
    for count in [1_000, 1_000_000] {
        let server = Server::start(engine, |config| config.store.timeout_ms = 600_000).await;
        generate(&server, count).await;
        let owner = server.owner();
        let base = format!(
            "/v1/organizations/{}/audit-logs",
            server.facts.owner.organization_id
        );
        for rest in [
            "",
            "?page=2",
            "?page=last",
            "?action=b.often",
            "?action=a.rare",
            "?status=success",
            "?search=thing+77",
            "?page=25000",
        ] {
            let mut times = Vec::new();
            for _ in 0..9 {
                let started = Instant::now();
                owner.get(&format!("{base}{rest}")).await;
                times.push(started.elapsed().as_secs_f64() * 1000.0);
            }
            times.sort_by(f64::total_cmp);
            println!(
                "{engine:?} {count} records, {rest:20}: median {:.2} ms, least {:.2} ms",
                times[4], times[0]
            );
        }
        let started = Instant::now();
        let mut answer = reqwest::Client::new()
            .get(format!("{}{base}/export", server.base))
            .bearer_auth(&server.facts.owner.api_key)
            .send()
            .await
            .unwrap();
        let (mut bytes, first) = (0, started.elapsed().as_secs_f64());
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
        }
        println!(
            "{engine:?} {count} records, export: {bytes} bytes in {:.1} s, the first after {first:.3} s; resident {}",
            started.elapsed().as_secs_f64(),
            resident()
        );
    }
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn pages_of_a_million_on_sqlite() {
    paging(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn pages_of_a_million_on_postgres() {
    paging(Engine::Postgres).await;
}

/// PUTs of one instance's metadata a second, by so many clients, over HTTP.
async fn puts(server: &Server) -> f64 {
    const EACH: usize = 60;
    let instance = server.instance();
    let body = server.owner().get(&instance).await.expect(200).body;
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (http, base, key) = (
                reqwest::Client::builder().no_proxy().build().unwrap(),
                format!("{}{instance}", server.base),
                server.facts.owner.api_key.clone(),
            );
            let mut body = body.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    body["name"] = format!("name-{client}-{number}").into();
                    let sent = http
                        .put(&base)
                        .bearer_auth(&key)
                        .header("content-type", "application/json")
                        .body(body.to_string());
                    assert_eq!(sent.send().await.unwrap().status(), 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    f64::from(u32::try_from(CLIENTS * EACH).unwrap()) / started.elapsed().as_secs_f64()
}

/// What the chain costs a PUT: the same storm on a server whose sealer runs, and on one that leaves it to another.
async fn chained_puts(engine: Engine) {
    let chaining = Server::start(engine, |_| {}).await;
    let plain = Server::start(engine, |config| config.tasks.chores = false).await;
    let mut ratios = Vec::new();
    for round in 0..5 {
        let (with, without) = if round % 2 == 0 {
            let with = puts(&chaining).await;
            (with, puts(&plain).await)
        } else {
            let without = puts(&plain).await;
            (puts(&chaining).await, without)
        };
        ratios.push(with / without);
        println!("{engine:?}: {with:.0} PUTs a second with the chain, {without:.0} without");
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{engine:?}: the chain leaves {:.3} of the PUTs (median)",
        ratios[2]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn puts_on_sqlite() {
    chained_puts(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test"]
async fn puts_on_postgres() {
    chained_puts(Engine::Postgres).await;
}
