//! A population and what it does: who clicked, who installed, and which of the clicks was theirs.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::Duration;

use super::{
    Settings,
    dice::Dice,
    phones::{self, Phone},
    places::{self, HomeLine, Lines, Place},
};
use crate::{
    attribution::decide::{Device, Evidence, System},
    clicks::{VisitorHash, network_of},
    clock::{Moment, from_micros},
    ids::{ClickId, Ids, LinkId, WorkspaceId},
};

/// What is known of a click, and who made it.
#[derive(Debug, Clone)]
pub(super) struct Click {
    pub(super) id: ClickId,
    pub(super) link: LinkId,
    pub(super) app: usize,
    pub(super) window_seconds: i64,
    pub(super) time: Moment,
    /// Whether it is taken for a person's. Some programs are.
    pub(super) human: bool,
    pub(super) visitor: i64,
    pub(super) device: Device,
    pub(super) raw: Raw,
    /// Who made it; nobody, if a program did.
    pub(super) person: Option<u64>,
}

/// What is known of an install, and what is true of it.
#[derive(Debug, Clone)]
pub(super) struct Install {
    pub(super) app: usize,
    pub(super) time: Moment,
    pub(super) device: Device,
    /// Evidence that names its click, at this place of the clicks.
    pub(super) tokens: Vec<(Evidence, usize)>,
    pub(super) raw: Raw,
    /// The clicks that are right: the last one of this person on a link of this app, and the one that led to the store. None if
    /// there is none, or an install of theirs had it before.
    pub(super) own: Vec<usize>,
    pub(super) person: u64,
}

/// What LinkForty keeps of either.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) address: IpAddr,
    pub(super) pair: &'static str,
    pub(super) system: Option<System>,
    pub(super) version: Option<u16>,
    pub(super) time_zone: Option<&'static str>,
    pub(super) language: &'static str,
    pub(super) screen: Option<(u32, u32)>,
    /// Whether an SDK says it.
    pub(super) sdk: bool,
}

/// Everything that happened, in the order of time.
#[derive(Debug)]
pub(super) struct History {
    pub(super) clicks: Vec<Click>,
    pub(super) installs: Vec<Install>,
}

struct Person {
    lines: Lines,
    phone: Phone,
}

/// Why somebody comes to a link.
struct Touch {
    second: i64,
    app: usize,
    link: usize,
    /// How likely they are to install then.
    converts: f64,
}

const APPS: usize = 3;
const LINKS_OF_APP: usize = 8;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// Monday, 2026-01-05.
const START_SECONDS: i64 = 1_767_571_200;

/// Draws a population and lets it live.
pub(super) fn live(settings: &Settings) -> History {
    let mut world = World::new(settings);
    let people = world.people();
    let touches = world.touches(&people);
    for (at, person) in people.iter().enumerate() {
        world.life(person, touches.get(&at).map_or(&[][..], |all| &all[..]));
    }
    world.programs(&people);
    world.in_order()
}

struct World<'a> {
    settings: &'a Settings,
    dice: Dice,
    ids: Ids,
    hash: VisitorHash,
    workspace: WorkspaceId,
    links: Vec<LinkId>,
    clicks: Vec<Click>,
    installs: Vec<Install>,
}

impl<'a> World<'a> {
    fn new(settings: &'a Settings) -> Self {
        let ids = Ids::seeded(settings.seed);
        let start = from_micros(START_SECONDS * 1_000_000);
        Self {
            settings,
            dice: Dice::of(settings.seed, &[0]),
            hash: VisitorHash::new(&settings.seed.to_le_bytes()),
            workspace: WorkspaceId::mint(&ids, start),
            links: (0..APPS * LINKS_OF_APP).map(|_| LinkId::mint(&ids, start)).collect(),
            ids,
            clicks: Vec::new(),
            installs: Vec::new(),
        }
    }

