//! What is decided again comes out as it was, and by other rules as worked out by hand.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Duration;
use uuid::Uuid;

use super::again::{Again, Incomplete, Otherwise, Replay, Stored, Unreplayable};
use crate::{
    attribution::{
        decide::{Candidate, Device, Evidence, Install, Rules, System, WINDOW},
        fraud::rules::{Action, Rule, Settings},
        installs::settle::{Facts, forgotten, pending, settle},
        simulate::{self, rows},
    },
    clock::{Moment, from_micros},
    entity::install::Model,
    ids::{ClickId, InstallId, LinkId, WorkspaceId},
    pb::internal::v1::InstallRecord,
};

const A: u128 = 0xa;
const B: u128 = 0xb;

fn again(rows: &[Model], otherwise: Otherwise) -> Vec<Again> {
    let owners = rows.iter().filter_map(|row| row.click_id.map(|click| (click, row.id))).collect();
    let mut replay = Replay::new(otherwise, owners);
    rows.iter().map(|row| replay.next(&Stored::read(row.clone()).expect("can be replayed"))).collect()
}

fn people(seed: u64, people: usize) -> Vec<Model> {
    rows(&simulate::Settings { seed, people, days: 30, rules: Rules::default(), grid: false })
}

#[test]
fn ten_thousand_decisions_come_out_to_the_byte_by_the_rules_of_today() {
    let rows = people(1, 125_000);
    assert!(rows.len() >= 10_000, "only {}", rows.len());
    assert!(rows.iter().filter(|row| row.click_id.is_some()).count() > 2000);
    let today = Rules::default();
    let spelt_out = Otherwise {
        likeness: Some(today.likeness),
        threshold: Some(today.threshold),
        likeness_window_seconds: Some(today.likeness_window_seconds),
        same_address: Some(today.same_address),
        crowd: Some(today.crowd),
        window_seconds: None,
        first_touch: Some(false),
        fraud: vec![(Rule::ShortTime, Some(Action::Flag), Some(10))],
    };
    assert!(again(&rows, Otherwise::default()).iter().all(|outcome| *outcome == Again::Same));
    // Those of whom no click was kept cannot be decided by anything about likeness.
    for (row, outcome) in rows.iter().zip(again(&rows, spelt_out)) {
        let crowded = row.facts.contains(r#""crowded":true"#);
        let expected = if crowded { Again::Incomplete(Incomplete::Crowded) } else { Again::Same };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn by_whatever_rules_a_click_has_one_install() {
    let rows = people(2, 20_000);
    let mut moved = 0;
    for otherwise in [
        Otherwise { first_touch: Some(true), ..Otherwise::default() },
        Otherwise { same_address: Some(false), crowd: Some(1000), ..Otherwise::default() },
        Otherwise { threshold: Some(40), likeness_window_seconds: Some(600_000), ..Otherwise::default() },
        Otherwise { window_seconds: Some(3600), ..Otherwise::default() },
        Otherwise { likeness: Some(false), ..Otherwise::default() },
    ] {
        let mut has: HashMap<ClickId, InstallId> = HashMap::new();
        for (row, outcome) in rows.iter().zip(again(&rows, otherwise.clone())) {
            let after = match outcome {
                Again::Other(after) => *after,
                Again::Same | Again::Incomplete(_) => row.clone(),
            };
            moved += usize::from(after.click_id != row.click_id);
            if let Some(click) = after.click_id {
                assert_eq!(has.insert(click, row.id), None, "{otherwise:?}");
            }
        }
    }
    assert!(moved > 100, "{moved}");
}

fn at(seconds: i64) -> Moment {
    from_micros(1_764_000_000_000_000) + Duration::seconds(seconds)
}

fn phone() -> Device {
    Device {
        network: vec![203, 0, 113],
        address: Some(7),
        system: Some(System::Ios),
        version: Some(17),
        language: Some("de".to_owned()),
        ..Device::default()
    }
}

fn click(number: u128, link: u128, seconds: i64, evidence: Evidence, claimed: bool) -> Candidate {
    Candidate {
        click: ClickId(Uuid::from_u128(number)),
        link: LinkId(Uuid::from_u128(link)),
        time: at(seconds),
        evidence,
        visitor: number as i64,
        human: true,
        claimed,
        other_app: false,
        window_seconds: WINDOW.num_seconds(),
        device: if evidence == Evidence::Likeness { phone() } else { Device::default() },
    }
}

/// An install as it is stored, so many seconds after the beginning.
fn stored(number: u128, seconds: i64, candidates: Vec<Candidate>) -> Model {
    let alike = candidates.iter().any(|one| one.evidence == Evidence::Likeness);
    let device = if alike { phone() } else { Device::default() };
    let rules = Rules::default();
    let report = InstallRecord {
        network: device.network.clone().into(),
        install_time_micros: at(seconds).timestamp_micros(),
        receive_time_micros: at(seconds).timestamp_micros(),
        likeness_window_seconds: rules.likeness_window_seconds,
        default_window_seconds: WINDOW.num_seconds(),
        ..InstallRecord::default()
    };
    let install = Install { time: at(seconds), device };
    let facts = Facts { install, candidates, rules, crowded: false, fraud: Settings::default() };
    let whose = (InstallId(Uuid::from_u128(number)), WorkspaceId(Uuid::nil()), None);
    settle(whose, &report, &facts, &facts.decide(&report), &HashMap::new())
}

const HOUR: i64 = 3600;

/// Six installs of an evening, in the order of time.
fn evening() -> Vec<Model> {
    use Evidence::{Identity, Likeness, StoreReferrer};
    vec![
        // Two carried clicks: the last one, of B.
        stored(
            1,
            HOUR,
            vec![click(101, A, 0, StoreReferrer, false), click(102, B, HOUR / 2, StoreReferrer, false)],
        ),
        // Opened five seconds after its click.
        stored(6, HOUR + 5, vec![click(107, A, HOUR, StoreReferrer, false)]),
        // One that looks alike, of an hour before: B.
        stored(3, 2 * HOUR, vec![click(104, B, HOUR, Likeness, false)]),
        // The same of three hours before: too long ago.
        stored(2, 3 * HOUR, vec![click(103, A, 0, Likeness, false)]),
        // It carries a click that the first one has, and was known at one of A.
        stored(
            5,
            5 * HOUR,
            vec![click(102, B, HOUR / 2, StoreReferrer, true), click(106, A, HOUR, Identity, false)],
        ),
        // A carried click of the day before: A.
        stored(4, 30 * HOUR, vec![click(105, A, 0, StoreReferrer, false)]),
    ]
}

/// Which link each install is credited to, by its number, and which of them moved.
fn credited(otherwise: Otherwise) -> (BTreeMap<u128, &'static str>, Vec<u128>) {
    let rows = evening();
    let (mut credits, mut moved) = (BTreeMap::new(), Vec::new());
    for (row, outcome) in rows.iter().zip(again(&rows, otherwise)) {
        let after = match outcome {
            Again::Other(after) => *after,
            Again::Same => row.clone(),
            Again::Incomplete(why) => panic!("{why:?}"),
        };
        let name = match after.link_id.map(|link| link.0.as_u128()) {
            Some(A) => "A",
            Some(_) => "B",
            None => "-",
        };
        credits.insert(row.id.0.as_u128(), name);
        if after.link_id != row.link_id {
            moved.push(row.id.0.as_u128());
        }
    }
    (credits, moved)
}

fn expected(credits: [&'static str; 6], moved: &[u128]) -> (BTreeMap<u128, &'static str>, Vec<u128>) {
    ((1..).zip(credits).collect(), moved.to_vec())
}

#[test]
fn an_evening_comes_out_as_worked_out_by_hand() {
    assert_eq!(credited(Otherwise::default()), expected(["B", "-", "B", "A", "A", "A"], &[]));
    // The first touch: 1 goes to A and lets go of its click of B, which 5 then gets, as it carries it.
    let first = Otherwise { first_touch: Some(true), ..Otherwise::default() };
    assert_eq!(credited(first), expected(["A", "-", "B", "A", "B", "A"], &[1, 5]));
    // Likeness for six hours: 2 is found.
    let longer = Otherwise { likeness_window_seconds: Some(6 * HOUR), ..Otherwise::default() };
    assert_eq!(credited(longer), expected(["B", "A", "B", "A", "A", "A"], &[2]));
    // No likeness, a day for each click, and nobody downloads in five seconds.
    let strict = Otherwise {
        likeness: Some(false),
        window_seconds: Some(24 * HOUR),
        fraud: vec![(Rule::ShortTime, Some(Action::RejectCredit), None)],
        ..Otherwise::default()
    };
    assert_eq!(credited(strict), expected(["B", "-", "-", "-", "A", "-"], &[6, 3, 4]));
    // An hour of likeness is enough for 3, to the second; less is not.
    let hour = Otherwise { likeness_window_seconds: Some(HOUR), ..Otherwise::default() };
    assert_eq!(credited(hour), expected(["B", "-", "B", "A", "A", "A"], &[]));
    let less = Otherwise { likeness_window_seconds: Some(HOUR - 1), ..Otherwise::default() };
    assert_eq!(credited(less), expected(["B", "-", "-", "A", "A", "A"], &[3]));
}

#[test]
fn what_was_not_gathered_is_said_and_nothing_is_made_up() {
    let rows = evening();
    // Clicks were gathered for a week.
    let month = Otherwise { likeness_window_seconds: Some(30 * 24 * HOUR), ..Otherwise::default() };
    let outcomes = again(&rows, month.clone());
    let incomplete: HashSet<u128> = rows
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == Again::Incomplete(Incomplete::Window))
        .map(|(row, _)| row.id.0.as_u128())
        .collect();
    assert_eq!(incomplete, HashSet::from([2, 3]), "those of a network");
    // The rules that are kept with the others are other ones, and what they come to is the same.
    for (row, outcome) in rows.iter().zip(&outcomes) {
        if let Again::Other(after) = outcome {
            assert_eq!((after.link_id, after.click_id), (row.link_id, row.click_id));
        }
    }
    // Bounded by the other window it asks for no more than there is.
    let bounded = Otherwise { window_seconds: Some(24 * HOUR), ..month };
    assert!(!again(&rows, bounded).iter().any(|outcome| matches!(outcome, Again::Incomplete(_))));
    // For the first touch alone all of it is there.
    let first = Otherwise { first_touch: Some(true), ..Otherwise::default() };
    assert!(!again(&rows, first).iter().any(|outcome| matches!(outcome, Again::Incomplete(_))));
}

#[test]
fn where_nothing_was_kept_nothing_is_decided() {
    let row = evening().swap_remove(0);
    let report = InstallRecord::default();
    let waiting = pending((row.id, row.workspace_id, None), &report, None);
    let odd = Model { facts: "?".to_owned(), ..row.clone() };
    for (row, why) in [
        (waiting, Unreplayable::Pending),
        (forgotten(row), Unreplayable::Forgotten),
        (odd, Unreplayable::Unreadable),
    ] {
        assert_eq!(Stored::read(row).expect_err("nothing is there"), why);
    }
}
