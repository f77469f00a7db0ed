//! The command line: what can be asked for, and nothing about how it is done.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::{demo, test};

/// The answer to `--help`.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask <CHORE>

Chores:
  demo [--port PORT] [--data-dir DIR] [--once]
        Build onetd, start it on fresh demo data, use it as a customer's program would, and keep it running.
        --port PORT      where it listens on 127.0.0.1 (default 8080)
        --data-dir DIR   its data, replaced if an earlier demo made it (default onet-data)
        --once           stop when the tour is over; the exit status tells whether all of it worked
  test [--long] [-- NEXTEST ARGUMENTS]
        Check everything: format, lints, dependencies, documentation examples and all tests.
        --long           then run those that boot a whole Debian, too, which takes up to half an hour more
  openapi [--check]
        Write openapi.json from the code; with --check, fail if it is not up to date.
  bench [ARGUMENTS]
        Build onetd for release and measure it, next to a PostgreSQL server of its own.
";

/// One request to `cargo xtask`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    Help,
    Demo(demo::Options),
    Test(test::Options),
    OpenApi { check: bool },
    Bench { args: Vec<OsString> },
}

/// Reads the arguments, of which the first is the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Chore> {
    let mut parser = lexopt::Parser::from_iter(args.into_iter().collect::<Vec<_>>());
    let chore = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Chore::Help),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match chore.as_str() {
        "help" => Ok(Chore::Help),
        "demo" => demo_options(&mut parser),
        "test" => test_options(&mut parser),
        "openapi" => openapi_options(&mut parser),
        // Whatever follows belongs to the benchmark program, its `--help` included.
        "bench" => Ok(Chore::Bench {
            args: parser.raw_args()?.collect(),
        }),
        unknown => bail!("there is no chore `{unknown}`; `cargo xtask help` lists them"),
    }
}

fn demo_options(parser: &mut lexopt::Parser) -> Result<Chore> {
    let mut options = demo::Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("port") => options.port = parser.value()?.parse().context("--port")?,
            Long("data-dir") => options.data_dir = parser.value()?.into(),
            Long("once") => options.once = true,
            Short('h') | Long("help") => return Ok(Chore::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.port == 0 {
        bail!("--port 0 would listen on a port that nobody knows; name one");
    }
    if options.data_dir.as_os_str().is_empty() {
        bail!("--data-dir must name a folder");
    }
    Ok(Chore::Demo(options))
}

fn openapi_options(parser: &mut lexopt::Parser) -> Result<Chore> {
    let mut check = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("check") => check = true,
            Short('h') | Long("help") => return Ok(Chore::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Chore::OpenApi { check })
}

/// Plain values and everything after `--` are nextest's.
fn test_options(parser: &mut lexopt::Parser) -> Result<Chore> {
    let mut options = test::Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("long") => options.long = true,
            Value(value) => options.nextest.push(value),
            Short('h') | Long("help") => return Ok(Chore::Help),
            other => return Err(other.unexpected()).context("arguments for nextest go after `--`"),
        }
    }
    Ok(Chore::Test(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Chore> {
        parse(
            std::iter::once("xtask")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    #[test]
    fn a_demo_has_defaults() {
        let expected = demo::Options {
            port: 8080,
            data_dir: "onet-data".into(),
            once: false,
        };
        assert_eq!(parsed("demo").unwrap(), Chore::Demo(expected));
    }

    #[test]
    fn a_demo_takes_its_options() {
        let expected = demo::Options {
            port: 9000,
            data_dir: "/tmp/d".into(),
            once: true,
        };
        assert_eq!(
            parsed("demo --port=9000 --data-dir /tmp/d --once").unwrap(),
            Chore::Demo(expected)
        );
    }

    #[test]
    fn foreign_arguments_are_handed_on() {
        let mut options = test::Options {
            nextest: vec!["-E".into(), "test(put)".into()],
            long: false,
        };
        assert_eq!(
            parsed("test -- -E test(put)").unwrap(),
            Chore::Test(options.clone())
        );
        options.long = true;
        assert_eq!(
            parsed("test --long -- -E test(put)").unwrap(),
            Chore::Test(options)
        );
        let args = vec!["--clients".into(), "32".into(), "--help".into()];
        assert_eq!(
            parsed("bench --clients 32 --help").unwrap(),
            Chore::Bench { args }
        );
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "tset",
            "--once",
            "demo --port x",
            "demo --port 0",
            "demo now",
            "test --fast",
            "openapi --chek",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_is_always_one_word_away() {
        for line in [
            "",
            "help",
            "--help",
            "-h",
            "demo --help",
            "test -h",
            "openapi --help",
        ] {
            assert_eq!(parsed(line).unwrap(), Chore::Help, "{line}");
        }
    }
}
