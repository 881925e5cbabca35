//! Installs: reported once or a hundred times, credited once.
//!
//! | file | what |
//! |---|---|
//! | `report.rs` | what apps may say of an install, and what it is known by; pure |
//! | `gather.rs` | the clicks it could be credited to |
//! | `settle.rs` | from report and clicks to the row; pure |
//! | `told.rs` | what the feed is told of it |
//! | `past.rs` | installs that another product decided |
//! | `list.rs` `store.rs` | queries |
//!
//! Guarantees: one install is one row and one decision, however often and on however many nodes it is reported; a click is claimed by
//! one install; an install that was answered survives, also when its answer was that it is not decided yet.

mod gather;
mod list;
pub mod past;
pub mod report;
pub mod settle;
pub(super) mod store;
mod told;

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

pub use self::list::InstallQuery;
use self::{
    report::likeness_life,
    settle::{Facts, settle},
};
use super::{
    Sdk,
    assists::assists,
    decisions::{self, What},
    fraud, networks, returns,
};
use crate::{
    clicks::{ClickTokens, drain},
    clock::{Moment, from_micros},
    entity::install::Model,
    env::Env,
    error::{Error, Kind, Result},
    feed::tail,
    ids::{AppId, InstallId, LinkId, WorkspaceId},
    page::{Page, PageRequest},
    pb::{
        internal::v1::InstallRecord,
        sdk::v1::{AttributionState, MatchMethod},
        v1::NetworkClaim,
    },
    spool::{Record, RecordKind},
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

/// How long a pending install waits for the clicks of other nodes, whose spools are drained at the same time.
const GRACE: chrono::Duration = chrono::Duration::seconds(5);
/// How often an install whose click is claimed under its hands looks again.
const ATTEMPTS: usize = 5;
/// How many installs are looked at for what assisted them.
const MOST_ASSISTED: usize = 20_000;
/// The state of an install that is not decided.
const PENDING: i16 = AttributionState::Pending as i16;

/// What an app is told of its install.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is decided.
    Decided(Box<Model>),
    /// It is kept under this id and not decided yet.
    Pending(InstallId),
}

/// Answers a report, within the budget.
pub async fn report(sdk: &Sdk, report: InstallRecord) -> Result<Answer> {
    let stored = tokio::time::timeout(sdk.env.config.install_budget, store_and_decide(sdk, &report)).await;
    let why = match stored {
        Ok(Ok(Some(answer))) => return Ok(answer),
        Ok(Ok(None)) => "clicks from before it wait in the spool".to_owned(),
        Ok(Err(error)) if !is_passing(&error) => return Err(error),
        Ok(Err(error)) => error.inward(),
        Err(_) => "the time is up".to_owned(),
    };
    let id = id_of(&report)?;
    tracing::debug!(install.id = %id, why, "an install is kept until it can be decided");
    metrics::counter!("linkforty_installs_pending_total").increment(1);
    match sdk.spool.append_durable(RecordKind::Install, id.0, &report.encode_to_vec()).await {
        Ok(_) => Ok(Answer::Pending(id)),
        Err(refused) => Err(Error::store_unavailable(refused)),
    }
}

/// Says whether the same may succeed later.
fn is_passing(error: &Error) -> bool {
    error.kind() == Kind::Unavailable
}

/// Decides an install, or returns what was decided of it. `None`: this node knows of clicks that the database does not, one of which
/// may be the install's.
async fn store_and_decide(sdk: &Sdk, report: &InstallRecord) -> Result<Option<Answer>> {
    let (env, now) = (&sdk.env, sdk.env.now());
    let (workspace, _) = whose(report)?;
    // Most reports are of installs that are known: an app may report at every start. They cost two reads and no transaction.
    let behind = drain::is_behind(env, &sdk.spool);
    if let Some(row) = recognise(env, workspace, report, now, behind).await? {
        return Ok(Some(answer(row)));
    }
    if behind {
        return Ok(None);
    }
    let tx = env.db.begin().await?;
    let id = id_of(report)?;
    let Owner { id, known, previous } = take_keys(env, &tx, workspace, (report, id), now).await?;
    if let Some(row) = known {
        tx.commit().await?;
        return Ok(Some(answer(row)));
    }
    let kept = after(networks::without_claims(report), previous);
    let row = decided(env, &tx, (id, &kept), None, store::insert).await?;
    networks::keep(env, &tx, (workspace, row.app_id, row.id), report).await?;
    tx.commit().await?;
    tail::wake(env);
    count(&row);
    Ok(Some(answer(row)))
}

