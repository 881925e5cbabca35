//! The handles that everything needs, cheap to clone. Made once, at start; there are no globals.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    cache::{Fanout, SharedCache},
    clock::{Clock, Moment},
    config::{Config, Secrets},
    db::Db,
    dns::Dns,
    geo::Geo,
    ids::Ids,
    memory::Memory,
    page::PageSeal,
};

/// The file of the data directory that holds `JWT_SECRET` where it is not set.
pub const JWT_SECRET: &str = "jwt.secret";
/// The file that holds `JWT_SECRET_PREVIOUS` then; there is none unless the secret is being changed.
pub const JWT_SECRET_PREVIOUS: &str = "jwt.secret.previous";

/// The handles that everything needs.
#[derive(Debug, Clone)]
pub struct Env {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<Ids>,
    /// The database.
    pub db: Db,
    /// The cache that all nodes share.
    pub cache: Arc<dyn SharedCache>,
    /// The messages that all nodes hear.
    pub fanout: Arc<dyn Fanout>,
    /// The secrets that everything else is derived from.
    pub secrets: Secrets,
    /// Seals page tokens.
    pub pages: PageSeal,
    /// Where addresses are.
    pub geo: Geo,
    /// What the DNS says.
    pub dns: Dns,
    /// What the rooms remember in this process.
    pub memory: Memory,
}

impl Env {
    /// Puts the handles together.
    pub fn new(
        config: Arc<Config>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
        db: Db,
        (cache, fanout): (Arc<dyn SharedCache>, Arc<dyn Fanout>),
        secrets: Secrets,
    ) -> Self {
        let pages = PageSeal::new(secrets.session.expose_secret().as_bytes());
        let geo = Geo::new(config.geoip_file.clone());
        let dns = Dns::new(&config.dns_servers);
        Self { config, clock, ids, db, cache, fanout, secrets, pages, geo, dns, memory: Memory::default() }
    }

    /// Returns the handles for a call that keeps a connection to the database busy for long, so that no other call waits for it.
    #[must_use]
    pub fn for_bulk(&self) -> Self {
        Self { db: self.db.for_bulk(), ..self.clone() }
    }

    /// Returns the handles for work that nobody waits for, so that no call waits for it.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { db: self.db.for_background(), ..self.clone() }
    }

    /// Returns the present moment.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }
}

#[cfg(test)]
impl Env {
    /// Puts the handles of a test together.
    pub(crate) async fn of_test(
        config: Arc<Config>,
        clock: &crate::clock::SettableClock,
        seed: u64,
        wires: (Arc<dyn SharedCache>, Arc<dyn Fanout>),
    ) -> Self {
        let db = Db::open(&config).await.expect("opens");
        let secrets = Secrets {
            jwt: SecretString::from("one secret"),
            jwt_previous: None,
            jwt_keys: None,
            session: SecretString::from("another"),
        };
        Self::new(config, Arc::new(clock.clone()), Arc::new(Ids::seeded(seed)), db, wires, secrets)
    }
}

/// Returns the secrets of the settings, or those of the data directory, made on first start. Production always has
/// the former: its settings do not load without.
pub fn secrets(config: &Config, ids: &Ids) -> anyhow::Result<Secrets> {
    match &config.secrets {
        Some(secrets) => Ok(secrets.clone()),
        None => Ok(Secrets {
            jwt: kept_secret(&config.data_dir.join(JWT_SECRET), ids)?,
            jwt_previous: read_secret(&config.data_dir.join(JWT_SECRET_PREVIOUS))?,
            jwt_keys: None,
            session: kept_secret(&config.data_dir.join("session.secret"), ids)?,
        }),
    }
}

fn read_secret(file: &Path) -> anyhow::Result<Option<SecretString>> {
    match fs::read_to_string(file) {
        Ok(secret) => Ok(Some(SecretString::from(secret.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn kept_secret(file: &Path, ids: &Ids) -> anyhow::Result<SecretString> {
    if !file.exists() {
        let secret = STANDARD.encode(ids.bytes::<48>());
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let secret = read_secret(file)?;
    secret.with_context(|| format!("cannot read {}", file.display()))
}
