//! The hosts that run machines: what is on them, and whether they take more.

use clap::{Subcommand, ValueEnum};
use compute::hosts::{self, Listed};
use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    http::ApiError,
    store::Tx,
    time::Clock,
};

use super::{Outcome, runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is done.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum What {
    /// List hosts with what is promised of what they have, and when they were last looked at.
    List,
    /// Let a host take no new machines, or take them again. Those on it run on.
    Maintenance {
        /// The host's name (`compute.host_name`).
        name: String,
        state: Switch,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

pub(crate) fn run(places: &Places, what: What) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        match what {
            What::List => list(&onet).await,
            What::Maintenance { name, state } => maintain(&onet, name, state == Switch::On).await,
        }
        .map_err(|error| error.to_string())
    })
}

async fn list(onet: &Onet) -> Result<(), ApiError> {
    let listed = onet
        .app
        .store()
        .read("operator", |conn| Ok::<_, ApiError>(hosts::listed(conn)?))
        .await?;
    if listed.is_empty() {
        println!("There are no hosts yet: a node makes its own known when it starts.");
    }
    for Listed {
        host,
        location,
        machines,
    } in listed
    {
        let state = if host.is_in_maintenance {
            "maintenance"
        } else {
            "open"
        };
        let seen = host
            .last_seen_at
            .map_or_else(|| "never".to_owned(), |time| time.to_string());
        println!(
            "{}\t{location}\t{state}\t{machines} machines\t{}/{} processors\t{}/{} MB\t{}/{} GB\tseen {seen}",
            host.name,
            host.cpus_taken,
            host.cpus,
            host.memory_mb_taken,
            host.memory_mb,
            host.disk_gb_taken,
            host.disk_gb
        );
    }
    Ok(())
}

async fn maintain(onet: &Onet, name: String, is_on: bool) -> Result<(), ApiError> {
    let shown = name.clone();
    let work = move |tx: &mut Tx<'_>| {
        let host = hosts::rows::find_named(tx.conn(), &name)?
            .ok_or_else(|| ApiError::refused(format!("there is no host `{name}`")))?;
        if host.is_in_maintenance == is_on {
            return Ok(false);
        }
        hosts::rows::set_maintenance(tx, host.id, is_on)?;
        let mut changes = Changes::default();
        changes.note("is_in_maintenance", &host.is_in_maintenance, &is_on);
        let event = Event {
            action: "host.maintenance_changed",
            resource_type: "host",
            resource_id: host.id.cast(),
            resource_name: host.name.clone(),
            description: format!(
                "Maintenance of host {} is {}",
                host.name,
                if is_on { "on" } else { "off" }
            ),
            changes,
            status: AuditStatus::Success,
        };
        tx.audit(&Origin::system("onetd hosts maintenance"), None, None, &event)?;
        Ok::<_, ApiError>(true)
    };
    let changed = onet.app.store().write("operator", work).await?;
    let now = if is_on {
        "takes no new machines"
    } else {
        "takes new machines"
    };
    println!("{shown} {now}{}.", if changed { "" } else { " already" });
    Ok(())
}