/// Returns the install if it is known by the key that names its installation and was seen lately.
async fn recognise(
    env: &Env,
    workspace: WorkspaceId,
    report: &InstallRecord,
    now: Moment,
    behind: bool,
) -> Result<Option<Model>> {
    let Some(first) = report.keys.first() else { return Ok(None) };
    let known = store::known(&env.db.api, workspace, &[first.to_vec()]).await?;
    let Some((id, seen)) = known.get(&first[..]) else { return Ok(None) };
    // A likeness lives on while it is seen: that is written again once in a while, but not while there is too much to write.
    let fresh = if behind { likeness_life() } else { likeness_life() / 24 };
    if report.fleeting && now - *seen > fresh {
        return Ok(None);
    }
    Ok(store::find(&env.db.api, workspace, *id).await?)
}

/// Whose the keys of a report are.
struct Owner {
    id: InstallId,
    /// That install, if it is there.
    known: Option<Model>,
    /// The one that the device had before, if this one begins anew.
    previous: Option<InstallId>,
}

/// Returns a report that says which install its device had before.
fn after(report: InstallRecord, previous: Option<InstallId>) -> InstallRecord {
    let bytes = previous.map(|id| bytes::Bytes::copy_from_slice(id.0.as_bytes()));
    InstallRecord { previous_install_id: bytes.unwrap_or_default(), ..report }
}

/// Says whether a device that comes again begins anew: its install is older than the window.
fn begins_anew(row: &Model, report: &InstallRecord) -> bool {
    let window = chrono::Duration::seconds(report.reattribution_window_seconds);
    let installed = row.reinstall_time.map_or(row.install_time, |again| again.max(row.install_time));
    !window.is_zero() && from_micros(report.install_time_micros) - installed > window
}

/// Takes every key of a report for the install that has the strongest of them, or for `id`. Returns whose they are now. A device that comes again
/// after the window begins anew, as one that was forgotten does.
async fn take_keys(
    env: &Env,
    tx: &DatabaseTransaction,
    workspace: WorkspaceId,
    (report, id): (&InstallRecord, InstallId),
    now: Moment,
) -> Result<Owner, DbErr> {
    let keys: Vec<Vec<u8>> = report.keys.iter().map(|key| key.to_vec()).collect();
    let known = store::known(tx, workspace, &keys).await?;
    let fresh_since = report.fleeting.then(|| now - likeness_life());
    let is_good = |seen: &Moment| fresh_since.is_none_or(|since| *seen >= since);
    let mut owner = keys
        .iter()
        .find_map(|key| known.get(key).filter(|(_, seen)| is_good(seen)).map(|(install, _)| *install))
        .unwrap_or(id);
    let mut came_again = false;
    for (place, key) in keys.iter().enumerate() {
        let taken = store::take_key(tx, (workspace, key), owner, now, fresh_since).await?;
        // Somebody else was faster, or the keys are of two installs: the stronger one says.
        if place == 0 {
            owner = taken;
            came_again = !known.contains_key(key) && owner != id;
        }
    }
    let row = store::find(tx, workspace, owner).await?;
    let anew = came_again && row.as_ref().is_some_and(|row| begins_anew(row, report));
    match row {
        Some(mut row)
            if !anew && (owner != id || known.contains_key(&keys[0]) || row_is_of(&row, report)) =>
        {
            if came_again {
                store::note_reinstall(tx, workspace, owner, now).await?;
                row.reinstalls += 1;
                row.reinstall_time = Some(now);
            }
            // Whoever was told the id of a report that was kept finds its install by it.
            if owner != id {
                let alias = report::alias(env, workspace, id);
                store::take_key(tx, (workspace, &alias), owner, now, None).await?;
            }
            Ok(Owner { id: owner, known: Some(row), previous: None })
        }
        // An install that was forgotten has the id that this one would have, or the device's is over.
        Some(row) => {
            let other = InstallId(uuid::Uuid::from_bytes(env.ids.bytes()));
            for key in &keys {
                // Nobody was seen a day from now: whatever stands there gives way. SQLite compares texts, so the year has four digits.
                let ahead = now + chrono::Duration::days(1);
                store::take_key(tx, (workspace, key), other, now, Some(ahead)).await?;
            }
            let alias = report::alias(env, workspace, id);
            store::take_key(tx, (workspace, &alias), other, now, None).await?;
            Ok(Owner { id: other, known: None, previous: anew.then_some(row.id) })
        }
        None => Ok(Owner { id: owner, known: None, previous: None }),
    }
}

