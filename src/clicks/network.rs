//! What is kept of an address: its network, never the whole.

use std::{net::IpAddr, ops::Deref};

use crate::geo::is_somewhere;

/// The network of an address: 3 bytes, 6, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    bytes: [u8; 6],
    length: u8,
}

impl Deref for Network {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Returns the /24 of an IPv4 address in 3 bytes or the /48 of an IPv6 address in 6 bytes, or nothing for an address that
/// says nothing about where somebody is.
pub fn network_of(address: IpAddr) -> Network {
    match address.to_canonical() {
        _ if !is_somewhere(address) => Network::default(),
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Network { bytes: [a, b, c, 0, 0, 0], length: 3 }
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, ..] = v6.octets();
            Network { bytes: [a, b, c, d, e, f], length: 6 }
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
            assert_eq!(network_of(address.parse().expect("an address")).to_vec(), expected, "{address}");
        }
    }
}
