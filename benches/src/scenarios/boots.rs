//! How soon after its order a machine's process runs on the real QEMU, one order at a time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::machines::{Yard, furnish};
use crate::{
    onetd::Installation,
    options::Plan,
    report::{self, Goal, Limit, figure},
};

const SETTINGS: [(&str, &str); 5] = [
    ("ONET_COMPUTE__HYPERVISOR", "qemu"),
    ("ONET_COMPUTE__HOST_CPUS", "64"),
    ("ONET_COMPUTE__HOST_MEMORY_MB", "262144"),
    ("ONET_COMPUTE__HOST_DISK_GB", "4000"),
    ("ONET_COMPUTE__LOCATION", "par1"),
];
const PATIENCE: Duration = Duration::from_secs(120);
/// Clock ticks a second, as `/proc` counts them whatever the kernel's own.
const TICKS: f64 = 100.0;

#[derive(Deserialize)]
struct Made {
    id: String,
}

/// What was measured of an order, milliseconds.
struct Boot {
    /// From the answer to the start of the process.
    whole: f64,
    /// From the first sight of the disk's file to its last change.
    disk: f64,
}

/// None without QEMU.
pub(crate) async fn run(plan: &Plan) -> Result<Option<Goal>> {
    let has_qemu = std::process::Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_ok();
    if !has_qemu {
        report::step("there is no QEMU: how soon machines start is not measured");
        return Ok(None);
    }
    report::step(format!("starting {} machines one by one", plan.boots));
    let installation = Installation::load(&plan.onetd, None, 1, 1)?;
    let folder = installation.folder().join("demo-image");
    let folder = folder.to_str().context("a folder that is not UTF-8")?;
    let image = installation.output(&["demo-image", folder])?;
    furnish(&installation, Path::new(image.trim()), &SETTINGS)?;
    let mut yard = Yard::open(&installation, &SETTINGS).await?;
    let machines = installation.folder().join("hypervisor").join("machines");
    let mut boots = Vec::new();
    for number in 0..plan.boots {
        boots.push(boot(&mut yard, &machines, number).await?);
    }
    yard.running.stop()?;
    let sorted = |part: fn(&Boot) -> f64| {
        let mut figures: Vec<f64> = boots.iter().map(part).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let row = |name: &str, figures: &[f64]| {
        let most = figures.last().copied().unwrap_or(f64::NAN);
        [name.to_owned(), figure(report::median(figures)), figure(most)]
    };
    let beyond = sorted(|boot| boot.whole - boot.disk);
    let rows = [
        row("order answered to process started", &sorted(|boot| boot.whole)),
        row("of it the disk's file", &sorted(|boot| boot.disk)),
        row("beyond the disk", &beyond),
    ];
    let title = format!(
        "{} machines on QEMU, one by one, ms (a process's start to 10 ms)",
        plan.boots
    );
    report::table(&title, ["", "median", "most"], rows);
    let most = beyond.last().copied().unwrap_or(f64::NAN);
    Ok(Some(Goal::of(
        "order answered to process, beyond the disk, at most",
        Limit::Below(100.0),
        " ms",
        most,
    )))
}

async fn boot(yard: &mut Yard, machines: &Path, number: usize) -> Result<Boot> {
    let made: Made = serde_json::from_slice(&yard.order(&format!("boot-{number}")).await?)?;
    let accepted = uptime()?;
    let folder = machines.join(&made.id);
    let begun = Instant::now();
    let pid = loop {
        if let Ok(pid) = std::fs::read_to_string(folder.join("pid"))
            && let Ok(pid) = pid.trim().parse::<u32>()
        {
            break pid;
        }
        if begun.elapsed() > PATIENCE {
            bail!("machine {} does not start", made.id);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let disk = std::fs::metadata(folder.join("disk.qcow2"))?;
    let disk = disk
        .modified()?
        .duration_since(disk.created()?)
        .unwrap_or_default();
    let whole = (started(pid)? - accepted) * 1000.0;
    yard.rest("create_vps").await?;
    yard.delete(&made.id).await?;
    while folder.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Boot {
        whole,
        disk: disk.as_secs_f64() * 1000.0,
    })
}

/// Seconds since the machine's own start.
fn uptime() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
    seconds.context("no time in /proc/uptime")
}

/// When a process was started, on the same clock.
fn started(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/…/stat")?;
    // The 22nd field of proc(5), the first behind the name being the third.
    let ticks = fields
        .split_whitespace()
        .nth(19)
        .and_then(|ticks| ticks.parse::<f64>().ok());
    Ok(ticks.context("no start in /proc/…/stat")? / TICKS)
}
