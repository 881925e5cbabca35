//! From a click to an install and on to events: how many come how far, and how long it takes them.

use std::{cmp::Reverse, collections::HashMap};

use chrono::Duration;

use super::{cohort, numbers::rate, scope, snapshot, values::labels};
use crate::{
    analytics::{
        dims::Dimension,
        rollup::read::{Part, Reader},
        span::{Span, YEAR},
        store::InstallRow,
    },
    clock::Moment,
    env::Env,
    error::{Result, Violations, both},
    ids::{EventId, LinkId},
    pb::v1::{FunnelCohort, FunnelLink, FunnelStep, GetFunnelRequest, GetFunnelResponse, StepTime},
    workspaces::Tenant,
};

const MOST_STEPS: usize = 10;
const MOST_NAME: usize = 255;
const DEFAULT_WINDOW: Duration = Duration::days(30);
const LONGEST_WINDOW: Duration = Duration::days(366);
/// How long after its click an install is credited to it at the most, whatever a link says (`links/fields.rs`).
const LONGEST_ATTRIBUTION: Duration = Duration::days(91);
const TOP: usize = 10;

/// Returns how many came how far.
pub async fn funnel(env: &Env, tenant: &Tenant, asked: &GetFunnelRequest) -> Result<GetFunnelResponse> {
    let (part, (span, (cohort, window))) = read(asked, env)?;
    let names = asked.event_names.as_slice();
    let scope = scope::find(env, tenant, part).await?;
    let has_clicks = !matches!(scope.part, Part::App(_));

    let db = snapshot(env).await?;
    let time = (span.start(), span.end());
    let found = match cohort {
        FunnelCohort::ClickTime => {
            let mut found =
                cohort::installs(env, &db, &scope, (time.0, time.1 + LONGEST_ATTRIBUTION)).await?;
            found.retain(|install| install.click_time.is_some_and(|click| time.0 <= click && click < time.1));
            found
        }
        _ => cohort::installs(env, &db, &scope, time).await?,
    };
    let mut events: Vec<Vec<(Moment, EventId, usize)>> = vec![Vec::new(); found.len()];
    if !names.is_empty() {
        let first = found.iter().map(|install| install.install_time).min().unwrap_or(time.0);
        let last = found.iter().map(|install| install.install_time).max().unwrap_or(time.0);
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        cohort::events(env, &db, (&scope, &found), (first, last + window), &wanted, |place, event| {
            let since = event.event_time - found[place].install_time;
            if since >= Duration::zero() && since < window {
                // The statement has these names alone.
                let name = wanted.binary_search(&event.name).unwrap_or_default();
                events[place].push((event.event_time, event.id, name));
            }
        })
        .await?;
        for events in &mut events {
            events.sort_unstable();
        }
        for (_, _, name) in events.iter_mut().flatten() {
            *name = names.iter().position(|wished| *wished == wanted[*name]).unwrap_or_default();
        }
    }
    let clicks = if has_clicks {
        let kept = super::kept(env);
        let links = Reader::open(&db, &kept, &scope).await?.breakdown(span.slots, Dimension::Link).await?;
        Some(links.into_iter().map(|(link, measures)| (link, measures.clicks)).collect())
    } else {
        None
    };
    db.commit().await?;

    let walks: Vec<Walk> =
        found.iter().zip(&events).map(|(install, events)| walk(install, events, names)).collect();
    let top = top_links(&found, &walks, names.len(), clicks.as_ref());
    let ids = top.iter().map(|(link, _)| link.to_string()).collect::<Vec<_>>();
    let mut labels = labels(env, tenant, Dimension::Link, ids.iter().map(String::as_str)).await?;
    Ok(GetFunnelResponse {
        steps: steps(&walks, names, clicks.map(|clicks| clicks.values().sum())),
        top_links: top
            .into_iter()
            .map(|(link, counts)| FunnelLink {
                link_id: link.to_string(),
                label: labels.remove(&link.to_string()).unwrap_or_default(),
                overall_rate: overall(&counts),
                counts,
            })
            .collect(),
        span: Some(span.shown()),
    })
}

