//! What ad networks say of installs: claims, each a network's word and evidence of no click.
//!
//! | file | what |
//! |---|---|
//! | `referrer.rs` | what a store's referrer says; pure |
//! | `meta.rs` | what Meta encrypted for an app; pure |
//! | `adservices.rs` | what Apple answers to a token, and what follows from it; pure |
//! | `exchange.rs` | asks Apple |
//! | `store.rs` | queries |
//!
//! Guarantees: a claim credits no link and takes no click from one. It is kept with its install in one transaction, so an install whose app
//! handed something over never passes for plainly organic. An install waits for no network. What a network is asked with is kept sealed, and
//! only until it has answered; a network's click id is kept for 180 days.

mod adservices;
mod exchange;
mod meta;
pub mod referrer;
mod store;

use std::{collections::HashMap, sync::Arc};

use chrono::Duration;
use prost::Message as _;
use sea_orm::{ConnectionTrait, DbErr};
use secrecy::ExposeSecret as _;

pub use self::exchange::{EVERY, exchange_tokens};
use crate::{
    apps,
    clock::from_micros,
    entity::network_claim::Model,
    env::Env,
    error::Result,
    ids::{AppId, InstallId, WorkspaceId},
    pb::{
        internal::v1::InstallRecord,
        v1::{AdNetwork, ClaimEvidence, ClaimState, NetworkClaim},
    },
    rpc::timestamp,
    sealing::Seal,
};

/// How long a network's click id is kept: Google's bound on `gclid`.
const CLICK_IDS_KEPT: Duration = Duration::days(180);
/// How many click ids one statement removes.
const AT_ONCE: u64 = 1000;

/// Keeps what networks say of a new install. In the transaction that stores it.
pub async fn keep(
    env: &Env,
    tx: &impl ConnectionTrait,
    (workspace, app, install): (WorkspaceId, Option<AppId>, InstallId),
    report: &InstallRecord,
) -> Result<(), DbErr> {
    let named = super::installs::tokens(env).named_in(workspace, &report.store_referrer).is_some();
    let encrypted = meta::handed_over(report);
    let key = match (&encrypted, app) {
        (Some(_), Some(app)) => apps::meta_referrer_key(env, tx, workspace, app).await?,
        _ => None,
    };
    let claims = claims(report, named, encrypted.as_ref(), key.as_deref());
    let rows: Vec<Model> = claims
        .into_iter()
        .map(|claim| row((workspace, install), claim, &report.adservices_token, report.receive_time_micros))
        .collect();
    for row in &rows {
        let (network, state) = (network_name(row.network), state_name(row.state));
        metrics::counter!("linkforty_network_claims_total", "network" => network, "state" => state)
            .increment(1);
    }
    store::insert(tx, rows).await
}

/// Returns a report without what stands in the claims, as it is stored.
pub fn without_claims(report: &InstallRecord) -> InstallRecord {
    InstallRecord {
        store_referrer: referrer::without_click_ids(&report.store_referrer),
        meta_referrer: String::new(),
        adservices_token: bytes::Bytes::new(),
        ..report.clone()
    }
}

/// Returns what networks claim by a report: at most one claim of each.
fn claims(
    report: &InstallRecord,
    named: bool,
    encrypted: Option<&meta::HandedOver>,
    key: Option<&[u8]>,
) -> Vec<NetworkClaim> {
    let mut claims = Vec::new();
    claims.extend(encrypted.map(|handed| meta::claim(handed, key)));
    let by_store = referrer::claim(&report.store_referrer, named);
    // What Meta encrypted says more than the parameters around it.
    let of_meta = |claim: &NetworkClaim| claim.evidence() == ClaimEvidence::CampaignParameters;
    claims
        .extend(by_store.filter(|claim| encrypted.is_none_or(|handed| !handed.by_store || !of_meta(claim))));
    if !report.adservices_token.is_empty() {
        claims.push(NetworkClaim {
            network: AdNetwork::AppleAds.into(),
            state: ClaimState::Pending.into(),
            evidence: ClaimEvidence::Adservices.into(),
            ..NetworkClaim::default()
        });
    }
    claims
}

