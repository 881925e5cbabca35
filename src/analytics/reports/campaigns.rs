//! The tree of campaigns: source, medium, campaign, and below a campaign its links, and its ad groups with their creatives. Each branch is one
//! dimension, so every level is the sum of the next.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Paged,
    numbers::{Numbers, joined, rate, shown_with_cost},
    order::{self, Order, Row},
    scope, snapshot,
    values::{labels, rows},
};
use crate::{
    analytics::{
        costs,
        dims::{Dimension, OTHER, SEPARATOR},
        rollup::read::{Measures, Part, Reader},
        span::{Span, YEARS},
    },
    env::Env,
    error::{Error, Result, Violations, both},
    pb::v1::{CampaignLevel, CampaignRow, GetCampaignsRequest, GetCampaignsResponse, ReportScope},
    workspaces::Tenant,
};

const MOST_BYTES: usize = 2048;
/// How many parts the path of a campaign has: source, medium and campaign.
const OF_CAMPAIGN: usize = 3;

/// One of the branches that a campaign has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    /// Its links. What stands above them is the same in both.
    Links,
    /// Its ad groups, and their creatives.
    Ads,
}

impl Branch {
    const fn dimension(self) -> Dimension {
        match self {
            Self::Links => Dimension::CampaignLink,
            Self::Ads => Dimension::CampaignAd,
        }
    }

    /// Returns how many parts its longest paths have.
    const fn depth(self) -> usize {
        match self {
            Self::Links => OF_CAMPAIGN + 1,
            Self::Ads => OF_CAMPAIGN + 2,
        }
    }
}

/// A level of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Depth {
    branch: Branch,
    /// How many parts a path has.
    parts: usize,
}

/// What paths are to begin with.
type Within<'a> = [Option<&'a str>; 4];

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
    let mut from = Reader::open(&db, &kept, &scope).await?;
    let mut counted = from.breakdown(span.slots, Dimension::CampaignLink).await?;
    if depth.branch == Branch::Ads {
        counted = with_unknown_ads(&counted, from.breakdown(span.slots, Dimension::CampaignAd).await?);
    }
    let spent = costs::by_value(&db, &scope, span, depth.branch.dimension()).await?;
    db.commit().await?;

    let within = [&asked.source, &asked.medium, &asked.campaign, &asked.ad_group].map(Option::as_deref);
    let Level { rows, children, other } = level(joined(counted, spent), depth, within);
    let mut total: Numbers = rows.iter().map(|(_, numbers)| numbers).sum();
    total += &other;
    let total_size = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let (rows, next) = order::page(rows, (order, money), &paged.page, span.slots);
    let links = rows.iter().filter(|_| depth.branch == Branch::Links);
    let links = links.filter_map(|(path, _)| path.split(SEPARATOR).nth(OF_CAMPAIGN));
    let mut labels = labels(env, tenant, Dimension::Link, links).await?;
    let rows = rows.into_iter().map(|(path, numbers)| {
        let mut parts = path.split(SEPARATOR).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (source, medium, campaign) = (next(), next(), next());
        let (link_id, ad_group, creative) = match depth.branch {
            Branch::Links => (next(), String::new(), String::new()),
            Branch::Ads => (String::new(), next(), next()),
        };
        CampaignRow {
            source,
            medium,
            campaign,
            label: labels.remove(&link_id).unwrap_or_default(),
            link_id,
            install_rate: rate(numbers.counted.attributed_installs, numbers.counted.clicks),
            measures: Some(shown_with_cost(&numbers, None)),
            child_count: children.get(&path).copied().unwrap_or(0),
            ad_group,
            creative,
        }
    });
    Ok(GetCampaignsResponse {
        rows: rows.collect(),
        other: Some(shown_with_cost(&other, None)),
        total: Some(shown_with_cost(&total, None)),
        next_page_token: env.pages.token(next.as_ref(), &paged.question, env.now()),
        total_size,
        span: Some(span.shown()),
    })
}

fn read(asked: &GetCampaignsRequest, env: &Env) -> Result<(Part, Span, Depth, Order)> {
    let part = scope::read("scope.", &asked.scope.clone().unwrap_or_default());
    let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEARS, env.now());
    let mut wrong = Violations::default();
    let depth = wrong.take("level", depth(asked.level));
    for (field, value) in [
        ("source", &asked.source),
        ("medium", &asked.medium),
        ("campaign", &asked.campaign),
        ("ad_group", &asked.ad_group),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > MOST_BYTES) {
            wrong.add(field, "must have at most 2,048 bytes");
        }
    }
    if asked.ad_group.is_some() && depth.is_some_and(|depth| depth.branch == Branch::Links) {
        wrong.add("ad_group", "is for the levels of ad groups and creatives only");
    }
    let order = wrong.take("order_by", Order::read(&asked.order_by));
    let own = wrong.into_result(depth.zip(order));
    let ((part, span), own) = both(both(part, span), own)?;
    let (depth, order) = own.ok_or_else(|| Error::invalid_field("level", NO_LEVEL))?;
    Ok((part, span, depth, order))
}

