//! Takes over what a LinkForty database holds: links, templates, webhooks, and all that was recorded, under the ids and codes that the world knows.
//!
//! | file | what |
//! |---|---|
//! | `source.rs` | the LinkForty database: where it is, what of it is wanted, which of its tables and columns it has |
//! | `part.rs` | what every part has in common: a step, a dry run, a comparison |
//! | `parts/` | one file for each part: what stands in its tables and what becomes of it |
//! | `ids.rs` | the ids of clicks, which hold their time here; pure |
//! | `content.rs` `remarks.rs` | sums over what rows say; why rows were not carried, or not whole; pure |
//! | `reports.rs` | what reports are made from, made of what was taken over |
//! | `uncarried.rs` | what has no place here, and why; pure |
//! | `store.rs` `report.rs` | the table `takeovers`; what is told in the end |
//!
//! Guarantees: the source is only read. Each step is one transaction with how far it came, so a takeover that dies at any instant goes on where
//! it was, and a row is stored and counted once however often it is met. Nobody is told of what happened long ago: neither webhooks nor whoever
//! watches. What is claimed in the end was read again from both databases.

mod content;
mod ids;
mod part;
mod parts;
mod remarks;
mod report;
mod reports;
mod source;
mod store;
mod uncarried;

use std::sync::Arc;

use anyhow::Context as _;

use self::{
    part::{Cx, Part},
    parts::{Clicks, Events, Installs, Links, Projects, Templates, Webhooks},
    source::Source,
};
pub use self::{
    report::{Compared, PartReport, Report},
    source::Wanted,
};
use crate::{
    clicks::past::Past,
    env::Env,
    ids::AppId,
    links::past as links,
    outbound::Outbound,
    trail::{self, Action, Changes},
    workspaces::{self, Tenant},
};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Take over what is not there yet, and compare.
    Carry,
    /// Only say what would become of each row.
    Try,
    /// Only compare.
    Compare,
}

/// Where what is taken over goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The host that links are to live on; empty: the server's own.
    pub domain: String,
    /// The app that installs and events are of.
    pub app: Option<AppId>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What is being done to which part.
    pub what: String,
    /// How many rows are dealt with.
    pub done: u64,
    /// How many there were when this began.
    pub all: u64,
}

/// Takes over a database, or says how that would go, or what it came to. `tell` hears how far it is.
pub async fn run(
    env: &Env,
    tenant: &Tenant,
    wanted: &Wanted,
    into: &Destination,
    run: Run,
    tell: &dyn Fn(&Told),
) -> anyhow::Result<Report> {
    let env = env.for_background();
    let source = Source::open(wanted).await.context("the LinkForty database cannot be read")?;
    let ground = links::ground(&env, tenant, &into.domain).await?;
    if let Some(app) = into.app {
        crate::apps::expect(&env, tenant, app).await?;
    }
    let outbound = Outbound::new(&env.config, Arc::new(env.dns.clone()))?;
    let fingerprint = source.fingerprint(&into.domain, into.app);
    let past = Past::new(&env, tenant.id);
    let cx = Cx { env, tenant, source, ground, app: into.app, outbound, past, fingerprint, run, tell };
    if run == Run::Carry {
        cx.begin().await?;
    }
    let mut report = Report::new(&cx.source, tenant.id, run);
    cx.part::<Projects>(&mut report).await?;
    cx.part::<Templates>(&mut report).await?;
    cx.part::<Links>(&mut report).await?;
    if run == Run::Carry {
        // Codes that nobody had are remembered as such: every node forgets what it knows of the workspace.
        let tx = cx.env.db.begin().await?;
        workspaces::commit_for_all_links(&cx.env, tx, tenant, cx.env.now()).await?;
    }
    cx.part::<Clicks>(&mut report).await?;
    cx.part::<Installs>(&mut report).await?;
    cx.part::<Events>(&mut report).await?;
    cx.part::<Webhooks>(&mut report).await?;
    if run != Run::Try {
        report.reports = Some(reports::settle(&cx).await?);
    }
    report.not_carried = uncarried::of(&cx.source).await?;
    if run == Run::Carry {
        cx.end(&report).await?;
    }
    Ok(report)
}

impl Cx<'_> {
    /// Begins, or goes on: what is at its end is begun anew only when everything is, since more may have come to the source.
    async fn begin(&self) -> anyhow::Result<()> {
        let known = store::all(&self.env.db.api, self.tenant.id, &self.fingerprint).await?;
        if known.iter().any(|part| part.part == store::END && part.done) {
            store::forget(&self.env.db.api, self.tenant.id, &self.fingerprint).await?;
        }
        Ok(())
    }

    /// Notes that everything is taken over.
    async fn end(&self, report: &Report) -> anyhow::Result<()> {
        let now = self.env.now();
        let tx = self.env.db.begin().await?;
        let mut end = store::find(&tx, self.tenant.id, &self.fingerprint, store::END, now).await?;
        if !end.done {
            end.done = true;
            store::save(&tx, end).await?;
            let mut changes = Changes::none();
            for part in &report.parts {
                changes = changes.with(part.name, part.stored);
            }
            let did = self.tenant.did(Action::LinkfortyTakenOver, self.tenant.id.0, changes);
            trail::note(&tx, &self.env.ids, [did], now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Carries or tries a part, compares it, and adds to the report what it came to.
    async fn part<P: Part>(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut of = PartReport::new(P::NAME);
        if !self.source.has(P::TABLE) {
            report.parts.push(of);
            return Ok(());
        }
        let all = P::count(self).await?;
        match self.run {
            Run::Carry => part::carry::<P>(self, all, &mut of).await,
            Run::Try => part::attempt::<P>(self, all, &mut of).await,
            Run::Compare => Ok(()),
        }
        .with_context(|| format!("{} cannot be taken over", P::NAME))?;
        if self.run != Run::Try {
            part::compare::<P>(self, all, &mut of)
                .await
                .with_context(|| format!("{} cannot be compared", P::NAME))?;
        }
        report.parts.push(of);
        Ok(())
    }
}