/// Says whether a row that has the id of a report is of it: one that was forgotten is of nothing any more.
fn row_is_of(row: &Model, report: &InstallRecord) -> bool {
    !row.report.is_empty()
        && InstallRecord::decode(&row.report[..]).is_ok_and(|stored| stored.keys == report.keys)
}

/// Decides an install and writes it down by `write`, which says whether its click was still free. `before`: what it was until now, if it
/// was.
async fn decided<'a, W>(
    env: &Env,
    tx: &'a DatabaseTransaction,
    (id, report): (InstallId, &InstallRecord),
    before: Option<&Model>,
    write: W,
) -> Result<Model>
where
    W: AsyncFn(&'a DatabaseTransaction, &Model) -> Result<bool, DbErr>,
{
    let (workspace, app) = whose(report)?;
    let again = before.is_some_and(|before| before.state != PENDING);
    let rules = fraud::settings(tx, workspace).await?;
    for _ in 0..ATTEMPTS {
        let gathered = gather::gather(env, tx, workspace, report).await?;
        let facts = Facts::of(report, gathered.candidates, gathered.crowded, rules.clone());
        let mut row = settle((id, workspace, app), report, &facts, &facts.decide(report), &gathered.told);
        row.decision_salt = Some(decisions::salt(env));
        if write(tx, &row).await? {
            let what = if again { What::DecidedAgain } else { What::Decided };
            decisions::append(tx, &row, what, env.now()).await?;
            told::note(env, tx, &row, before, &gathered.told).await?;
            return Ok(row);
        }
    }
    Err(Error::store_unavailable("the click of an install was claimed again and again"))
}

/// Writes an install that was kept in the spool, to be decided when the clicks of all nodes are there. `false`: nobody can read it.
pub(super) async fn carry(env: &Env, record: &Record) -> Result<bool, DbErr> {
    let Ok(report) = InstallRecord::decode(&record.payload[..]) else { return Ok(false) };
    let (Ok(whose), Ok(id)) = (whose(&report), id_of(&report)) else { return Ok(false) };
    if report.keys.is_empty() {
        return Ok(false);
    }
    keep(env, whose, (&report, id)).await?;
    Ok(true)
}

async fn keep(
    env: &Env,
    (workspace, app): (WorkspaceId, Option<AppId>),
    (report, id): (&InstallRecord, InstallId),
) -> Result<(), DbErr> {
    let now = from_micros(report.receive_time_micros);
    let tx = env.db.begin_on(&env.db.drain).await?;
    let Owner { id, known, previous } = take_keys(env, &tx, workspace, (report, id), now).await?;
    if known.is_none() {
        let kept = after(networks::without_claims(report), previous);
        let row = settle::pending((id, workspace, app), &kept, Some(env.now() + GRACE));
        if store::insert(&tx, &row).await? {
            decisions::append(&tx, &row, What::PutOff, env.now()).await?;
            networks::keep(env, &tx, (workspace, app, id), report).await?;
            told::note(env, &tx, &row, None, &HashMap::new()).await?;
        }
    }
    tx.commit().await?;
    tail::wake(env);
    Ok(())
}

/// Decides installs that are pending until none is left whose time has come: after a store was away there may be thousands. Returns how many.
pub async fn decide_pending(env: &Env) -> Result<usize> {
    // One question, as long as there is nothing to do: which is as good as always.
    if !store::is_any_due(&env.db.drain, env.now()).await? {
        return Ok(0);
    }
    let mut done = 0;
    loop {
        let tx = env.db.begin().await?;
        let Some(row) = store::pending(&tx, env.now()).await? else { return Ok(done) };
        done += 1;
        match decide_one(env, tx, &row).await {
            Ok(row) => count(&row),
            // Its click may have been claimed meanwhile, or something about it is wrong: the others do not wait for it.
            Err(error) => {
                tracing::warn!(install.id = %row.id, cause = %error.inward(), "a pending install is put off");
                store::put_off(&env.db.api, row.id, env.now() + GRACE).await?;
            }
        }
    }
}

async fn decide_one(env: &Env, tx: DatabaseTransaction, row: &Model) -> Result<Model> {
    let report = InstallRecord::decode(&row.report[..]).map_err(Error::internal)?;
    let row = decided(env, &tx, (row.id, &report), Some(row), store::settle).await?;
    tx.commit().await?;
    tail::wake(env);
    Ok(row)
}

/// Returns one page of installs. Fails for an app or a link that is not the workspace's.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &InstallQuery,
    page: &PageRequest,
) -> Result<Page<Model>> {
    super::events::expect(env, tenant, query.app, query.link).await?;
    Ok(list::list(&env.db.api, tenant.id, query, page).await?)
}

