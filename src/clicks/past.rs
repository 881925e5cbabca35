//! Clicks that another product recorded: kept as it said that they were, counted, and told to nobody.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use secrecy::ExposeSecret as _;

use super::{
    Homes, MAX_CITY, MAX_LANGUAGE, MAX_QUERY, MAX_REFERRER_HOST, VisitorHash,
    class::{self, Class, Sign},
    cut, kept_of_user_agent, network_of, query, referrer_host,
    store::{self, Dictionary, past as rows},
};
use crate::{
    db::Dialect,
    env::Env,
    geo::{Country, Region},
    ids::{ClickId, LinkId, WorkspaceId, time_of},
};

/// The step of a visit of which nobody noted where it led.
const UNTOLD: i16 = 0;

/// A click as it was recorded elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded<'a> {
    /// Where the visitor called from.
    pub address: Option<IpAddr>,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// The Referer header.
    pub referrer: &'a str,
    /// The language.
    pub language: &'a str,
    /// The number of the platform.
    pub platform: i16,
    /// Whether it was taken for a program, and why.
    pub bot: Option<&'a str>,
    /// The country.
    pub country: &'a str,
    /// The part of it, as that country numbers them.
    pub region: &'a str,
    /// The city.
    pub city: &'a str,
    /// The query of the URL: those that fit are kept, first come first.
    pub query: Vec<(&'a str, &'a str)>,
    /// The campaign of the link.
    pub link_campaign: Vec<(&'a str, &'a str)>,
}

/// A click as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastClick {
    /// Its id.
    pub id: ClickId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which link.
    pub link: LinkId,
    class: Class,
    platform: i16,
    network: Vec<u8>,
    address: Option<i32>,
    visitor: i64,
    user_agent: String,
    referrer_host: String,
    language: String,
    country: Option<Country>,
    region: String,
    city: String,
    query: String,
    link_campaign: Vec<String>,
}

/// Makes clicks of what was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    hashes: VisitorHash,
    workspace: WorkspaceId,
}

impl Past {
    /// Returns what makes clicks of a workspace.
    pub fn new(env: &Env, workspace: WorkspaceId) -> Self {
        Self { hashes: VisitorHash::new(env.secrets.session.expose_secret().as_bytes()), workspace }
    }

    /// Makes the click. A person stays one: what the other product counted is what is counted here.
    pub fn click(&self, id: ClickId, link: LinkId, from: &Recorded<'_>) -> PastClick {
        let user_agent = kept_of_user_agent(from.user_agent);
        let class = match from.bot {
            None => Class::Human,
            Some("edge") => Class::Bot(Sign::Edge),
            Some("method") => Class::Bot(Sign::Method),
            Some(_) => match class::by_user_agent(user_agent) {
                Class::Human => Class::Bot(Sign::UserAgent),
                known => known,
            },
        };
        let network = from.address.map(network_of).unwrap_or_default();
        let address = from.address.map_or(0, |address| self.hashes.address(self.workspace, address));
        let country = Country::parse(from.country);
        let region = country.filter(|_| !from.region.is_empty()).and_then(|country| {
            let code = format!("{}-{}", country.as_str(), from.region);
            Region::parse(&code).map(|_| code.to_ascii_uppercase())
        });
        let pair = |(name, value): &(&str, &str)| format!("{name}={value}");
        PastClick {
            id,
            workspace: self.workspace,
            link,
            class,
            platform: from.platform,
            network: network.to_vec(),
            address: (address != 0).then_some(address.cast_signed()),
            visitor: self.hashes.of(self.workspace, from.address, user_agent).cast_signed(),
            user_agent: user_agent.to_owned(),
            referrer_host: cut(referrer_host(from.referrer), MAX_REFERRER_HOST).to_owned(),
            language: cut(from.language.trim(), MAX_LANGUAGE).to_owned(),
            country,
            region: region.unwrap_or_default(),
            // Without a country nobody says where a city is.
            city: cut(from.city, MAX_CITY).replace(char::is_control, " "),
            query: fitting(&from.query),
            link_campaign: from.link_campaign.iter().map(pair).collect(),
        }
    }
}

/// Writes as many pairs as a kept query holds.
fn fitting(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        let pair = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let length = query.len() + usize::from(!query.is_empty()) + pair.len();
        if length <= MAX_QUERY {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&pair);
        }
    }
    query
}

