//! Where a request really comes from.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use ipnet::IpNet;

use crate::env::Env;

pub(in crate::serve) use crate::rpc::ClientAddress;

/// Puts the client's address into the extensions.
pub(super) async fn find(State(env): State<Arc<Env>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let address = client_address(peer.ip(), request.headers(), &env.config.trusted_proxies);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// Returns the client's address: the peer's, unless the peer is a proxy that we trust. Then it is the last entry of
/// `X-Forwarded-For` that no trusted proxy of ours wrote about another one: entries further left are the client's own words.
pub(in crate::serve) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    // Several headers are one list, in their order.
    let values = headers.get_all("x-forwarded-for");
    let lists: Vec<&str> = values.iter().map(|value| value.to_str().unwrap_or("?")).collect();
    for entry in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
        // Something that is no address was not written by a proxy of ours: stop at what is known.
        let Some(address) = parse(entry.trim()) else { break };
        client = address;
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

/// Says whether an address is that of a trusted proxy.
pub(in crate::serve) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// Reads an address, with or without a port; some proxies add it.
fn parse(entry: &str) -> Option<IpAddr> {
    entry
        .parse::<IpAddr>()
        .or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| entry.trim_start_matches('[').trim_end_matches(']').parse::<Ipv6Addr>().map(IpAddr::V6))
        .ok()
        .map(|address| address.to_canonical())
}

/// Returns what limits go by: an IPv4 address, or the /64 of an IPv6 address.
pub(in crate::serve) fn network_of(address: IpAddr) -> IpAddr {
    ClientAddress(address).network()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_from_the_right() {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().expect("a network")).collect();
        for (peer, headers, expected) in [
            // Nobody in between.
            ("203.0.113.5", &[][..], "203.0.113.5"),
            // A client that claims to be somebody else.
            ("203.0.113.5", &["1.2.3.4"], "203.0.113.5"),
            // One proxy.
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            // The client wrote something in front of what the proxy added.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            // Two proxies.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            // A call from inside.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Nonsense stops the reading.
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["\u{e9}"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // Ports, brackets, mapped addresses.
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut map = HeaderMap::new();
            for header in headers {
                let value = HeaderValue::from_bytes(header.as_bytes()).expect("visible characters");
                map.append("x-forwarded-for", value);
            }
            let peer: IpAddr = peer.parse().expect("an address");
            let expected: IpAddr = expected.parse().expect("an address");
            assert_eq!(client_address(peer, &map, &trusted), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn limits_go_by_household() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("198.51.100.7"), "198.51.100.7");
        assert_eq!(network("::ffff:198.51.100.7"), "198.51.100.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
