//! How many installs of a day or a week are still active on the days after, and what they have earned by then.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{
    cohort,
    numbers::{money, rate},
    scope, snapshot,
};
use crate::{
    analytics::{
        calendar,
        rollup::read::{Currency, Part, Slots},
        span::{Span, YEAR, moment_of, slot_of},
        store::{EventRow, InstallRow},
    },
    attribution::events::money::Amount,
    clock::Moment,
    env::Env,
    error::{Result, Violations, both},
    links::timestamp,
    pb::v1::{
        CohortLength, GetRetentionRequest, GetRetentionResponse, Granularity, RetentionCohort, RetentionDay,
    },
    workspaces::Tenant,
};

const DEFAULT_DAYS: i32 = 30;
const MOST_DAYS: i32 = 90;

/// Returns what became of each cohort.
pub async fn retention(
    env: &Env,
    tenant: &Tenant,
    asked: &GetRetentionRequest,
) -> Result<GetRetentionResponse> {
    let (part, (span, (granularity, days))) = read(asked, env)?;
    let scope = scope::find(env, tenant, part).await?;
    // A year has few enough days.
    let buckets = calendar::buckets(span, granularity).unwrap_or_default();

    let db = snapshot(env).await?;
    let mut found = cohort::installs(env, &db, &scope, (span.start(), span.end())).await?;
    if asked.attributed_only {
        found.retain(|install| install.link_id.is_some());
    }
    let mut lives: Vec<Life> =
        found.iter().map(|install| Life::begin(install, &buckets, span.zone, days)).collect();
    if let (Some(first), Some(last)) =
        (found.iter().map(|install| install.install_time).min(), lives.iter().map(|life| life.date).max())
    {
        let end =
            moment_of(calendar::start_of(last + chrono::Duration::days(i64::from(days) + 1), span.zone));
        cohort::events(env, &db, (&scope, &found), (first, end), &[], |place, event| {
            if event.event_time >= found[place].install_time {
                lives[place].heed(&event, span.zone);
            }
        })
        .await?;
    }
    db.commit().await?;

    Ok(shown(&buckets, &lives, (span, days), env.now()))
}

type Asked = (Part, (Span, (Granularity, i32)));

fn read(asked: &GetRetentionRequest, env: &Env) -> Result<Asked> {
    let part =
        scope::read("scope.", &asked.scope.clone().unwrap_or_default()).and_then(cohort::require_installs);
    let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEAR, env.now());
    let mut wrong = Violations::default();
    let granularity = match CohortLength::try_from(asked.cohort_length) {
        Ok(CohortLength::Unspecified | CohortLength::Day) => Granularity::Day,
        Ok(CohortLength::Week) => Granularity::Week,
        Err(_) => {
            wrong.add("cohort_length", "is none this server knows");
            Granularity::Day
        }
    };
    let days = if asked.days == 0 { DEFAULT_DAYS } else { asked.days };
    if !(1..=MOST_DAYS).contains(&days) {
        wrong.add("days", "must be 1 to 90");
    }
    both(part, both(span, wrong.into_result((granularity, days))))
}

/// What became of one install.
#[derive(Debug, Clone)]
struct Life {
    /// Which one it is in.
    cohort: usize,
    /// The local date of the install.
    date: NaiveDate,
    /// On which days it was active: a bit for each.
    active: u128,
    /// What it earned on each day that it earned on.
    earned: BTreeMap<(i32, Currency), i128>,
    days: i32,
}

impl Life {
    fn begin(install: &InstallRow, buckets: &[Slots], zone: Tz, days: i32) -> Self {
        let slot = slot_of(&install.install_time);
        Self {
            cohort: buckets.partition_point(|bucket| bucket.end <= slot).min(buckets.len().saturating_sub(1)),
            date: calendar::date_at(install.install_time, zone),
            // An install is an open.
            active: 1,
            earned: BTreeMap::new(),
            days,
        }
    }

