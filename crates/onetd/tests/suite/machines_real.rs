//! Machines on the real QEMU, seen as a customer sees them: through the API, and by what the guest itself serves.
//!
//! Software emulation, user-mode networks, addresses of this machine alone: nothing of the host is needed or changed.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{process::Process, server::postgres_database};

use crate::yard::{LIMIT, Yard, kill};

/// What the guest serves at its own address, once that is as it should be.
async fn page(instance: &Value, holds: &str) -> String {
    let address = instance["ip_addresses"][0]["address"]
        .as_str()
        .expect("an address");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let (begun, mut said) = (Instant::now(), String::new());
    loop {
        if let Ok(answer) = client.get(format!("http://{address}:8080/")).send().await
            && let Ok(text) = answer.text().await
        {
            if text.contains(holds) {
                return text;
            }
            said = text;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "http://{address}:8080/ does not say {holds}, but {said:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_order_to_deletion() {
    let yard = Yard::open(&[]).await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let begun = Instant::now();
    let created = yard.order(&server, "front").await.unwrap();
    let running = yard
        .until(&server, &created, "it runs", |now| now["status"] == "active")
        .await;
    println!("ordered to running process: {:?}", begun.elapsed());
    page(&running, "<h1>front</h1>").await;
    println!("ordered to page served: {:?}", begun.elapsed());

    // The metadata reaches the guest at its next boot.
    yard.act(
        &server,
        Method::PATCH,
        &created,
        "",
        json!({"hostname": "lighthouse"}),
    )
    .await;
    yard.act(&server, Method::POST, &created, "/reboot", json!({}))
        .await;
    page(&running, "<h1>lighthouse</h1>").await;

    // onetd dies as hard as can be: the guest does not notice, and is found again.
    server.kill();
    page(&running, "<h1>lighthouse</h1>").await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;

    // The guest's process dies: seen within seconds, and started again.
    let processes = yard.processes();
    assert_eq!(processes.len(), 1);
    kill(processes[0]);
    yard.until(&server, &created, "it was missed", |now| {
        now["state_sync"]["vm_status"] != "running"
    })
    .await;
    yard.until(&server, &created, "it runs again", |now| {
        now["state_sync"]["vm_status"] == "running"
    })
    .await;
    page(&running, "<h1>lighthouse</h1>").await;
    assert_ne!(yard.processes(), processes);

    yard.act(&server, Method::POST, &created, "/stop", json!({}))
        .await;
    yard.until(&server, &created, "it is off", |now| {
        now["state_sync"]["vm_status"] == "stopped"
    })
    .await;
    assert_eq!(yard.processes(), Vec::<u32>::new());

    yard.act(&server, Method::DELETE, &created, "", json!({})).await;
    yard.until(&server, &created, "it is gone", |now| {
        now["status"] == "terminated" && now["ip_addresses"] == json!([])
    })
    .await;
    assert_eq!(yard.machines(), Vec::<PathBuf>::new());
    assert_eq!(server.terminate(), Some(0));
}

/// Asks for something below the instance, and gives the answer.
async fn ask(yard: &Yard, server: &Process, instance: &Value, below: &str, body: Value) -> Value {
    let path = format!("{}{below}", yard.path(instance));
    let answer = yard.site.send(server, Method::POST, &path, &body).await;
    let (status, answer) = answer.expect("an answer");
    assert!(status < 300, "{below}: {status} {answer}");
    answer
}

/// Reads a snapshot or backup until it can be restored.
async fn until_available(yard: &Yard, server: &Process, path: &str) -> Value {
    let begun = Instant::now();
    loop {
        let now = yard.site.get(server, path).await;
        if now["status"] == "available" {
            return now;
        }
        assert!(now["status"] != "error" && begun.elapsed() < LIMIT, "{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn power(yard: &Yard, server: &Process, instance: &Value, action: &str, becomes: &str) {
    ask(yard, server, instance, &format!("/{action}"), json!({})).await;
    yard.until(server, instance, action, |now| {
        now["state_sync"]["vm_status"] == becomes
    })
    .await;
}

/// The guest counts its boots on its disk: that is how it is seen which disk it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_back_where_its_copies_were_taken() {
    let yard = Yard::open(&[]).await;
    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let created = yard.order(&server, "copied").await.unwrap();
    let running = yard
        .until(&server, &created, "it runs", |now| now["status"] == "active")
        .await;
    page(&running, "boots: 1").await;
    let addons = yard
        .site
        .get(&server, &format!("{}/addons", yard.path(&created)))
        .await;
    for addon in addons.as_array().unwrap() {
        if ["snapshot", "backup"].contains(&addon["addon"]["slug"].as_str().unwrap()) {
            let body = json!({"addon_id": addon["addon"]["id"]});
            ask(&yard, &server, &created, "/addons/activate", body).await;
        }
    }
    // Both while it runs.
    let mut taken = Vec::new();
    for noun in ["snapshots", "backups"] {
        let begun = Instant::now();
        let asked = ask(
            &yard,
            &server,
            &created,
            &format!("/{noun}"),
            json!({"name": "first"}),
        )
        .await;
        let path = format!("{}/{noun}/{}", yard.path(&created), asked["id"].as_str().unwrap());
        let copy = until_available(&yard, &server, &path).await;
        println!("{noun}: {} GB in {:?}", copy["size_gb"], begun.elapsed());
        taken.push((path, asked["id"].as_str().unwrap().to_owned()));
    }
    for boots in 2..=3 {
        power(&yard, &server, &created, "shutdown", "stopped").await;
        power(&yard, &server, &created, "start", "running").await;
        page(&running, &format!("boots: {boots}")).await;
    }
    power(&yard, &server, &created, "shutdown", "stopped").await;
    let (snapshot, snapshot_id) = &taken[0];
    ask(
        &yard,
        &server,
        &created,
        &format!("/snapshots/{snapshot_id}/restore"),
        json!({}),
    )
    .await;
    until_available(&yard, &server, snapshot).await;
    power(&yard, &server, &created, "start", "running").await;
    page(&running, "boots: 2").await;
    power(&yard, &server, &created, "shutdown", "stopped").await;
    let (_, backup_id) = &taken[1];
    let body = json!({"start_after_restore": true});
    ask(
        &yard,
        &server,
        &created,
        &format!("/backups/{backup_id}/restore"),
        body,
    )
    .await;
    yard.until(&server, &created, "it was started", |now| {
        now["state_sync"]["vm_status"] == "running"
    })
    .await;
    page(&running, "boots: 2").await;
    yard.act(&server, Method::DELETE, &created, "", json!({})).await;
    yard.until(&server, &created, "it is gone", |now| {
        now["ip_addresses"] == json!([])
    })
    .await;
    assert_eq!(
        yard.copies(),
        std::slice::from_ref(backup_id),
        "the snapshot went with it"
    );
    assert_eq!(server.terminate(), Some(0));
}

/// Where the process aborts while a machine is made: before each step's effect, after it, and after its record.
const POINTS: [&str; 11] = [
    "task.enqueued:1",
    "prepare_disk:1",
    "task.step:1",
    "define:1",
    "task.step:2",
    "set_seed:1",
    "task.recorded:3",
    "start:1",
    "task.step:4",
    "look:1",
    "task.step:5",
];

/// An order that is interrupted at `point` is one machine in the end, or nothing if it was never acknowledged.
async fn crash_at(yard: &Yard, point: &str) {
    let server = yard
        .program
        .clone()
        .with("ONET_CRASH_AT", point)
        .with("ONET_TASKS__CHORES", "false")
        // However quick a step was.
        .with("ONET_TASKS__RECORD_MS", "0")
        .serve();
    yard.host_is_known(&server).await;
    let acknowledged = yard.order(&server, point).await;
    let mut server = server;
    assert_eq!(server.wait(), None, "{point}: the process was to abort");

    let server = yard.program.serve();
    yard.host_is_known(&server).await;
    let path = format!("{}?search={point}&ordering=-created", yard.site.instances());
    let found = yard.site.get(&server, &path).await;
    let Some(made) = found["results"].as_array().unwrap().first().cloned() else {
        assert!(acknowledged.is_none(), "{point}: an acknowledged order is gone");
        assert_eq!(yard.machines().len(), 0, "{point}");
        assert_eq!(server.terminate(), Some(0));
        return;
    };
    yard.until(&server, &made, point, |now| now["status"] == "active")
        .await;
    assert_eq!(yard.machines().len(), 1, "{point}");
    assert_eq!(yard.processes().len(), 1, "{point}");
    yard.act(&server, Method::DELETE, &made, "", json!({})).await;
    yard.until(&server, &made, point, |now| now["ip_addresses"] == json!([]))
        .await;
    assert_eq!(yard.machines().len(), 0, "{point}");
    assert_eq!(yard.processes().len(), 0, "{point}");
    assert_eq!(server.terminate(), Some(0));
}

async fn crashes(settings: &[(&str, String)]) {
    let yard = Yard::open(settings).await;
    for point in POINTS {
        crash_at(&yard, point).await;
    }
    let books = yard.program.run(&["ledger", "verify"]);
    assert!(
        books.status.success(),
        "{}",
        String::from_utf8_lossy(&books.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_sqlite() {
    crashes(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_made_good_on_postgres() {
    crashes(&[("ONET_STORE__URL", postgres_database())]).await;
}
