//! PUT and GET of random instances by many clients, on both databases, next to pgbench.

use std::{rc::Rc, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{Outcome, Span, storm},
    onetd::{Installation, Running},
    options::{Plan, Server},
    postgres::Baseline,
    report::{self, Goal, Limit, figure},
    requests::Tenant,
    script::Script,
};

/// The database that onetd uses, and the copy of it for pgbench.
pub(crate) const DATABASE: &str = "onet_bench";
pub(crate) const COPY: &str = "onet_bench_copy";

/// A server under storms.
pub(crate) struct Subject {
    name: &'static str,
    pub(crate) running: Running,
    pub(crate) tenant: Rc<Tenant>,
    puts: Vec<Outcome>,
    gets: Vec<Outcome>,
}

impl Subject {
    pub(crate) async fn start(name: &'static str, installation: &Installation) -> Result<Self> {
        let running = installation.serve()?;
        let tenant = Rc::new(Tenant::read(running.address, &installation.facts, true).await?);
        Ok(Self {
            name,
            running,
            tenant,
            puts: Vec::new(),
            gets: Vec::new(),
        })
    }

    async fn round(&mut self, plan: &Plan, round: usize) -> Result<()> {
        report::step(format!("round {}: PUT on {}", round + 1, self.name));
        let tenant = Rc::clone(&self.tenant);
        let mut serial = 0_u64;
        let put = move |request: &mut Vec<u8>| {
            serial += 1;
            tenant.put(request, tenant.any(), &format!("round-{round}-{serial}"));
        };
        let outcome = self.storm(plan, put).await?;
        self.puts.push(outcome);
        report::step(format!("round {}: GET on {}", round + 1, self.name));
        let tenant = Rc::clone(&self.tenant);
        let get = move |request: &mut Vec<u8>| tenant.get(request, tenant.any());
        let outcome = self.storm(plan, get).await?;
        self.gets.push(outcome);
        Ok(())
    }

    async fn storm(&self, plan: &Plan, next: impl FnMut(&mut Vec<u8>) + 'static) -> Result<Outcome> {
        let span = Span {
            warm_up: plan.warm_up,
            measured: plan.measured,
        };
        let before = self.running.processor_time()?;
        let mut outcome = storm(self.running.address, plan.clients, span, next).await?;
        let worked = self.running.processor_time()? - before;
        outcome.effort = worked.as_secs_f64() * 1e6 / f64::from(outcome.answers.max(1));
        Ok(outcome)
    }

    fn rows(&self) -> [[String; 8]; 2] {
        let row = |what: &str, outcomes: &[Outcome]| {
            let middle = |part: fn(&Outcome) -> f64| figure(median_of(outcomes, part));
            [
                format!("{what}, {}", self.name),
                middle(|outcome| outcome.rate),
                middle(Outcome::median),
                middle(|outcome| outcome.percentile(0.9)),
                middle(|outcome| outcome.percentile(0.99)),
                middle(|outcome| outcome.percentile(1.0)),
                middle(|outcome| outcome.effort),
                by_round(outcomes.iter().map(|outcome| outcome.rate)),
            ]
        };
        [row("PUT", &self.puts), row("GET", &self.gets)]
    }
}

/// pgbench on a copy of the data.
struct Comparison<'a> {
    server: &'a Server,
    script: &'a Script,
    results: Vec<Baseline>,
}

