//! A file for each embedded server, copied from one that is migrated once: its migrations are half of what starting takes. That a server
//! migrates its file itself is tested where its start is.

use std::{fs, os::unix::fs::DirBuilderExt as _};

use linkforty::{config::Config, db};
use tokio::sync::OnceCell;

static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();

/// Makes the data directory of a server, and the file in it, unless there is one.
pub async fn place_file(config: &Config) {
    if config.data_dir.exists() {
        return;
    }
    let template = TEMPLATE.get_or_init(make_template).await;
    fs::DirBuilder::new().mode(0o700).create(&config.data_dir).expect("a directory");
    fs::write(config.sqlite_file(), template).expect("the file is written");
}

async fn make_template() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("template.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let pool = sea_orm::Database::connect(url).await.expect("SQLite makes the file");
    db::migrate(&pool).await.expect("the migrations run");
    pool.close().await.expect("all of it is in the file");
    fs::read(file).expect("the file is there")
}