const NO_LEVEL: &str = "is none this server knows";

/// Reads a level.
fn depth(level: i32) -> Result<Depth, &'static str> {
    let (branch, parts) = match CampaignLevel::try_from(level) {
        Ok(CampaignLevel::Unspecified | CampaignLevel::Source) => (Branch::Links, 1),
        Ok(CampaignLevel::Medium) => (Branch::Links, 2),
        Ok(CampaignLevel::Campaign) => (Branch::Links, OF_CAMPAIGN),
        Ok(CampaignLevel::Link) => (Branch::Links, OF_CAMPAIGN + 1),
        Ok(CampaignLevel::AdGroup) => (Branch::Ads, OF_CAMPAIGN + 1),
        Ok(CampaignLevel::Creative) => (Branch::Ads, OF_CAMPAIGN + 2),
        Err(_) => return Err(NO_LEVEL),
    };
    Ok(Depth { branch, parts })
}

/// Adds to what ads have what their campaigns have besides, under no ad: rollups do not write it, and those of earlier releases no ads at all.
fn with_unknown_ads(
    links: &HashMap<String, Measures>,
    mut ads: HashMap<String, Measures>,
) -> HashMap<String, Measures> {
    if links.get(OTHER).is_some_and(|other| !other.is_zero()) {
        // Beyond the bound of links nobody knows what campaigns have.
        return ads;
    }
    let campaign = |path: &str| {
        let parts: Vec<&str> = path.split(SEPARATOR).take(OF_CAMPAIGN).collect();
        parts.join(&SEPARATOR.to_string())
    };
    // What is left over of ads goes back to where it came from.
    ads.retain(|path, _| !path.is_empty() && path != OTHER);
    let mut rest: HashMap<String, Measures> = HashMap::new();
    for (path, measures) in links {
        *rest.entry(campaign(path)).or_default() += measures;
    }
    for (path, measures) in &ads {
        *rest.entry(campaign(path)).or_default() -= measures;
    }
    ads.extend(rest);
    ads
}

/// What a level holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Level {
    /// The numbers by path, whose parts have separators between them.
    rows: Vec<Row>,
    /// How many paths of the next level each of them has.
    children: HashMap<String, i32>,
    /// What has no path.
    other: Numbers,
}

