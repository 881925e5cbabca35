//! Networks behind which so many people are that an address says nothing of one of them: relays, carriers' gateways, data centres.
//!
//! Their owners publish them (Apple's relay as `egress-ip-ranges.csv`); `SHARED_NETWORKS_FILE` names a file of them, one network at the
//! beginning of each line. It is read anew when it changes.

use std::{fs, net::IpAddr, path::Path, sync::Arc, time::SystemTime};

use arc_swap::ArcSwapOption;
use ipnet::IpNet;

use crate::env::Env;

/// The networks, as the file last said.
#[derive(Debug, Default)]
struct Known(ArcSwapOption<Networks>);

#[derive(Debug)]
struct Networks {
    /// The first and the last address of each, in order, none of them inside another.
    ranges: Vec<(IpAddr, IpAddr)>,
    changed: Option<SystemTime>,
}

/// Says whether an address is one that too many share.
pub fn is_shared(env: &Env, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let known = env.memory.of(Known::default);
    let networks = known.0.load();
    networks.as_ref().is_some_and(|networks| {
        let after = networks.ranges.partition_point(|(first, _)| *first <= address);
        after > 0 && address <= networks.ranges[after - 1].1
    })
}

/// Reads the file if it has changed. What cannot be read leaves things as they were.
pub fn refresh(env: &Env) {
    let Some(file) = &env.config.shared_networks_file else { return };
    let known = env.memory.of(Known::default);
    let changed = fs::metadata(file).and_then(|found| found.modified()).ok();
    if known.0.load().as_ref().is_some_and(|networks| networks.changed == changed) {
        return;
    }
    match read(file) {
        Ok((ranges, unreadable)) => {
            tracing::info!(networks = ranges.len(), unreadable, "read the networks that many share");
            known.0.store(Some(Arc::new(Networks { ranges, changed })));
        }
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "cannot read the networks that many share (SHARED_NETWORKS_FILE)");
        }
    }
}

/// Returns the networks of a file, and how many lines hold none.
fn read(file: &Path) -> std::io::Result<(Vec<(IpAddr, IpAddr)>, usize)> {
    Ok(parse(&fs::read_to_string(file)?))
}

fn parse(text: &str) -> (Vec<(IpAddr, IpAddr)>, usize) {
    let (mut ranges, mut unreadable) = (Vec::new(), 0);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let first = line.split([',', ' ', '\t']).next().unwrap_or_default();
        match first.parse::<IpNet>().or_else(|_| first.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => ranges.push((network.network(), network.broadcast())),
            Err(_) => unreadable += 1,
        }
    }
    ranges.sort_unstable();
    // Ranges of networks are inside of each other or apart.
    let mut apart: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if apart.last().is_none_or(|last| range.0 > last.1) {
            apart.push(range);
        } else if let Some(last) = apart.last_mut() {
            last.1 = last.1.max(range.1);
        }
    }
    (apart, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_networks_is_read_line_by_line() {
        let (ranges, unreadable) = parse(
            "# relays\n172.224.224.0/27,US,US-CA,LA,\n172.224.224.8/31\n2a02:26f7:b000::/64\tx\n\n203.0.113.9\nnonsense\n",
        );
        let text: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        assert_eq!(
            text,
            [
                "172.224.224.0-172.224.224.31",
                "203.0.113.9-203.0.113.9",
                "2a02:26f7:b000::-2a02:26f7:b000:0:ffff:ffff:ffff:ffff"
            ]
        );
        assert_eq!(unreadable, 1);
    }
}
