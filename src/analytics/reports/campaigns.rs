//! The tree of campaigns: source, medium, campaign, link. All of it is one dimension, so every level is the sum of the next.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Paged,
    numbers::{rate, shown},
    order::{self, Order, Row},
    scope, snapshot,
    values::{labels, rows},
};
use crate::{
    analytics::{
        dims::{Dimension, SEPARATOR},
        rollup::read::{Measures, Part, Reader},
        span::{Span, YEARS},
    },
    env::Env,
    error::{Error, Result, Violations, both},
    pb::v1::{CampaignLevel, CampaignRow, GetCampaignsRequest, GetCampaignsResponse, ReportScope},
    workspaces::Tenant,
};

const MOST_BYTES: usize = 2048;
/// Source, medium, campaign and link.
const LEVELS: usize = 4;

/// Returns one page of a level of the tree.
pub async fn campaigns(
    env: &Env,
    tenant: &Tenant,
    asked: &GetCampaignsRequest,
) -> Result<GetCampaignsResponse> {
    let question = GetCampaignsRequest {
        scope: asked.scope.clone().map(|scope| ReportScope { workspace_id: String::new(), ..scope }),
        page_size: 0,
        page_token: String::new(),
        ..asked.clone()
    };
    let paged = Paged::read(env, tenant, "GetCampaigns", &question, (asked.page_size, &asked.page_token));
    let ((part, span, depth, order), paged) = both(read(asked, env), paged)?;
    let span = paged.span(span)?;
    let scope = scope::find(env, tenant, part).await?;
    let money = super::money(env, tenant, order).await?;

    let db = snapshot(env).await?;
    let kept = super::kept(env);
    let all = Reader::open(&db, &kept, &scope).await?.breakdown(span.slots, Dimension::CampaignLink).await?;
    db.commit().await?;

    let within = [asked.source.as_deref(), asked.medium.as_deref(), asked.campaign.as_deref()];
    let Level { rows, children, other } = level(all, depth, within);
    let mut total: Measures = rows.iter().map(|(_, measures)| measures).sum();
    total += &other;
    let total_size = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let (rows, next) = order::page(rows, (order, money), &paged.page, span.slots);
    let links = rows.iter().filter_map(|(path, _)| path.split(SEPARATOR).nth(LEVELS - 1));
    let mut labels = labels(env, tenant, Dimension::Link, links).await?;
    let rows = rows.into_iter().map(|(path, measures)| {
        let mut parts = path.split(SEPARATOR).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (source, medium, campaign, link_id) = (next(), next(), next(), next());
        CampaignRow {
            source,
            medium,
            campaign,
            label: labels.remove(&link_id).unwrap_or_default(),
            link_id,
            measures: Some(shown(&measures, None)),
            install_rate: rate(measures.attributed_installs, measures.clicks),
            child_count: children.get(&path).copied().unwrap_or(0),
        }
    });
    Ok(GetCampaignsResponse {
        rows: rows.collect(),
        other: Some(shown(&other, None)),
        total: Some(shown(&total, None)),
        next_page_token: env.pages.token(next.as_ref(), &paged.question, env.now()),
        total_size,
        span: Some(span.shown()),
    })
}

fn read(asked: &GetCampaignsRequest, env: &Env) -> Result<(Part, Span, usize, Order)> {
    let part = scope::read("scope.", &asked.scope.clone().unwrap_or_default());
    let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEARS, env.now());
    let mut wrong = Violations::default();
    let depth = wrong.take("level", depth(asked.level));
    for (field, value) in
        [("source", &asked.source), ("medium", &asked.medium), ("campaign", &asked.campaign)]
    {
        if value.as_ref().is_some_and(|value| value.len() > MOST_BYTES) {
            wrong.add(field, "must have at most 2,048 bytes");
        }
    }
    let order = wrong.take("order_by", Order::read(&asked.order_by));
    let own = wrong.into_result(depth.zip(order));
    let ((part, span), own) = both(both(part, span), own)?;
    let (depth, order) = own.ok_or_else(|| Error::invalid_field("level", NO_LEVEL))?;
    Ok((part, span, depth, order))
}

const NO_LEVEL: &str = "is none this server knows";