impl PastClick {
    /// Returns what it says, part by part, but for where its link is at home.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let campaign: Vec<&str> = self.link_campaign.iter().map(String::as_str).collect();
        let campaign = query::campaign(&self.query, &campaign);
        let place = match self.country {
            None => [""; 3],
            Some(ref country) => [country.as_str(), &*self.region, &*self.city],
        };
        let numbers = (self.class.number(), self.platform, UNTOLD, self.address, self.visitor);
        let texts = [&*self.user_agent, &*self.referrer_host, &*self.language, &*self.query, &*campaign];
        parts((self.id, self.link), numbers, &self.network, texts, place)
    }

    fn row(&self) -> store::Row<'_> {
        store::Row {
            id: self.id,
            workspace: self.workspace,
            link: self.link,
            platform: self.platform,
            class: self.class,
            step: UNTOLD,
            network: &self.network,
            visitor: self.visitor,
            user_agent: &self.user_agent,
            referrer_host: &self.referrer_host,
            language: &self.language,
            query: &self.query,
            link_campaign: self.link_campaign.iter().map(String::as_str).collect(),
            country: self.country,
            lease: None,
            address: self.address,
            region: &self.region,
            city: &self.city,
        }
    }
}

/// Clicks that can be stored.
#[derive(Debug)]
pub struct ReadyClicks {
    clicks: Vec<PastClick>,
    ready: store::Ready,
}

/// The dictionary of a command.
#[derive(Debug, Default)]
struct Known(Dictionary);

/// Prepares clicks, outside of the transaction that stores them: gives numbers to their texts and makes the partitions of their days.
pub async fn prepare(env: &Env, clicks: Vec<PastClick>) -> Result<ReadyClicks, DbErr> {
    let db = &env.db.drain;
    if env.db.dialect() == Dialect::Postgres {
        let days: HashSet<NaiveDate> = clicks.iter().map(|click| time_of(click.id.0).date_naive()).collect();
        for day in days {
            store::make_partitions(db, day, day).await?;
        }
    }
    let known: Arc<Known> = env.memory.of(Known::default);
    let homes = Homes::here(env);
    let rows: Vec<store::Row<'_>> = clicks.iter().map(PastClick::row).collect();
    let ready = store::Ready::of(db, (&known.0, &homes), &rows).await?;
    drop(rows);
    Ok(ReadyClicks { clicks, ready })
}

/// Stores clicks and counts them for their links. Returns those that were not there.
pub async fn insert(tx: &DatabaseTransaction, ready: &ReadyClicks) -> Result<HashSet<ClickId>, DbErr> {
    let rows: Vec<store::Row<'_>> = ready.clicks.iter().map(PastClick::row).collect();
    rows::insert(tx, &ready.ready, &rows).await
}

/// Returns what those of the clicks say that are there, as [`PastClick::parts`] does.
pub async fn stored(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[ClickId],
) -> Result<Vec<(ClickId, Vec<Vec<u8>>)>, DbErr> {
    let found = rows::read(db, workspace, ids).await?;
    Ok(found
        .into_iter()
        .map(|told| {
            let rows::Told { row, user_agent, referrer_host, language, campaign, place } = &told;
            let numbers = (row.class, row.platform, row.step, row.address, row.visitor);
            let query = row.query.as_deref().unwrap_or_default();
            let texts: [&str; 5] = [user_agent, referrer_host, language, query, campaign];
            let place = [&*place[0], &*place[1], &*place[2]];
            (row.id, parts((row.id, row.link_id), numbers, &row.network, texts, place))
        })
        .collect())
}

fn parts(
    (id, link): (ClickId, LinkId),
    (class, platform, step, address, visitor): (i16, i16, i16, Option<i32>, i64),
    network: &[u8],
    texts: [&str; 5],
    place: [&str; 3],
) -> Vec<Vec<u8>> {
    let mut parts = vec![
        id.0.as_bytes().to_vec(),
        link.0.as_bytes().to_vec(),
        class.to_be_bytes().to_vec(),
        platform.to_be_bytes().to_vec(),
        step.to_be_bytes().to_vec(),
        address.unwrap_or_default().to_be_bytes().to_vec(),
        visitor.to_be_bytes().to_vec(),
        network.to_vec(),
    ];
    parts.extend(texts.into_iter().chain(place).map(|text| text.as_bytes().to_vec()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_fits_and_nothing_by_halves() {
        assert_eq!(fitting(&[]), "");
        assert_eq!(fitting(&[("utm_source", "a b"), ("é", "&")]), "utm_source=a+b&%C3%A9=%26");
        let long = "x".repeat(MAX_QUERY);
        assert_eq!(fitting(&[("a", "1"), ("b", &long), ("c", "3")]), "a=1&c=3");
        assert_eq!(fitting(&[("b", &long[..MAX_QUERY - 2])]).len(), MAX_QUERY);
    }
}
