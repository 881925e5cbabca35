//! Reports against a year of which everything is known: every number of every report is worked out here a second time, by looking at each thing
//! that happened.

mod installs;
mod refusals;
mod series;
mod served;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeZone as _;
use chrono_tz::Tz;
use linkforty::{
    clock::{Moment, from_micros},
    pb::v1::{
        self, BreakdownRow, DimensionFilter, Granularity, Measures, ReportScope, ReportSpan,
        report_scope::Part,
    },
};
use prost_types::Timestamp;

use crate::support::{
    stores,
    year::{
        Counts, Fact, Year,
        dimension::{self, DESTINATION, METHOD, RULE, VARIANT},
        live_through, world,
    },
};

pub fn at(text: &str) -> Moment {
    text.parse().expect("the test's own moment")
}

pub fn stamp(time: Moment) -> Option<Timestamp> {
    Some(Timestamp { seconds: time.timestamp(), nanos: 0 })
}

pub fn moment(stamp: Option<&Timestamp>) -> Moment {
    from_micros(stamp.expect("always there").seconds * 1_000_000)
}

pub fn span(start: Moment, end: Moment, zone: &str) -> Option<ReportSpan> {
    Some(ReportSpan { start_time: stamp(start), end_time: stamp(end), time_zone: zone.to_owned() })
}

pub fn scope(part: Option<&Part>) -> Option<ReportScope> {
    Some(ReportScope { workspace_id: String::new(), part: part.cloned() })
}

/// Numbers as they are told.
pub fn told(measures: Option<&Measures>) -> Counts {
    let measures = measures.expect("always there");
    Counts {
        clicks: measures.clicks,
        bot_clicks: measures.bot_clicks,
        opens: measures.opens,
        installs: measures.installs,
        attributed_installs: measures.attributed_installs,
        events: measures.events,
        revenue: measures.revenue.iter().map(|money| (money.currency.clone(), nanos(money))).collect(),
    }
}

pub fn nanos(money: &v1::Money) -> i128 {
    i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos)
}

pub fn sum<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Counts {
    let mut sum = Counts::default();
    facts.into_iter().for_each(|fact| sum.add(&fact.counts));
    sum
}

pub fn total<'a>(counts: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::default();
    counts.into_iter().for_each(|counts| sum.add(counts));
    sum
}

pub fn is_in(fact: &Fact, part: Option<&Part>) -> bool {
    match part {
        None => true,
        Some(Part::ProjectId(id)) => fact.value(dimension::PROJECT) == id,
        Some(Part::LinkId(id)) => fact.value(dimension::LINK) == id,
        Some(Part::AppId(id)) => fact.value(dimension::APP) == id,
        Some(Part::Domain(host)) => fact.value(dimension::DOMAIN) == host,
    }
}

impl Year {
    /// Returns what happened between two moments in a part of the workspace.
    pub fn between(&self, part: Option<&Part>, start: Moment, end: Moment) -> Vec<&Fact> {
        self.facts.iter().filter(|fact| start <= fact.time && fact.time < end && is_in(fact, part)).collect()
    }

    pub fn parts(&self) -> Vec<Option<Part>> {
        vec![
            None,
            Some(Part::ProjectId(self.projects[0].clone())),
            Some(Part::LinkId(self.links[2].id.clone())),
            Some(Part::AppId(self.apps[1].clone())),
            Some(Part::Domain("go.example.test".to_owned())),
            Some(Part::Domain("go.shop.test".to_owned())),
        ]
    }
}

/// How many different people clicked on the days of UTC that a time touches.
pub fn visitors(year: &Year, part: Option<&Part>, start: Moment, end: Moment) -> i64 {
    let day = 86_400;
    let first = from_micros(start.timestamp().div_euclid(day) * day * 1_000_000);
    let last = from_micros((end.timestamp() + day - 1).div_euclid(day) * day * 1_000_000);
    let who: BTreeSet<&str> =
        year.between(part, first, last).into_iter().filter_map(|fact| fact.visitor.as_deref()).collect();
    i64::try_from(who.len()).expect("few")
}

/// Sketches are exact while they are small, and within six standard errors else.
pub fn is_about(told: i64, truth: i64, what: &str) {
    let error = (truth as f64 * 0.1).ceil() as i64;
    assert!((told - truth).abs() <= error, "{what}: {told} visitors are told, and {truth} came");
}

/// Returns the name of the hour, day, week or month that a moment is in.
pub fn label(time: Moment, granularity: Granularity, zone: Tz) -> String {
    let time = zone.from_utc_datetime(&time.naive_utc());
    match granularity {
        // Clocks that go back by half an hour have two half hours of one name.
        Granularity::Hour => time.format("%F %H %z").to_string(),
        Granularity::Week => time.format("%G-%V").to_string(),
        Granularity::Month => time.format("%Y-%m").to_string(),
        _ => time.format("%F").to_string(),
    }
}

pub const ZONES: [&str; 6] =
    ["UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"];

pub fn filter(dimension: i32, values: &[&str]) -> DimensionFilter {
    DimensionFilter { dimension, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

pub fn grouped<'a>(facts: &[&'a Fact], dimension: i32) -> BTreeMap<&'a str, Counts> {
    let mut groups: BTreeMap<&str, Counts> = BTreeMap::new();
    for fact in facts {
        groups.entry(fact.value(dimension)).or_default().add(&fact.counts);
    }
    groups.retain(|_, counts| *counts != Counts::default());
    groups
}

pub fn shown(rows: &[BreakdownRow]) -> BTreeMap<&str, Counts> {
    rows.iter().map(|row| (row.value.as_str(), told(row.measures.as_ref()))).collect()
}

#[tokio::test]
async fn a_year_of_which_everything_is_known_is_told_as_it_was() {
    for store in stores() {
        eprintln!("on {store}");
        let (app, networks) = world(store, &[]).await;
        let mut year = live_through((&app, &networks), 2026, 500).await;
        app.rolled().await;
        for (what, dimension) in [("rules", RULE), ("variants", VARIANT), ("destinations", DESTINATION)] {
            assert!(
                grouped(&year.facts.iter().collect::<Vec<_>>(), dimension).len() > 2,
                "of {what} there are few"
            );
        }
        assert!(sum(&year.facts).opens > 5, "of opens there are few");
        let methods = grouped(&year.facts.iter().collect::<Vec<_>>(), METHOD);
        for method in ["store_referrer", "pasteboard", "link_open", "probabilistic"] {
            assert!(methods[method].installs > 0, "of installs by {method} there are none");
        }
        let events: usize = year.installs.iter().map(|install| install.events.len()).sum();
        eprintln!(
            "{} things happened, {} installs with {events} events",
            year.facts.len(),
            year.installs.len()
        );
        series::time_series(&year).await;
        values::breakdowns(&year).await;
        values::overview(&year).await;
        values::tree(&year).await;
        installs::funnels(&year).await;
        installs::retention(&year).await;
        // What was deleted goes on counting, without a name.
        let gone = year.links.remove(1);
        year.tenant.delete(&gone.id).await;
        values::breakdowns_without(&year, &gone).await;
        app.stop().await;
        drop(networks);
    }
}
