//! Funnels and retention.

use std::collections::{BTreeMap, HashMap};

use chrono::{Duration, TimeZone as _};
use chrono_tz::Tz;
use linkforty::{
    clock::Moment,
    pb::v1::{CohortLength, FunnelCohort, GetFunnelRequest, GetRetentionRequest, report_scope::Part},
};

use super::{at, moment, nanos, scope, span, sum};
use crate::support::year::{Installed, Year};

fn of_part<'a>(year: &'a Year, part: Option<&Part>) -> Vec<&'a Installed> {
    let fits = |install: &&Installed| match part {
        None | Some(Part::Domain(_)) => true,
        Some(Part::LinkId(id)) => install.link.as_ref() == Some(id),
        Some(Part::AppId(id)) => install.app == *id,
        Some(Part::ProjectId(id)) => {
            let link = year.links.iter().find(|link| Some(&link.id) == install.link.as_ref());
            link.is_some_and(|link| link.project_id == *id)
        }
    };
    year.installs.iter().filter(fits).collect()
}

pub async fn funnels(year: &Year) {
    let (start, end) = (at("2027-02-01T00:00:00Z"), at("2027-09-01T00:00:00Z"));
    let names = ["open", "purchase", "purchase"];
    for part in year.parts().iter().filter(|part| !matches!(part, Some(Part::Domain(_)))) {
        for cohort in [FunnelCohort::InstallTime, FunnelCohort::ClickTime] {
            for days in [3, 30] {
                let request = GetFunnelRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, ""),
                    cohort: cohort.into(),
                    event_names: names.map(str::to_owned).into(),
                    completion_window: Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 }),
                };
                let answer =
                    year.tenant.analytics.clone().get_funnel(request).await.expect("a funnel").into_inner();
                let mut installs = of_part(year, part.as_ref());
                installs.retain(|install| {
                    let time = match cohort {
                        FunnelCohort::ClickTime => install.click_time,
                        _ => Some(install.time),
                    };
                    time.is_some_and(|time| start <= time && time < end)
                });
                // How long each install took for each step.
                let mut took: [Vec<Duration>; 4] = Default::default();
                let mut by_link: HashMap<&str, [i64; 4]> = HashMap::new();
                for install in &installs {
                    let mut events: Vec<(Moment, &str)> = install
                        .events
                        .iter()
                        .filter(|(_, time, _)| *time < install.time + Duration::days(days))
                        .map(|(name, time, _)| (*time, name.as_str()))
                        .collect();
                    events.sort_unstable();
                    let mut reached = 0;
                    let mut last = install.time;
                    if let Some(click) = install.click_time {
                        took[0].push(install.time - click);
                    }
                    for (time, name) in events {
                        if reached < 3 && name == names[reached] {
                            reached += 1;
                            took[reached].push(time - last);
                            last = time;
                        }
                    }
                    if let Some(link) = &install.link {
                        let counts = by_link.entry(link).or_default();
                        counts[..=reached].iter_mut().for_each(|count| *count += 1);
                    }
                }
                let clicks = sum(year.between(part.as_ref(), start, end)).clicks;
                let of_app = matches!(part, Some(Part::AppId(_)));
                let mut expected: Vec<(&str, i64)> = if of_app { vec![] } else { vec![("click", clicks)] };
                expected.push(("install", installs.len() as i64));
                expected.extend((0..3).map(|step| (names[step], took[step + 1].len() as i64)));
                let steps: Vec<(&str, i64)> =
                    answer.steps.iter().map(|step| (step.name.as_str(), step.count)).collect();
                let what = format!("{part:?} {cohort:?} {days} days");
                assert_eq!(steps, expected, "{what}");
                for pair in answer.steps.windows(2) {
                    let rate =
                        if pair[0].count == 0 { 0.0 } else { pair[1].count as f64 / pair[0].count as f64 };
                    assert!((pair[1].rate - rate).abs() < 1e-9, "{what}: {pair:?}");
                }
                let offset = usize::from(!of_app);
                for (step, mut took) in took.into_iter().enumerate() {
                    let Some(told) = answer.steps.get(step + offset).filter(|_| step + offset > 0) else {
                        continue;
                    };
                    took.sort_unstable();
                    let Some(times) = &told.time else {
                        assert!(took.is_empty(), "{what}");
                        continue;
                    };
                    let rank = |percent: usize| took[(took.len() * percent).div_ceil(100) - 1].num_seconds();
                    let told = [&times.median, &times.p75, &times.p95]
                        .map(|time| time.as_ref().expect("always there").seconds);
                    assert_eq!(told, [50, 75, 95].map(rank), "{what}: step {step}");
                    let seconds: i64 = took.iter().map(Duration::num_seconds).sum();
                    let average = times.average.as_ref().expect("always there");
                    assert_eq!(average.seconds, seconds / took.len() as i64, "{what}: step {step}");
                }
                assert!(answer.top_links.len() <= 10);
                for top in &answer.top_links {
                    assert_eq!(top.counts[offset..], by_link[&*top.link_id], "{what}");
                }
                assert_eq!(answer.top_links.len(), by_link.len(), "{what}");
            }
        }
    }
}