type Asked = (Part, (Span, (FunnelCohort, Duration)));

fn read(asked: &GetFunnelRequest, env: &Env) -> Result<Asked> {
    let part =
        scope::read("scope.", &asked.scope.clone().unwrap_or_default()).and_then(cohort::require_installs);
    let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEAR, env.now());
    both(part, both(span, read_steps(asked)))
}

fn read_steps(asked: &GetFunnelRequest) -> Result<(FunnelCohort, Duration)> {
    let mut wrong = Violations::default();
    let cohort = FunnelCohort::try_from(asked.cohort).unwrap_or_else(|_| {
        wrong.add("cohort", "is none this server knows");
        FunnelCohort::Unspecified
    });
    if asked.event_names.len() > MOST_STEPS {
        wrong.add("event_names", "must be at most 10");
    }
    for (place, name) in asked.event_names.iter().enumerate().take(MOST_STEPS) {
        if name.is_empty() || name.chars().count() > MOST_NAME {
            wrong.add(format!("event_names[{place}]"), "must have 1 to 255 characters");
        }
    }
    let window = asked.completion_window.as_ref().map_or(Some(DEFAULT_WINDOW), |window| {
        let whole = Duration::try_seconds(window.seconds)?;
        whole.checked_add(&Duration::nanoseconds(i64::from(window.nanos)))
    });
    let window = window.filter(|window| (Duration::seconds(1)..=LONGEST_WINDOW).contains(window));
    let window = window.unwrap_or_else(|| {
        wrong.add("completion_window", "must be 1 second to 366 days");
        DEFAULT_WINDOW
    });
    wrong.into_result((cohort, window))
}

/// How far an install came: when it did each step after the install, and how long after the click it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Walk {
    since_click: Option<Duration>,
    /// How long each step took after the one before, as far as it came.
    steps: Vec<Duration>,
}

/// Follows one install through its events, which are in order: each step is the first event of its name that comes after the step before. Of several ways none
/// leads further.
fn walk(install: &InstallRow, events: &[(Moment, EventId, usize)], names: &[String]) -> Walk {
    let mut walk = Walk {
        since_click: install.click_time.map(|click| (install.install_time - click).max(Duration::zero())),
        steps: Vec::new(),
    };
    let mut last = install.install_time;
    let mut left = events.iter();
    for name in names {
        let Some((time, ..)) = left.find(|(_, _, found)| names[*found] == *name) else { break };
        walk.steps.push(*time - last);
        last = *time;
    }
    walk
}

fn steps(walks: &[Walk], names: &[String], clicks: Option<i64>) -> Vec<FunnelStep> {
    let mut steps: Vec<FunnelStep> = Vec::with_capacity(names.len() + 2);
    let mut add = |name: &str, count: i64, took: Vec<Duration>| {
        let first = steps.first().map_or(count, |first| first.count);
        let before = steps.last().map_or(count, |before| before.count);
        let is_first = steps.is_empty();
        steps.push(FunnelStep {
            name: name.to_owned(),
            count,
            rate: if is_first { 1.0 } else { rate(count, before) },
            overall_rate: if is_first { 1.0 } else { rate(count, first) },
            time: if is_first { None } else { times(took) },
        });
    };
    if let Some(clicks) = clicks {
        add("click", clicks, Vec::new());
    }
    add("install", number(walks.len()), walks.iter().filter_map(|walk| walk.since_click).collect());
    for (place, name) in names.iter().enumerate() {
        let took: Vec<Duration> = walks.iter().filter_map(|walk| walk.steps.get(place).copied()).collect();
        add(name, number(took.len()), took);
    }
    steps
}

