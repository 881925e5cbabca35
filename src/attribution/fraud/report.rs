//! How often each rule held, by link; how long after their clicks installs come; and which links are flooded with clicks. Pure.

use std::collections::{BTreeMap, HashMap};

use super::{
    rules::{ALL, Action, Rule, Settings},
    store::InstallRow,
};
use crate::{clock::Moment, ids::LinkId, pb::sdk::v1::NoMatchReason};

/// From which second on each bucket of the histogram counts; the last has no end. About three of four installs come within an hour of
/// their click and nearly all within a day, so the hours after it are counted as one.
pub const BUCKETS: [i64; 10] = [0, 10, 60, 300, 900, 3600, 21_600, 86_400, 259_200, 604_800];

/// Of links with fewer clicks than this nobody can say how many bring an install.
const CLICKS_THAT_TELL: i64 = 100;
/// Of fewer installs than this nobody can say when half of them came.
const INSTALLS_THAT_TELL: usize = 10;
/// A flooded link has this part of the rate of half of the links, or less.
const RATE: f64 = 0.2;
/// Half of its installs come this many seconds after their click, or later.
const MEDIAN: i64 = 86_400;
/// And all but a twentieth within this many times as long.
const SPREAD: f64 = 3.0;

/// What is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How many installs there were.
    pub installs: i64,
    /// How many of them are credited to a link.
    pub attributed: i64,
    /// How many are credited to none because a rule took that away.
    pub rejected: i64,
    /// How often each rule held.
    pub rules: Vec<(Rule, i64)>,
    /// The links, those with the most installs first.
    pub sources: Vec<Source>,
    /// Of all links together how many installs came in each bucket.
    pub histogram: [i64; BUCKETS.len()],
    /// The rate of installs for clicks that half of the links have or less; `None` where too few links tell.
    pub median_rate: Option<f64>,
}

/// What is reported of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The link.
    pub link: LinkId,
    /// How many clicks of people it had.
    pub clicks: i64,
    /// How many installs are credited to it.
    pub installs: i64,
    /// On how many of those some rule holds.
    pub flagged: i64,
    /// How often each rule holds.
    pub rules: Vec<(Rule, i64)>,
    /// How many seconds after the click half of the installs had come; `None` without any.
    pub median: Option<i64>,
    /// The same of 95 of a hundred.
    pub late: Option<i64>,
    /// How many came in each bucket.
    pub histogram: [i64; BUCKETS.len()],
    /// Whether it looks as if clicks were made up, so that installs which would have come anyway follow one.
    pub flooded: bool,
}

/// Reports of installs and the clicks of links.
pub fn report(
    installs: &[InstallRow],
    clicks: &HashMap<LinkId, i64>,
    (start, end): (Moment, Moment),
    settings: &Settings,
) -> Report {
    let mut of_links: BTreeMap<LinkId, Vec<&InstallRow>> =
        clicks.keys().map(|link| (*link, Vec::new())).collect();
    for install in installs {
        if let Some(link) = install.link_id {
            of_links.entry(link).or_default().push(install);
        }
    }
    let mut sources: Vec<Source> = of_links
        .into_iter()
        .map(|(link, of)| source(link, clicks.get(&link).copied().unwrap_or_default(), &of))
        .collect();
    let median_rate = median_rate(&sources);
    let flooding = settings.of(Rule::ClickFlooding);
    if flooding.action != Action::Off {
        let days = (end - start).num_seconds() as f64 / 86_400.0;
        for one in &mut sources {
            let a_day = one.clicks as f64 / days;
            one.flooded = a_day >= f64::from(flooding.threshold)
                && median_rate.is_some_and(|median| one.rate() <= RATE * median)
                && is_late_and_even(one);
        }
    }
    sources.sort_by_key(|one| (-one.installs, -one.clicks, one.link));
    let mut histogram = [0; BUCKETS.len()];
    for source in &sources {
        for (all, some) in histogram.iter_mut().zip(source.histogram) {
            *all += some;
        }
    }
    let count = |of: &dyn Fn(&&InstallRow) -> bool| installs.iter().filter(of).count() as i64;
    Report {
        installs: installs.len() as i64,
        attributed: count(&|install| install.link_id.is_some()),
        rejected: count(&|install| i32::from(install.no_match) == NoMatchReason::Rejected as i32),
        rules: held(installs),
        sources,
        histogram,
        median_rate,
    }
}

