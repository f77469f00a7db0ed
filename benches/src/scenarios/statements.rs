//! How many statements an operation costs, and which.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::{
    client::Connection,
    onetd::Installation,
    options::Plan,
    report,
    requests::{Instance, Tenant},
    script::{Heard, Script},
    wire::{Relay, Statement},
};

/// An operation is heard so often; what is heard most often counts (now and then onetd looks for tasks or asks for the
/// catalogue's version beside it).
const TIMES: usize = 15;
/// Requests that open onetd's connections and prepare its statements.
const WARM_UP: usize = 40;

/// Counts the statements of three operations, prints them, and makes pgbench's script of those of a PUT.
pub(crate) async fn count(plan: &Plan, installation: &Installation, relay: &Relay) -> Result<Script> {
    report::step("listening to statements");
    let few = [("ONET_STORE__POSTGRES_CONNECTIONS", "2")];
    let onetd = installation.serve_with(&["serve", "--no-worker"], &few)?;
    let tenant = Tenant::read(onetd.address, &installation.facts, true).await?;
    let mut ear = Ear {
        connection: Connection::open(onetd.address).await?,
        relay,
        serial: 0,
    };
    let get = |request: &mut Vec<u8>, instance: &Instance, _: &str| tenant.get(request, instance);
    let put = |request: &mut Vec<u8>, instance: &Instance, name: &str| tenant.put(request, instance, name);
    let list = |request: &mut Vec<u8>, _: &Instance, _: &str| tenant.list(request);
    for _ in 0..WARM_UP {
        ear.hear(&tenant, get).await?;
        ear.hear(&tenant, put).await?;
        ear.hear(&tenant, list).await?;
    }
    let gets = ear.usual(&tenant, get).await?;
    let puts = ear.usual(&tenant, put).await?;
    let lists = ear.usual(&tenant, list).await?;
    onetd.stop()?;

    let rows = [
        ("get_instance", &gets),
        ("replace_instance", &puts),
        ("list_instances", &lists),
    ];
    let counted = rows.iter().map(|(name, heard)| {
        let statements = &heard[0].statements;
        let ends = statements
            .iter()
            .filter(|statement| ["BEGIN", "COMMIT"].contains(&statement.sql.as_str()));
        let once = statements.iter().filter(|statement| statement.once);
        [
            (*name).to_owned(),
            statements.len().to_string(),
            ends.count().to_string(),
            once.count().to_string(),
        ]
    });
    report::table(
        "Statements an operation (PostgreSQL)",
        [
            "operation",
            "statements",
            "of them BEGIN, COMMIT",
            "prepared anew each time",
        ],
        counted,
    );
    println!();
    for (name, heard) in rows {
        println!("`{name}`:");
        for statement in &heard[0].statements {
            let once = if statement.once { ", prepared anew" } else { "" };
            println!("- `{}`{once}", summary(&statement.sql));
        }
    }
    let heard = |sample: &'_ Sample<'_>| -> (String, String) {
        (
            sample.instance.id.clone(),
            tenant.project_of(sample.instance).to_owned(),
        )
    };
    let first = &puts[0];
    // Of another project, if there is one: else the project's id would seem to be the same in every request.
    let second = puts.iter().find(|sample| heard(sample).1 != heard(first).1);
    let second = second.context("the PUTs that were heard were all in one project")?;
    let (one, other) = (heard(first), heard(second));
    let first = Heard {
        statements: &first.statements,
        instance: &one.0,
        project: &one.1,
    };
    let second = Heard {
        statements: &second.statements,
        instance: &other.0,
        project: &other.1,
    };
    Script::of_put(&first, &second, plan.instances(), plan.per_project)
}

/// What one request has led to.
struct Sample<'a> {
    instance: &'a Instance,
    statements: Vec<Statement>,
}

struct Ear<'a> {
    connection: Connection,
    relay: &'a Relay,
    serial: usize,
}

impl Ear<'_> {
    async fn hear<'t>(
        &mut self,
        tenant: &'t Tenant,
        write: impl Fn(&mut Vec<u8>, &Instance, &str),
    ) -> Result<Sample<'t>> {
        self.serial += 1;
        let instance = tenant.any();
        let mut request = Vec::new();
        write(&mut request, instance, &format!("heard-{}", self.serial));
        self.relay.take();
        let status = self.connection.send(&request).await?;
        anyhow::ensure!(
            status == 200,
            "{status}: {}",
            String::from_utf8_lossy(self.connection.body())
        );
        Ok(Sample {
            instance,
            statements: self.relay.take(),
        })
    }

    /// The samples whose statements are the most usual ones.
    async fn usual<'t>(
        &mut self,
        tenant: &'t Tenant,
        write: impl Fn(&mut Vec<u8>, &Instance, &str) + Copy,
    ) -> Result<Vec<Sample<'t>>> {
        let mut samples: HashMap<Vec<String>, Vec<Sample<'t>>> = HashMap::new();
        for _ in 0..TIMES {
            let sample = self.hear(tenant, write).await?;
            let texts = sample
                .statements
                .iter()
                .map(|statement| statement.sql.clone())
                .collect();
            samples.entry(texts).or_default().push(sample);
        }
        samples
            .into_values()
            .max_by_key(Vec::len)
            .context("nothing was heard")
    }
}

/// A statement's verb and tables.
fn summary(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let tables: Vec<&str> = words
        .windows(2)
        .filter(|pair| ["FROM", "JOIN", "INTO", "UPDATE"].contains(&pair[0].trim_start_matches('(')))
        .filter(|pair| pair[1] != "OF")
        .map(|pair| pair[1].trim_matches(|c: char| !c.is_alphanumeric() && c != '_'))
        .collect();
    let lock = if sql.contains(" FOR UPDATE") {
        " for update"
    } else {
        ""
    };
    let verb = words.first().map(|verb| verb.to_lowercase()).unwrap_or_default();
    format!("{verb} {}{lock}", tables.join(", ")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_name_verb_and_tables() {
        let joined = r#"SELECT "a"."b" FROM ("a" INNER JOIN "c" ON ("a"."d" = "c"."d")) FOR UPDATE OF "a""#;
        assert_eq!(summary(joined), "select a, c for update");
        assert_eq!(summary("UPDATE \"a\" SET \"b\" = $1"), "update a");
        assert_eq!(summary("COMMIT"), "commit");
    }
}
