//! Benchmarks: onetd over HTTP, next to what PostgreSQL itself does on the same machine in the same run.
//!
//! Absolute figures say more about the machine than about onet. Every goal is therefore a ratio of two figures of one
//! run, or a size. Standard output is a report in Markdown (`docs/performance.md` keeps one).

mod client;
mod load;
mod onetd;
mod options;
mod postgres;
mod report;
mod requests;
mod scenarios;
mod script;
mod wire;

use anyhow::Result;

use crate::{
    onetd::Installation,
    options::{Plan, Server},
    report::{Goal, step},
    scenarios::{
        boots, lists, logins, machines, resources, statements,
        storms::{self, COPY, DATABASE, Subject},
    },
    script::Script,
    wire::Relay,
};

fn main() -> Result<()> {
    let plan = Plan::read()?;
    // One thread: the clients must leave the processors to the server.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&plan))
}

async fn measure(plan: &Plan) -> Result<()> {
    println!("# Benchmarks of onetd\n");
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let version = plan.postgres.as_ref().map(Server::version).transpose()?;
    let server = version.map_or_else(
        || "no PostgreSQL".to_owned(),
        |version| format!("PostgreSQL {version}"),
    );
    println!(
        "{processors} processors shared by clients, onetd and database; {server}; every commit durable."
    );
    if plan.quick {
        println!("\nA smoke run: these figures mean nothing.");
    }
    if plan.machines_only {
        let mut goals = machines::run(plan).await?;
        goals.extend(boots::run(plan).await?);
        report::goals(&goals);
        return Ok(());
    }
    let mut goals = storms_and_resources(plan).await?;
    if !plan.storms_only {
        goals.extend(machines::run(plan).await?);
        goals.extend(boots::run(plan).await?);
        if plan.large_projects > 0 {
            goals.push(lists::on_sqlite(plan).await?);
        }
        if let (Some(server), true) = (&plan.postgres, plan.large_postgres_projects > 0) {
            goals.push(lists::on_postgres(plan, server).await?);
        }
    }
    report::goals(&goals);
    Ok(())
}

async fn storms_and_resources(plan: &Plan) -> Result<Vec<Goal>> {
    step(format!("loading {} instances into SQLite", plan.instances()));
    let light = Installation::load(&plan.onetd, None, plan.projects, plan.per_project)?;
    step(format!("loaded in {:.0} s", light.loading.as_secs_f64()));
    let heavy = match &plan.postgres {
        Some(server) => Some(prepare(plan, server).await?),
        None => None,
    };
    let mut sqlite = Subject::start("SQLite", &light).await?;
    let mut goals = match &heavy {
        Some((server, installation, script)) => {
            let mut postgres = Subject::start("PostgreSQL", installation).await?;
            let goals = storms::run(plan, &mut sqlite, Some((server, script, &mut postgres))).await?;
            postgres.running.stop()?;
            server.drop(DATABASE)?;
            server.drop(COPY)?;
            goals
        }
        None => storms::run(plan, &mut sqlite, None).await?,
    };
    goals.push(resources::memory(&sqlite)?);
    if !plan.storms_only {
        goals.push(logins::run(plan, &sqlite).await?);
    }
    sqlite.running.stop()?;
    if !plan.storms_only {
        goals.push(resources::starts(plan, &light)?);
    }
    Ok(goals)
}

/// The same data on PostgreSQL, once for onetd and once for pgbench, and what pgbench is to do with it.
async fn prepare<'a>(plan: &Plan, server: &'a Server) -> Result<(&'a Server, Installation, Script)> {
    step(format!("loading {} instances into PostgreSQL", plan.instances()));
    server.create(DATABASE, None)?;
    let relay = Relay::start(server.address()?)?;
    let mut installation = Installation::load(
        &plan.onetd,
        Some(server.database(DATABASE)?),
        plan.projects,
        plan.per_project,
    )?;
    step(format!("loaded in {:.0} s", installation.loading.as_secs_f64()));
    server.renumber(DATABASE)?;
    server.create(COPY, Some(DATABASE))?;
    server.run(COPY, "vacuum analyze")?;
    installation.move_to(server.database_behind(relay.address, DATABASE)?);
    let script = statements::count(plan, &installation, &relay).await?;
    installation.move_to(server.database(DATABASE)?);
    Ok((server, installation, script))
}