    /// Notes an event.
    fn heed(&mut self, event: &EventRow, zone: Tz) {
        let day = (calendar::date_at(event.event_time, zone) - self.date).num_days();
        let Some(day) = i32::try_from(day).ok().filter(|day| (0..=self.days).contains(day)) else { return };
        self.active |= 1 << day;
        if let (Some(units), Some(currency), false) =
            (event.reporting_units, &event.reporting_currency, event.duplicate_revenue)
            && let Some(currency) = Currency::parse(currency)
        {
            let amount = Amount::new(units, event.reporting_nanos.unwrap_or_default());
            *self.earned.entry((day, currency)).or_default() += amount.in_nanos();
        }
    }
}

/// What several installs did on each day.
#[derive(Debug, Clone, Default)]
struct Sums {
    installs: i64,
    active: Vec<i64>,
    earned: BTreeMap<(i32, Currency), i128>,
}

impl Sums {
    fn none(days: i32) -> Self {
        Self { active: vec![0; days as usize + 1], ..Self::default() }
    }

    fn count(&mut self, life: &Life) {
        self.installs += 1;
        let mut left = life.active;
        while left != 0 {
            if let Some(active) = self.active.get_mut(left.trailing_zeros() as usize) {
                *active += 1;
            }
            left &= left - 1;
        }
        for (key, nanos) in &life.earned {
            *self.earned.entry(*key).or_default() += nanos;
        }
    }

    /// Adds what others did up to a day.
    fn add(&mut self, others: &Self, day: i32) {
        self.installs += others.installs;
        for (active, more) in self.active.iter_mut().zip(&others.active) {
            *active += more;
        }
        for (key, nanos) in others.earned.iter().take_while(|((on, _), _)| *on <= day) {
            *self.earned.entry(*key).or_default() += nanos;
        }
    }

    fn day(&self, day: i32, complete: bool) -> RetentionDay {
        let mut revenue: BTreeMap<Currency, i128> = BTreeMap::new();
        for ((_, currency), nanos) in self.earned.iter().take_while(|((on, _), _)| *on <= day) {
            *revenue.entry(*currency).or_default() += nanos;
        }
        revenue.retain(|_, nanos| *nanos != 0);
        let active = self.active.get(day as usize).copied().unwrap_or(0);
        RetentionDay {
            day,
            active,
            rate: rate(active, self.installs),
            revenue: revenue.into_iter().map(|(currency, nanos)| money(currency, nanos)).collect(),
            complete,
            installs: self.installs,
        }
    }
}

/// Which days have begun for anybody of a cohort, and which are over for all.
#[derive(Debug, Clone, Copy)]
struct Course {
    begun: i32,
    over: i32,
}

impl Course {
    /// Counts the days, up to `days` after the install.
    fn of(bucket: Slots, (zone, days): (Tz, i32), now: Moment) -> Self {
        let (first, last) = (calendar::date_of(bucket.first, zone), calendar::date_of(bucket.end - 1, zone));
        let starts = |date: NaiveDate, day: i32| {
            moment_of(calendar::start_of(date + chrono::Duration::days(i64::from(day)), zone)) <= now
        };
        let count = |holds: &dyn Fn(i32) -> bool| (0..=days).take_while(|day| holds(*day)).count() as i32;
        Self { begun: count(&|day| starts(first, day)), over: count(&|day| starts(last, day + 1)) }
    }
}