/// What links had to do with installs.
#[derive(Debug, Default)]
pub struct Assists {
    /// By link: how many installs are credited to it, and how many others it assisted.
    pub links: HashMap<LinkId, (i64, i64)>,
    /// Whether there were more installs than are looked at.
    pub truncated: bool,
}

/// Counts the installs that links assisted, of one app or of all, from the facts of each.
pub async fn count_assists(
    env: &Env,
    tenant: &Tenant,
    app: Option<AppId>,
    span: (Moment, Moment),
) -> Result<Assists> {
    super::events::expect(env, tenant, app, None).await?;
    let db = env.db.for_reports().await;
    let (mut counted, mut looked, mut after) = (Assists::default(), 0, None);
    loop {
        let rows = list::attributed(&db, tenant.id, app, span, after).await?;
        let Some(last) = rows.last() else { return Ok(counted) };
        after = Some((last.install_time, last.id));
        for row in &rows {
            looked += 1;
            if looked > MOST_ASSISTED {
                counted.truncated = true;
                return Ok(counted);
            }
            count_one(row, &mut counted);
        }
    }
}

/// Counts what one install owes to links.
fn count_one(row: &list::Attributed, counted: &mut Assists) {
    let Ok(facts) = serde_json::from_str::<settle::Facts>(&row.facts) else { return };
    let credited = row.link_id;
    if let Some(link) = credited {
        counted.links.entry(link).or_default().0 += 1;
    }
    let links = assists(&facts).into_iter().map(|place| facts.candidates[place].link);
    let links: HashSet<LinkId> = links.filter(|link| Some(*link) != credited).collect();
    for link in links {
        counted.links.entry(link).or_default().1 += 1;
    }
}

/// Returns what networks say of installs.
pub async fn claims(
    env: &Env,
    tenant: &Tenant,
    rows: &[Model],
) -> Result<HashMap<InstallId, Vec<NetworkClaim>>> {
    let installs: Vec<InstallId> = rows.iter().map(|row| row.id).collect();
    Ok(networks::of_installs(&env.db.api, tenant.id, &installs).await?)
}

/// Returns what networks say of one install.
pub async fn claims_of(env: &Env, tenant: &Tenant, row: &Model) -> Result<Vec<NetworkClaim>> {
    let mut claims = claims(env, tenant, std::slice::from_ref(row)).await?;
    Ok(claims.remove(&row.id).unwrap_or_default())
}

/// Returns an install by the id that an app was told.
pub async fn find(env: &Env, workspace: WorkspaceId, id: InstallId) -> Result<Option<Model>> {
    Ok(find_by(env, &env.db.api, workspace, id).await?)
}

/// The same, by other connections.
pub async fn find_by(
    env: &Env,
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InstallId,
) -> Result<Option<Model>, DbErr> {
    if let Some(row) = store::find(db, workspace, id).await? {
        return Ok(Some(row));
    }
    let alias = report::alias(env, workspace, id);
    let known = store::known(db, workspace, std::slice::from_ref(&alias)).await?;
    match known.get(&alias) {
        Some((install, _)) => store::find(db, workspace, *install).await,
        None => Ok(None),
    }
}

