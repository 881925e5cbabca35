//! The handles of a command that works on the stores itself, without a server.

use std::{fs, sync::Arc};

use anyhow::Context as _;
use tokio::runtime::Handle;

use crate::{
    cache::{self, Opened},
    clock::{Clock, SystemClock},
    config::Config,
    db::{self, Db, Dialect},
    env::{self, Env},
    error::Error,
    ids::Ids,
};

/// Opens the stores that the settings name. An embedded database is brought up to date, as `serve` does.
pub(super) async fn env(config: Config) -> anyhow::Result<Env> {
    let config = Arc::new(config);
    let ids = Arc::new(Ids::from_os());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if config.database.is_none() {
        fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("cannot make {}", config.data_dir.display()))?;
    }
    let db = Db::open(&config).await.context("cannot open the database")?;
    if db.dialect() == Dialect::Sqlite {
        db::migrate(&db.api).await.context("cannot bring the embedded database up to date")?;
    }
    let secrets = env::secrets(&config, &ids)?;
    // Its tasks only bring messages in; what this command has to tell goes out without them.
    let Opened { cache, fanout, .. } = cache::open(&config, ids.clone(), &Handle::current()).await?;
    Ok(Env::new(config, clock, ids, db, (cache, fanout), secrets))
}

/// Says on one line what went wrong, for whoever sits at the host and may see all of it.
pub(super) fn told(error: &Error) -> anyhow::Error {
    let faults: Vec<String> =
        error.violations().iter().map(|fault| format!("{} {}", fault.field, fault.description)).collect();
    if faults.is_empty() { anyhow::anyhow!("{}", error.inward()) } else { anyhow::anyhow!(faults.join("; ")) }
}
