//! Which click an install is credited to, case by case.

use chrono::Duration;
use uuid::Uuid;

use super::decide::*;
use crate::{
    clock::{Moment, from_micros},
    ids::{ClickId, LinkId},
};

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn ago(micros: i64) -> Moment {
    from_micros(NOW - micros)
}

/// An iPhone at home: what a page with hints shows of it.
fn phone() -> Device {
    Device {
        network: vec![203, 0, 113],
        address: Some(7),
        system: Some(System::Ios),
        version: Some(26),
        browser: None,
        time_zone: Some("Europe/Zurich".into()),
        language: Some("de".into()),
        screen: Some((390, 844)),
    }
}

fn install() -> Install {
    Install { time: from_micros(NOW), device: phone() }
}

/// A click of that iPhone a minute before, by its looks alone.
fn click(number: u128) -> Candidate {
    Candidate {
        click: ClickId(Uuid::from_u128(number)),
        link: LinkId(Uuid::from_u128(1)),
        time: ago(MINUTE),
        evidence: Evidence::Likeness,
        visitor: 1,
        human: true,
        claimed: false,
        other_app: false,
        window_seconds: WINDOW.num_seconds(),
        device: Device { browser: Some("iphone|safari".into()), ..phone() },
    }
}

fn with(number: u128, change: impl FnOnce(&mut Candidate)) -> Candidate {
    let mut click = click(number);
    change(&mut click);
    click
}

fn fates(decision: &Decision) -> Vec<Fate> {
    decision.verdicts.iter().map(|verdict| verdict.fate).collect()
}

/// Says what becomes of a click that has nobody beside it.
fn alone(change: impl FnOnce(&mut Candidate), rules: &Rules) -> (Fate, Outcome) {
    let decision = decide(&install(), &[with(1, change)], rules);
    (decision.verdicts[0].fate, decision.outcome)
}

fn network_rules() -> Rules {
    Rules { same_address: false, ..Rules::default() }
}

#[test]
fn without_clicks_an_install_is_organic() {
    let decision = decide(&install(), &[], &Rules::default());
    assert_eq!(decision, Decision { outcome: Outcome::Organic(NoMatch::NoClick), verdicts: Vec::new() });
}

#[test]
fn a_plain_click_of_the_same_phone_is_credited() {
    // No hints: the address, the system with its version, the language.
    let plain = |click: &mut Candidate| {
        click.device.time_zone = None;
        click.device.screen = None;
    };
    assert_eq!(alone(plain, &Rules::default()), (Fate::Won, Outcome::Attributed(0)));
    let decision = decide(&install(), &[with(1, plain)], &Rules::default());
    assert_eq!(decision.verdicts[0].likeness.score(), 80);
    assert_eq!(decision.verdicts[0].window_end, ago(MINUTE) + LIKENESS_WINDOW);
}

#[test]
fn the_strongest_evidence_wins_whatever_its_age_and_place() {
    let rules = Rules { view_window_seconds: 7200, ..Rules::default() };
    for (at, strong) in Evidence::ALL.into_iter().enumerate() {
        for weak in &Evidence::ALL[at + 1..] {
            assert!(strong < *weak);
            let old = with(1, |click| {
                click.evidence = strong;
                click.time = ago(90 * MINUTE);
                click.device = if strong.is_likeness() { phone() } else { Device::default() };
            });
            let new = with(2, |click| click.evidence = *weak);
            let lost = Fate::Lost(Loss::WeakerEvidence);
            let decision = decide(&install(), &[new.clone(), old.clone()], &rules);
            assert_eq!((decision.outcome, fates(&decision)), (Outcome::Attributed(1), vec![lost, Fate::Won]));
            let decision = decide(&install(), &[old, new], &rules);
            assert_eq!((decision.outcome, fates(&decision)), (Outcome::Attributed(0), vec![Fate::Won, lost]));
        }
    }
}

