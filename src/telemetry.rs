//! Logs: one line for each thing that happened, as JSON for machines or as text for eyes.
//!
//! Lines about a request carry its `request_id`, `trace_id` and `span_id`. What must not be seen never gets here: secrets are
//! `SecretString`, whose `Debug` says nothing, and headers and bodies are not logged.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter, layer::SubscriberExt as _, registry};

use crate::config::{Log, LogFormat};

/// Begins to log to stderr, so that stdout stays free for what a command prints. A second call changes nothing.
pub fn begin(log: &Log) {
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let _ = tracing::subscriber::set_global_default(subscriber(log, json, io::stderr));
}

/// Returns what turns events into lines on `writer`.
pub fn subscriber<W>(log: &Log, json: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    if json {
        // The request's fields stand beside the event's own, so that a query needs no path.
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        Box::new(registry().with(filter(log)).with(lines))
    } else {
        Box::new(registry().with(filter(log)).with(lines.compact().with_target(false)))
    }
}

/// Reads `LOG_LEVEL`: a level alone is about linkforty, and the libraries speak up from warnings on. A full filter says what it says.
fn filter(log: &Log) -> EnvFilter {
    let level = log.level.trim().to_lowercase();
    let directives = match level.as_str() {
        "error" | "warn" | "off" => level,
        "info" | "debug" | "trace" => format!("warn,linkforty={level}"),
        _ => log.level.clone(),
    };
    EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("warn,linkforty=info"))
}
