//! Where people are online, and the address they have there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dice::Dice;

/// A way to be online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The line of the household.
    Home,
    /// The line of an office.
    Office,
    /// The mobile carrier.
    Mobile,
    /// A VPN that is always on.
    Vpn,
    /// A relay of the browser, as iCloud Private Relay: the click comes from there, the app does not.
    Relay,
    /// A data centre.
    DataCentre,
}

/// The lines that somebody has.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) person: u64,
    pub(super) household: u64,
    pub(super) office: Option<u64>,
    /// Subscribers of a carrier in one part of a country have the same.
    pub(super) region: u64,
    pub(super) home: HomeLine,
    /// Whether the carrier gives IPv6.
    pub(super) mobile_v6: bool,
    pub(super) vpn: bool,
    pub(super) relay: bool,
}

/// How a household is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HomeLine {
    /// An IPv4 address of its own.
    Own,
    /// That and IPv6.
    Dual,
    /// IPv6, and an IPv4 address that some 32 households share (DS-Lite).
    Shared,
}

/// Households within reach in a /24 of addresses of their own, and in a /48: of some 250, a tenth is within reach.
const HOMES_OF_NETWORK: u64 = 25;
/// The same of a /24 whose addresses are shared.
const HOMES_OF_SHARED_NETWORK: u64 = 800;
/// Offices in a /24.
const OFFICES_OF_NETWORK: u64 = 5;
/// People within reach who share a carrier's region: two /24s for IPv4, some 64 subscribers to an address, a tenth of them within
/// reach; and four /48s.
pub(super) const PEOPLE_OF_REGION: u64 = 3200;
const HOUR: i64 = 3600;

/// Says where somebody is at a moment, in seconds since a Monday's midnight. The parts of a day have their habits, and whoever is
/// somewhere stays for that part.
pub(super) fn place_at(seed: u64, lines: &Lines, second: i64) -> Place {
    let (day, hour) = (second.div_euclid(24 * HOUR), second.rem_euclid(24 * HOUR) / HOUR);
    let part = match hour {
        0..7 => 0,
        7..9 => 1,
        9..17 => 2,
        _ => 3,
    };
    let weekday = day.rem_euclid(7) < 5;
    let mut dice = Dice::of(seed, &[1, lines.person, day as u64, part]);
    if lines.vpn {
        return Place::Vpn;
    }
    let home = match part {
        2 if weekday && lines.office.is_some() => {
            return if dice.chance(0.65) { Place::Office } else { Place::Mobile };
        }
        0 => 0.92,
        1 | 2 => 0.5,
        _ => 0.65,
    };
    if dice.chance(home) { Place::Home } else { Place::Mobile }
}

/// Returns the address somebody has at a place; `prefers_v6` says that this connection takes IPv6 where there is one.
pub(super) fn address(seed: u64, lines: &Lines, place: Place, second: i64, prefers_v6: bool) -> IpAddr {
    let roll = |what: &[u64], bound: usize| Dice::of(seed, what).below(bound) as u64;
    // A line keeps its address for a while, which began at another moment for each.
    let epoch =
        |who: u64, lasts: i64| (second + roll(&[2, who], lasts as usize) as i64).div_euclid(lasts) as u64;
    match place {
        Place::Home => {
            let household = lines.household;
            if prefers_v6 && lines.home != HomeLine::Own {
                let within = household % HOMES_OF_NETWORK;
                return v6(0x2001_0db8, household / HOMES_OF_NETWORK, within << 8);
            }
            if lines.home == HomeLine::Shared {
                let host = roll(&[3, household], 254);
                return v4(31, household / HOMES_OF_SHARED_NETWORK, host);
            }
            // One line of seven gets another address every night.
            let lasts = if roll(&[4, household], 7) == 0 { 24 * HOUR } else { 60 * 24 * HOUR };
            v4(20, household / HOMES_OF_NETWORK, roll(&[5, household, epoch(household, lasts)], 254))
        }
        Place::Office => {
            let office = lines.office.unwrap_or(lines.household);
            v4(23, office / OFFICES_OF_NETWORK, office % OFFICES_OF_NETWORK * 40)
        }
        Place::Mobile => {
            let attached = epoch(lines.person, 6 * HOUR);
            if prefers_v6 && lines.mobile_v6 {
                let network = lines.region * 4 + roll(&[6, lines.person, attached], 4);
                return v6(0x2001_0db9, network, roll(&[7, lines.person, attached], 65_536));
            }
            // Where pooling is arbitrary, every connection may get another address.
            let drawn = if lines.region.is_multiple_of(5) { second as u64 } else { attached };
            let network = lines.region * 2 + roll(&[8, lines.person, attached], 2);
            v4(37, network, roll(&[9, lines.person, drawn], 254))
        }
        Place::Vpn => {
            let exit = roll(&[10, lines.person, epoch(lines.person, 24 * HOUR)], 20);
            v4(45, exit, exit)
        }
        Place::Relay => v4(46, roll(&[11, lines.person, epoch(lines.person, HOUR)], 256), 9),
        Place::DataCentre => v4(51, roll(&[12, second as u64], 256), 9),
    }
}

/// Returns an IPv4 address: which /24 of a provider, and which of its 254.
fn v4(provider: u8, network: u64, host: u64) -> IpAddr {
    let [.., high, low] = network.to_be_bytes();
    Ipv4Addr::new(provider, high, low, host as u8 + 1).into()
}

/// Returns an IPv6 address: which /48 of a provider, and which /64 of it.
fn v6(provider: u32, network: u64, subnet: u64) -> IpAddr {
    let bits = u128::from(provider) << 96
        | u128::from(network & 0xffff) << 80
        | u128::from(subnet & 0xffff) << 64
        | 1;
    Ipv6Addr::from_bits(bits).into()
}