#[test]
fn of_one_class_that_names_its_click_the_last_touch_wins() {
    let rules = Rules { view_window_seconds: 7200, ..Rules::default() };
    for evidence in Evidence::ALL.into_iter().filter(|one| !one.is_likeness()) {
        let one = |number, micros, visitor| {
            with(number, |click| {
                click.evidence = evidence;
                click.time = ago(micros);
                click.visitor = visitor;
                click.device = Device::default();
            })
        };
        // Another visitor makes it no less certain.
        let decision = decide(&install(), &[one(1, 2, 1), one(2, 1, 2), one(3, 3, 3)], &rules);
        let earlier = Fate::Lost(Loss::Earlier);
        assert_eq!(fates(&decision), [earlier, Fate::Won, earlier], "{evidence:?}");
        // In the same microsecond, the greater id.
        let decision = decide(&install(), &[one(9, 1, 1), one(8, 1, 2)], &rules);
        assert_eq!(fates(&decision), [Fate::Won, earlier], "{evidence:?}");
    }
}

#[test]
fn each_reason_to_lose_has_a_fact_behind_it() {
    type Change = fn(&mut Candidate);
    let rules = Rules::default();
    let off = Rules { likeness: false, ..Rules::default() };
    // What is wrong, by which rules, what it is called, what the install is then, and the same with the fact just mended.
    let cases: &[(Change, &Rules, Loss, NoMatch, Change)] = &[
        (|click| click.human = false, &rules, Loss::NotHuman, NoMatch::NoClick, |click| click.human = true),
        (
            |click| click.time = ago(-1),
            &rules,
            Loss::AfterInstall,
            NoMatch::NoClick,
            |click| click.time = ago(0),
        ),
        (
            |click| click.other_app = true,
            &rules,
            Loss::OtherApp,
            NoMatch::NoClick,
            |click| click.other_app = false,
        ),
        (
            |click| click.claimed = true,
            &rules,
            Loss::Claimed,
            NoMatch::Claimed,
            |click| click.claimed = false,
        ),
        (
            |click| click.window_seconds = 59,
            &rules,
            Loss::WindowPassed,
            NoMatch::WindowPassed,
            |click| click.window_seconds = 60,
        ),
        (|_| {}, &off, Loss::LikenessOff, NoMatch::LikenessOff, |click| click.evidence = Evidence::LinkOpen),
        (
            |click| click.device.system = Some(System::Android),
            &rules,
            Loss::OtherSystem,
            NoMatch::NotAlike,
            |click| click.device.system = Some(System::Ios),
        ),
        (
            |click| {
                click.device =
                    Device { screen: None, time_zone: None, version: None, ..click.device.clone() };
                click.device.language = Some("en".into());
            },
            &rules,
            Loss::BelowThreshold,
            NoMatch::NotAlike,
            |click| click.device.language = Some("de".into()),
        ),
        (
            |click| click.device.address = Some(8),
            &rules,
            Loss::OtherAddress,
            NoMatch::NotAlike,
            |click| click.device.address = Some(7),
        ),
        (
            |click| click.device.address = None,
            &rules,
            Loss::OtherAddress,
            NoMatch::NotAlike,
            |click| click.device.address = Some(7),
        ),
    ];
    for (break_it, rules, loss, no_match, mend) in cases {
        assert_eq!(alone(break_it, rules), (Fate::Lost(*loss), Outcome::Organic(*no_match)), "{loss:?}");
        let mended = alone(
            |click| {
                break_it(click);
                mend(click);
            },
            rules,
        );
        assert_eq!(mended, (Fate::Won, Outcome::Attributed(0)), "{loss:?}");
    }
}

#[test]
fn a_candidate_with_several_faults_names_the_first() {
    // From the last to the first: each further fault takes the place of the one before.
    type Change = fn(&mut Candidate);
    let faults: [(Change, Loss); 7] = [
        (|click| click.device.address = None, Loss::OtherAddress),
        (|click| click.device.network = Vec::new(), Loss::BelowThreshold),
        (|click| click.device.system = Some(System::Other), Loss::OtherSystem),
        (|click| click.window_seconds = 1, Loss::WindowPassed),
        (|click| click.claimed = true, Loss::Claimed),
        (|click| click.other_app = true, Loss::OtherApp),
        (|click| click.human = false, Loss::NotHuman),
    ];
    let mut click = click(1);
    click.device.screen = None;
    for (fault, loss) in faults {
        fault(&mut click);
        let decision = decide(&install(), &[click.clone()], &Rules::default());
        assert_eq!(fates(&decision), [Fate::Lost(loss)]);
    }
    click.time = ago(-1);
    click.human = true;
    let decision = decide(&install(), &[click.clone()], &Rules::default());
    assert_eq!(fates(&decision), [Fate::Lost(Loss::AfterInstall)]);
    // Likeness off comes after what is wrong with the click, and before what is unlike.
    (click.time, click.other_app, click.claimed, click.window_seconds) = (ago(1), false, false, 100);
    let off = Rules { likeness: false, ..Rules::default() };
    assert_eq!(fates(&decide(&install(), &[click], &off)), [Fate::Lost(Loss::LikenessOff)]);
}

