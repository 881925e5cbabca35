//! What would have been credited by other rules: a question about what was decided, which changes nothing.
//!
//! | file | what |
//! |---|---|
//! | `again.rs` | decides installs again, one after the other; pure |
//! | `diff.rs` | what would be otherwise, by link and campaign; pure |
//! | `wire.rs` | questions and answers as messages |
//! | `store.rs` | queries |
//!
//! Guarantees: nothing is written. By the rules of today every decision comes out to the byte as it is stored. An install that cannot be decided by what
//! is asked for, because the clicks that it would take were not gathered, is named and counted as it is.

pub mod again;
#[cfg(test)]
mod again_tests;
mod diff;
mod store;
pub mod wire;

use chrono::Duration;
use futures::Stream;
use tonic::Status;

pub use self::again::Otherwise;
use self::{
    again::{Again, Replay, Stored},
    diff::{Credit, Diff, campaign_name},
};
use super::events;
use crate::{
    clock::Moment,
    entity::install::Model,
    env::Env,
    error::{Error, Reason, Result},
    ids::{AppId, ClickId, InstallId, LinkId},
    pb::v1::ReplayAttributionResponse,
    rpc::{self, Permission, Vigil},
    workspaces::{self, Tenant},
};

/// The longest span.
const LONGEST: Duration = Duration::days(92);
/// How many installs one call looks at.
const MOST: u64 = 100_000;
/// How many are read at once: each has up to a thousand candidates.
const AT_ONCE: u64 = 100;

/// What is decided again, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The installs of one app; otherwise of all.
    pub app: Option<AppId>,
    /// From when on, and before when, by `install_time`.
    pub span: (Moment, Moment),
    /// What is to be otherwise.
    pub otherwise: Otherwise,
}

/// Makes sure that a replay can be about a span.
pub fn span(start: Option<Moment>, end: Option<Moment>, now: Moment) -> Result<(Moment, Moment)> {
    let end = end.unwrap_or(now);
    let start = start.unwrap_or(end - Duration::days(30));
    if start >= end {
        return Err(Error::invalid_field("end_time", "must be after start_time"));
    }
    if end - start > LONGEST {
        return Err(Error::invalid_field("end_time", "must be at most 92 days after start_time"));
    }
    Ok((start, end))
}

/// Decides again, part by part; the last part is the answer. What cannot be answered is refused before anything is sent.
pub async fn replay(
    env: &Env,
    tenant: Tenant,
    asked: Asked,
    vigil: Vigil,
) -> Result<impl Stream<Item = Result<ReplayAttributionResponse, Status>> + Send + use<>> {
    events::expect(env, &tenant, asked.app, None).await?;
    let owners = store::owners(&env.db.api, tenant.id, &asked, MOST + 1).await?;
    if owners.len() as u64 > MOST {
        let message = format!("there are more than {MOST} installs: ask for a shorter time or one app");
        let error = Error::new(Reason::ReportTooLarge, message);
        return Err(error.with("rows", "installs").with("limit", MOST.to_string()));
    }
    let total = owners.len() as i64;
    let owners =
        owners.into_iter().filter_map(|(install, click)| click.map(|click| (click, install))).collect();
    let replay = Replay::new(asked.otherwise.clone(), owners);
    let run = Run {
        env: env.clone(),
        tenant,
        vigil,
        asked,
        replay,
        diff: Diff::default(),
        after: None,
        done: 0,
        total,
    };
    Ok(rpc::parts(run, |run| Box::pin(run.next())))
}

struct Run {
    env: Env,
    tenant: Tenant,
    vigil: Vigil,
    asked: Asked,
    replay: Replay,
    diff: Diff,
    after: Option<(Moment, InstallId)>,
    done: i64,
    total: i64,
}

impl Run {
    async fn next(&mut self) -> Result<(ReplayAttributionResponse, bool)> {
        self.keep().await?;
        let db = self.env.db.api.clone();
        let rows = store::installs(&db, self.tenant.id, &self.asked, self.after, AT_ONCE).await?;
        let Some(last) = rows.last() else {
            let diff = std::mem::take(&mut self.diff);
            return Ok((wire::answer(self.done, self.total, Some(diff)), false));
        };
        self.after = Some((last.install_time, last.id));
        self.done += rows.len() as i64;
        let outcomes: Vec<Outcome> = rows.into_iter().map(|row| self.again(row)).collect();
        let clicks: Vec<ClickId> = outcomes.iter().flat_map(Outcome::clicks).collect();
        let campaigns = store::campaigns(&db, self.tenant.id, &clicks).await?;
        let credit = |(link, click): (Option<LinkId>, Option<ClickId>)| {
            let campaign = click.and_then(|click| campaigns.get(&click)).map(|all| campaign_name(all));
            link.map(|link| Credit { link, campaign: campaign.unwrap_or_default() })
        };
        for outcome in outcomes {
            match outcome {
                Outcome::PassedOver(why) => self.diff.passed_over(why),
                Outcome::Left(install, before, why) => self.diff.left(install, credit(before), why),
                Outcome::Decided { install, before, after, same } => {
                    self.diff.decided(install, credit(before), credit(after), same);
                }
            }
        }
        Ok((wire::answer(self.done, self.total, None), true))
    }

    fn again(&mut self, row: Model) -> Outcome {
        let stored = match Stored::read(row) {
            Ok(stored) => stored,
            Err(why) => return Outcome::PassedOver(why),
        };
        let (install, before) = (stored.row().id, held(stored.row()));
        match self.replay.next(&stored) {
            Again::Same => Outcome::Decided { install, before, after: before, same: true },
            Again::Other(row) => Outcome::Decided { install, before, after: held(&row), same: false },
            Again::Incomplete(why) => Outcome::Left(install, before, why),
        }
    }

    /// Fails when the node leaves, or the caller may not go on.
    async fn keep(&mut self) -> Result<()> {
        let (env, workspace) = (&self.env, self.tenant.id.to_string());
        let enter = async |caller| {
            workspaces::enter(env, &caller, &workspace, Permission::AttributionRead).await.map(drop)
        };
        self.vigil.keep(env.now(), enter).await
    }
}

/// What an install is credited to.
type Held = (Option<LinkId>, Option<ClickId>);

fn held(row: &Model) -> Held {
    (row.link_id, row.click_id)
}

/// What came of an install.
enum Outcome {
    PassedOver(again::Unreplayable),
    Left(InstallId, Held, again::Incomplete),
    Decided { install: InstallId, before: Held, after: Held, same: bool },
}

impl Outcome {
    fn clicks(&self) -> Vec<ClickId> {
        match self {
            Self::PassedOver(_) => Vec::new(),
            Self::Left(_, before, _) => before.1.into_iter().collect(),
            Self::Decided { before, after, .. } => before.1.into_iter().chain(after.1).collect(),
        }
    }
}
