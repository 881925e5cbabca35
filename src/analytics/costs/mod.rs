//! What campaigns cost, day by day, and what that makes of reports.
//!
//! | file | what |
//! |---|---|
//! | `read.rs` | what somebody may say that something cost; pure |
//! | `spent.rs` | sums of money by currency; pure |
//! | `sums.rs` | what was spent on each day, or for each value of a dimension |
//! | `store.rs` | queries of `costs` |
//! | `wire.rs` `grpc.rs` | `linkforty.v1.CostService` |
//!
//! Guarantees: what is told apart by the same day, app, link, country and campaign is there once, however often it is imported. A cost counts on the day of its date in the time
//! zone of whoever asks, whole, so spans that follow on each other neither share one nor lose one. Amounts are integers; what is known in no rate yet is in no report.

mod grpc;
mod read;
mod spent;
mod store;
mod sums;
mod wire;

use std::collections::{HashMap, HashSet, hash_map::Entry};

use sea_orm::DbErr;

pub use self::{
    grpc::CostApi,
    spent::Spent,
    store::CostQuery,
    sums::{by_bucket, by_value},
};
use self::{
    read::{Key, NewCost},
    store::Priced,
};
use crate::{
    apps,
    attribution::events::{self, Book, date_of, money::Amount},
    clicks::query,
    clock::Moment,
    entity::cost::Model,
    env::Env,
    error::{Error, Result},
    ids::{AppId, LinkId},
    links::{self, Run},
    page::{Page, PageRequest},
    trail::{self, Action, Changes},
    workspaces::{self, Tenant},
};

/// How many costs are converted in a transaction.
const AT_ONCE: u64 = 1000;
const NO_APP: &str = "is no app of the workspace";
const NO_LINK: &str = "is no link of the workspace";

/// Stores costs; those that are wrong stop no other. Returns what became of each, in the order of the request.
pub async fn import(
    env: &Env,
    tenant: &Tenant,
    items: Vec<Result<NewCost>>,
    run: Run,
) -> Result<Vec<Result<Model>>> {
    let now = env.now();
    let currency = reporting_currency(env, tenant).await?;
    let around = Around::of(env, tenant, &items).await?;
    let mut seen: HashMap<(i32, Key), usize> = HashMap::new();
    let mut costs: Vec<Result<Model>> = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        costs.push(item.and_then(|cost| {
            around.expect(&cost)?;
            match seen.entry((cost.day, cost.key.clone())) {
                Entry::Vacant(free) => free.insert(place),
                Entry::Occupied(first) => {
                    let first = first.get();
                    let again = format!(
                        "is that of costs[{first}], which is of the same campaign, country, app and link"
                    );
                    return Err(Error::invalid_field("date", again));
                }
            };
            Ok(around.stored(cost, tenant, now))
        }));
    }
    let wanted: Vec<(i32, &str, &str)> =
        costs.iter().flatten().map(|cost| (cost.day, &*cost.currency, &*currency)).collect();
    let book = Book::of(&env.db.api, &wanted).await?;
    for cost in costs.iter_mut().flatten() {
        price(cost, &book, &currency);
    }
    let stored: Vec<Model> = costs.iter().flatten().cloned().collect();
    if run == Run::Store && !stored.is_empty() {
        let changes = Changes::none()
            .with("costs", stored.len())
            .with("start_date", stored.iter().map(|cost| date_of(cost.day).to_string()).min())
            .with("last_date", stored.iter().map(|cost| date_of(cost.day).to_string()).max());
        let tx = env.db.begin().await?;
        store::put(&tx, stored).await?;
        let did = tenant.did(Action::CostsImported, tenant.id.0, changes);
        trail::note(&tx, &env.ids, [did], now).await?;
        tx.commit().await?;
    }
    Ok(costs)
}

/// Returns one page of costs, the latest day first.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &CostQuery,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    store::list(&env.db.api, tenant.id, query, page).await
}

/// Deletes costs and returns how many there were.
pub async fn delete(env: &Env, tenant: &Tenant, query: &CostQuery) -> Result<u64> {
    let tx = env.db.begin().await?;
    let deleted = store::delete(&tx, tenant.id, query).await?;
    if deleted > 0 {
        let day = |day: Option<i32>| day.map(|day| date_of(day).to_string());
        let changes = Changes::none()
            .with("costs", deleted)
            .with("start_date", day(query.first))
            .with("end_date", day(query.end));
        let did = tenant.did(Action::CostsDeleted, tenant.id.0, changes);
        trail::note(&tx, &env.ids, [did], env.now()).await?;
    }
    tx.commit().await?;
    Ok(deleted)
}