#[test]
fn an_organic_install_names_what_was_nearest_to_a_match() {
    type Change = fn(&mut Candidate);
    let bot: Change = |click| click.human = false;
    let old: Change = |click| click.window_seconds = 1;
    let claimed: Change = |click| click.claimed = true;
    let unlike: Change = |click| click.device.system = Some(System::Android);
    let on = Rules::default();
    let off = Rules { likeness: false, ..Rules::default() };
    let nobody = Rules { crowd: 0, ..Rules::default() };
    let fits: Change = |_| {};
    let cases: &[(&[Change], &Rules, NoMatch)] = &[
        (&[bot], &on, NoMatch::NoClick),
        (&[bot, old], &on, NoMatch::WindowPassed),
        (&[bot, old, claimed], &on, NoMatch::Claimed),
        (&[bot, old, claimed, unlike], &on, NoMatch::NotAlike),
        (&[bot, old, claimed, fits], &off, NoMatch::LikenessOff),
        (&[bot, old, claimed, fits, unlike], &nobody, NoMatch::Ambiguous),
    ];
    for (changes, rules, expected) in cases {
        let candidates: Vec<Candidate> =
            changes.iter().zip(1..).map(|(change, number)| with(number, change)).collect();
        assert_eq!(decide(&install(), &candidates, rules).outcome, Outcome::Organic(*expected));
    }
}

#[test]
fn a_window_ends_with_its_last_microsecond() {
    let day = |evidence| {
        move |click: &mut Candidate| {
            click.evidence = evidence;
            click.window_seconds = 24 * 3600;
        }
    };
    let week = Rules { likeness_window_seconds: WINDOW.num_seconds(), ..Rules::default() };
    let short = Rules { likeness_window_seconds: 3600, ..Rules::default() };
    for (evidence, rules, window) in [
        // The shorter of the two holds for likeness, the link's alone for what names its click.
        (Evidence::Likeness, &week, 24 * HOUR),
        (Evidence::Likeness, &short, HOUR),
        (Evidence::StoreReferrer, &short, 24 * HOUR),
        (Evidence::LinkOpen, &short, 24 * HOUR),
    ] {
        for (age, fate) in [
            (0, Fate::Won),
            (window - 1, Fate::Won),
            (window, Fate::Won),
            (window + 1, Fate::Lost(Loss::WindowPassed)),
        ] {
            let candidate = with(1, |click| {
                day(evidence)(click);
                click.time = ago(age);
            });
            let decision = decide(&install(), &[candidate], rules);
            assert_eq!(fates(&decision), [fate], "{evidence:?} {window} {age}");
            assert_eq!(decision.verdicts[0].window_end, ago(age) + Duration::microseconds(window));
        }
    }
}

#[test]
fn a_click_at_the_very_moment_of_the_install_counts_and_a_later_one_does_not() {
    assert_eq!(alone(|click| click.time = ago(0), &Rules::default()).0, Fate::Won);
    assert_eq!(alone(|click| click.time = ago(-1), &Rules::default()).0, Fate::Lost(Loss::AfterInstall));
}