/// Adds up all that is under each path of a level, of those paths that begin with what is asked for.
fn level(all: HashMap<String, Numbers>, Depth { branch, parts: depth }: Depth, within: Within<'_>) -> Level {
    let (leaves, other) = rows(all);
    let mut sums: BTreeMap<String, (Numbers, HashSet<String>)> = BTreeMap::new();
    for (path, numbers) in leaves {
        let mut parts: Vec<&str> = path.split(SEPARATOR).collect();
        // Where nothing is known, nothing is written.
        parts.resize(branch.depth(), "");
        if within.iter().zip(&parts).any(|(wanted, part)| wanted.is_some_and(|wanted| wanted != *part)) {
            continue;
        }
        let separator = SEPARATOR.to_string();
        let (sum, children) = sums.entry(parts[..depth].join(&separator)).or_default();
        *sum += &numbers;
        if let Some(child) = parts.get(depth) {
            children.insert((*child).to_owned());
        }
    }
    let is_narrowed = within.iter().any(Option::is_some);
    let mut level = Level { other: if is_narrowed { Numbers::default() } else { other }, ..Level::default() };
    for (path, (numbers, children)) in sums {
        if !numbers.is_nothing() {
            level.children.insert(path.clone(), i32::try_from(children.len()).unwrap_or(i32::MAX));
            level.rows.push((path, numbers));
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::{costs::Spent, rollup::read::Currency};

    fn clicks(paths: &[(&[&str], i64)]) -> HashMap<String, Measures> {
        let of = |(path, clicks): &(&[&str], i64)| {
            (path.join("\0"), Measures { clicks: *clicks, ..Measures::default() })
        };
        paths.iter().map(of).collect()
    }

    fn tree() -> HashMap<String, Measures> {
        clicks(&[
            (&["news", "mail", "spring", "l1"], 1),
            (&["news", "mail", "spring", "l2"], 2),
            (&["news", "mail", "", "l1"], 4),
            (&["news", "print", "spring", "l3"], 8),
            (&["ads", "mail", "spring", "l1"], 16),
            (&["ads", "", "", ""], 0),
            (&[""], 32),
            (&[OTHER], 64),
        ])
    }

    fn numbers(counted: HashMap<String, Measures>) -> HashMap<String, Numbers> {
        joined(counted, HashMap::new())
    }

    const fn links(parts: usize) -> Depth {
        Depth { branch: Branch::Links, parts }
    }

    #[test]
    fn every_level_is_the_sum_of_the_next() {
        let (news, ads, spring) = (Some("news"), Some("ads"), Some("spring"));
        for (depth, within, expected, other) in [
            (1, [None, None, None, None], vec![("", 32, 1), ("ads", 16, 1), ("news", 15, 2)], 64),
            (2, [news, None, None, None], vec![("news\0mail", 7, 2), ("news\0print", 8, 1)], 0),
            (
                3,
                [news, Some("mail"), None, None],
                vec![("news\0mail\0", 4, 1), ("news\0mail\0spring", 3, 2)],
                0,
            ),
            (4, [ads, None, None, None], vec![("ads\0mail\0spring\0l1", 16, 0)], 0),
            (1, [None, None, spring, None], vec![("ads", 16, 1), ("news", 11, 2)], 0),
            (1, [Some(""), None, None, None], vec![("", 32, 1)], 0),
            (1, [Some("nobody"), None, None, None], vec![], 0),
        ] {
            let found = level(numbers(tree()), links(depth), within);
            let rows: Vec<_> = found
                .rows
                .iter()
                .map(|(path, numbers)| (path.as_str(), numbers.counted.clicks, found.children[path]))
                .collect();
            assert_eq!((rows, found.other.counted.clicks), (expected, other), "{depth} {within:?}");
        }
        let leaves = level(numbers(tree()), links(4), [None; 4]);
        let sum: i64 = leaves.rows.iter().map(|(_, numbers)| numbers.counted.clicks).sum();
        assert_eq!((leaves.rows.len(), sum + leaves.other.counted.clicks), (6, 127));
    }

    #[test]
    fn what_was_spent_has_a_row_though_nobody_came() {
        let franc = Currency::parse("CHF").expect("a currency");
        let spent = HashMap::from([
            ("news\0mail\0spring\0l1".to_owned(), Spent::new(franc, 5)),
            ("tv\0\0\0".to_owned(), Spent::new(franc, 7)),
            (String::new(), Spent::new(franc, 11)),
        ]);
        let found = level(joined(tree(), spent), links(1), [None; 4]);
        let rows: Vec<_> = found
            .rows
            .iter()
            .map(|(path, numbers)| (path.as_str(), numbers.counted.clicks, numbers.spent.of(franc)))
            .collect();
        assert_eq!(rows, [("", 32, 11), ("ads", 16, 0), ("news", 15, 5), ("tv", 0, 7)]);
    }

    #[test]
    fn what_has_no_ad_is_its_campaigns_all_the_same() {
        let ads = |paths: &[(&[&str], i64)]| {
            let mut of_links = tree();
            of_links.remove(OTHER);
            with_unknown_ads(&of_links, clicks(paths))
        };
        let rows = |ads: HashMap<String, Measures>, parts, within| {
            let found = level(numbers(ads), Depth { branch: Branch::Ads, parts }, within);
            assert!(found.other.is_nothing());
            found.rows.into_iter().map(|(path, numbers)| (path, numbers.counted.clicks)).collect::<Vec<_>>()
        };
        // Rollups of an earlier release have none.
        let none = ads(&[(&[""], 63)]);
        let news = [Some("news"), Some("mail"), Some("spring"), None];
        assert_eq!(rows(none, 4, news), [("news\0mail\0spring\0".to_owned(), 3)]);
        let some = ads(&[
            (&["news", "mail", "spring", "shoes", "red"], 1),
            (&["news", "mail", "spring", "shoes", ""], 1),
            (&["ads", "mail", "spring", "hats", "blue"], 16),
            (&[""], 45),
        ]);
        let of_news: Vec<_> = [("news\0mail\0spring\0", 1), ("news\0mail\0spring\0shoes", 2)]
            .map(|(path, clicks)| (path.to_owned(), clicks))
            .into();
        assert_eq!(rows(some.clone(), 4, news), of_news);
        let shoes = [Some("news"), Some("mail"), Some("spring"), Some("shoes")];
        let of_shoes: Vec<_> = [("news\0mail\0spring\0shoes\0", 1), ("news\0mail\0spring\0shoes\0red", 1)]
            .map(|(path, clicks)| (path.to_owned(), clicks))
            .into();
        assert_eq!(rows(some.clone(), 5, shoes), of_shoes);
        let sum: i64 = rows(some, 5, [None; 4]).iter().map(|(_, clicks)| clicks).sum();
        assert_eq!(sum, 63);
        // Beyond the bounds of both nothing is counted twice.
        let beyond =
            with_unknown_ads(&tree(), clicks(&[(&["a", "", "", "b", ""], 1), (&[""], 2), (&[OTHER], 124)]));
        assert_eq!(beyond.values().map(|measures| measures.clicks).sum::<i64>(), 127);
    }
}
