//! What people do: they click, install, install again; and what programs do.

use std::net::IpAddr;

use chrono::Duration;

use super::{
    Settings,
    dice::Dice,
    history::{Click, History, Install, Raw},
    people::{self, APPS, DAY, HOUR, LINKS_OF_APP, MINUTE, Person, Touch},
    phones::Phone,
    places::{self, Place},
};
use crate::{
    attribution::decide::{Device, Evidence, System},
    clicks::{VisitorHash, network_of},
    clock::{Moment, from_micros},
    ids::{ClickId, Ids, LinkId, WorkspaceId},
};

/// Monday, 2026-01-05.
const START_SECONDS: i64 = 1_767_571_200;

/// Draws a population and lets it live.
pub(super) fn live(settings: &Settings) -> History {
    let mut world = World::new(settings);
    let people = people::draw(settings, &mut world.dice);
    let touches = people::touches(settings, &mut world.dice, &people);
    for (at, person) in people.iter().enumerate() {
        world.life(person, touches.get(&at).map_or(&[][..], |all| &all[..]));
    }
    world.programs(&people);
    History::of(world.clicks, world.installs)
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

    /// Lives somebody's life: clicks, what comes of them, and installs that come of none.
    fn life(&mut self, person: &Person, touches: &[Touch]) {
        let span = f64::from(self.settings.days) * DAY;
        for app in 0..APPS {
            let mut touches: Vec<&Touch> = touches.iter().filter(|touch| touch.app == app).collect();
            touches.sort_by_key(|touch| touch.second);
            let popular = [0.6, 0.3, 0.1][app];
            let organic = self.dice.chance(0.05 * popular * f64::from(self.settings.days) / 30.0);
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
        let shown = person.phone.browse(if same { &mut habit } else { &mut self.dice });
        let mut place = places::place_at(seed, &person.lines, touch.second);
        if shown.safari && person.lines.relay && place != Place::Vpn {
            place = Place::Relay;
        }
        let prefers_v6 = self.dice.chance(0.85);
        let address = places::address(seed, &person.lines, place, touch.second, prefers_v6);
        // A page that counts what it knows about its visitor sends it along.
        let hints = self.dice.chance(0.2);
        let points = Some(person.phone.points).filter(|_| hints);
        let zone = Some(person.phone.time_zone).filter(|_| hints);
        let device = Device {
            system: shown.system,
            version: shown.version,
            browser: Some(shown.pair.to_owned()),
            time_zone: zone.map(str::to_owned),
            language: Some(shown.language.to_owned()),
            screen: points,
            ..self.whereabouts(address, place)
        };
        let raw = Raw {
            address,
            pair: shown.pair,
            system: Some(shown.system.unwrap_or(System::Other)),
            version: shown.literal_version,
            // By the country of the address, without hints.
            time_zone: zone.or(Some("Europe/Berlin")),
            language: shown.language,
            screen: points,
            sdk: false,
        };
        let time = self.moment(touch.second);
        let at = self.push(touch, time, true, &shown.agent, device, raw);
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
        let span = f64::from(self.settings.days) * DAY;
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
        if place == Place::Relay && v4.octets()[2].is_multiple_of(2) {
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
}