#[test]
fn the_scores_are_linkfortys() {
    let nothing = Device::default();
    let safari = || Some("iphone|safari".to_owned());
    let browser = |device: Device| Device { browser: safari(), ..device };
    let network = || Device { network: vec![203, 0, 113], ..Device::default() };
    let cases: &[(Device, Device, u16)] = &[
        // Nothing known, or all of it different.
        (nothing.clone(), nothing.clone(), 0),
        (
            browser(phone()),
            Device {
                network: vec![203, 0, 114],
                system: Some(System::Ios),
                version: None,
                browser: Some("ipad|chrome".into()),
                time_zone: Some("UTC".into()),
                language: Some("en".into()),
                screen: Some((1, 2)),
                ..Device::default()
            },
            0,
        ),
        // The language alone; the time zone and the screen.
        (phone(), Device { language: Some("de".into()), ..nothing.clone() }, 10),
        (phone(), Device { screen: Some((390, 844)), time_zone: phone().time_zone, ..nothing.clone() }, 20),
        // The network and a browser: exactly the threshold.
        (browser(network()), browser(network()), 70),
        // Everything but the network stays below it.
        (browser(phone()), browser(Device { network: Vec::new(), ..phone() }), 60),
        (browser(phone()), browser(phone()), 100),
        // A browser and an app: the system and its version in place of the browser.
        (browser(phone()), phone(), 100),
        (browser(network()), network(), 40),
        (browser(phone()), Device { version: Some(18), ..phone() }, 90),
        (browser(Device { version: None, ..phone() }), phone(), 90),
        (browser(Device { system: None, ..phone() }), phone(), 70),
        (
            browser(Device { system: Some(System::Ios), version: Some(26), ..network() }),
            Device { system: Some(System::Ios), version: Some(26), ..network() },
            70,
        ),
        // Two apps are compared like a browser and an app.
        (phone(), phone(), 100),
        // Of another system nothing counts.
        (browser(phone()), Device { system: Some(System::Android), ..phone() }, 0),
    ];
    for (click, install, expected) in cases {
        let likeness = likeness(click, install);
        assert_eq!(likeness.score(), *expected, "{click:?} {install:?}");
        assert_eq!(likeness.terms.iter().map(|term| term.most).sum::<u16>(), 100);
        // Neither side matters more.
        assert_eq!(super::decide::likeness(install, click), likeness);
    }
    assert_eq!(THRESHOLD, 70);
}

#[test]
fn each_factor_gives_its_points_under_linkfortys_name() {
    let told = |click: &Device, install: &Device| -> Vec<(&'static str, u16, u16)> {
        likeness(click, install)
            .terms
            .iter()
            .map(|term| (term.factor.name(), term.points, term.most))
            .collect()
    };
    let browser = Device { browser: Some("iphone|safari".into()), ..phone() };
    assert_eq!(
        told(&browser, &phone()),
        [
            ("ip", 40, 40),
            ("platform", 20, 20),
            ("platform_version", 10, 10),
            ("timezone", 10, 10),
            ("language", 10, 10),
            ("screen", 10, 10)
        ]
    );
    assert_eq!(
        told(&browser, &Device { browser: Some("iphone|chrome".into()), ..Device::default() }),
        [("ip", 0, 40), ("user_agent", 0, 30), ("timezone", 0, 10), ("language", 0, 10), ("screen", 0, 10)]
    );
    // A version without its system says nothing.
    let versions = |system| {
        let one = |system| Device { system, version: Some(26), ..Device::default() };
        likeness(&one(system), &one(Some(System::Ios))).score()
    };
    assert_eq!((versions(None), versions(Some(System::Ios)), versions(Some(System::Android))), (0, 30, 0));
}

#[test]
fn screens_are_one_when_both_sides_grow_alike() {
    for (a, b, one) in [
        ((390, 844), (390, 844), true),
        ((390, 844), (1170, 2532), true),
        ((390, 844), (780, 1688), true),
        // 2.625 pixels to a point, rounded.
        ((412, 915), (1080, 2400), true),
        // Up to four to a point.
        ((360, 640), (1440, 2560), true),
        ((360, 640), (1441, 2561), false),
        ((100, 100), (400, 400), true),
        ((100, 100), (401, 401), false),
        // A pixel lost to rounding on either side.
        ((390, 844), (390, 843), true),
        ((390, 844), (390, 845), true),
        ((390, 844), (391, 843), true),
        // The ratios of the two sides differ by 0.02 and by less.
        ((100, 100), (200, 202), false),
        ((1000, 1000), (2000, 2019), true),
        ((390, 844), (844, 390), false),
        ((390, 844), (393, 852), true),
        ((390, 844), (430, 932), true),
        // Phones of one shape are one to this factor, whatever their size.
        ((390, 844), (414, 896), true),
        ((390, 844), (360, 800), false),
        ((0, 0), (0, 0), false),
        ((0, 844), (390, 844), false),
        ((390, 0), (390, 844), false),
        ((u32::MAX, u32::MAX), (u32::MAX, u32::MAX), true),
    ] {
        let screen = |size| Device { screen: Some(size), ..Device::default() };
        for (a, b) in [(a, b), (b, a)] {
            let score = likeness(&screen(a), &screen(b)).score();
            assert_eq!(score == 10, one, "{a:?} {b:?}");
        }
    }
    let unknown = likeness(&Device { screen: Some((390, 844)), ..Device::default() }, &Device::default());
    assert_eq!(unknown.score(), 0);
}

