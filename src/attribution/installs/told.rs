//! What became of an install, as the feed has it: where its link was and which campaign its click was of.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};

use super::gather::Told;
use crate::{
    clicks::{Home, Homes, query},
    entity::install::Model,
    env::Env,
    feed::{self, Credit, Install},
    ids::{ClickId, WorkspaceId},
};

/// Notes in the feed what became of an install; `before` is its row as it was, if it was. In the transaction that makes it so, behind
/// everything else.
pub async fn note(
    env: &Env,
    tx: &impl ConnectionTrait,
    row: &Model,
    before: Option<&Model>,
    told: &HashMap<ClickId, Told>,
) -> Result<(), DbErr> {
    let before = match before {
        Some(before) => Some(credit(env, tx, before, told).await?),
        None => None,
    };
    let now = credit(env, tx, row, told).await?;
    let install = Install {
        id: row.id,
        app: row.app_id,
        time: row.install_time,
        platform: row.platform,
        test: row.test,
        now,
        before,
    };
    feed::append(tx, feed::installs([(row.workspace_id, install)]), env.now()).await
}

/// Returns what an install is credited to. What its click says of link and campaign counts, as it was stored; without it the link as it
/// is now.
async fn credit(
    env: &Env,
    tx: &impl ConnectionTrait,
    row: &Model,
    told: &HashMap<ClickId, Told>,
) -> Result<Credit, DbErr> {
    let mut credit = Credit {
        state: row.state,
        method: row.method,
        link: row.link_id,
        click: row.click_id,
        ..Credit::default()
    };
    let Some(link) = row.link_id else { return Ok(credit) };
    let mut home = None;
    if let Some(click) = row.click_id {
        match stored(tx, row.workspace_id, click).await? {
            Some(Stored { campaign, home: of_click }) => {
                credit.campaign = campaign.unwrap_or_default();
                home = of_click.as_deref().map(Home::read);
            }
            // Its token says what is not stored.
            None => {
                let told = told.get(&click);
                let campaign = told.map(|told| query::campaign_of(&told.query, &told.credited.utm));
                credit.campaign = campaign.unwrap_or_default();
            }
        }
    }
    let home = match home {
        Some(home) => home,
        None => {
            let homes = Homes::here(env).of(tx, [(row.workspace_id, link)].into_iter()).await?;
            homes.first().map(|home| Home::clone(home)).unwrap_or_default()
        }
    };
    (credit.domain, credit.project) = (home.domain, home.project);
    Ok(credit)
}

/// The texts of a click.
#[derive(Debug, FromQueryResult)]
struct Stored {
    campaign: Option<String>,
    home: Option<String>,
}

async fn stored(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    click: ClickId,
) -> Result<Option<Stored>, DbErr> {
    let sql = "SELECT campaigns.value AS campaign, homes.value AS home FROM clicks
        LEFT JOIN dictionary AS campaigns ON campaigns.id = clicks.campaign_id
        LEFT JOIN dictionary AS homes ON homes.id = clicks.home_id
        WHERE clicks.id = $1 AND clicks.workspace_id = $2";
    let values: [Value; 2] = [click.0.into(), workspace.0.into()];
    Stored::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .one(db)
        .await
}
