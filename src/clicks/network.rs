//! What is kept of an address: its network, never the whole.

use std::net::IpAddr;

/// Returns the /24 of an IPv4 address in 3 bytes or the /48 of an IPv6 address in 6 bytes, or nothing for an address that
/// says nothing about where somebody is: loopback, private, link-local, shared (RFC 6598) and the like.
pub fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || a == 0
                || shared
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (b == 18 || b == 19));
            if special { Vec::new() } else { vec![a, b, c] }
        }
        IpAddr::V6(v6) => {
            let special =
                v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local();
            if special { Vec::new() } else { v6.octets()[..6].to_vec() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cut_and_special_addresses_left_out() {
        for (address, expected) in [
            ("203.0.113.7", vec![203, 0, 113]),
            ("::ffff:203.0.113.7", vec![203, 0, 113]),
            ("2001:db8:1:2:3:4:5:6", vec![0x20, 1, 0xd, 0xb8, 0, 1]),
            ("10.1.2.3", vec![]),
            ("127.0.0.1", vec![]),
            ("100.64.0.1", vec![]),
            ("100.128.0.1", vec![100, 128, 0]),
            ("198.18.0.1", vec![]),
            ("192.0.0.8", vec![]),
            ("192.0.2.8", vec![192, 0, 2]),
            ("0.0.0.0", vec![]),
            ("::1", vec![]),
            ("fd00::1", vec![]),
            ("fe80::1", vec![]),
        ] {
            assert_eq!(network_of(address.parse().expect("an address")), expected, "{address}");
        }
    }
}
