//! A real machine: ordered, booted, changed, and cancelled with everything gone.
//!
//! It boots an image of 32 MiB that is made out of Debian packages, so that the demo needs nothing from anywhere else.
//! Without QEMU the rest of the demo works as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::{Client, results, text};
use super::logins::Logins;
use super::server::Onetd;
use super::tour;
use crate::interrupt;
use crate::packages::{self, Need};
use crate::run;
use crate::screen::Screen;

/// Generous: without hardware acceleration, on a machine that does other things too.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
const TASK_LIMIT: Duration = Duration::from_secs(180);
const HOST_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(250);
/// Where the demo's machines have their addresses: a network of this machine alone, that nobody else uses.
const NETWORK: &str = "127.77.0.0/24";
const GATEWAY: &str = "127.77.0.1";
/// Where a machine's port 80 is, at its own address (`compute.user_forwards`).
const WEB_PORT: u16 = 8080;
const IMAGE: &str = "onet-demo";

/// Brings the image, addresses and some credit. `false`, with the reason on the screen, where there can be no machines.
pub(crate) fn prepare(onetd: &Onetd, logins: &Logins, cache: &Path, screen: Screen) -> Result<bool> {
    screen.heading("Prepare for a virtual machine");
    if let Err(error) = packages::ensure(Need::Machines) {
        screen.line(&format!("  {error:#}"));
        screen.line("  The demo goes on without a virtual machine.");
        return Ok(false);
    }
    let built = onetd.run(&["demo-image", &cache.to_string_lossy()]);
    let path = match built {
        Ok(path) => path,
        Err(error) => {
            screen.line(&format!("  The image could not be made: {error:#}"));
            screen.line("  The demo goes on without a virtual machine.");
            return Ok(false);
        }
    };
    let organization = logins.customer("organization_id")?;
    onetd.run(&[
        "images",
        "import",
        "--file",
        path.trim(),
        "--slug",
        IMAGE,
        "--name",
        "onet demo system",
        "--os-name",
        "onet",
        "--os-version",
        "1",
        "--public",
    ])?;
    // The demo data's own network leads nowhere.
    onetd.run(&["addresses", "disable-pool", "100.127.1.0/24"])?;
    onetd.run(&[
        "addresses",
        "add-pool",
        "--location",
        "par1",
        "--cidr",
        NETWORK,
        "--gateway",
        GATEWAY,
    ])?;
    onetd.run(&[
        "billing",
        "add-credit",
        organization,
        "20",
        "--reason",
        "A present for the demo",
    ])?;
    screen.good("An image is in store, a network is ready, and the customer has a credit of 20.00");
    Ok(true)
}

/// Orders a machine, uses it, and cancels it.
pub(crate) fn perform(client: &Client, logins: &Logins, screen: Screen) -> Result<()> {
    let client = &client.with_token(logins.customer("access_token")?);
    let instances = tour::instances_path(logins)?;
    let order = wanted(client, logins)?;
    wait_for_host(client, logins, &order)?;

    screen.heading("What would a machine cost?");
    let path = format!("{instances}?dry_run=true");
    let estimate = client.show(screen, "POST", &path, Some(&order))?.expect(200)?;
    screen.fields(
        &estimate,
        &[
            "currency",
            "total",
            "credit_applied",
            "amount_due",
            "next_billing_date",
        ],
    );

    screen.heading("Order it");
    let begun = Instant::now();
    let created = client
        .show(screen, "POST", &instances, Some(&order))?
        .expect(201)?;
    screen.fields(
        &created,
        &[
            "name",
            "hostname",
            "status",
            "order.total",
            "order.amount_due",
            "task.task_type",
            "initial_password",
        ],
    );
    let path = format!("{instances}/{}", text(&created, "id")?);

    screen.heading("Wait until it runs");
    wait_for_tasks(client, &path)?;
    let running = client.show(screen, "GET", &path, None)?.expect(200)?;
    screen.fields(
        &running,
        &[
            "status",
            "is_installed",
            "state_sync.vm_status",
            "next_billing_date",
        ],
    );
    ensure!(
        running["status"] == "active",
        "the instance is {}",
        running["status"]
    );
    let page = format!(
        "http://{}:{WEB_PORT}/",
        text(&running["ip_addresses"][0], "address")?
    );
    let shown = wait_for_page(&page, |shown| shown.contains("<h1>demo-1</h1>"))?;
    screen.good(&format!(
        "{page} is served by the machine itself, {:.1} s after the order:",
        begun.elapsed().as_secs_f64()
    ));
    say(screen, &shown);

    screen.heading("Open its console");
    let wanted = json!({"console_type": "serial"});
    let session = client
        .show(screen, "POST", &format!("{path}/console"), Some(&wanted))?
        .expect(201)?;
    screen.fields(&session, &["console_type", "status", "url", "expires_at"]);
    screen.aside("      Log in as root with the password above.");

    screen.heading("Give it another host name, and reboot");
    let change = json!({"hostname": "lighthouse.example.com"});
    client.show(screen, "PATCH", &path, Some(&change))?.expect(200)?;
    client
        .show(screen, "POST", &format!("{path}/reboot"), None)?
        .expect(202)?;
    wait_for_tasks(client, &path)?;
    let shown = wait_for_page(&page, |shown| shown.contains("<h1>lighthouse.example.com</h1>"))?;
    screen.good("The machine knows its new name:");
    say(screen, &shown);

    screen.heading("Cancel it");
    let why = json!({"type": "immediate", "reason": "Only a demo"});
    let cancelled = client
        .show(screen, "POST", &format!("{path}/cancellation"), Some(&why))?
        .expect(201)?;
    screen.fields(&cancelled, &["status", "cancellation_requested_at"]);
    wait_for_tasks(client, &path)?;
    let gone = client.show(screen, "GET", &path, None)?.expect(200)?;
    screen.fields(&gone, &["status", "ip_addresses", "state_sync.vm_status"]);
    ensure!(fetch(&page).is_err(), "{page} still answers");
    screen.good("Nothing is left of it but its records");
    Ok(())
}