/// Converts costs that waited for rates, of all workspaces, and returns how many could be. For the operator, who brings rates.
pub async fn convert_waiting(env: &Env) -> Result<u64, DbErr> {
    let mut converted = 0;
    for (workspace, currency) in events::reporting_currencies(&env.db.api, None).await? {
        let mut after = None;
        loop {
            let mut waiting = store::waiting(&env.db.api, workspace, after, AT_ONCE).await?;
            let Some(last) = waiting.last() else { break };
            after = Some((last.day, last.id));
            let wanted: Vec<(i32, &str, &str)> =
                waiting.iter().map(|cost| (cost.day, &*cost.currency, &*currency)).collect();
            let book = Book::of(&env.db.api, &wanted).await?;
            for cost in &mut waiting {
                price(cost, &book, &currency);
            }
            let priced: Vec<Priced> = waiting.iter().filter_map(Priced::of).collect();
            let tx = env.db.begin().await?;
            converted += store::set_reporting(&tx, workspace, &priced).await?;
            tx.commit().await?;
        }
    }
    Ok(converted)
}

/// Notes what a cost comes to in the currency of reports, if that is known.
fn price(cost: &mut Model, book: &Book, currency: &str) {
    let amount = Amount::new(cost.units, cost.nanos);
    let reporting = book.convert(amount, &cost.currency, currency, cost.day);
    cost.reporting_units = reporting.as_ref().map(|reporting| reporting.amount.units());
    cost.reporting_nanos = reporting.as_ref().map(|reporting| reporting.amount.nanos());
    cost.reporting_currency = reporting.map(|reporting| reporting.currency);
}

async fn reporting_currency(env: &Env, tenant: &Tenant) -> Result<String> {
    let stored = workspaces::get(env, tenant).await?;
    Ok(workspaces::settings::shown(stored.settings.as_deref()).reporting_currency)
}

/// The apps and links that costs name.
struct Around {
    apps: HashSet<AppId>,
    /// With the campaign of each.
    links: HashMap<LinkId, String>,
}

impl Around {
    async fn of(env: &Env, tenant: &Tenant, items: &[Result<NewCost>]) -> Result<Self> {
        let links: HashSet<LinkId> = items.iter().flatten().filter_map(|cost| cost.key.link).collect();
        let credited = links::credited(&env.db.api, tenant.id, &links).await?;
        let names_apps = items.iter().flatten().any(|cost| cost.key.app.is_some());
        Ok(Self {
            apps: if names_apps { apps::all(env, tenant).await? } else { HashSet::new() },
            links: credited
                .into_iter()
                .map(|(link, said)| (link, query::campaign_of("", &said.utm)))
                .collect(),
        })
    }

    fn expect(&self, cost: &NewCost) -> Result<()> {
        if cost.key.app.is_some_and(|app| !self.apps.contains(&app)) {
            return Err(Error::invalid_field("app_id", NO_APP));
        }
        if cost.key.link.is_some_and(|link| !self.links.contains_key(&link)) {
            return Err(Error::invalid_field("link_id", NO_LINK));
        }
        Ok(())
    }

    /// Writes a cost as it is stored, under the campaign of its link if it has one.
    fn stored(&self, cost: NewCost, tenant: &Tenant, now: Moment) -> Model {
        let id = cost.key.id();
        let NewCost { day, key, currency, amount } = cost;
        let of_link = key.link.and_then(|link| self.links.get(&link));
        let utm = of_link.map(|campaign| query::utm(campaign).map(str::to_owned)).unwrap_or(key.utm);
        let [source, medium, campaign, ad_group, creative] = utm;
        Model {
            workspace_id: tenant.id,
            day,
            id,
            app_id: key.app,
            link_id: key.link,
            country: key.country,
            source,
            medium,
            campaign,
            ad_group,
            creative,
            currency,
            units: amount.units(),
            nanos: amount.nanos(),
            reporting_currency: None,
            reporting_units: None,
            reporting_nanos: None,
            update_time: now,
        }
    }
}