fn row(
    (workspace, install): (WorkspaceId, InstallId),
    claim: NetworkClaim,
    token: &[u8],
    received: i64,
) -> Model {
    let pending = claim.state() == ClaimState::Pending;
    let receive_time = from_micros(received);
    Model {
        workspace_id: workspace,
        install_id: install,
        network: claim.network() as i16,
        state: claim.state() as i16,
        campaign: claim.campaign.clone(),
        click_id: Some(claim.click_id.clone()).filter(|id| !id.is_empty()),
        content: content(claim),
        token: pending.then(|| token.to_vec()),
        attempts: 0,
        due_time: pending.then_some(receive_time),
        receive_time,
    }
}

/// Writes what a claim says, but for what has a column of its own.
fn content(claim: NetworkClaim) -> Vec<u8> {
    NetworkClaim { network: 0, state: 0, click_id: String::new(), ..claim }.encode_to_vec()
}

/// Returns what networks say of installs.
pub async fn of_installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    installs: &[InstallId],
) -> Result<HashMap<InstallId, Vec<NetworkClaim>>, DbErr> {
    let mut claims: HashMap<InstallId, Vec<NetworkClaim>> = HashMap::new();
    for row in store::of_installs(db, workspace, installs).await? {
        claims.entry(row.install_id).or_default().push(shown(row));
    }
    Ok(claims)
}

fn shown(row: Model) -> NetworkClaim {
    NetworkClaim {
        network: row.network.into(),
        state: row.state.into(),
        click_id: row.click_id.unwrap_or_default(),
        ..NetworkClaim::decode(&row.content[..]).unwrap_or_default()
    }
}

/// Forgets what networks said of an install.
pub async fn forget(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    install: InstallId,
) -> Result<(), DbErr> {
    store::remove(tx, workspace, install).await
}

/// Removes click ids of networks that have been kept for long enough. Returns how many.
pub async fn forget_click_ids(env: &Env) -> Result<u64> {
    let before = env.now() - CLICK_IDS_KEPT;
    let mut removed = 0;
    loop {
        let batch = store::remove_click_ids(env.db.writer(&env.db.drain), before, AT_ONCE).await?;
        removed += batch;
        if batch < AT_ONCE {
            return Ok(removed);
        }
    }
}

/// Seals what Apple is asked with.
pub fn seal_token(env: &Env, workspace: WorkspaceId, token: &str) -> Vec<u8> {
    seal(env).0.seal(&env.ids, workspace.0.as_bytes(), token.as_bytes())
}

fn open_token(env: &Env, workspace: WorkspaceId, sealed: &[u8]) -> Option<Vec<u8>> {
    seal(env).0.open(workspace.0.as_bytes(), sealed)
}

/// The key that tokens are sealed under.
struct TokenSeal(Seal);

fn seal(env: &Env) -> Arc<TokenSeal> {
    env.memory.of(|| {
        let secret = env.secrets.session.expose_secret().as_bytes();
        TokenSeal(Seal::derive(secret, "tokens of ad networks"))
    })
}

/// Returns a moment in whole seconds; 0 stands for none.
pub(super) fn at_second(seconds: i64) -> Option<prost_types::Timestamp> {
    let time = chrono::DateTime::from_timestamp(seconds, 0).filter(|_| seconds != 0);
    time.map(timestamp)
}

/// Cuts a text that a stranger wrote to what is kept of it: no control characters, and at most 255 others.
fn kept(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(255).collect()
}

fn network_name(network: i16) -> &'static str {
    match AdNetwork::try_from(i32::from(network)).unwrap_or_default() {
        AdNetwork::GoogleAds => "google_ads",
        AdNetwork::Meta => "meta",
        AdNetwork::AppleAds => "apple_ads",
        AdNetwork::Other | AdNetwork::Unspecified => "other",
    }
}

fn state_name(state: i16) -> &'static str {
    match ClaimState::try_from(i32::from(state)).unwrap_or_default() {
        ClaimState::Claimed => "claimed",
        ClaimState::Denied => "denied",
        ClaimState::Pending | ClaimState::Unspecified => "pending",
        ClaimState::Undecryptable => "undecryptable",
        ClaimState::NoKey => "no_key",
        ClaimState::Invalid => "invalid",
        ClaimState::Expired => "expired",
        ClaimState::Sandbox => "sandbox",
    }
}
