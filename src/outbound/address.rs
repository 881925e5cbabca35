//! Which addresses a stranger's URL may lead to: those on the public internet, and what the operator allows. Pure.
//!
//! The lists are IANA's registries of special-purpose addresses (IPv4 and IPv6), besides addresses at which clouds hand out
//! credentials. Of IPv6 only what is given out as global unicast (2000::/3) can be public. An IPv4 address inside an IPv6 one is
//! judged as itself, for somebody on the way may take it out again.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is thought of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is on the public internet.
    Public,
    /// It is not, but the operator allows it.
    Allowed,
    /// It must not be called.
    Refused(Special),
}

impl Verdict {
    /// Says whether the address may be called.
    pub const fn permits(self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why an address is not on the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// "This host", which the kernel takes for loopback.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// A private network, unique local addresses included.
    Private,
    /// Shared by the customers of a provider (carrier-grade NAT).
    Shared,
    /// Valid on one link only, site-local addresses included.
    LinkLocal,
    /// Where a cloud tells its machines their credentials.
    Metadata,
    /// Many receivers, broadcast included.
    Multicast,
    /// For examples in texts.
    Documentation,
    /// For measurements in laboratories.
    Benchmarking,
    /// Set aside for protocols, or given to nobody.
    Reserved,
    /// Translated or tunnelled to an IPv4 address that nobody outside the operator's network can know.
    Transition,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "an address in a private network",
            Self::Shared => "an address in a provider's shared network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata",
            Self::Multicast => "a multicast or broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Reserved => "a reserved address",
            Self::Transition => "an address of a transition mechanism",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// The first two groups decide nearly all of them.
const fn v6(groups: [u16; 4], length: u8) -> Ipv6Net {
    let [a, b, c, d] = groups;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// The first network that holds an address names it.
const V4: &[(Ipv4Net, Special)] = &[
    (v4(169, 254, 169, 254, 32), Special::Metadata), // AWS, Google, Azure, Oracle and others
    (v4(100, 100, 100, 200, 32), Special::Metadata), // Alibaba
    (v4(192, 0, 0, 192, 32), Special::Metadata),     // Oracle, of old
    (v4(168, 63, 129, 16, 32), Special::Metadata),   // Azure, in public space
    (v4(0, 0, 0, 0, 8), Special::Unspecified),       // RFC 1122 3.2.1.3
    (v4(10, 0, 0, 0, 8), Special::Private),          // RFC 1918
    (v4(100, 64, 0, 0, 10), Special::Shared),        // RFC 6598
    (v4(127, 0, 0, 0, 8), Special::Loopback),        // RFC 1122 3.2.1.3
    (v4(169, 254, 0, 0, 16), Special::LinkLocal),    // RFC 3927
    (v4(172, 16, 0, 0, 12), Special::Private),       // RFC 1918
    (v4(192, 0, 0, 0, 24), Special::Reserved),       // RFC 6890 2.1: protocol assignments
    (v4(192, 0, 2, 0, 24), Special::Documentation),  // RFC 5737
    (v4(192, 31, 196, 0, 24), Special::Reserved),    // RFC 7535: AS112
    (v4(192, 52, 193, 0, 24), Special::Reserved),    // RFC 7450: multicast tunnels
    (v4(192, 88, 99, 0, 24), Special::Transition),   // RFC 7526: 6to4 relays
    (v4(192, 168, 0, 0, 16), Special::Private),      // RFC 1918
    (v4(192, 175, 48, 0, 24), Special::Reserved),    // RFC 7534: AS112
    (v4(198, 18, 0, 0, 15), Special::Benchmarking),  // RFC 2544
    (v4(198, 51, 100, 0, 24), Special::Documentation), // RFC 5737
    (v4(203, 0, 113, 0, 24), Special::Documentation), // RFC 5737
    (v4(224, 0, 0, 0, 4), Special::Multicast),       // RFC 5771
    (v4(255, 255, 255, 255, 32), Special::Multicast), // RFC 919: broadcast
    (v4(240, 0, 0, 0, 4), Special::Reserved),        // RFC 1112 4
];

/// As above. What lies outside 2000::/3 and in none of these is reserved: discard (RFC 6666), dummy (RFC 9780), segment routing
/// (RFC 9602) and all that was never given out.
const V6: &[(Ipv6Net, Special)] = &[
    (Ipv6Net::new_assert(AWS, 128), Special::Metadata),
    (Ipv6Net::new_assert(GOOGLE, 128), Special::Metadata),
    (v6([0x2001, 0, 0, 0], 32), Special::Transition), // RFC 4380: Teredo
    (v6([0x2001, 2, 0, 0], 48), Special::Benchmarking), // RFC 5180
    (v6([0x2001, 0xdb8, 0, 0], 32), Special::Documentation), // RFC 3849
    (v6([0x2001, 0, 0, 0], 23), Special::Reserved), // RFC 2928: protocol assignments, ORCHID (RFC 4843, 7343)
    (v6([0x2620, 0x4f, 0x8000, 0], 48), Special::Reserved), // RFC 7534: AS112
    (v6([0x3fff, 0, 0, 0], 20), Special::Documentation), // RFC 9637
    (v6([0xfc00, 0, 0, 0], 7), Special::Private),   // RFC 4193
    (v6([0xfe80, 0, 0, 0], 10), Special::LinkLocal), // RFC 4291 2.5.6
    (v6([0xfec0, 0, 0, 0], 10), Special::LinkLocal), // RFC 3879: site-local
    (v6([0xff00, 0, 0, 0], 8), Special::Multicast), // RFC 4291 2.7
];
const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
/// RFC 4291 2.5.4.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// Judges an address. `allow` are the operator's networks; a mapped address counts as the IPv4 address it is.
pub fn verdict(address: IpAddr, allow: &[IpNet]) -> Verdict {
    let address = address.to_canonical();
    let special = match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    };
    match special {
        None => Verdict::Public,
        Some(_) if allow.iter().any(|network| network.contains(&address)) => Verdict::Allowed,
        Some(special) => Verdict::Refused(special),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, special)| *special)
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let groups = address.segments();
    // The IPv4 address that stands in two groups.
    let inner = |at: usize| Ipv4Addr::from(u32::from(groups[at]) << 16 | u32::from(groups[at + 1]));
    let transition = |inner: Ipv4Addr| special_v4(inner).unwrap_or(Special::Transition);
    match groups {
        // RFC 4291 2.5.2, 2.5.3, and 2.5.5.1 (IPv4-compatible, deprecated).
        [0, 0, 0, 0, 0, 0, ..] => Some(match address {
            Ipv6Addr::UNSPECIFIED => Special::Unspecified,
            Ipv6Addr::LOCALHOST => Special::Loopback,
            _ => transition(inner(6)),
        }),
        // RFC 6052: NAT64. In a network without IPv4 this is how all of IPv4 is reached.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => special_v4(inner(6)),
        // RFC 8215: NAT64 of the operator's own, who alone knows where in it the IPv4 address stands.
        [0x64, 0xff9b, 1, ..] => Some(transition(inner(6))),
        // RFC 3056, RFC 7526: 6to4, deprecated.
        [0x2002, ..] => Some(transition(inner(1))),
        _ => V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, special)| *special)
            // RFC 5214: ISATAP, a tunnel to the IPv4 address in its last half.
            .or_else(|| matches!(groups[4..6], [0 | 0x200, 0x5efe]).then(|| transition(inner(6))))
            .or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some(Special::Reserved)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, allow: &[&str]) -> Verdict {
        let allow: Vec<IpNet> =
            allow.iter().map(|network| network.parse().expect("the test's own network")).collect();
        verdict(address.parse().unwrap_or_else(|_| panic!("{address} is no address")), &allow)
    }

    #[test]
    fn special_addresses_are_refused_to_their_last_one_and_no_further() {
        use Special::{
            Benchmarking, Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, Shared,
            Transition, Unspecified,
        };
        // First and last address of each block, and their neighbours where those are public.
        for (special, refused, public) in [
            (Unspecified, &["0.0.0.0", "0.255.255.255", "::"][..], &["1.0.0.0"][..]),
            (Private, &["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0"]),
            (Shared, &["100.64.0.0", "100.127.255.255"], &["100.63.255.255", "100.128.0.0"]),
            (Loopback, &["127.0.0.0", "127.255.255.255", "::1"], &["126.255.255.255", "128.0.0.0"]),
            (LinkLocal, &["169.254.0.0", "169.254.255.255"], &["169.253.255.255", "169.255.0.0"]),
            (Private, &["172.16.0.0", "172.31.255.255"], &["172.15.255.255", "172.32.0.0"]),
            (Reserved, &["192.0.0.0", "192.0.0.255"], &["191.255.255.255", "192.0.1.0"]),
            (Documentation, &["192.0.2.0", "192.0.2.255"], &["192.0.1.255", "192.0.3.0"]),
            (Reserved, &["192.31.196.0", "192.31.196.255"], &["192.31.195.255", "192.31.197.0"]),
            (Reserved, &["192.52.193.0", "192.52.193.255"], &["192.52.192.255", "192.52.194.0"]),
            (Transition, &["192.88.99.0", "192.88.99.255"], &["192.88.98.255", "192.88.100.0"]),
            (Private, &["192.168.0.0", "192.168.255.255"], &["192.167.255.255", "192.169.0.0"]),
            (Reserved, &["192.175.48.0", "192.175.48.255"], &["192.175.47.255", "192.175.49.0"]),
            (Benchmarking, &["198.18.0.0", "198.19.255.255"], &["198.17.255.255", "198.20.0.0"]),
            (Documentation, &["198.51.100.0", "198.51.100.255"], &["198.51.99.255", "198.51.101.0"]),
            (Documentation, &["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"]),
            (Multicast, &["224.0.0.0", "239.255.255.255", "255.255.255.255"], &["223.255.255.255"]),
            (Reserved, &["240.0.0.0", "255.255.255.254"], &[]),
            (
                Metadata,
                &["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"],
                &["168.63.129.15", "168.63.129.17"],
            ),
            (Metadata, &["fd20:ce::254"], &[]),
            (
                Reserved,
                &["100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::", "200::", "4000::", "1fff::"],
                &[],
            ),
            (Transition, &["2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"], &["2000:ffff::1"]),
            (Benchmarking, &["2001:2::", "2001:2:0:ffff::1"], &[]),
            (
                Reserved,
                &["2001:3::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::1"],
                &["2001:200::1"],
            ),
            (Documentation, &["2001:db8::", "2001:db8:ffff::1"], &["2001:db7::1", "2001:db9::1"]),
            (Reserved, &["2620:4f:8000::1"], &["2620:4f:7fff::1", "2620:4f:8001::1"]),
            (Documentation, &["3fff::1", "3fff:fff::1"], &["3ffe::1", "3fff:1000::1"]),
            (Reserved, &["5f00::1", "64:ff9b:2::1", "64:ff9a::1", "fe00::1", "e000::1"], &[]),
            (Private, &["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &[]),
            (LinkLocal, &["fe80::1", "febf::1", "fec0::1", "feff::1"], &[]),
            (Multicast, &["ff00::", "ff02::1", "ffff::1"], &[]),
        ] {
            for address in refused {
                assert_eq!(judge(address, &[]), Verdict::Refused(special), "{address}");
            }
            for address in public {
                assert_eq!(judge(address, &[]), Verdict::Public, "{address}");
            }
        }
        for address in ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::200e", "2400:cb00::1"]
        {
            assert_eq!(judge(address, &[]), Verdict::Public, "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_is_found_in_every_disguise() {
        use Special::{Loopback, Metadata, Private, Transition};
        for (form, inner, outer) in [
            ("::ffff:", "mapped", None),
            ("64:ff9b::", "NAT64", None),
            ("64:ff9b:1::", "NAT64 of the operator's own", Some(Transition)),
            ("::", "compatible", Some(Transition)),
            ("2a00:1450::5efe:", "ISATAP", Some(Transition)),
            ("2a00:1450::200:5efe:", "ISATAP", Some(Transition)),
        ] {
            for (address, special) in [
                ("127.0.0.1", Some(Loopback)),
                ("10.1.2.3", Some(Private)),
                ("169.254.169.254", Some(Metadata)),
                ("8.8.8.8", outer),
            ] {
                let written = format!("{form}{address}");
                let expected = special.map_or(Verdict::Public, Verdict::Refused);
                assert_eq!(judge(&written, &[]), expected, "{written}: {inner}");
            }
        }
        for (address, special) in [
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2002:c0a8:101::1", Private),
            ("2002:808:808::1", Transition),
            ("2001:0:7f00:1::80ff:fffe", Transition),
        ] {
            assert_eq!(judge(address, &[]), Verdict::Refused(special), "{address}");
        }
    }

    #[test]
    fn the_operator_allows_what_they_name_and_nothing_else() {
        let refused = Verdict::Refused;
        for (address, allow, expected) in [
            ("10.1.2.3", &["10.1.0.0/16"][..], Verdict::Allowed),
            ("::ffff:10.1.2.3", &["10.1.0.0/16"], Verdict::Allowed),
            ("10.2.2.3", &["10.1.0.0/16"], refused(Special::Private)),
            ("64:ff9b::10.1.2.3", &["10.1.0.0/16"], refused(Special::Private)),
            ("64:ff9b::10.1.2.3", &["64:ff9b::/96"], Verdict::Allowed),
            ("2002:a01:203::1", &["10.1.0.0/16"], refused(Special::Private)),
            ("127.0.0.2", &["127.0.0.2/32"], Verdict::Allowed),
            ("127.0.0.3", &["127.0.0.2/32"], refused(Special::Loopback)),
            ("169.254.169.254", &["10.0.0.0/8"], refused(Special::Metadata)),
            ("fd12::1", &["fd12::/16"], Verdict::Allowed),
            ("8.8.8.8", &["10.0.0.0/8"], Verdict::Public),
        ] {
            assert_eq!(judge(address, allow), expected, "{address} with {allow:?}");
        }
    }
}