/// The body of the order.
fn wanted(client: &Client, logins: &Logins) -> Result<Value> {
    let compute = tour::compute_path(logins)?;
    let pick = |noun: &str, slug: &str| -> Result<String> {
        let page = client
            .call("GET", &format!("{compute}/{noun}?page_size=100"), None)?
            .expect(200)?;
        let found = results(&page)?.iter().find(|item| item["slug"] == slug);
        let found = found.with_context(|| format!("there is no `{slug}` among the {noun}"))?;
        Ok(text(found, "id")?.to_owned())
    };
    Ok(json!({
        "name": "Demo 1",
        "size_id": pick("sizes", "vps-s")?,
        "location_id": pick("locations", "par1")?,
        "image_id": pick("images", IMAGE)?,
    }))
}

/// A host takes machines once it has tried out what it can do, which takes some seconds.
fn wait_for_host(client: &Client, logins: &Logins, order: &Value) -> Result<()> {
    let path = format!("{}/availability", tour::compute_path(logins)?);
    let deadline = Instant::now() + HOST_LIMIT;
    loop {
        interrupt::check()?;
        let places = client.call("GET", &path, None)?.expect(200)?;
        let is_it = |place: &&Value| {
            place["size_id"] == order["size_id"] && place["location_id"] == order["location_id"]
        };
        let found = places.as_array().and_then(|places| places.iter().find(is_it));
        if found.is_some_and(|place| place["is_available"] == true) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "this machine has no room for a virtual machine"
        );
        thread::sleep(POLL);
    }
}

fn wait_for_tasks(client: &Client, instance: &str) -> Result<()> {
    let deadline = Instant::now() + TASK_LIMIT;
    loop {
        interrupt::check()?;
        let page = client
            .call("GET", &format!("{instance}/tasks?page_size=100"), None)?
            .expect(200)?;
        let tasks = results(&page)?;
        let is_open = |task: &&Value| matches!(task["status"].as_str(), Some("pending" | "running"));
        if !tasks.iter().any(|task| is_open(&task)) {
            let newest = tasks.first().context("the instance has no task")?;
            ensure!(
                newest["status"] == "completed",
                "the task {} has ended as {}: {}",
                newest["task_type"],
                newest["status"],
                newest["result"]
            );
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the tasks of the instance are not finished"
        );
        thread::sleep(POLL);
    }
}

fn wait_for_page(url: &str, is_it: impl Fn(&str) -> bool) -> Result<String> {
    let deadline = Instant::now() + BOOT_LIMIT;
    loop {
        interrupt::check()?;
        if let Ok(shown) = fetch(url)
            && is_it(&shown)
        {
            return Ok(shown);
        }
        ensure!(Instant::now() < deadline, "{url} does not answer as it should");
        thread::sleep(POLL);
    }
}

fn fetch(url: &str) -> Result<String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .proxy(None)
        .build();
    let agent: ureq::Agent = config.into();
    Ok(agent.get(url).call()?.body_mut().read_to_string()?)
}

/// A page as text.
fn say(screen: Screen, page: &str) {
    for line in page.lines() {
        let mut shown = String::new();
        let mut in_tag = false;
        for c in line.chars() {
            match c {
                '<' => in_tag = true,
                '>' => in_tag = false,
                c if !in_tag => shown.push(c),
                _ => {}
            }
        }
        if !shown.trim().is_empty() {
            screen.line(&format!("      {shown}"));
        }
    }
}

/// Ends the machines that an interrupted demo has left in its folder: they outlive onetd, as they should elsewhere.
pub(crate) fn sweep(data_dir: &Path) {
    let machines = data_dir.join("hypervisor").join("machines");
    for folder in fs::read_dir(machines).into_iter().flatten().flatten() {
        if let Some(pid) = running(&folder.path()) {
            run::signal_process(pid, "KILL");
        }
    }
}

/// The process of a machine, if it is still that machine's.
fn running(folder: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
    let words = fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).ok()?;
    let id = folder.file_name()?.to_string_lossy().into_owned();
    String::from_utf8_lossy(&words).contains(&id).then_some(pid)
}

impl Onetd {
    /// Runs one of its commands to its end, and returns what it has printed.
    fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        let output = self
            .configure(&mut command)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("can't run {}", self.program.display()))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("`onetd {}` failed: {}", args.join(" "), told.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_somebody_else_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("onet-demo-sweep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // This process runs, and its command line does not name the machine.
        fs::write(folder.join("pid"), "1").unwrap();
        assert_eq!(running(&folder), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