/// Lets the storms take place and prints them. Returns the goals.
pub(crate) async fn run(
    plan: &Plan,
    sqlite: &mut Subject,
    mut postgres: Option<(&Server, &Script, &mut Subject)>,
) -> Result<Vec<Goal>> {
    let mut comparison = postgres.as_ref().map(|(server, script, _)| Comparison {
        server,
        script,
        results: Vec::new(),
    });
    for round in 0..plan.rounds {
        sqlite.round(plan, round).await?;
        if let Some((server, _, subject)) = &mut postgres {
            server.checkpoint()?;
            subject.round(plan, round).await?;
        }
        if let Some(Comparison {
            server,
            script,
            results,
        }) = &mut comparison
        {
            report::step(format!("round {}: pgbench", round + 1));
            server.checkpoint()?;
            server.pgbench(
                COPY,
                script,
                plan.clients,
                plan.warm_up.max(Duration::from_secs(1)),
            )?;
            results.push(server.pgbench(COPY, script, plan.clients, plan.measured)?);
        }
    }
    let mut rows = Vec::from(sqlite.rows());
    if let Some((_, _, subject)) = &postgres {
        rows.extend(subject.rows());
    }
    if let Some(Comparison { results, .. }) = &comparison {
        let rates: Vec<f64> = results.iter().map(|baseline| baseline.rate).collect();
        let means: Vec<f64> = results.iter().map(|baseline| baseline.mean).collect();
        let none = || "–".to_owned();
        let mean = format!("{} (mean)", figure(report::median(&means)));
        let rate = figure(report::median(&rates));
        rows.push([
            "pgbench, the statements of PUT".to_owned(),
            rate,
            mean,
            none(),
            none(),
            none(),
            none(),
            by_round(rates.into_iter()),
        ]);
    }
    let title = format!(
        "Storms: {} clients, {} instances",
        plan.clients,
        figure_of(plan.instances())
    );
    let heads = [
        "",
        "requests/s",
        "median ms",
        "p90 ms",
        "p99 ms",
        "longest ms",
        "onetd µs/request",
        "requests/s by round",
    ];
    report::table(&title, heads, rows);
    goals(
        sqlite,
        postgres.map(|(_, _, subject)| &*subject),
        comparison.as_ref(),
    )
}

fn goals(
    sqlite: &Subject,
    postgres: Option<&Subject>,
    baseline: Option<&Comparison<'_>>,
) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    let over = |outcomes: &[Outcome], others: &[f64]| -> Vec<f64> {
        outcomes
            .iter()
            .zip(others)
            .map(|(outcome, other)| outcome.rate / other)
            .collect()
    };
    let spread = |outcomes: &[Outcome]| -> Vec<f64> {
        outcomes
            .iter()
            .map(|outcome| outcome.percentile(0.99) / outcome.median())
            .collect()
    };
    if let Some(baseline) = baseline {
        let rates: Vec<f64> = baseline.results.iter().map(|baseline| baseline.rate).collect();
        let postgres = postgres.context("a baseline without its subject")?;
        let at_least = Limit::AtLeast;
        goals.push(Goal::of_rounds(
            "PUT on SQLite ÷ pgbench",
            at_least(1.5),
            "",
            over(&sqlite.puts, &rates),
        ));
        goals.push(Goal::of_rounds(
            "PUT on PostgreSQL ÷ pgbench",
            at_least(0.8),
            "",
            over(&postgres.puts, &rates),
        ));
    }
    if let Some(postgres) = postgres {
        let puts: Vec<f64> = postgres.puts.iter().map(|put| put.rate).collect();
        let ratio = over(&postgres.gets, &puts);
        goals.push(Goal::of_rounds(
            "GET ÷ PUT on PostgreSQL",
            Limit::AtLeast(3.0),
            "",
            ratio,
        ));
        let spread = spread(&postgres.puts);
        goals.push(Goal::of_rounds(
            "p99 ÷ median of PUT on PostgreSQL",
            Limit::Below(5.0),
            "",
            spread,
        ));
    }
    let spread = spread(&sqlite.puts);
    goals.push(Goal::of_rounds(
        "p99 ÷ median of PUT on SQLite",
        Limit::Below(5.0),
        "",
        spread,
    ));
    Ok(goals)
}

fn median_of(outcomes: &[Outcome], part: fn(&Outcome) -> f64) -> f64 {
    report::median(&outcomes.iter().map(part).collect::<Vec<_>>())
}

fn by_round(figures: impl Iterator<Item = f64>) -> String {
    figures.map(figure).collect::<Vec<_>>().join(" · ")
}

fn figure_of(count: usize) -> String {
    u32::try_from(count).map_or_else(|_| count.to_string(), |count| figure(count.into()))
}
