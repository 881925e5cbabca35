//! The clicks that an install could be credited to, each once and with the strongest evidence for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Duration;
use sea_orm::{ConnectionTrait, DbErr};
use url::Url;

use super::store::{self, ClickRow};
use crate::{
    attribution::{
        decide::{Candidate, Device, Evidence},
        device::{OfClick, of_click},
        views,
    },
    clicks::{Named, class::Class, named},
    clock::from_micros,
    domains::is_host_of,
    env::Env,
    ids::{ClickId, LinkId, WorkspaceId, time_of},
    links::{Credited, credited},
    pb::{internal::v1::InstallRecord, sdk::v1::Platform},
};

/// The longest window that there is.
const LONGEST: Duration = Duration::days(90);
/// How many clicks of one network are looked at. Where there are more within a window, so many people are behind it that nobody can
/// be told from another.
pub const MOST_OF_A_NETWORK: u32 = 1000;
const MOST_OF_IDENTITIES: u64 = 100;

/// What was found.
#[derive(Debug)]
pub struct Gathered {
    /// The clicks.
    pub candidates: Vec<Candidate>,
    /// Whether there were more of its network than are looked at.
    pub crowded: bool,
    /// What apps are told of the links, and what was in the URLs that were tapped.
    pub told: HashMap<ClickId, Told>,
}

/// What an app is told if a click wins.
#[derive(Debug, Clone)]
pub struct Told {
    /// What the link says.
    pub credited: Credited,
    /// The query of the URL.
    pub query: String,
}

/// Looks for the clicks.
pub async fn gather(
    env: &Env,
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    report: &InstallRecord,
) -> Result<Gathered, DbErr> {
    let installed = from_micros(report.install_time_micros);
    let mut evidence: BTreeMap<ClickId, (Evidence, Named)> = BTreeMap::new();
    let mut note = |class: Evidence, named: Named| {
        let known = evidence.entry(named.click).or_insert((class, named));
        known.0 = known.0.min(class);
        known.1.link = known.1.link.or(named.link);
    };
    for (class, named) in carried(env, workspace, report) {
        note(class, named);
    }
    if let Some(named) = pasted(env, db, workspace, report).await? {
        note(Evidence::Pasteboard, named);
    }
    let span = (installed - LONGEST, installed);
    let identities: Vec<Vec<u8>> = report.identities.iter().map(|key| key.to_vec()).collect();
    for click in store::clicks_of_identities(db, workspace, &identities, span, MOST_OF_IDENTITIES).await? {
        note(Evidence::Identity, Named { click, link: None });
    }
    let ids: Vec<ClickId> = evidence.keys().copied().collect();
    let mut rows = store::clicks(db, workspace, &ids).await?;

    let mut crowded = false;
    if !report.network.is_empty() {
        // Asked for also where likeness is no evidence: the answer says that it would have been.
        let window = Duration::seconds(report.likeness_window_seconds.max(report.default_window_seconds));
        let span = (installed - window.min(LONGEST), installed);
        let alike =
            store::clicks_of_network(db, workspace, &report.network, span, MOST_OF_A_NETWORK + 1).await?;
        if alike.is_empty() {
            // Only to say that there was one, and that its time is over.
            let before = (installed - LONGEST, span.0);
            rows.extend(store::clicks_of_network(db, workspace, &report.network, before, 1).await?);
        }
        crowded = alike.len() > MOST_OF_A_NETWORK as usize;
        if !crowded {
            rows.extend(alike.into_iter().filter(|row| !evidence.contains_key(&row.id)));
        }
    }

    let seen = views_of(db, workspace, report, &identities).await?;
    let named_links = evidence.values().filter_map(|(_, named)| named.link);
    let of_rows = rows.iter().chain(&seen.rows).map(|row| row.link_id);
    let links: HashSet<LinkId> = of_rows.chain(named_links).collect();
    let links = credited(db, workspace, &links).await?;
    let mut told = HashMap::new();
    let mut candidates = Vec::new();
    let stored: HashSet<ClickId> = rows.iter().map(|row| row.id).collect();
    for row in rows {
        // A link that was deleted brings nobody any more.
        let Some(credited) = links.get(&row.link_id) else { continue };
        let class = evidence.get(&row.id).map_or(Evidence::Likeness, |(class, _)| *class);
        let query = row.query.clone().unwrap_or_default();
        candidates.push(candidate(row, class, credited, report));
        if let Some(last) = candidates.last() {
            told.insert(last.click, Told { credited: credited.clone(), query });
        }
    }
    // A token of ours is believed also before its click is stored, and after it was thrown away.
    let unstored: Vec<(Evidence, Named)> =
        evidence.into_values().filter(|(_, named)| !stored.contains(&named.click)).collect();
    let clicks: Vec<ClickId> = unstored.iter().map(|(_, named)| named.click).collect();
    let claimed = store::claimed(db, &clicks).await?;
    for (class, named) in unstored {
        let Some((link, credited)) = named.link.and_then(|link| Some((link, links.get(&link)?))) else {
            continue;
        };
        let is_claimed = claimed.contains(&named.click) && !report.test;
        candidates.push(Candidate {
            claimed: is_claimed,
            ..carried_alone(named.click, link, class, credited, report)
        });
        told.insert(named.click, Told { credited: credited.clone(), query: String::new() });
    }
    for (at, row) in seen.rows.into_iter().enumerate() {
        let Some(credited) = links.get(&row.link_id) else { continue };
        let of_device = at < seen.of_device;
        let class = if of_device { Evidence::ViewIdentity } else { Evidence::ViewLikeness };
        let mut view = candidate(row, class, credited, report);
        // A network's server says which device it was; nobody looks like a person there.
        view.human |= of_device;
        told.insert(view.click, Told { credited: credited.clone(), query: String::new() });
        candidates.push(view);
    }
    // In one order, so that what is decided from is the same text every time.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.click));
    Ok(Gathered { candidates, crowded, told })
}