fn shown(buckets: &[Slots], lives: &[Life], (span, days): (Span, i32), now: Moment) -> GetRetentionResponse {
    let mut sums = vec![Sums::none(days); buckets.len()];
    for life in lives {
        sums[life.cohort].count(life);
    }
    let courses: Vec<Course> =
        buckets.iter().map(|bucket| Course::of(*bucket, (span.zone, days), now)).collect();
    let cohort = |((bucket, sums), course): ((&Slots, &Sums), &Course)| RetentionCohort {
        start_time: Some(timestamp(moment_of(bucket.first))),
        end_time: Some(timestamp(moment_of(bucket.end))),
        installs: sums.installs,
        days: (0..course.begun).map(|day| sums.day(day, day < course.over)).collect(),
    };
    let together = (0..=days).map_while(|day| {
        let mut all = Sums::none(days);
        let mut complete = sums.iter().zip(&courses).filter(|(_, course)| day < course.over).peekable();
        complete.peek()?;
        complete.for_each(|(sums, _)| all.add(sums, day));
        Some(all.day(day, true))
    });
    let total = RetentionCohort {
        start_time: Some(timestamp(span.start())),
        end_time: Some(timestamp(span.end())),
        installs: sums.iter().map(|sums| sums.installs).sum(),
        days: together.collect(),
    };
    GetRetentionResponse {
        cohorts: buckets.iter().zip(&sums).zip(&courses).map(cohort).collect(),
        total: Some(total),
        span: Some(span.shown()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{EventId, InstallId, LinkId};

    fn at(text: &str) -> Moment {
        text.parse().expect("the test's own moment")
    }

    fn install(time: &str) -> InstallRow {
        InstallRow {
            id: InstallId(Uuid::nil()),
            link_id: None::<LinkId>,
            install_time: at(time),
            click_time: None,
            fits: true,
        }
    }

    fn event(time: &str, units: Option<i64>, currency: &str, duplicate: bool) -> EventRow {
        EventRow {
            id: EventId(Uuid::nil()),
            install_id: InstallId(Uuid::nil()),
            event_time: at(time),
            name: "x".into(),
            reporting_units: units,
            reporting_nanos: units.map(|_| 0),
            reporting_currency: units.map(|_| currency.to_owned()),
            duplicate_revenue: duplicate,
        }
    }

    #[test]
    fn days_are_those_of_the_calendar_and_cohorts_add_up() {
        let zone = Tz::Europe__Zurich;
        // The 24th to the 26th of October 2026: the 25th has 25 hours.
        let span = Span {
            slots: Slots {
                first: slot_of(&at("2026-10-23T22:00:00Z")),
                end: slot_of(&at("2026-10-26T23:00:00Z")),
            },
            zone,
        };
        let buckets = calendar::buckets(span, Granularity::Day).expect("three days");
        let days = 3;
        let mut early = Life::begin(&install("2026-10-24T21:59:00Z"), &buckets, zone, days);
        // One minute after, and already the next day.
        early.heed(&event("2026-10-24T22:00:00Z", Some(5), "CHF", false), zone);
        early.heed(&event("2026-10-24T22:01:00Z", Some(7), "CHF", true), zone);
        early.heed(&event("2026-10-25T22:59:00Z", Some(1), "EUR", false), zone);
        early.heed(&event("2026-10-27T10:00:00Z", Some(-5), "CHF", false), zone);
        early.heed(&event("2026-10-28T10:00:00Z", Some(100), "CHF", false), zone);
        let late = Life::begin(&install("2026-10-24T10:00:00Z"), &buckets, zone, days);
        let mut next = Life::begin(&install("2026-10-25T22:59:59Z"), &buckets, zone, days);
        next.heed(&event("2026-10-26T10:00:00Z", None, "", false), zone);
        let lives = [early, late, next];
        assert_eq!(lives.iter().map(|life| life.cohort).collect::<Vec<_>>(), [0, 0, 1]);

        let answer = shown(&buckets, &lives, (span, days), at("2026-10-27T12:00:00Z"));
        let told: Vec<Vec<_>> = answer
            .cohorts
            .iter()
            .map(|cohort| cohort.days.iter().map(|day| (day.active, day.complete)).collect())
            .collect();
        assert_eq!(
            told,
            [
                vec![(2, true), (1, true), (0, true), (1, false)],
                vec![(1, true), (1, true), (0, false)],
                vec![(0, true), (0, false)]
            ]
        );
        let money = |day: &RetentionDay| -> Vec<(String, i64)> {
            day.revenue.iter().map(|money| (money.currency.clone(), money.units)).collect()
        };
        let first = &answer.cohorts[0].days;
        assert_eq!(
            (money(&first[0]), money(&first[1])),
            (vec![], vec![("CHF".into(), 5), ("EUR".into(), 1)])
        );
        assert_eq!(money(&first[3]), [("EUR".to_owned(), 1)]);
        let total = answer.total.expect("always there");
        let all: Vec<_> = total.days.iter().map(|day| (day.active, day.installs, day.rate)).collect();
        assert_eq!((total.installs, all), (3, vec![(3, 3, 1.0), (2, 3, 2.0 / 3.0), (0, 2, 0.0)]));
    }
}