pub async fn retention(year: &Year) {
    let now = year.end;
    for part in year.parts().iter().filter(|part| !matches!(part, Some(Part::Domain(_)))) {
        for name in ["Australia/Lord_Howe", "America/New_York", "UTC"] {
            let zone: Tz = name.parse().expect("a zone");
            for (length, days) in [(CohortLength::Day, 90), (CohortLength::Week, 7)] {
                let (start, end) = (at("2027-03-01T00:30:00Z"), year.end);
                let request = GetRetentionRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, name),
                    cohort_length: length.into(),
                    days,
                    attributed_only: days == 7,
                };
                let answer = year.tenant.analytics.clone().get_retention(request).await;
                let answer = answer.expect("cohorts").into_inner();
                let what = format!("{part:?} {name} {length:?}");
                let date = |time: Moment| zone.from_utc_datetime(&time.naive_utc()).date_naive();
                let mut installs = of_part(year, part.as_ref());
                installs.retain(|install| start <= install.time && install.time < end);
                installs.retain(|install| days == 90 || install.link.is_some());
                let mut counted = 0;
                let mut edge = start;
                for cohort in &answer.cohorts {
                    let (from, to) = (moment(cohort.start_time.as_ref()), moment(cohort.end_time.as_ref()));
                    assert_eq!(from, edge, "{what}");
                    edge = to;
                    let own: Vec<_> =
                        installs.iter().filter(|install| from <= install.time && install.time < to).collect();
                    assert_eq!(cohort.installs, own.len() as i64, "{what}");
                    counted += own.len();
                    for day in &cohort.days {
                        let on = |install: &Installed, time: Moment| {
                            (date(time) - date(install.time)).num_days() - i64::from(day.day)
                        };
                        let active = own.iter().filter(|install| {
                            day.day == 0 || install.events.iter().any(|(_, time, _)| on(install, *time) == 0)
                        });
                        assert_eq!(day.active, active.count() as i64, "{what}: {from} day {}", day.day);
                        let mut earned: BTreeMap<String, i128> = BTreeMap::new();
                        for install in &own {
                            for (_, time, revenue) in &install.events {
                                if let Some((currency, nanos)) = revenue
                                    && on(install, *time) <= 0
                                {
                                    *earned.entry(currency.clone()).or_default() += nanos;
                                }
                            }
                        }
                        earned.retain(|_, nanos| *nanos != 0);
                        let told: BTreeMap<String, i128> =
                            day.revenue.iter().map(|money| (money.currency.clone(), nanos(money))).collect();
                        assert_eq!(told, earned, "{what}: {from} day {}", day.day);
                        let last = date(to - Duration::seconds(1)) + Duration::days(i64::from(day.day) + 1);
                        let over = date(now) >= last;
                        assert_eq!(day.complete, over, "{what}: {from} day {}", day.day);
                    }
                }
                assert_eq!((edge, counted), (end, installs.len()), "{what}");
                let whole = answer.total.expect("always there");
                assert_eq!(whole.installs, installs.len() as i64, "{what}");
                for day in &whole.days {
                    let own = answer
                        .cohorts
                        .iter()
                        .filter_map(|cohort| cohort.days.get(day.day as usize).filter(|day| day.complete));
                    let (active, of) =
                        own.fold((0, 0), |sum, day| (sum.0 + day.active, sum.1 + day.installs));
                    assert_eq!((day.active, day.installs), (active, of), "{what}: day {}", day.day);
                }
            }
        }
    }
}
