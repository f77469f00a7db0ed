//! Whether a page of a list costs the same however many instances there are altogether.

use anyhow::Result;

use crate::{
    client::Connection,
    load::{Outcome, sequence},
    onetd::{Installation, Running},
    options::{Plan, Server},
    report::{self, Goal, Limit, figure},
    requests::Tenant,
};

/// Pages asked for in turns: small, large, small, … so that what disturbs one disturbs the other.
const TURN: usize = 50;

const SMALL: &str = "onet_bench_small";
const LARGE: &str = "onet_bench_large";

/// A page of 100 from SQLite: of one project alone, and of one among many.
pub(crate) async fn on_sqlite(plan: &Plan) -> Result<Goal> {
    let load = |projects| Installation::load(&plan.onetd, None, projects, plan.per_project);
    report::step(format!(
        "loading {} instances into SQLite",
        plan.large_projects * plan.per_project
    ));
    let (small, large) = (load(1)?, load(plan.large_projects)?);
    let ratio = compare(plan, &small, &large, "SQLite").await?;
    Ok(Goal::of(
        "list of 100, large ÷ small, on SQLite",
        Limit::AtMost(1.5),
        "",
        ratio,
    ))
}

/// The same on PostgreSQL.
pub(crate) async fn on_postgres(plan: &Plan, server: &Server) -> Result<Goal> {
    let load = |database, projects| {
        server.create(database, None)?;
        Installation::load(
            &plan.onetd,
            Some(server.database(database)?),
            projects,
            plan.per_project,
        )
    };
    report::step(format!(
        "loading {} instances into PostgreSQL",
        plan.large_postgres_projects * plan.per_project
    ));
    let (small, large) = (load(SMALL, 1)?, load(LARGE, plan.large_postgres_projects)?);
    for database in [SMALL, LARGE] {
        server.run(database, "vacuum analyze")?;
    }
    let ratio = compare(plan, &small, &large, "PostgreSQL").await?;
    server.drop(SMALL)?;
    server.drop(LARGE)?;
    Ok(Goal::of(
        "list of 100, large ÷ small, on PostgreSQL",
        Limit::AtMost(1.5),
        "",
        ratio,
    ))
}

struct Side {
    name: String,
    running: Running,
    tenant: Tenant,
    connection: Connection,
    turns: Vec<Outcome>,
}

impl Side {
    async fn start(installation: &Installation) -> Result<Self> {
        let running = installation.serve()?;
        let tenant = Tenant::read(running.address, &installation.facts, false).await?;
        let connection = Connection::open(running.address).await?;
        let name = format!("{} projects", tenant.projects.len());
        let mut side = Self {
            name,
            running,
            tenant,
            connection,
            turns: Vec::new(),
        };
        side.turn().await?;
        side.turns.clear();
        Ok(side)
    }

    async fn turn(&mut self) -> Result<()> {
        let outcome = sequence(&mut self.connection, TURN, |request| self.tenant.list(request)).await?;
        self.turns.push(outcome);
        Ok(())
    }

    fn part(&self, part: fn(&Outcome) -> f64) -> f64 {
        report::median(&self.turns.iter().map(part).collect::<Vec<_>>())
    }
}

async fn compare(plan: &Plan, small: &Installation, large: &Installation, engine: &str) -> Result<f64> {
    report::step(format!("lists on {engine}"));
    let (mut one, mut many) = (Side::start(small).await?, Side::start(large).await?);
    for _ in 0..plan.lists.div_ceil(TURN) {
        one.turn().await?;
        many.turn().await?;
    }
    let rows = [(small, &one), (large, &many)].map(|(installation, side)| {
        [
            side.name.clone(),
            figure(side.part(Outcome::median)),
            figure(side.part(|outcome| outcome.percentile(0.99))),
            figure(installation.loading.as_secs_f64()),
        ]
    });
    let title = format!(
        "List of 100 on {engine}, one client, {} instances a project",
        plan.per_project
    );
    report::table(&title, ["", "median ms", "p99 ms", "loading s"], rows);
    let ratio = many.part(Outcome::median) / one.part(Outcome::median);
    one.running.stop()?;
    many.running.stop()?;
    Ok(ratio)
}