#[test]
fn networks_of_two_families_are_never_one_and_unknown_ones_neither() {
    let of = |network: &[u8], address| Device { network: network.to_vec(), address, ..Device::default() };
    for (a, b, network, address) in [
        (of(&[1, 2, 3], Some(5)), of(&[1, 2, 3], Some(5)), true, true),
        (of(&[1, 2, 3], Some(5)), of(&[1, 2, 3], Some(6)), true, false),
        (of(&[1, 2, 3], None), of(&[1, 2, 3], None), true, false),
        // An IPv6 network that begins as an IPv4 one does.
        (of(&[1, 2, 3], Some(5)), of(&[1, 2, 3, 0, 0, 0], Some(5)), false, false),
        (of(&[1, 2, 3, 0, 0, 0], Some(5)), of(&[1, 2, 3, 0, 0, 0], Some(5)), true, true),
        (of(&[1, 2, 3, 0, 0, 1], Some(5)), of(&[1, 2, 3, 0, 0, 0], Some(5)), false, false),
        // Addresses that say nothing about where somebody is.
        (of(&[], Some(5)), of(&[], Some(5)), false, false),
        (of(&[], None), of(&[], None), false, false),
    ] {
        let likeness = likeness(&a, &b);
        assert_eq!((likeness.same_network(), likeness.same_address), (network, address), "{a:?} {b:?}");
        assert_eq!(likeness.score(), if network { 40 } else { 0 });
    }
}

#[test]
fn two_visitors_who_fit_equally_get_nothing() {
    let ambiguous = Fate::Lost(Loss::Ambiguous);
    let other = |number, change: fn(&mut Candidate)| {
        with(number, |click| {
            click.visitor = 2;
            change(click);
        })
    };
    let decision = decide(&install(), &[click(1), other(2, |_| {})], &Rules::default());
    assert_eq!(decision.outcome, Outcome::Organic(NoMatch::Ambiguous));
    assert_eq!(fates(&decision), [ambiguous, ambiguous]);
    // The later one fits no better.
    let decision = decide(&install(), &[click(1), other(2, |click| click.time = ago(1))], &Rules::default());
    assert_eq!(fates(&decision), [ambiguous, ambiguous]);
    // A higher score does.
    let decision =
        decide(&install(), &[click(1), other(2, |click| click.device.version = None)], &Rules::default());
    assert_eq!(decision.outcome, Outcome::Attributed(0));
    assert_eq!(fates(&decision), [Fate::Won, Fate::Lost(Loss::LowerScore)]);
    // So does a token, also one of the later of them.
    let token = other(2, |click| click.evidence = Evidence::LinkOpen);
    let decision = decide(&install(), &[click(1), token, click(3)], &Rules::default());
    assert_eq!(decision.outcome, Outcome::Attributed(1));
    // And whoever cannot be it is no second one.
    for change in [
        (|click| click.claimed = true) as fn(&mut Candidate),
        |click| click.other_app = true,
        |click| click.human = false,
        |click| click.time = ago(3 * HOUR),
        |click| click.time = ago(-1),
    ] {
        let decision = decide(&install(), &[other(2, change), click(1)], &Rules::default());
        assert_eq!(decision.outcome, Outcome::Attributed(1), "{decision:?}");
    }
}

#[test]
fn one_visitor_who_clicked_twice_is_credited_by_the_last_touch() {
    let clicks = [with(1, |click| click.time = ago(2)), with(2, |click| click.time = ago(1)), click(3)];
    let decision = decide(&install(), &clicks, &Rules::default());
    let earlier = Fate::Lost(Loss::Earlier);
    assert_eq!(decision.outcome, Outcome::Attributed(1));
    assert_eq!(fates(&decision), [earlier, Fate::Won, earlier]);
    // In one microsecond, by the greater id, wherever it stands.
    let decision = decide(&install(), &[click(5), click(4)], &Rules::default());
    assert_eq!(fates(&decision), [Fate::Won, earlier]);
}

