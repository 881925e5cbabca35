//! `linkforty serve`.

use std::{
    fmt::{Display, Write as _},
    process::ExitCode,
};

use tokio::runtime::Builder;

use super::out;
use crate::{
    config::Config,
    serve::{self, Ground, Running, Signals},
    telemetry,
};

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::begin(&config.log);
    #[cfg(feature = "failpoints")]
    crate::failpoints::arm()?;
    // They are the visitors': `serve` makes others for everything else.
    let mut threads = Builder::new_multi_thread();
    super::block_on_threads(threads.on_thread_start(serve::take_short_turns), async {
        let signals = Signals::listen()?;
        let running = serve::start(config, Ground::real()).await?;
        if running.env.config.database.is_none() {
            greet(&running);
        }
        running.wait_for_signal_and_stop(signals).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Tells whoever started it on their own machine where things are.
fn greet(running: &Running) {
    let config = &running.env.config;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut text = format!("linkforty {} is running.\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &dyn Display| {
        let _ = writeln!(text, "  {name:<13}{value}");
    };
    line("Short links", &config.links_url);
    line("API", &format_args!("{scheme}://localhost:{}/", running.api.port()));
    line("Health", &format_args!("{scheme}://localhost:{}/health", running.links.port()));
    line("Data", &config.data_dir.display());
    if let Some(first) = &running.first_sign_in {
        text.push_str("\nSign in with this, shown only once; the first sign-in asks for a new password:\n");
        let _ = writeln!(text, "  E-mail       {}\n  Password     {}", first.email, first.password);
    }
    // A server whose words nobody reads serves all the same.
    let _ = out::try_write(format_args!("{text}"));
}