/// Returns the mean and the percentiles; `None` of nothing.
fn times(mut took: Vec<Duration>) -> Option<StepTime> {
    took.sort_unstable();
    let micros = |duration: &Duration| duration.num_microseconds().unwrap_or(i64::MAX);
    let sum: i128 = took.iter().map(|duration| i128::from(micros(duration))).sum();
    let average = i64::try_from(sum.checked_div(took.len() as i128)?).unwrap_or(i64::MAX);
    let rank = |hundredths: usize| {
        let place = (took.len() * hundredths).div_ceil(100).saturating_sub(1);
        took.get(place).map(|duration| shown(micros(duration)))
    };
    Some(StepTime { average: Some(shown(average)), median: rank(50), p75: rank(75), p95: rank(95) })
}

fn shown(micros: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: micros.div_euclid(1_000_000),
        nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
    }
}

/// Returns the links of which most came to the end, each with its counts.
fn top_links(
    installs: &[InstallRow],
    walks: &[Walk],
    events: usize,
    clicks: Option<&HashMap<String, i64>>,
) -> Vec<(LinkId, Vec<i64>)> {
    let mut links: HashMap<LinkId, Vec<i64>> = HashMap::new();
    for (install, walk) in installs.iter().zip(walks) {
        let Some(link) = install.link_id else { continue };
        let counts = links.entry(link).or_insert_with(|| vec![0; events + 1]);
        for count in &mut counts[..=walk.steps.len()] {
            *count += 1;
        }
    }
    let mut links: Vec<_> = links.into_iter().collect();
    links.sort_unstable_by(|(one, counts), (other, others)| {
        let ends = |counts: &[i64]| Reverse(counts.iter().rev().copied().collect::<Vec<_>>());
        ends(counts).cmp(&ends(others)).then(one.cmp(other))
    });
    links.truncate(TOP);
    if let Some(clicks) = clicks {
        for (link, counts) in &mut links {
            counts.insert(0, clicks.get(&link.to_string()).copied().unwrap_or(0));
        }
    }
    links
}

