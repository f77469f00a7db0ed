//! Pools of addresses, as operators make them.

use std::{net::IpAddr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use compute::addresses::pools::{self, Fill, NewPool, Purpose};
use ipnet::IpNet;
use kernel::{audit::Origin, http::ApiError, store::Tx, time::Clock};

use super::{Outcome, runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is done with pools. A pool is named by its network.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Let instances of a location have addresses of a network.
    AddPool(Pool),
    /// Show all pools and how full they are.
    ListPools,
    /// Give out no more addresses of a pool. Who has one keeps it.
    DisablePool {
        /// Such as 192.0.2.0/24.
        cidr: IpNet,
    },
    /// Give out addresses of a pool again.
    EnablePool {
        /// Such as 192.0.2.0/24.
        cidr: IpNet,
    },
}

/// A new pool.
#[derive(Debug, Args)]
pub(crate) struct Pool {
    /// The location's slug.
    #[arg(long, value_name = "SLUG")]
    location: String,
    /// The network, such as 192.0.2.0/24 or 2001:db8::/64.
    #[arg(long)]
    cidr: IpNet,
    /// The router of the network; it is never given out.
    #[arg(long, value_name = "ADDRESS")]
    gateway: IpAddr,
    /// The VLAN that the network is in.
    #[arg(long, value_name = "NUMBER")]
    vlan: Option<u16>,
    /// The first address to give out, if not the first one of the network.
    #[arg(long, value_name = "ADDRESS")]
    first: Option<IpAddr>,
    /// The last address to give out, if not the last one of the network.
    #[arg(long, value_name = "ADDRESS")]
    last: Option<IpAddr>,
    /// Which addresses of instances it is for.
    #[arg(long, default_value = "any")]
    purpose: For,
    /// How long a released address rests; the setting `compute.address_quarantine_hours` when left out.
    #[arg(long, value_name = "HOURS")]
    quarantine_hours: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum For {
    Any,
    Primary,
    Additional,
}

pub(crate) fn act(places: &Places, action: Action) -> Outcome {
    let config = settings(places)?;
    let quarantine = config.compute.address_quarantine_hours;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let text = match action {
            Action::AddPool(pool) => add(&onet, &pool, quarantine).await,
            Action::ListPools => list(&onet).await,
            Action::DisablePool { cidr } => switch(&onet, cidr, false).await,
            Action::EnablePool { cidr } => switch(&onet, cidr, true).await,
        };
        println!("{}", text.map_err(|error| error.to_string())?);
        Ok(())
    })
}

async fn add(onet: &Onet, pool: &Pool, quarantine: u32) -> Result<String, ApiError> {
    const HOUR: Duration = Duration::from_secs(3600);
    let wanted = NewPool {
        location: pool.location.clone(),
        network: pool.cidr,
        gateway: pool.gateway,
        vlan: pool.vlan,
        first: pool.first,
        last: pool.last,
        purpose: match pool.purpose {
            For::Any => Purpose::Any,
            For::Primary => Purpose::Primary,
            For::Additional => Purpose::Additional,
        },
        quarantine: HOUR * pool.quarantine_hours.unwrap_or(quarantine),
    };
    let work = move |tx: &mut Tx<'_>| pools::add(tx, &Origin::system("onetd addresses add-pool"), &wanted);
    let row = onet.app.store().write("add_address_pool", work).await?;
    Ok(format!(
        "Added {}: {} to {}.",
        row.cidr, row.first_usable, row.last_usable
    ))
}

async fn list(onet: &Onet) -> Result<String, ApiError> {
    let now = onet.app.clock().now();
    let read = move |conn: &mut _| pools::list(conn, now);
    let fills = onet.app.store().read("list_address_pools", read).await?;
    if fills.is_empty() {
        return Ok("There are no pools: add one with `onetd addresses add-pool`.".to_owned());
    }
    let lines: Vec<String> = fills.iter().map(line).collect();
    Ok(lines.join("\n"))
}

/// `par1  192.0.2.0/24  gateway 192.0.2.1  3 in use, 1 resting, 249 free`.
fn line(fill: &Fill) -> String {
    let pool = &fill.pool;
    let vlan = pool.vlan.map(|vlan| format!("  VLAN {vlan}")).unwrap_or_default();
    let purpose = match pool.purpose {
        Purpose::Any => String::new(),
        Purpose::Primary | Purpose::Additional => format!("  {} addresses only", pool.purpose.as_str()),
    };
    let state = if pool.is_active { "" } else { "  disabled" };
    format!(
        "{}  {}  gateway {}{vlan}  {} in use, {} resting, {} free{purpose}{state}",
        fill.location, pool.cidr, pool.gateway, fill.in_use, fill.resting, fill.free
    )
}

async fn switch(onet: &Onet, cidr: IpNet, is_active: bool) -> Result<String, ApiError> {
    let name = if is_active { "enable-pool" } else { "disable-pool" };
    let origin = Origin::system(&format!("onetd addresses {name}"));
    let work = move |tx: &mut Tx<'_>| pools::set_active(tx, &origin, cidr, is_active);
    let is_new = onet.app.store().write("switch_address_pool", work).await?;
    Ok(match (is_active, is_new) {
        (true, true) => format!("Addresses of {cidr} are given out again."),
        (false, true) => format!("No more addresses of {cidr} are given out."),
        (true, false) => format!("Addresses of {cidr} are given out already."),
        (false, false) => format!("Addresses of {cidr} are not given out already."),
    })
}
