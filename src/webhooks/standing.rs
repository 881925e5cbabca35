//! How an endpoint stands: since when it fails, and whether it is given up. Whoever owns the workspace hears of the latter by mail, and
//! other endpoints by an event.

use chrono::TimeDelta;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    sea_query::Expr,
};

use super::{
    endpoint::{DisableReason, Endpoint, State},
    payload, retry,
};
use crate::{
    clock::Moment,
    entity::webhook_endpoint::{ActiveModel, Column, Entity},
    env::Env,
    error::Result,
    mail::{self, Letter, Part},
    outbox::{self, Fact, Kind},
    trail::{self, Action, Changes, Note},
    workspaces,
};

/// How long the mail is tried.
const LETTER_LIFE: TimeDelta = TimeDelta::days(3);

/// What attempts of one endpoint came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Came {
    /// One was a success.
    pub delivered: bool,
    /// One was not.
    pub failed: bool,
    /// One said that the endpoint is gone for good.
    pub gone: bool,
}

/// What is to change about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It does not fail any more.
    Recovered,
    /// It fails from now on.
    Fails,
    /// It is given up.
    Disabled(DisableReason),
}

/// Decides what changes about an endpoint that has failed since `since`, if it has.
pub fn change(since: Option<Moment>, came: Came, now: Moment) -> Option<Change> {
    match (since, came) {
        (_, Came { gone: true, .. }) => Some(Change::Disabled(DisableReason::Gone)),
        (Some(_), Came { delivered: true, .. }) => Some(Change::Recovered),
        (None, Came { delivered: false, failed: true, .. }) => Some(Change::Fails),
        (Some(since), Came { delivered: false, failed: true, .. }) if retry::is_hopeless(since, now) => {
            Some(Change::Disabled(DisableReason::Failing))
        }
        _ => None,
    }
}

/// Makes a change. Says whether it was made: somebody may have been there first, or the endpoint is not what it was.
pub async fn make(env: &Env, endpoint: &Endpoint, change: Change, now: Moment) -> Result<bool> {
    let db = &env.db.drain;
    let one = Entity::update_many().filter(Column::Id.eq(endpoint.id));
    match change {
        Change::Recovered => {
            let row = ActiveModel { failing_since: Set(None), ..Default::default() };
            let made = one.set(row).filter(Column::FailingSince.is_not_null()).exec(db).await?;
            Ok(made.rows_affected > 0)
        }
        Change::Fails => {
            let row = ActiveModel { failing_since: Set(Some(now)), ..Default::default() };
            let made = one.set(row).filter(Column::FailingSince.is_null()).exec(db).await?;
            Ok(made.rows_affected > 0)
        }
        Change::Disabled(reason) => disable(env, endpoint, reason, now).await,
    }
}

async fn disable(env: &Env, endpoint: &Endpoint, reason: DisableReason, now: Moment) -> Result<bool> {
    let tx = env.db.begin_on(&env.db.drain).await?;
    let (state, state_reason) = State::Disabled(reason).numbers();
    let row = ActiveModel {
        state: Set(state),
        state_reason: Set(state_reason),
        update_time: Set(now),
        ..Default::default()
    };
    let (active, _) = State::Active.numbers();
    let mut still = Condition::all()
        .add(Column::Id.eq(endpoint.id))
        .add(Column::State.eq(active))
        // Somebody who has just changed it means another one.
        .add(Column::Version.eq(endpoint.version));
    if reason == DisableReason::Failing {
        still = still.add(Column::FailingSince.eq(endpoint.failing_since));
    }
    let made = Entity::update_many()
        .set(row)
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(still)
        .exec(&tx)
        .await?;
    if made.rows_affected == 0 {
        return Ok(false);
    }
    let body = payload::disabled(endpoint, reason);
    let fact = Fact { kind: Kind::WebhookEndpointDisabled, subject: endpoint.id.0, body };
    outbox::note(&tx, &env.ids, endpoint.workspace, [fact], now).await?;
    for owner in workspaces::members::owners(&tx, endpoint.workspace).await? {
        mail::post(env, &tx, &letter(env, endpoint, reason, owner), LETTER_LIFE, now).await?;
    }
    let name = match reason {
        DisableReason::Gone => "gone",
        DisableReason::Failing => "failing",
    };
    let changes = Changes::none().with("disable_reason", name);
    let did = Note::by_server(endpoint.workspace, Action::WebhookEndpointDisabled, endpoint.id.0, changes);
    trail::note(&tx, &env.ids, [did], now).await?;
    tx.commit().await?;
    metrics::counter!("linkforty_webhook_endpoints_disabled_total", "reason" => name).increment(1);
    tracing::info!(workspace.id = %endpoint.workspace, webhook_endpoint.id = %endpoint.id, reason = name, "a webhook endpoint was disabled");
    Ok(true)
}

fn letter(env: &Env, endpoint: &Endpoint, reason: DisableReason, to: String) -> Letter {
    let why = match reason {
        DisableReason::Gone => "It answered 410 (Gone).".to_owned(),
        DisableReason::Failing => format!(
            "Every attempt to reach it has failed since {}.",
            endpoint.failing_since.unwrap_or(endpoint.update_time).format("%Y-%m-%d %H:%M UTC")
        ),
    };
    let mut parts = vec![
        Part::Text(format!("The webhook endpoint \"{}\" is told nothing any more. {why}", endpoint.name)),
        Part::Text(
            "What was to be told it until now is kept for 30 days and goes out once you enable it again. What happens while it is disabled is not kept for it."
                .to_owned(),
        ),
    ];
    if let Some(base) = env.config.frontend_urls.first() {
        parts.push(Part::Link { label: "Your dashboard".to_owned(), url: base.to_string() });
    }
    Letter { to, subject: format!("The webhook endpoint \"{}\" was disabled", endpoint.name), parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn an_endpoint_fails_recovers_and_is_given_up() {
        let now = from_micros(1_800_000_000_000_000);
        let ago = |hours| Some(now - TimeDelta::hours(hours));
        let came = |delivered, failed, gone| Came { delivered, failed, gone };
        for (since, came, expected) in [
            (None, came(false, false, false), None),
            (None, came(true, false, false), None),
            (None, came(true, true, false), None),
            (None, came(false, true, false), Some(Change::Fails)),
            (ago(1), came(false, true, false), None),
            (ago(119), came(false, true, false), None),
            (ago(120), came(false, true, false), Some(Change::Disabled(DisableReason::Failing))),
            (ago(120), came(true, true, false), Some(Change::Recovered)),
            (ago(120), came(false, false, false), None),
            (None, came(false, true, true), Some(Change::Disabled(DisableReason::Gone))),
            (ago(120), came(true, true, true), Some(Change::Disabled(DisableReason::Gone))),
        ] {
            assert_eq!(change(since, came, now), expected, "{since:?} {came:?}");
        }
    }
}