/// Returns the views that an install could be credited to, where views are evidence.
async fn views_of(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    report: &InstallRecord,
    identities: &[Vec<u8>],
) -> Result<views::Seen, DbErr> {
    if report.view_window_seconds == 0 {
        return Ok(views::Seen::default());
    }
    let installed = from_micros(report.install_time_micros);
    let span = (installed - Duration::seconds(report.view_window_seconds), installed);
    views::find(db, workspace, (identities, &report.network), span, MOST_OF_A_NETWORK).await
}

/// Returns the clicks that an install carries, but for the pasteboard.
fn carried(env: &Env, workspace: WorkspaceId, report: &InstallRecord) -> Vec<(Evidence, Named)> {
    let tokens = super::tokens(env);
    let found = [
        (Evidence::StoreReferrer, tokens.named_in(workspace, &report.store_referrer)),
        (Evidence::AppClip, named(&report.app_clip_click_id)),
        (Evidence::LinkOpen, tokens.named_by(workspace, &report.opened_url)),
    ];
    found.into_iter().filter_map(|(class, named)| Some((class, named?))).collect()
}

/// Returns the click that stood on the pasteboard: a bare token, or in a URL that our page can have put there.
async fn pasted(
    env: &Env,
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    report: &InstallRecord,
) -> Result<Option<Named>, DbErr> {
    let text = report.pasteboard.trim();
    let named = super::tokens(env).named_by(workspace, text).filter(|named| is_fresh(named, report));
    if named.is_none() || !text.contains('?') {
        return Ok(named);
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = url.as_ref().and_then(Url::host_str) else { return Ok(None) };
    let ours = is_host_of(env, db, workspace, host).await?;
    Ok(named.filter(|_| ours))
}

/// Says whether what stood on the pasteboard is young enough: it may have stood there before.
fn is_fresh(named: &Named, report: &InstallRecord) -> bool {
    from_micros(report.install_time_micros) - time_of(named.click.0) <= PASTED
}

/// How long a token on the pasteboard is good.
const PASTED: Duration = Duration::hours(24);

fn candidate(row: ClickRow, evidence: Evidence, credited: &Credited, report: &InstallRecord) -> Candidate {
    let query = row.query.as_deref().unwrap_or_default();
    let device = of_click(&OfClick {
        network: &row.network,
        address: row.address,
        user_agent: &row.user_agent,
        language: &row.language,
        query,
    });
    Candidate {
        click: row.id,
        link: row.link_id,
        time: time_of(row.id.0),
        evidence,
        visitor: row.visitor,
        human: Class::of_number(row.class) == Some(Class::Human),
        claimed: row.claimed && !report.test,
        other_app: is_of_other_app(credited, report),
        window_seconds: window(credited, report),
        device,
    }
}

/// Returns the candidate of a click of which nothing is known but what its token says.
fn carried_alone(
    click: ClickId,
    link: LinkId,
    evidence: Evidence,
    credited: &Credited,
    report: &InstallRecord,
) -> Candidate {
    Candidate {
        click,
        link,
        time: time_of(click.0),
        evidence,
        visitor: 0,
        human: true,
        claimed: false,
        other_app: is_of_other_app(credited, report),
        window_seconds: window(credited, report),
        device: Device::default(),
    }
}

/// Returns how long after a click of a link an install counts.
fn window(credited: &Credited, report: &InstallRecord) -> i64 {
    let of_link = credited.window_seconds.unwrap_or(report.default_window_seconds);
    if report.window_seconds == 0 { of_link } else { of_link.min(report.window_seconds) }
}

/// Says whether a link leads to the page of another app in the store of the platform.
fn is_of_other_app(credited: &Credited, report: &InstallRecord) -> bool {
    let url = |text: &str| Url::parse(text).ok();
    match Platform::try_from(report.platform) {
        Ok(Platform::Ios) if !report.app_store_id.is_empty() => url(&credited.ios_url).is_some_and(|url| {
            let mut parts = url.path().rsplit('/');
            let of_store = matches!(url.host_str(), Some("apps.apple.com" | "itunes.apple.com"));
            let id = parts.find_map(|part| {
                part.strip_prefix("id").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
            });
            of_store && id.is_some_and(|id| id != report.app_store_id)
        }),
        Ok(Platform::Android) if !report.package_name.is_empty() => {
            url(&credited.android_url).is_some_and(|url| {
                let id = url.query_pairs().find(|(name, _)| name == "id").map(|(_, id)| id.into_owned());
                url.host_str() == Some("play.google.com") && id.is_some_and(|id| id != report.package_name)
            })
        }
        _ => false,
    }
}