/// Returns an install of whatever workspace: its id is all that some apps send. For the node.
pub async fn find_anywhere(env: &Env, id: InstallId) -> Result<Option<Model>> {
    Ok(store::find_anywhere(&env.db.api, id).await?)
}

/// What a user allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// Ids of the device and the user as evidence.
    pub identity: bool,
    /// Likeness as evidence.
    pub likeness: bool,
}

/// Notes what a user allows. An install that was credited by what is not allowed any more is decided anew without it.
pub async fn consent(env: &Env, workspace: WorkspaceId, id: InstallId, consent: Consent) -> Result<()> {
    let row = find(env, workspace, id).await?.ok_or_else(|| Error::not_found("install"))?;
    let Ok(mut report) = InstallRecord::decode(&row.report[..]) else {
        return Err(Error::not_found("install"));
    };
    if row.report.is_empty() {
        return Err(Error::not_found("install"));
    }
    let is = |methods: [MatchMethod; 2]| methods.iter().any(|method| row.method == *method as i16);
    let undone = !consent.likeness && is([MatchMethod::Probabilistic, MatchMethod::ViewProbabilistic])
        || !consent.identity && is([MatchMethod::Identity, MatchMethod::ViewIdentity]);
    report.likeness &= consent.likeness;
    if !consent.identity {
        report.identities.clear();
    }
    let tx = env.db.begin().await?;
    if undone {
        // The click is free again, for this install too if there is other evidence for it.
        store::save(&tx, &settle::open_again(row.clone())).await?;
        decided(env, &tx, (row.id, &report), Some(&row), store::settle).await?;
    } else {
        store::save(&tx, &Model { report: report.encode_to_vec(), ..row }).await?;
    }
    tx.commit().await?;
    tail::wake(env);
    Ok(())
}

/// Forgets what an install is known by, its device and the click it is credited to. The row stays, and with it what was counted.
pub async fn forget(env: &Env, tenant: &Tenant, id: InstallId) -> Result<()> {
    let Some(row) = find(env, tenant.id, id).await? else { return Ok(()) };
    let did = tenant.did(Action::InstallForgotten, row.id.0, Changes::none());
    let tx = env.db.begin().await?;
    store::forget_keys(&tx, tenant.id, row.id).await?;
    networks::forget(&tx, tenant.id, row.id).await?;
    returns::forget(&tx, tenant.id, row.id).await?;
    let is_known = !row.report.is_empty();
    let row = settle::forgotten(row);
    store::save(&tx, &row).await?;
    // Once is enough, however often it is asked for.
    if is_known {
        decisions::append(&tx, &row, What::Forgotten, env.now()).await?;
    }
    trail::note(&tx, &env.ids, [did], env.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns what an app is told of its install.
pub fn answer(row: Model) -> Answer {
    if row.state == PENDING { Answer::Pending(row.id) } else { Answer::Decided(Box::new(row)) }
}

fn count(row: &Model) {
    let method = settle::method_name(row);
    metrics::counter!("linkforty_installs_total", "method" => method).increment(1);
}

/// Returns whose a report is.
pub fn whose(report: &InstallRecord) -> Result<(WorkspaceId, Option<AppId>)> {
    let id = |bytes: &[u8]| uuid::Uuid::from_slice(bytes);
    let workspace = id(&report.workspace_id).map_err(Error::internal)?;
    let app = if report.app_id.is_empty() {
        None
    } else {
        Some(AppId(id(&report.app_id).map_err(Error::internal)?))
    };
    Ok((WorkspaceId(workspace), app))
}

/// Returns the id that a report was given.
fn id_of(report: &InstallRecord) -> Result<InstallId> {
    uuid::Uuid::from_slice(&report.install_id).map(InstallId).map_err(Error::internal)
}

/// Returns what reads and makes tokens of clicks.
pub(super) fn tokens(env: &Env) -> ClickTokens {
    use secrecy::ExposeSecret as _;
    *env.memory.of(|| ClickTokens::new(env.secrets.session.expose_secret().as_bytes()))
}
