//! Where log lines go: standard error, for a person or for a collector.

use std::io::IsTerminal;

use kernel::config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging; a second call in a process changes nothing.
///
/// # Errors
/// The level can't be read.
pub(crate) fn start(settings: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| format!("log.level: {error}"))?;
    let lines = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Human => {
            let colour = std::io::stderr().is_terminal();
            tracing::subscriber::set_global_default(lines.with_ansi(colour).finish())
        }
        LogFormat::Json => {
            let json = lines
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false);
            tracing::subscriber::set_global_default(json.finish())
        }
    };
    // Already started: in tests, which start several servers in a process.
    let _ = started;
    Ok(())
}
