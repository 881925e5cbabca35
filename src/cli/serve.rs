//! `linkforty serve`.

use std::process::ExitCode;

use crate::{
    config::Config,
    serve::{self, Ground, Running, Signals},
    telemetry,
};

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::begin(&config.log);
    #[cfg(feature = "failpoints")]
    crate::failpoints::arm()?;
    super::block_on(async {
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
    println!("linkforty {} is running.", env!("CARGO_PKG_VERSION"));
    println!("  Short links  {}", config.links_url);
    println!("  API          {scheme}://localhost:{}/", running.api.port());
    println!("  Health       {scheme}://localhost:{}/health", running.links.port());
    println!("  Data         {}", config.data_dir.display());
    if let Some(first) = &running.first_sign_in {
        println!();
        println!("Sign in with this, shown only once; the first sign-in asks for a new password:");
        println!("  E-mail       {}", first.email);
        println!("  Password     {}", first.password);
    }
}
