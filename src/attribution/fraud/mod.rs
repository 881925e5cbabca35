//! What is odd about installs and links, what each workspace makes of it, and how often it was seen.
//!
//! | file | what |
//! |---|---|
//! | `rules.rs` | the rules, as data, and what they say of an install; pure |
//! | `report.rs` | how often each held, by link, and which links are flooded with clicks; pure |
//! | `wire.rs` | rules and reports as messages |
//! | `store.rs` | queries |
//!
//! Guarantees: a rule shows and does nothing else, unless an admin says that it takes the credit away. Then the install is organic and says so, and the
//! decision keeps the click. What held is decided with the install and kept with it; a rule that is changed changes nothing that was decided.

mod report;
pub mod rules;
#[cfg(test)]
mod rules_tests;
mod store;
pub mod wire;

use chrono::Duration;
use sea_orm::ConnectionTrait;

pub use self::report::Report;
use self::rules::{ALL, Action, Rule, Setting, Settings};
use super::events;
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{AppId, LinkId, WorkspaceId},
    trail::{self, Changes},
    workspaces::Tenant,
};

/// The longest span of a report.
const LONGEST: Duration = Duration::days(31);
/// How many installs a report looks at.
const MOST_INSTALLS: usize = 200_000;
/// How many are read at once.
const AT_ONCE: u64 = 5000;

/// Returns what a workspace says of the rules.
pub async fn settings(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Settings> {
    let mut settings = Settings::default();
    for row in store::of_workspace(db, workspace).await? {
        // A rule of a later release.
        let Some(rule) = Rule::named(&row.rule) else { continue };
        let Some(action) = Action::numbered(row.action) else { continue };
        settings.set(rule, Setting { action, threshold: row.threshold });
    }
    Ok(settings)
}

/// Changes what a workspace says of a rule; `None` leaves that as it is. What is decided from now on is decided by it.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    rule: Rule,
    (action, threshold): (Option<Action>, Option<i32>),
    request: Option<&Request>,
) -> Result<Setting> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let claim = idempotency::claim(&tx, request, now).await?;
    let before = settings(&tx, tenant.id).await?.of(rule);
    if let Claim::Made(_) = claim {
        return Ok(before);
    }
    let after =
        Setting { action: action.unwrap_or(before.action), threshold: threshold.unwrap_or(before.threshold) };
    if after != before {
        store::save(&tx, tenant.id, rule.id(), (after.action.number(), after.threshold), now).await?;
        let changes = Changes::none()
            .with("id", rule.id())
            .with_both("action", before.action.name(), after.action.name())
            .with_both("threshold", before.threshold, after.threshold);
        let did = tenant.did(trail::Action::FraudRuleUpdated, tenant.id.0, changes);
        trail::note(&tx, &env.ids, [did], now).await?;
    }
    idempotency::made(&tx, request, rule.id()).await?;
    tx.commit().await?;
    Ok(after)
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// One app; otherwise all.
    pub app: Option<AppId>,
    /// One link; otherwise all.
    pub link: Option<LinkId>,
    /// From when on, and before when, by `install_time`.
    pub span: (Moment, Moment),
}

/// Makes sure that a report can be about a span.
pub fn span(start: Option<Moment>, end: Option<Moment>, now: Moment) -> Result<(Moment, Moment)> {
    let end = end.unwrap_or(now);
    let start = start.unwrap_or(end - Duration::days(7));
    if start >= end {
        return Err(Error::invalid_field("end_time", "must be after start_time"));
    }
    if end - start > LONGEST {
        return Err(Error::invalid_field("end_time", "must be at most 31 days after start_time"));
    }
    Ok((start, end))
}

/// Reports how often each rule held, by link.
pub async fn report(env: &Env, tenant: &Tenant, asked: &Asked) -> Result<Report> {
    events::expect(env, tenant, asked.app, asked.link).await?;
    let db = env.db.for_reports().await;
    let mut installs = Vec::new();
    let mut after = None;
    loop {
        let some = store::installs(&db, tenant.id, asked, after, AT_ONCE).await?;
        let Some(last) = some.last() else { break };
        after = Some((last.install_time, last.id));
        installs.extend(some);
        if installs.len() > MOST_INSTALLS {
            let message =
                format!("there are more than {MOST_INSTALLS} installs: ask for a shorter time or one app");
            let error = Error::new(Reason::ReportTooLarge, message);
            return Err(error.with("rows", "installs").with("limit", MOST_INSTALLS.to_string()));
        }
    }
    let clicks = store::clicks(&db, tenant.id, asked).await?;
    let settings = settings(&db, tenant.id).await?;
    Ok(report::report(&installs, &clicks, asked.span, &settings))
}

/// Returns every rule with what the workspace says of it.
pub async fn list(env: &Env, tenant: &Tenant) -> Result<Vec<(Rule, Setting)>> {
    let settings = settings(&env.db.api, tenant.id).await?;
    Ok(ALL.iter().map(|spec| (spec.rule, settings.of(spec.rule))).collect())
}