/// Returns how many parts the path of a row has.
fn depth(level: i32) -> Result<usize, &'static str> {
    match CampaignLevel::try_from(level) {
        Ok(CampaignLevel::Unspecified | CampaignLevel::Source) => Ok(1),
        Ok(CampaignLevel::Medium) => Ok(2),
        Ok(CampaignLevel::Campaign) => Ok(3),
        Ok(CampaignLevel::Link) => Ok(4),
        Err(_) => Err(NO_LEVEL),
    }
}

/// A level of the tree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Level {
    /// The numbers by path, whose parts have separators between them.
    rows: Vec<Row>,
    /// How many paths of the next level each of them has.
    children: HashMap<String, i32>,
    /// What has no path.
    other: Measures,
}

/// Adds up all that is under each path of a level, of those paths that begin with what is asked for.
fn level(all: HashMap<String, Measures>, depth: usize, within: [Option<&str>; 3]) -> Level {
    let (leaves, other) = rows(all);
    let mut sums: BTreeMap<String, (Measures, HashSet<String>)> = BTreeMap::new();
    for (path, measures) in leaves {
        let mut parts: Vec<&str> = path.split(SEPARATOR).collect();
        // Where nothing is known, nothing is written.
        parts.resize(LEVELS, "");
        if within.iter().zip(&parts).any(|(wanted, part)| wanted.is_some_and(|wanted| wanted != *part)) {
            continue;
        }
        let separator = SEPARATOR.to_string();
        let (sum, children) = sums.entry(parts[..depth].join(&separator)).or_default();
        *sum += &measures;
        if let Some(child) = parts.get(depth) {
            children.insert((*child).to_owned());
        }
    }
    let is_narrowed = within.iter().any(Option::is_some);
    let mut level =
        Level { other: if is_narrowed { Measures::default() } else { other }, ..Level::default() };
    for (path, (measures, children)) in sums {
        if !measures.is_zero() {
            level.children.insert(path.clone(), i32::try_from(children.len()).unwrap_or(i32::MAX));
            level.rows.push((path, measures));
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::dims::OTHER;

    fn tree() -> HashMap<String, Measures> {
        let path = |parts: [&str; 4]| parts.join("\0");
        [
            (path(["news", "mail", "spring", "l1"]), 1),
            (path(["news", "mail", "spring", "l2"]), 2),
            (path(["news", "mail", "", "l1"]), 4),
            (path(["news", "print", "spring", "l3"]), 8),
            (path(["ads", "mail", "spring", "l1"]), 16),
            (path(["ads", "", "", ""]), 0),
            (String::new(), 32),
            (OTHER.to_owned(), 64),
        ]
        .into_iter()
        .map(|(path, clicks)| (path, Measures { clicks, ..Measures::default() }))
        .collect()
    }

    #[test]
    fn every_level_is_the_sum_of_the_next() {
        let (news, ads, spring) = (Some("news"), Some("ads"), Some("spring"));
        for (depth, within, expected, other) in [
            (1, [None, None, None], vec![("", 32, 1), ("ads", 16, 1), ("news", 15, 2)], 64),
            (2, [news, None, None], vec![("news\0mail", 7, 2), ("news\0print", 8, 1)], 0),
            (3, [news, Some("mail"), None], vec![("news\0mail\0", 4, 1), ("news\0mail\0spring", 3, 2)], 0),
            (4, [ads, None, None], vec![("ads\0mail\0spring\0l1", 16, 0)], 0),
            (1, [None, None, spring], vec![("ads", 16, 1), ("news", 11, 2)], 0),
            (1, [Some(""), None, None], vec![("", 32, 1)], 0),
            (1, [Some("nobody"), None, None], vec![], 0),
        ] {
            let found = level(tree(), depth, within);
            let rows: Vec<_> = found
                .rows
                .iter()
                .map(|(path, measures)| (path.as_str(), measures.clicks, found.children[path]))
                .collect();
            assert_eq!((rows, found.other.clicks), (expected, other), "{depth} {within:?}");
        }
        let leaves = level(tree(), 4, [None; 3]);
        let sum: i64 = leaves.rows.iter().map(|(_, measures)| measures.clicks).sum();
        assert_eq!((leaves.rows.len(), sum + leaves.other.clicks), (6, 127));
    }
}
