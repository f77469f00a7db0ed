//! `onetd`: see `onetd --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    onetd::cli::run()
}