#[test]
fn the_same_address_comes_before_the_same_network() {
    let near = |number| with(number, |click| (click.visitor, click.device.address) = (2, Some(8)));
    let less_alike = with(1, |click| click.device.language = None);
    let other = Fate::Lost(Loss::OtherAddress);
    for rules in [Rules::default(), network_rules()] {
        // Even when it is less alike, and earlier.
        let decision = decide(&install(), &[near(2), less_alike.clone()], &rules);
        assert_eq!((decision.outcome, fates(&decision)), (Outcome::Attributed(1), vec![other, Fate::Won]));
    }
    // Without it the network will do, where the rules say so.
    let decision = decide(&install(), &[near(2)], &network_rules());
    assert_eq!(decision.outcome, Outcome::Attributed(0));
    let decision = decide(&install(), &[near(2)], &Rules::default());
    assert_eq!((decision.outcome, fates(&decision)), (Outcome::Organic(NoMatch::NotAlike), vec![other]));
    // Among those of the network it goes on as among those of the address.
    let decision =
        decide(&install(), &[near(2), with(3, |click| click.device.address = None)], &network_rules());
    assert_eq!(decision.outcome, Outcome::Organic(NoMatch::Ambiguous));
    // A click with evidence of its own needs no address.
    let token = with(4, |click| (click.evidence, click.device) = (Evidence::Pasteboard, Device::default()));
    let decision = decide(&install(), &[token, near(2)], &network_rules());
    assert_eq!(fates(&decision), [Fate::Won, Fate::Lost(Loss::WeakerEvidence)]);
}

#[test]
fn an_address_that_a_crowd_has_is_no_evidence() {
    // Those who were there long ago tell of it too, whatever they clicked.
    let stranger = |number: u16| {
        with(100 + u128::from(number), |click| {
            click.visitor = i64::from(number) + 100;
            click.time = ago(48 * HOUR);
            click.other_app = number.is_multiple_of(2);
            click.device = Device { network: phone().network, address: Some(7), ..Device::default() };
        })
    };
    let strangers = |many: u16| -> Vec<Candidate> { (0..many).map(stranger).chain([click(1)]).collect() };
    let decision = decide(&install(), &strangers(CROWD - 1), &Rules::default());
    assert_eq!(decision.outcome, Outcome::Attributed(usize::from(CROWD) - 1));
    let decision = decide(&install(), &strangers(CROWD), &Rules::default());
    assert_eq!(decision.outcome, Outcome::Organic(NoMatch::Ambiguous));
    assert_eq!(decision.verdicts.last().map(|verdict| verdict.fate), Some(Fate::Lost(Loss::Crowded)));
    assert_eq!(decision.verdicts[0].fate, Fate::Lost(Loss::OtherApp));

    let count = |change: fn(usize, &mut Candidate), rules: &Rules| {
        let mut candidates = strangers(3 * CROWD);
        for (at, candidate) in candidates.iter_mut().enumerate() {
            if candidate.visitor != 1 {
                change(at, candidate);
            }
        }
        decide(&install(), &candidates, rules).verdicts.last().map(|verdict| verdict.fate)
    };
    let crowded = Some(Fate::Lost(Loss::Crowded));
    assert_eq!(count(|_, _| {}, &Rules::default()), crowded);
    // Many clicks of few visitors, programs, and the neighbours of the network are no crowd.
    assert_eq!(count(|at, click| click.visitor = at as i64 % 5 + 2, &Rules::default()), Some(Fate::Won));
    assert_eq!(count(|_, click| click.human = false, &Rules::default()), Some(Fate::Won));
    assert_eq!(count(|_, click| click.device.address = Some(8), &Rules::default()), Some(Fate::Won));
    // Where the network will do, they are.
    assert_eq!(count(|_, click| click.device.address = Some(8), &network_rules()), crowded);
    assert_eq!(count(|_, _| {}, &Rules { crowd: 3 * CROWD + 1, ..Rules::default() }), Some(Fate::Won));
    // A token needs no address to itself.
    let mut candidates = strangers(CROWD);
    candidates[0] = with(1, |click| click.evidence = Evidence::StoreReferrer);
    assert_eq!(decide(&install(), &candidates, &Rules::default()).outcome, Outcome::Attributed(0));
}

#[test]
fn the_threshold_itself_is_enough() {
    let seventy = |click: &mut Candidate| {
        click.device = Device { time_zone: None, screen: None, language: None, ..click.device.clone() };
    };
    for (threshold, fate) in [
        (69, Fate::Won),
        (70, Fate::Won),
        (71, Fate::Lost(Loss::BelowThreshold)),
        (100, Fate::Lost(Loss::BelowThreshold)),
    ] {
        assert_eq!(alone(seventy, &Rules { threshold, ..Rules::default() }).0, fate, "{threshold}");
    }
}