fn source(link: LinkId, clicks: i64, installs: &[&InstallRow]) -> Source {
    let mut times: Vec<i64> = installs.iter().filter_map(|install| seconds(install)).collect();
    times.sort_unstable();
    let mut histogram = [0; BUCKETS.len()];
    for time in &times {
        histogram[BUCKETS.partition_point(|from| from <= time).saturating_sub(1)] += 1;
    }
    Source {
        link,
        clicks,
        installs: installs.len() as i64,
        flagged: installs.iter().filter(|install| install.flags != 0).count() as i64,
        rules: held(installs.iter().copied()),
        median: nearest_rank(&times, 50),
        late: nearest_rank(&times, 95),
        histogram,
        flooded: false,
    }
}

/// Returns how long after its click an install came.
fn seconds(install: &InstallRow) -> Option<i64> {
    install.click_time.map(|click| (install.install_time - click).num_seconds().max(0))
}

fn held<'a>(installs: impl IntoIterator<Item = &'a InstallRow>) -> Vec<(Rule, i64)> {
    let mut found: Vec<(Rule, i64)> = ALL.iter().map(|spec| (spec.rule, 0)).collect();
    for install in installs {
        for (rule, count) in &mut found {
            *count += i64::from(install.flags & *rule as i32 != 0);
        }
    }
    found.retain(|(_, count)| *count > 0);
    found
}

impl Source {
    /// Returns how many installs there are for each click.
    pub fn rate(&self) -> f64 {
        if self.clicks == 0 { 0.0 } else { self.installs as f64 / self.clicks as f64 }
    }
}

