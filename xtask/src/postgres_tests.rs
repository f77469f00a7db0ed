//! The PostgreSQL starter leaves nothing behind, however its owner ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::postgres::{Durability, Postgres};

fn setting(server: &Postgres, name: &str) -> String {
    let mut psql = Command::new(server.bin("psql"));
    psql.args(["-XAtc", &format!("show {name}"), &server.url("postgres")]);
    crate::run::capture(&mut psql).unwrap().trim().to_owned()
}

fn is_served(directory: &Path) -> bool {
    // The kernel knows every listening socket, whoever owns it.
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.contains(&*directory.to_string_lossy())
}

#[test]
fn a_dropped_server_is_gone() {
    let server = Postgres::start(Durability::Relaxed).unwrap();
    let directory = server.directory().to_owned();
    assert_eq!(setting(&server, "fsync"), "off");
    assert_eq!(setting(&server, "listen_addresses"), "127.0.0.1");
    assert!(is_served(&directory));
    drop(server);
    assert!(!directory.exists() && !is_served(&directory));
}

#[test]
fn benchmarks_get_a_durable_server_beside_another_one() {
    let [first, second] = [Durability::Full, Durability::Relaxed].map(|how| Postgres::start(how).unwrap());
    assert_eq!(setting(&first, "fsync"), "on");
    assert_eq!(setting(&first, "synchronous_commit"), "on");
    assert_ne!(first.url("postgres"), second.url("postgres"));
}

/// One test in two processes: the second one is this test again, told by the environment to be the owner.
#[test]
fn a_killed_owner_leaves_nothing() {
    const OWNER: &str = "ONET_XTASK_TEST_OWNER";
    if std::env::var_os(OWNER).is_some() {
        let server = Postgres::start(Durability::Relaxed).unwrap();
        println!("directory={}", server.directory().display());
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres_tests::a_killed_owner_leaves_nothing",
            "--nocapture",
        ])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let directory = { printed }
        .find_map(|line| Some(PathBuf::from(line.split_once("directory=")?.1)))
        .unwrap();
    assert!(is_served(&directory));

    owner.kill().unwrap();
    owner.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(20);
    while directory.exists() || is_served(&directory) {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            directory.display()
        );
        thread::sleep(Duration::from_millis(50));
    }
}