#[test]
fn what_is_stored_is_readable_and_comes_back_as_it_was() {
    let (install, click, rules) = (install(), click(1), Rules::default());
    let text = serde_json::to_string(&(&install, &click, &rules)).expect("it is JSON");
    assert!(text.contains("\"network\":\"cb0071\"") && text.contains("\"evidence\":\"Likeness\""), "{text}");
    let back: (Install, Candidate, Rules) = serde_json::from_str(&text).expect("it is the same");
    assert_eq!(back, (install, click, rules));
    for bad in ["\"c\u{fc}\"", "\"zz\"", "7"] {
        let text = text.replacen("\"cb0071\"", bad, 1);
        assert!(serde_json::from_str::<(Install, Candidate, Rules)>(&text).is_err(), "{bad}");
    }
}

#[test]
fn ads_that_were_only_seen_come_behind_every_click_and_need_a_window() {
    let on = Rules { view_window_seconds: 3600, ..Rules::default() };
    let seen = |evidence, micros| {
        with(2, |click| {
            click.evidence = evidence;
            click.time = ago(micros);
            click.visitor = 2;
        })
    };
    for view in [Evidence::ViewIdentity, Evidence::ViewLikeness] {
        // Without a window nothing seen is evidence; with one, to its last microsecond and with that of the link.
        let one = |candidate: Candidate, rules: &Rules| decide(&install(), &[candidate], rules).outcome;
        let passed = Outcome::Organic(NoMatch::WindowPassed);
        assert_eq!(one(seen(view, MINUTE), &Rules::default()), passed);
        assert_eq!(one(seen(view, HOUR), &on), Outcome::Attributed(0), "{view:?}");
        assert_eq!(one(seen(view, HOUR + 1), &on), passed);
        let short = Candidate { window_seconds: 59, ..seen(view, MINUTE) };
        assert_eq!(one(short, &on), passed);
        // A click that is older and looks less like the install comes first.
        let click = with(1, |click| {
            click.time = ago(90 * MINUTE);
            click.device.screen = None;
        });
        let decision = decide(&install(), &[seen(view, MINUTE), click], &on);
        assert_eq!(fates(&decision), [Fate::Lost(Loss::WeakerEvidence), Fate::Won], "{view:?}");
    }
    let decision =
        decide(&install(), &[seen(Evidence::ViewLikeness, 1), seen(Evidence::ViewIdentity, MINUTE)], &on);
    assert_eq!(fates(&decision), [Fate::Lost(Loss::WeakerEvidence), Fate::Won]);
    let off = Rules { likeness: false, ..on };
    let decision = decide(&install(), &[seen(Evidence::ViewLikeness, 1)], &off);
    assert_eq!(decision.outcome, Outcome::Organic(NoMatch::LikenessOff));
}

#[test]
fn a_crowd_that_only_saw_something_hides_no_click() {
    let rules = Rules { crowd: 2, view_window_seconds: 3600, ..Rules::default() };
    let seen = |number: u128| {
        with(number, |click| {
            click.evidence = Evidence::ViewLikeness;
            click.visitor = i64::try_from(number).unwrap_or_default();
        })
    };
    let crowd: Vec<Candidate> = (2..6).map(seen).collect();
    assert_eq!(decide(&install(), &crowd, &rules).outcome, Outcome::Organic(NoMatch::Ambiguous));
    let with_click: Vec<Candidate> = [click(1)].into_iter().chain(crowd).collect();
    assert_eq!(decide(&install(), &with_click, &rules).outcome, Outcome::Attributed(0));
    // A view of the same address does not stand in the way of a click that is known by its network.
    let network = Rules { same_address: false, ..rules };
    let far = with(1, |click| click.device.address = Some(8));
    assert_eq!(decide(&install(), &[seen(2), far], &network).outcome, Outcome::Attributed(1));
}

#[test]
fn facts_from_before_there_were_views_are_the_same_text() {
    let stored = r#"{"version":1,"likeness":true,"threshold":70,"likeness_window_seconds":7200,"same_address":true,"crowd":10}"#;
    let rules: Rules = serde_json::from_str(stored).expect("it is what was stored");
    assert_eq!(rules, Rules::default());
    assert_eq!(serde_json::to_string(&rules).expect("it is JSON"), stored);
}
