//! Everything that must hold before a change is taken: one command, the same here and in continuous integration.

use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::dependencies;
use crate::interrupt;
use crate::packages::{self, Need};
use crate::postgres::{Durability, Postgres};
use crate::python;
use crate::run;
use crate::screen::{Screen, spoken};
use crate::workspace::{Workspace, forget_settings};

const INSTALL_NEXTEST: &str = "cargo-nextest is not installed, so `cargo test` runs the tests, more slowly; \
    `cargo install --locked cargo-nextest` or https://nexte.st/docs/installation gets it";

/// What to test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Arguments of nextest.
    pub(crate) nextest: Vec<OsString>,
    /// Also what takes so long that it is set aside otherwise.
    pub(crate) long: bool,
}

/// Runs all steps in order and stops at the first that fails. What is quick comes first, and the tests last, so that
/// their summary is what remains on the screen.
pub(crate) fn perform(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    let need = if options.long { Need::LongTest } else { Need::Test };
    steps.step("System packages", || packages::ensure(need))?;
    steps.step("Format", || {
        run::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
    })?;
    steps.step("Dependencies: sources and licences", || {
        dependencies::check_supply_chain(workspace)
    })?;
    steps.step("Dependencies: each one used", || {
        dependencies::check_use(workspace)
    })?;
    steps.step("Lints", || lints(workspace))?;
    steps.step("Documentation examples", || documentation_examples(workspace))?;
    let python = steps.step("Test tools in Python", || python::python_tools(workspace))?;
    let runner = Runner::find(workspace);
    steps.step("Build the tests", || run::run(&mut runner.build(workspace)))?;
    steps.step("Tests", || {
        let postgres =
            Postgres::start(Durability::Relaxed).context("can't start PostgreSQL for the tests")?;
        let mut tests = runner.run(workspace, &options.nextest);
        forget_settings(&mut tests)
            .env("ONET_TEST_POSTGRES", postgres.url("postgres"))
            .env("ONET_TEST_PYTHON_BIN", &python);
        run::run(&mut tests)
    })?;
    if options.long {
        steps.step("Long tests", || {
            run::run(forget_settings(&mut runner.run_long(workspace)))
        })?;
    }
    steps.finish();
    Ok(())
}

fn lints(workspace: &Workspace) -> Result<()> {
    let args = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    run::run(&mut workspace.cargo(&args))
}

/// Silent unless one fails, so that there is only one summary of tests to be read.
fn documentation_examples(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo(&["test", "--doc", "--workspace", "--locked", "--quiet"]);
    Screen::stderr().aside("$ cargo test --doc --workspace --locked --quiet");
    run::capture(&mut command).map(drop)
}

/// The program that runs the tests.
#[derive(Clone, Copy)]
enum Runner {
    /// Each test in a process of its own.
    Nextest,
    /// What comes with Cargo.
    CargoTest,
}

impl Runner {
    fn find(workspace: &Workspace) -> Self {
        if run::capture(&mut workspace.cargo(&["nextest", "--version"])).is_ok() {
            return Self::Nextest;
        }
        Screen::stderr().line(&format!("\n{INSTALL_NEXTEST}"));
        Self::CargoTest
    }

    fn build(self, workspace: &Workspace) -> std::process::Command {
        let mut command = self.command(workspace);
        command.arg("--no-run");
        command
    }

    fn run(self, workspace: &Workspace, nextest: &[OsString]) -> std::process::Command {
        let mut command = self.command(workspace);
        match self {
            Self::Nextest => command.args(nextest),
            // Its options differ from nextest's; what both have are names of tests, which go behind the dashes.
            // One at a time: some tests make the whole process fail at a point, as nextest, with its process for
            // each test, lets them.
            Self::CargoTest => command.args(["--", "--test-threads=1"]).args(nextest),
        };
        command
    }

    /// The tests that are set aside and whose names begin with `long_`, one at a time, with what they say: how long things
    /// took.
    fn run_long(self, workspace: &Workspace) -> std::process::Command {
        let mut command = self.command(workspace);
        match self {
            Self::Nextest => command.args(["--run-ignored", "only", "--no-capture", "-E", "test(/::long_/)"]),
            Self::CargoTest => {
                command.args(["--", "--ignored", "--nocapture", "--test-threads=1", "::long_"])
            }
        };
        command
    }

    fn command(self, workspace: &Workspace) -> std::process::Command {
        match self {
            Self::Nextest => workspace.cargo(&["nextest", "run", "--workspace", "--locked"]),
            // Documentation examples have had their own step.
            Self::CargoTest => workspace.cargo(&[
                "test",
                "--workspace",
                "--locked",
                "--lib",
                "--bins",
                "--tests",
                "--examples",
            ]),
        }
    }
}

/// Announces, times and counts steps.
struct Steps {
    begun: Instant,
    count: usize,
    screen: Screen,
}

impl Steps {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            count: 0,
            screen: Screen::stderr(),
        }
    }

    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        interrupt::check()?;
        self.count += 1;
        self.screen.heading(&format!("[{}] {name}", self.count));
        let begun = Instant::now();
        let outcome = work().map_err(|error| {
            // The details first and however long they are: the last line says in one glance what became of the run.
            self.screen.line(&format!("{error:#}"));
            anyhow!(
                "step {} failed after {}: {name}",
                self.count,
                spoken(begun.elapsed())
            )
        })?;
        self.screen.good(&format!("ok, {}", spoken(begun.elapsed())));
        Ok(outcome)
    }

    fn finish(self) {
        let took = spoken(self.begun.elapsed());
        self.screen
            .good(&format!("\nAll {} steps passed in {took}.", self.count));
    }
}