fn overall(counts: &[i64]) -> f64 {
    match counts {
        [first, .., last] => rate(*last, *first),
        _ => 1.0,
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{clock::from_micros, ids::InstallId};

    fn at(seconds: i64) -> Moment {
        from_micros(seconds * 1_000_000)
    }

    fn install(number: u128, link: Option<u128>, click: Option<i64>, time: i64) -> InstallRow {
        InstallRow {
            id: InstallId(Uuid::from_u128(number)),
            link_id: link.map(|link| LinkId(Uuid::from_u128(link))),
            install_time: at(time),
            click_time: click.map(at),
            fits: true,
        }
    }

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn steps_follow_on_each_other() {
        let one = install(1, None, Some(90), 100);
        for (funnel, events, expected) in [
            ("a b", &[(110, "a"), (130, "b")][..], vec![10, 20]),
            ("a b", &[(110, "b"), (130, "a")], vec![30]),
            ("a b", &[(110, "b"), (130, "a"), (140, "b")], vec![30, 10]),
            ("a a", &[(110, "a")], vec![10]),
            ("a a", &[(110, "a"), (110, "a")], vec![10, 0]),
            ("a b", &[(130, "b")], vec![]),
            ("a", &[(100, "a")], vec![0]),
            ("", &[], vec![]),
        ] {
            let names = names(funnel);
            let events: Vec<_> = events
                .iter()
                .enumerate()
                .map(|(place, (time, name))| {
                    let name = names.iter().position(|wished| wished == name).expect("asked for");
                    (at(*time), EventId(Uuid::from_u128(place as u128)), name)
                })
                .collect();
            let walked = walk(&one, &events, &names);
            assert_eq!(walked.since_click, Some(Duration::seconds(10)));
            let steps: Vec<i64> = walked.steps.iter().map(Duration::num_seconds).collect();
            assert_eq!(steps, expected, "{funnel} {events:?}");
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |seconds: &[i64]| times(seconds.iter().map(|seconds| Duration::seconds(*seconds)).collect());
        let seconds = |time: StepTime| {
            [time.average, time.median, time.p75, time.p95].map(|time| time.expect("known").seconds)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(seconds(of(&[7]).expect("known")), [7, 7, 7, 7]);
        assert_eq!(seconds(of(&[4, 1, 3, 2]).expect("known")), [2, 2, 3, 4]);
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(seconds(of(&hundred).expect("known")), [50, 50, 75, 95]);
        assert_eq!(of(&[1, 2]).expect("known").average, Some(shown(1_500_000)));
    }

    #[test]
    fn counts_go_down_and_links_are_ordered_by_their_ends() {
        let names = names("a b");
        let took = |count: usize| vec![Duration::seconds(1); count];
        let installs: Vec<InstallRow> = [Some(1), Some(1), Some(2), Some(2), Some(3), None]
            .into_iter()
            .enumerate()
            .map(|(place, link)| install(place as u128, link, link.map(|_| 0), 10))
            .collect();
        let walks: Vec<Walk> = [2, 0, 1, 1, 2, 2]
            .into_iter()
            .zip(&installs)
            .map(|(count, install)| Walk {
                since_click: install.click_time.map(|click| install.install_time - click),
                steps: took(count),
            })
            .collect();
        let found = steps(&walks, &names, Some(12));
        let shown: Vec<_> =
            found.iter().map(|step| (step.name.as_str(), step.count, step.time.is_some())).collect();
        assert_eq!(shown, [("click", 12, false), ("install", 6, true), ("a", 5, true), ("b", 3, true)]);
        assert_eq!((found[1].rate, found[3].rate, found[3].overall_rate), (0.5, 0.6, 0.25));
        let of_app = steps(&walks, &names, None);
        assert_eq!((of_app.len(), of_app[0].rate, of_app[2].overall_rate), (3, 1.0, 0.5));

        let link = |number: u128| LinkId(Uuid::from_u128(number));
        let clicks = HashMap::from([(link(1).to_string(), 9)]);
        let top = top_links(&installs, &walks, 2, Some(&clicks));
        assert_eq!(
            top,
            [(link(1), vec![9, 2, 1, 1]), (link(3), vec![0, 1, 1, 1]), (link(2), vec![0, 2, 2, 0])]
        );
        assert_eq!((overall(&[9, 2, 3]), overall(&[0, 1]), overall(&[4])), (1.0 / 3.0, 0.0, 1.0));
    }

    #[test]
    fn what_is_no_funnel_is_told_field_by_field() {
        let fields = |asked: GetFunnelRequest| match read_steps(&asked) {
            Ok(_) => Vec::new(),
            Err(error) => error.violations().iter().map(|wrong| wrong.field.clone()).collect(),
        };
        let window = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        let asked = GetFunnelRequest::default();
        assert!(fields(asked.clone()).is_empty());
        for (seconds, nanos, good) in [
            (1, 0, true),
            (0, 999_999_999, false),
            (366 * 86_400, 0, true),
            (366 * 86_400, 1, false),
            (i64::MAX, 0, false),
            (-5, 0, false),
        ] {
            let asked = GetFunnelRequest { completion_window: window(seconds, nanos), ..asked.clone() };
            assert_eq!(fields(asked).is_empty(), good, "{seconds} {nanos}");
        }
        let bad = GetFunnelRequest {
            cohort: 9,
            event_names: vec!["ok".into(), String::new(), "x".repeat(256)],
            completion_window: window(-1, 0),
            ..asked.clone()
        };
        assert_eq!(fields(bad), ["cohort", "event_names[1]", "event_names[2]", "completion_window"]);
        let many = GetFunnelRequest { event_names: vec!["x".into(); 11], ..asked };
        assert_eq!(fields(many), ["event_names"]);
    }
}