    fn people(&mut self) -> Vec<Person> {
        let dice = &mut self.dice;
        let mut people = Vec::new();
        let (mut household, mut office, mut seats) = (0, 0, 0);
        while people.len() < self.settings.people {
            let size = dice.pick(&[(1, 41.0), (2, 34.0), (3, 12.0), (4, 9.0), (5, 4.0)]);
            let home = dice.pick(&[(HomeLine::Own, 45.0), (HomeLine::Dual, 40.0), (HomeLine::Shared, 15.0)]);
            let language = phones::language(dice);
            for _ in 0..size {
                let works = dice.chance(0.3);
                if works && seats == 0 {
                    (office, seats) =
                        (office + 1, dice.pick(&[(2, 40.0), (5, 30.0), (12, 20.0), (40, 10.0)]));
                }
                seats -= u64::from(works);
                let phone = Phone::of(dice, language);
                let person = people.len() as u64;
                let lines = Lines {
                    person,
                    household,
                    office: works.then_some(office),
                    region: dice.below(self.settings.people / places::PEOPLE_OF_REGION as usize + 1) as u64,
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
    fn touches(&mut self, people: &[Person]) -> BTreeMap<usize, Vec<Touch>> {
        let dice = &mut self.dice;
        let mut all: BTreeMap<usize, Vec<Touch>> = BTreeMap::new();
        let span = self.settings.days as f64 * DAY;
        for at in 0..people.len() {
            for _ in 0..dice.times(0.12 * self.settings.days as f64 / 30.0) {
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

    /// Lives somebody's life: clicks, what comes of them, and installs that come of none.
    fn life(&mut self, person: &Person, touches: &[Touch]) {
        let span = self.settings.days as f64 * DAY;
        for app in 0..APPS {
            let mut touches: Vec<&Touch> = touches.iter().filter(|touch| touch.app == app).collect();
            touches.sort_by_key(|touch| touch.second);
            let popular = [0.6, 0.3, 0.1][app];
            let organic = self.dice.chance(0.05 * popular * self.settings.days as f64 / 30.0);
            // By themselves, people install at some moment or other.
            let mut install_at = organic.then(|| self.dice.between(0.0, span) as i64);
            let mut led_by = None;
            let mut own: Vec<usize> = Vec::new();
            for touch in touches {
                if install_at.is_some_and(|at| at <= touch.second) {
                    // The app is there, and opens.
                    break;
                }
                own.push(self.click(person, touch));
                if self.dice.chance(touch.converts) {
                    let at = touch.second + self.delay();
                    if install_at.is_none_or(|other| at < other) {
                        (install_at, led_by) = (Some(at), Some(own.len() - 1));
                    }
                }
            }
            let Some(second) = install_at else { continue };
            self.install(person, app, second, led_by, &own);
            // Half of those who install again are known by an id that stayed, and never decided again.
            if self.dice.chance(0.04) {
                let again = second + self.dice.magnitude(HOUR, 14.0 * DAY) as i64;
                let tokens = self.installs.last().map(|install| install.tokens.clone()).unwrap_or_default();
                self.install(person, app, again, None, &[]);
                // What the store said stays what it says.
                if let Some(install) = self.installs.last_mut() {
                    install.tokens = tokens;
                    install.tokens.retain(|(evidence, _)| *evidence == Evidence::StoreReferrer);
                }
            }
        }
    }

    /// Draws the time from a click to the first open of the app, in seconds.
    fn delay(&mut self) -> i64 {
        let dice = &mut self.dice;
        let seconds = match dice.pick(&[(0, 75.0), (1, 19.0), (2, 6.0)]) {
            0 => (40.0 + dice.wait(8.0 * MINUTE)).min(HOUR),
            1 => dice.magnitude(HOUR, DAY),
            _ => dice.magnitude(DAY, 14.0 * DAY),
        };
        seconds as i64
    }

    fn click(&mut self, person: &Person, touch: &Touch) -> usize {
        let seed = self.settings.seed;
        // Somebody who follows a link again mostly does so from the same place: the same browser.
        let mut habit = Dice::of(seed, &[30, person.lines.person, touch.app as u64, touch.link as u64]);
        let same = self.dice.chance(0.85);
        let seen = person.phone.browse(if same { &mut habit } else { &mut self.dice });
        let mut place = places::place_at(seed, &person.lines, touch.second);
        if seen.safari && person.lines.relay && place != Place::Vpn {
            place = Place::Relay;
        }
        let prefers_v6 = self.dice.chance(0.85);
        let address = places::address(seed, &person.lines, place, touch.second, prefers_v6);
        // A page that counts what it knows about its visitor sends it along.
        let hints = self.dice.chance(0.2);
        let points = Some(person.phone.points).filter(|_| hints);
        let zone = Some(person.phone.time_zone).filter(|_| hints);
        let device = Device {
            system: seen.system,
            version: seen.version,
            browser: Some(seen.pair.to_owned()),
            time_zone: zone.map(str::to_owned),
            language: Some(seen.language.to_owned()),
            screen: points,
            ..self.whereabouts(address, place)
        };
        let raw = Raw {
            address,
            pair: seen.pair,
            system: Some(seen.system.unwrap_or(System::Other)),
            version: seen.literal_version,
            // By the country of the address, without hints.
            time_zone: zone.or(Some("Europe/Berlin")),
            language: seen.language,
            screen: points,
            sdk: false,
        };
        let time = self.moment(touch.second);
        let at = self.push(touch, time, true, &seen.agent, device, raw);
        self.clicks[at].person = Some(person.lines.person);
        at
    }

    fn push(
        &mut self,
        touch: &Touch,
        time: Moment,
        human: bool,
        agent: &str,
        device: Device,
        raw: Raw,
    ) -> usize {
        let place = touch.app * LINKS_OF_APP + touch.link;
        self.clicks.push(Click {
            id: ClickId::mint_past(&self.ids, time),
            link: self.links[place],
            app: touch.app,
            window_seconds: match touch.link {
                6 => 24 * HOUR as i64,
                7 => 30 * DAY as i64,
                _ => 7 * DAY as i64,
            },
            time,
            human,
            visitor: self.hash.of(self.workspace, Some(raw.address), agent) as i64,
            device,
            raw,
            person: None,
        });
        self.clicks.len() - 1
    }

    fn install(&mut self, person: &Person, app: usize, second: i64, led_by: Option<usize>, own: &[usize]) {
        let seed = self.settings.seed;
        let mut place = places::place_at(seed, &person.lines, second);
        // Some leave their Wi-Fi between click and app, or look for one.
        if self.dice.chance(0.1) {
            place = match place {
                Place::Home | Place::Office => Place::Mobile,
                Place::Mobile => Place::Home,
                other => other,
            };
        }
        let prefers_v6 = self.dice.chance(0.8);
        let address = places::address(seed, &person.lines, place, second, prefers_v6);
        let phone = &person.phone;
        let screen = if self.dice.chance(0.5) { phone.pixels() } else { phone.points };
        let device = Device {
            system: Some(phone.system),
            version: Some(phone.major),
            browser: None,
            time_zone: Some(phone.time_zone.to_owned()),
            language: Some(phone.language.to_owned()),
            screen: Some(screen),
            ..self.whereabouts(address, place)
        };
        // Of the SDKs of LinkForty one has the user agent of a browser: on Android, in React Native.
        let web_view = phone.system == System::Android && self.dice.chance(0.2);
        let raw = Raw {
            address,
            pair: if web_view { "android|chrome" } else { "|" },
            system: Some(phone.system),
            version: Some(phone.major),
            time_zone: Some(phone.time_zone),
            language: phone.language,
            screen: Some(screen),
            sdk: !web_view,
        };
        // Two links may be tapped in any order; what was first in time comes first.
        let time = self.moment(second);
        let last = own.iter().copied().max_by_key(|at| self.clicks[*at].time);
        let own_clicks = last.into_iter().chain(led_by.map(|led| own[led])).collect();
        let tokens = led_by.map_or_else(Vec::new, |led| self.tokens(phone, own, led));
        self.installs.push(Install {
            app,
            time,
            device,
            tokens,
            raw,
            own: own_clicks,
            person: person.lines.person,
        });
    }

    /// Draws which evidence that names its click comes with an install.
    fn tokens(&mut self, phone: &Phone, own: &[usize], led: usize) -> Vec<(Evidence, usize)> {
        let dice = &mut self.dice;
        let mut tokens = Vec::new();
        // The store was reached by the click that led to the install; with some, a later one came between.
        let click = own[led];
        if phone.system == System::Android {
            if dice.chance(0.6) {
                tokens.push((Evidence::StoreReferrer, click));
            }
        } else {
            if dice.chance(0.12) {
                tokens.push((Evidence::Pasteboard, click));
            }
            if dice.chance(0.02) {
                tokens.push((Evidence::AppClip, click));
            }
        }
        if dice.chance(0.03) {
            tokens.push((Evidence::Identity, own[own.len() - 1]));
        }
        if dice.chance(0.04) {
            tokens.push((Evidence::LinkOpen, own[own.len() - 1]));
        }
        tokens
    }

    /// Draws what programs click: most say what they are, some pass for somebody at home.
    fn programs(&mut self, people: &[Person]) {
        let span = self.settings.days as f64 * DAY;
        let clicks = self.clicks.len() as f64;
        for (share, human) in [(0.1, false), (0.01, true)] {
            for _ in 0..(clicks * share) as usize {
                let second = self.dice.between(0.0, span) as i64;
                let person = &people[self.dice.below(people.len())];
                let seen = person.phone.browse(&mut self.dice);
                let place = if human { Place::Home } else { Place::DataCentre };
                let address = places::address(self.settings.seed, &person.lines, place, second, false);
                let device = Device {
                    system: seen.system,
                    version: seen.version,
                    browser: Some(seen.pair.to_owned()),
                    language: Some("en".to_owned()),
                    ..self.whereabouts(address, place)
                };
                let raw = Raw {
                    address,
                    pair: seen.pair,
                    system: seen.system,
                    version: seen.literal_version,
                    time_zone: Some("Europe/Berlin"),
                    language: "en",
                    screen: None,
                    sdk: false,
                };
                let touch = Touch {
                    second,
                    app: self.dice.below(APPS),
                    link: self.dice.below(LINKS_OF_APP),
                    converts: 0.0,
                };
                let time = self.moment(second);
                self.push(&touch, time, human, &seen.agent, device, raw);
            }
        }
    }

    /// Returns what is kept of an address. Half of the relay's addresses are known to be a relay's, which is no evidence.
    fn whereabouts(&self, address: IpAddr, place: Place) -> Device {
        let IpAddr::V4(v4) = address else { return self.kept(address) };
        if place == Place::Relay && v4.octets()[2] % 2 == 0 {
            return Device::default();
        }
        self.kept(address)
    }

    fn kept(&self, address: IpAddr) -> Device {
        let hash = self.hash.address(self.workspace, address);
        Device {
            network: network_of(address).to_vec(),
            address: Some(hash as i32).filter(|hash| *hash != 0),
            ..Device::default()
        }
    }

    fn moment(&mut self, second: i64) -> Moment {
        let micros = self.dice.below(1_000_000) as i64;
        from_micros(START_SECONDS * 1_000_000) + Duration::microseconds(second * 1_000_000 + micros)
    }

    /// Brings everything into the order of time.
    fn in_order(self) -> History {
        let mut order: Vec<usize> = (0..self.clicks.len()).collect();
        order.sort_by_key(|at| self.clicks[*at].time);
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        let mut installs = self.installs;
        for install in &mut installs {
            for own in &mut install.own {
                *own = place[*own];
            }
            for token in &mut install.tokens {
                token.1 = place[token.1];
            }
        }
        installs.sort_by_key(|install| install.time);
        let mut clicks: Vec<Option<Click>> = self.clicks.into_iter().map(Some).collect();
        let clicks = order.into_iter().filter_map(|old| clicks[old].take()).collect();
        History { clicks, installs }
    }
}
