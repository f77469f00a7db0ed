//! The server of the comparison: its databases, and pgbench on them.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{options::Server, script::Script};

/// Gives projects and instances numbered ids, in the order in which they were made: pgbench can draw numbers, but
/// no texts. Then every table is written anew, so that no statement pays for it.
///
/// Projects: `00000000-0000-7000-8000-…`, instances: `00000000-0000-7000-9000-…`, both with twelve hexadecimal digits.
const RENUMBER: &str = r"
set session_replication_role = replica;
create temp table ids as
select id as old,
    ('00000000-0000-7000-9000-' || lpad(to_hex(row_number() over (order by legacy_id)), 12, '0'))::uuid as new
from instances;
insert into ids
select project_id,
    ('00000000-0000-7000-8000-' || lpad(to_hex(row_number() over (order by min(legacy_id))), 12, '0'))::uuid
from instances group by project_id;
create unique index on ids (old);
analyze ids;
do $$
declare reference record;
begin
    for reference in
        select table_name, column_name from information_schema.columns
        where table_schema = 'public' and data_type = 'uuid'
            and (column_name in ('instance_id', 'project_id')
                or column_name = 'id' and table_name in ('instances', 'projects'))
    loop
        execute format('update %I set %2$I = ids.new from ids where %1$I.%2$I = ids.old',
            reference.table_name, reference.column_name);
    end loop;
end
$$;
";

/// What pgbench says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Baseline {
    /// Transactions a second.
    pub(crate) rate: f64,
    /// Mean waiting time in milliseconds.
    pub(crate) mean: f64,
}

impl Server {
    /// The URL of another database.
    pub(crate) fn database(&self, name: &str) -> Result<String> {
        let (server, _) = self.url.rsplit_once('/').context("a URL without a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// The same by way of a relay.
    pub(crate) fn database_behind(&self, relay: SocketAddr, name: &str) -> Result<String> {
        let url = self.database(name)?;
        let (before, after) = url.split_once("://").context("a URL without a scheme")?;
        let (authority, path) = after.split_once('/').context("a URL without a database")?;
        let account = authority
            .rsplit_once('@')
            .map_or(String::new(), |(account, _)| format!("{account}@"));
        Ok(format!("{before}://{account}{relay}/{path}"))
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let (_, after) = self.url.split_once("://").context("a URL without a scheme")?;
        let authority = after.split('/').next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:5432")
        };
        host.to_socket_addrs()?
            .next()
            .context("the server has no address")
    }

    /// Runs SQL in a database; returns what it answers.
    pub(crate) fn run(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.beside("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            &self.database(database)?,
        ]);
        finish(&mut psql)
    }

    /// Makes a database anew: empty, or as a copy of one that nobody uses.
    pub(crate) fn create(&self, name: &str, template: Option<&str>) -> Result<()> {
        self.run(
            "postgres",
            &format!("drop database if exists {name} with (force)"),
        )?;
        let template = template.map_or_else(String::new, |template| format!(" template {template}"));
        self.run("postgres", &format!("create database {name}{template}"))?;
        Ok(())
    }

    /// Removes a database, whoever uses it.
    pub(crate) fn drop(&self, name: &str) -> Result<()> {
        self.run(
            "postgres",
            &format!("drop database if exists {name} with (force)"),
        )?;
        Ok(())
    }

    /// Gives the instances and projects of a database their numbers.
    pub(crate) fn renumber(&self, database: &str) -> Result<()> {
        self.run(database, RENUMBER)?;
        self.run(database, "vacuum (full, analyze)")?;
        Ok(())
    }

    /// Writes all changed pages: every measurement begins alike.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.run("postgres", "checkpoint")?;
        Ok(())
    }

    /// The server's version.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(self.run("postgres", "show server_version")?.trim().to_owned())
    }

    /// Lets pgbench send the script's statements, prepared, on kept connections.
    pub(crate) fn pgbench(
        &self,
        database: &str,
        script: &Script,
        clients: usize,
        time: Duration,
    ) -> Result<Baseline> {
        let file = tempfile::Builder::new().suffix(".sql").tempfile()?;
        std::fs::write(file.path(), &script.text)?;
        let (clients, seconds) = (clients.to_string(), time.as_secs().max(1).to_string());
        let mut pgbench = Command::new(&self.pgbench);
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        pgbench.args(["--client", &clients, "--time", &seconds]);
        for (name, value) in &script.variables {
            pgbench.arg(format!("--define={name}={value}"));
        }
        pgbench
            .arg("--file")
            .arg(file.path())
            .arg(self.database(database)?);
        let printed = finish(&mut pgbench)?;
        let figure = |before: &str| -> Option<f64> {
            let line = printed.lines().find_map(|line| line.strip_prefix(before))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let failed = figure("number of failed transactions: ").unwrap_or(0.0);
        ensure!(failed == 0.0, "{failed} of pgbench's transactions failed");
        let rate = figure("tps = ").context("pgbench has no rate")?;
        Ok(Baseline {
            rate,
            mean: figure("latency average = ").unwrap_or(f64::NAN),
        })
    }

    fn beside(&self, program: &str) -> PathBuf {
        self.pgbench.with_file_name(program)
    }
}

fn finish(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        bail!(
            "{program} ended with {status}:\n{}",
            String::from_utf8_lossy(&stderr)
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let server = Server {
            url: "postgres://onet@127.0.0.1:5433/postgres".to_owned(),
            pgbench: "pgbench".into(),
        };
        assert_eq!(server.database("x").unwrap(), "postgres://onet@127.0.0.1:5433/x");
        assert_eq!(server.address().unwrap(), ([127, 0, 0, 1], 5433).into());
        let relay = ([127, 0, 0, 1], 9).into();
        assert_eq!(
            server.database_behind(relay, "x").unwrap(),
            "postgres://onet@127.0.0.1:9/x"
        );
    }
}
