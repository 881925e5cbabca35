//! Users who come back: links that open an app which was there already and had not been used for a while.
//!
//! | file | what |
//! |---|---|
//! | `decide.rs` | whether a link brought its user back; pure |
//! | `store.rs` | queries |
//!
//! Guarantees: an open that was answered with a click is in the spool and is decided once, by when it was, however often it is reported; nobody who
//! opens an app waits for that. Whoever is brought back keeps their install and its link: what a link gets for it stands beside that.

pub mod decide;
mod store;

use prost::Message as _;
use sea_orm::DbErr;
use uuid::Uuid;

use self::decide::{Open, Windows};
pub use self::store::{OpenQuery, Returned};
use super::{
    Sdk,
    installs::{self, report::Scope},
};
use crate::{
    clock::{Moment, from_micros},
    entity::app_open::Model,
    env::Env,
    error::Result,
    ids::{ClickId, InstallId, LinkId, WorkspaceId},
    page::{Page, PageRequest},
    pb::internal::v1::OpenRecord,
    spool::{Record, RecordKind},
    workspaces::Tenant,
};

/// Keeps that a link opened the app of an install. When the spool cannot take it, the click is not recorded either.
pub fn keep(sdk: &Sdk, scope: &Scope, install: InstallId, (link, click): (LinkId, ClickId), opened: Moment) {
    let bytes = |id: Uuid| bytes::Bytes::copy_from_slice(id.as_bytes());
    let seconds = |given: Option<prost_types::Duration>, otherwise: chrono::Duration| {
        given.map_or(otherwise.num_seconds(), |given| given.seconds)
    };
    let of = &scope.attribution;
    let record = OpenRecord {
        workspace_id: bytes(scope.workspace.0),
        install_id: bytes(install.0),
        click_id: bytes(click.0),
        link_id: bytes(link.0),
        open_time_micros: opened.timestamp_micros(),
        inactivity_window_seconds: seconds(of.inactivity_window, decide::INACTIVITY),
        reengagement_window_seconds: seconds(of.reengagement_window, decide::REENGAGEMENT),
    };
    let id = sdk.env.ids.uuid(sdk.env.now());
    if sdk.spool.append(RecordKind::Open, id, &record.encode_to_vec()).is_err() {
        metrics::counter!("linkforty_app_opens_unrecorded_total").increment(1);
    }
}

/// Writes an open that the spool holds, and whether it brought the user back. `false`: nobody can read it.
pub(super) async fn carry(env: &Env, record: &Record) -> Result<bool, DbErr> {
    let Ok(said) = OpenRecord::decode(&record.payload[..]) else { return Ok(false) };
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    let ids = (id(&said.workspace_id), id(&said.install_id), id(&said.click_id), id(&said.link_id));
    let (Some(workspace), Some(install), Some(click), Some(link)) = ids else { return Ok(false) };
    let (workspace, db) = (WorkspaceId(workspace), &env.db.drain);
    // Of an install that nobody knows there is nothing to say: its open is a click and no more.
    let Some(install) = installs::find_by(env, db, workspace, InstallId(install)).await? else {
        return Ok(true);
    };
    let opened = from_micros(said.open_time_micros);
    let came = install.reinstall_time.filter(|time| *time < opened).unwrap_or(install.install_time);
    let seen = store::last_seen(db, (workspace, install.id), ClickId(click), opened).await?;
    let seen = seen.map_or(came, |seen| seen.max(came));
    let windows = Windows {
        inactivity: chrono::Duration::seconds(said.inactivity_window_seconds),
        reengagement: chrono::Duration::seconds(said.reengagement_window_seconds),
    };
    let verdict = decide::decide(opened, seen, windows);
    let row = Model {
        click_id: ClickId(click),
        workspace_id: workspace,
        app_id: install.app_id,
        install_id: install.id,
        link_id: LinkId(link),
        open_time: opened,
        seen_time: seen,
        credit_time: match verdict {
            Open::Back(until) => Some(until),
            Open::Active | Open::Late | Open::Off => None,
        },
        test: install.test,
    };
    let new = store::insert(env.db.writer(&env.db.drain), row).await?;
    if new {
        metrics::counter!("linkforty_app_opens_total", "verdict" => name(verdict)).increment(1);
    }
    Ok(true)
}

const fn name(verdict: Open) -> &'static str {
    match verdict {
        Open::Back(_) => "back",
        Open::Active => "active",
        Open::Late => "late",
        Open::Off => "off",
    }
}

/// Forgets the opens of an install.
pub async fn forget(
    tx: &impl sea_orm::ConnectionTrait,
    workspace: WorkspaceId,
    install: InstallId,
) -> Result<(), DbErr> {
    store::remove(tx, workspace, install).await
}

/// Returns one page of the times that users were brought back. Fails for an app or a link that is not the workspace's.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &OpenQuery,
    page: &PageRequest,
) -> Result<Page<Returned>> {
    super::events::expect(env, tenant, query.app, query.link).await?;
    Ok(store::list(&env.db.api, tenant.id, query, page).await?)
}