/// Returns what so many of a hundred are at the most, by the nearest rank.
fn nearest_rank(sorted: &[i64], of_hundred: usize) -> Option<i64> {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Returns the rate that half of the links have or less, of those whose clicks tell.
fn median_rate(sources: &[Source]) -> Option<f64> {
    let mut rates: Vec<f64> =
        sources.iter().filter(|one| one.clicks >= CLICKS_THAT_TELL).map(Source::rate).collect();
    rates.sort_by(f64::total_cmp);
    let middle = rates.len().checked_sub(1)? / 2;
    // Of two in the middle the mean.
    let other = rates.len() / 2;
    Some(f64::midpoint(*rates.get(middle)?, *rates.get(other)?))
}

/// Says whether installs come as they do when clicks have nothing to do with them: late, and as likely on one day as on another.
fn is_late_and_even(source: &Source) -> bool {
    let told = source.installs as usize >= INSTALLS_THAT_TELL;
    let (Some(median), Some(late)) = (source.median, source.late) else { return false };
    told && median >= MEDIAN && late as f64 <= SPREAD * median as f64
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use uuid::Uuid;

    use super::*;
    use crate::{attribution::fraud::rules::Setting, clock::from_micros, ids::InstallId};

    fn link(number: u128) -> LinkId {
        LinkId(Uuid::from_u128(number))
    }

    fn at(seconds: i64) -> Moment {
        from_micros(1_764_000_000_000_000) + Duration::seconds(seconds)
    }

    /// An install of a link, so many seconds after its click.
    fn install(of: Option<u128>, seconds: i64, flags: i32) -> InstallRow {
        InstallRow {
            id: InstallId(Uuid::nil()),
            link_id: of.map(link),
            click_time: of.map(|_| at(0)),
            install_time: at(seconds),
            flags,
            no_match: 0,
        }
    }

    fn reported(installs: &[InstallRow], clicks: &[(u128, i64)]) -> Report {
        let clicks = clicks.iter().map(|(number, count)| (link(*number), *count)).collect();
        report(installs, &clicks, (at(0), at(86_400)), &Settings::default())
    }

    /// Installs from one hour to another after their clicks.
    fn spread(of: u128, count: i64, (from, to): (i64, i64)) -> Vec<InstallRow> {
        (0..count).map(|n| install(Some(of), 3600 * (from + (to - from) * n / count), 0)).collect()
    }

    #[test]
    fn installs_are_counted_by_link_and_rule() {
        let mut rejected = install(None, 0, 2);
        rejected.no_match = NoMatchReason::Rejected as i16;
        let installs = [
            install(Some(1), 5, 2),
            install(Some(1), 59, 3),
            install(Some(1), 3600, 0),
            install(Some(2), 700_000, 0),
            install(None, 0, 0),
            rejected,
        ];
        let report = reported(&installs, &[(1, 10), (3, 7)]);
        assert_eq!((report.installs, report.attributed, report.rejected), (6, 4, 1));
        assert_eq!(report.rules, [(Rule::ClickInjection, 1), (Rule::ShortTime, 3)]);
        assert_eq!(report.histogram, [1, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
        let seen: Vec<_> = report
            .sources
            .iter()
            .map(|one| (one.link, one.clicks, one.installs, one.flagged, one.median, one.late))
            .collect();
        assert_eq!(
            seen,
            [
                (link(1), 10, 3, 2, Some(59), Some(3600)),
                (link(2), 0, 1, 0, Some(700_000), Some(700_000)),
                (link(3), 7, 0, 0, None, None),
            ]
        );
        assert_eq!(report.sources[0].rules, [(Rule::ClickInjection, 1), (Rule::ShortTime, 2)]);
    }

    /// A flooded link between three good ones: what it has, and whether it is told.
    fn told(clicks: i64, installs: Vec<InstallRow>, settings: &Settings) -> bool {
        let mut all = installs;
        for good in [2, 3, 4] {
            all.extend(spread(good, 50, (0, 20)));
        }
        let clicks = [(1, clicks), (2, 1000), (3, 1000), (4, 1000)];
        let clicks = clicks.iter().map(|(number, count)| (link(*number), *count)).collect();
        let report = report(&all, &clicks, (at(0), at(86_400)), settings);
        assert_eq!(report.median_rate, Some(0.05));
        assert!(report.sources.iter().all(|one| !one.flooded || one.link == link(1)));
        report.sources.iter().any(|one| one.flooded)
    }

    #[test]
    fn clicks_that_have_nothing_to_do_with_the_installs_that_follow_are_told() {
        let default = Settings::default();
        // 20 of 5,000, where others have five of a hundred; from one day on to the third.
        assert!(told(5000, spread(1, 20, (24, 72)), &default));
        assert!(!told(999, spread(1, 20, (24, 72)), &default), "few clicks");
        assert!(!told(1900, spread(1, 20, (24, 72)), &default), "more than a fifth of the others' rate");
        assert!(told(2000, spread(1, 20, (24, 72)), &default), "a fifth");
        assert!(!told(5000, spread(1, 20, (0, 48)), &default), "half came within a day");
        assert!(
            !told(
                5000,
                spread(1, 20, (24, 72)).into_iter().chain(spread(1, 3, (200, 300))).collect(),
                &default
            ),
            "some came very late"
        );
        assert!(!told(5000, spread(1, 9, (24, 72)), &default), "too few to tell");
        let mut settings = Settings::default();
        settings.set(Rule::ClickFlooding, Setting { action: Action::Off, threshold: 1000 });
        assert!(!told(5000, spread(1, 20, (24, 72)), &settings));
        settings.set(Rule::ClickFlooding, Setting { action: Action::Flag, threshold: 5001 });
        assert!(!told(5000, spread(1, 20, (24, 72)), &settings));
    }

    #[test]
    fn ranks_are_the_nearest() {
        assert_eq!(nearest_rank(&[], 50), None);
        let ten: Vec<i64> = (1..=10).collect();
        for (of_hundred, expected) in [(1, 1), (50, 5), (51, 6), (95, 10), (100, 10)] {
            assert_eq!(nearest_rank(&ten, of_hundred), Some(expected), "{of_hundred}");
        }
    }
}
