//! Who there is, and who comes to which link.

use std::collections::BTreeMap;

use super::{
    Settings,
    dice::Dice,
    phones::{self, Phone},
    places::{self, HomeLine, Lines},
};
use crate::attribution::decide::System;

/// Somebody with a device.
pub(super) struct Person {
    pub(super) lines: Lines,
    pub(super) phone: Phone,
}

/// Why somebody comes to a link.
pub(super) struct Touch {
    pub(super) second: i64,
    pub(super) app: usize,
    pub(super) link: usize,
    /// How likely they are to install then.
    pub(super) converts: f64,
}

pub(super) const APPS: usize = 3;
pub(super) const LINKS_OF_APP: usize = 8;
pub(super) const MINUTE: f64 = 60.0;
pub(super) const HOUR: f64 = 3600.0;
pub(super) const DAY: f64 = 24.0 * HOUR;
/// Draws the people, household by household.
pub(super) fn draw(settings: &Settings, dice: &mut Dice) -> Vec<Person> {
    let mut people = Vec::new();
    let (mut household, mut office, mut seats) = (0, 0, 0);
    while people.len() < settings.people {
        let size = dice.pick(&[(1, 41.0), (2, 34.0), (3, 12.0), (4, 9.0), (5, 4.0)]);
        let home = dice.pick(&[(HomeLine::Own, 45.0), (HomeLine::Dual, 40.0), (HomeLine::Shared, 15.0)]);
        let language = phones::language(dice);
        for _ in 0..size {
            let works = dice.chance(0.3);
            if works && seats == 0 {
                (office, seats) = (office + 1, dice.pick(&[(2, 40.0), (5, 30.0), (12, 20.0), (40, 10.0)]));
            }
            seats -= u64::from(works);
            let phone = Phone::of(dice, language);
            let person = people.len() as u64;
            let lines = Lines {
                person,
                household,
                office: works.then_some(office),
                region: dice.below(settings.people / places::PEOPLE_OF_REGION as usize + 1) as u64,
                home,
                mobile_v6: dice.chance(0.55),
                vpn: dice.chance(0.03),
                relay: phone.system == System::Ios && dice.chance(0.1),
            };
            people.push(Person { lines, phone });
        }
        household += 1;
    }
    people
}

/// Draws who comes to which link and when: by campaigns, again after a first time, and because somebody of the household
/// passed the link on.
pub(super) fn touches(
    settings: &Settings,
    dice: &mut Dice,
    people: &[Person],
) -> BTreeMap<usize, Vec<Touch>> {
    let mut all: BTreeMap<usize, Vec<Touch>> = BTreeMap::new();
    let span = f64::from(settings.days) * DAY;
    for at in 0..people.len() {
        for _ in 0..dice.times(0.12 * f64::from(settings.days) / 30.0) {
            let app = dice.pick(&[(0, 60.0), (1, 30.0), (2, 10.0)]);
            let link = dice.pick(&[
                (0, 30.0),
                (1, 20.0),
                (2, 15.0),
                (3, 10.0),
                (4, 10.0),
                (5, 5.0),
                (6, 5.0),
                (7, 5.0),
            ]);
            let day = (dice.between(0.0, span) / DAY).floor() * DAY;
            let hour = dice.pick(&[(0, 4.0), (6, 14.0), (12, 32.0), (17, 50.0)]);
            let second = (day + (f64::from(hour) + dice.between(0.0, 6.0)) * HOUR) as i64;
            let touch = |second, link, converts| Touch { second, app, link, converts };
            let mine = all.entry(at).or_default();
            mine.push(touch(second, link, 0.25));
            if dice.chance(0.25) {
                mine.push(touch(second + dice.magnitude(5.0, 10.0 * MINUTE) as i64, link, 0.1));
            }
            if dice.chance(0.12) {
                let other = (link + 1) % LINKS_OF_APP;
                mine.push(touch(second + dice.magnitude(HOUR, 8.0 * DAY) as i64, other, 0.2));
            }
            if dice.chance(0.12) {
                let household = people[at].lines.household;
                let mut near = (at.saturating_sub(5)..(at + 6).min(people.len()))
                    .filter(|one| *one != at && people[*one].lines.household == household);
                if let Some(other) = near.next() {
                    let second = second + dice.magnitude(MINUTE, 2.0 * DAY) as i64;
                    all.entry(other).or_default().push(touch(second, link, 0.35));
                }
            }
        }
    }
    all
}
