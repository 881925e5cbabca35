//! Each rule holds where it should and nowhere else.

use chrono::Duration;
use uuid::Uuid;

use super::rules::{ALL, Action, Judgement, Rule, Setting, Settings, judge};
use crate::{
    attribution::decide::{Candidate, Device, Evidence, Install, Rules, decide},
    clock::{Moment, from_micros},
    ids::{ClickId, LinkId},
    pb::internal::v1::InstallRecord,
};

fn at(seconds: i64) -> Moment {
    from_micros(1_764_000_000_000_000) + Duration::seconds(seconds)
}

/// An install that carries a click of a minute before, of which nothing is odd.
struct Case {
    evidence: Evidence,
    /// Seconds: the click, then the first open by the device, then when we heard of it.
    times: (i64, i64, i64),
    /// The same by the store: the click, then the beginning of the download.
    store: Option<(i64, i64)>,
}

impl Default for Case {
    fn default() -> Self {
        Self { evidence: Evidence::StoreReferrer, times: (0, 60, 60), store: Some((0, 5)) }
    }
}

impl Case {
    fn judged(&self, settings: &Settings) -> Judgement {
        let (click, opened, heard) = self.times;
        let candidate = Candidate {
            click: ClickId(Uuid::from_u128(1)),
            link: LinkId(Uuid::from_u128(2)),
            time: at(click),
            evidence: self.evidence,
            visitor: 1,
            human: true,
            claimed: false,
            other_app: false,
            window_seconds: 86_400,
            device: Device::default(),
        };
        let seconds = |of: fn((i64, i64)) -> i64| self.store.map_or(0, |store| at(of(store)).timestamp());
        let report = InstallRecord {
            install_time_micros: at(opened).timestamp_micros(),
            receive_time_micros: at(heard).timestamp_micros(),
            store_click_seconds: seconds(|store| store.0),
            store_begin_seconds: seconds(|store| store.1),
            ..InstallRecord::default()
        };
        let install = Install { time: at(opened), device: Device::default() };
        let candidates = [candidate];
        let decision = decide(&install, &candidates, &Rules::default());
        judge(&report, &candidates, (decision.outcome, &decision.verdicts), settings)
    }

    fn rules(&self) -> Vec<&'static str> {
        Rule::of_flags(self.judged(&Settings::default()).flags).map(Rule::id).collect()
    }
}

#[test]
fn nothing_is_odd_about_most_installs() {
    assert_eq!(Case::default().rules(), [""; 0]);
    assert_eq!(Case { store: None, ..Case::default() }.rules(), [""; 0]);
}

#[test]
fn a_click_that_came_after_the_download_was_injected() {
    assert_eq!(Case { store: Some((7, 5)), ..Case::default() }.rules(), ["click_injection"]);
    // The store rounds.
    assert_eq!(Case { store: Some((6, 5)), ..Case::default() }.rules(), [""; 0]);
}

#[test]
fn nobody_downloads_in_nine_seconds() {
    assert_eq!(Case { times: (0, 9, 9), ..Case::default() }.rules(), ["short_time"]);
    assert_eq!(Case { times: (0, 10, 10), ..Case::default() }.rules(), [""; 0]);
    // A device that says so itself is not believed, either way.
    assert_eq!(Case { times: (0, 5, 60), ..Case::default() }.rules(), [""; 0]);
    let opened = Case { evidence: Evidence::LinkOpen, times: (0, 2, 2), ..Case::default() };
    assert_eq!(opened.rules(), [""; 0], "an app that was there is opened at once");
}

#[test]
fn a_click_that_the_store_saw_much_later_was_carried_off() {
    assert_eq!(
        Case { times: (0, 900, 900), store: Some((301, 400)), ..Case::default() }.rules(),
        ["harvested_click"]
    );
    assert_eq!(Case { times: (0, 900, 900), store: Some((300, 400)), ..Case::default() }.rules(), [""; 0]);
    let pasted = Case { evidence: Evidence::Pasteboard, times: (0, 900, 900), store: Some((301, 400)) };
    assert_eq!(pasted.rules(), [""; 0], "the store does not say that it is of this click");
}

#[test]
fn a_clock_that_is_behind_is_noted_and_no_fraud() {
    let behind = Case { times: (0, -30, 60), ..Case::default() };
    assert_eq!(behind.rules(), ["clock_anomaly"]);
    let mut settings = Settings::default();
    settings.set(Rule::ClockAnomaly, Setting { action: Action::RejectCredit, threshold: 0 });
    assert!(!behind.judged(&settings).rejected);
    let alike = Case { evidence: Evidence::Likeness, ..behind };
    assert_eq!(alike.rules(), [""; 0], "the click is somebody else's");
}

#[test]
fn a_workspace_says_what_follows_and_from_which_number_on() {
    let odd = Case { times: (0, 9, 9), ..Case::default() };
    for (action, threshold, flags, rejected) in [
        (Action::Flag, 10, 2, false),
        (Action::RejectCredit, 10, 2, true),
        (Action::Off, 10, 0, false),
        (Action::RejectCredit, 9, 0, false),
        (Action::Flag, 60, 2, false),
    ] {
        let mut settings = Settings::default();
        settings.set(Rule::ShortTime, Setting { action, threshold });
        assert_eq!(odd.judged(&settings), Judgement { flags, rejected }, "{action:?} {threshold}");
    }
}

#[test]
fn the_list_is_in_order() {
    let mut sum = 0;
    for spec in &ALL {
        assert_eq!(Rule::named(spec.id), Some(spec.rule));
        assert_eq!(spec.rule.spec(), spec);
        assert_eq!(sum & spec.rule as i32, 0, "a number twice");
        sum += spec.rule as i32;
        assert!((spec.bounds.0..=spec.bounds.1).contains(&spec.threshold), "{}", spec.id);
        assert_eq!(spec.unit.is_empty(), spec.bounds == (0, 0));
        assert!(spec.meaning.ends_with('.'));
    }
}

#[test]
fn what_is_kept_with_a_decision_says_only_what_is_otherwise() {
    let mut settings = Settings::default();
    settings.set(Rule::ShortTime, Setting { action: Action::Flag, threshold: 10 });
    assert!(settings.is_default());
    settings.set(Rule::ShortTime, Setting { action: Action::RejectCredit, threshold: 20 });
    let text = serde_json::to_string(&settings).expect("writes");
    assert_eq!(text, r#"{"short_time":{"action":"reject_credit","threshold":20}}"#);
    assert_eq!(serde_json::from_str::<Settings>(&text).expect("reads"), settings);
    settings.set(Rule::ShortTime, Setting { action: Action::Flag, threshold: 10 });
    assert!(settings.is_default());
}
