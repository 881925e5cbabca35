//! Says on which hosts an app stands in the files. Pure.
//!
//! On a host of the workspace all of its links are its own, so its apps may open them. The server's own host has links of every
//! workspace, and an app that stands in its file opens all of them: only the operator can say whose apps those are.

use crate::pb::v1;

/// Where the apps of a workspace can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host of links that all workspaces share.
    pub own_host: String,
    /// Whether the operator lets the workspace's apps open links there.
    pub apps_allowed: bool,
    /// Whether the operator has the workspace suspended.
    pub suspended: bool,
    /// The workspace's own hosts.
    pub domains: Vec<String>,
}

/// How an app stands on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is in the host's files.
    Listed,
    /// The host is neither the workspace's nor the server's own.
    HostUnknown,
    /// The app names other hosts.
    HostNotNamed,
    /// It is the server's own host, where the workspace's apps may not be.
    HostNotAllowed,
    /// The workspace is suspended.
    Suspended,
}

impl Place {
    /// Says whether a host can be named by the workspace's apps.
    pub fn knows(&self, host: &str) -> bool {
        host == self.own_host || self.domains.iter().any(|domain| domain == host)
    }

    /// Says how an app of the workspace stands on a host.
    pub fn standing(&self, app: &v1::App, host: &str) -> Standing {
        if !self.knows(host) {
            return Standing::HostUnknown;
        }
        if self.suspended {
            return Standing::Suspended;
        }
        if !names(app, host) {
            return Standing::HostNotNamed;
        }
        if host == self.own_host && !self.apps_allowed {
            return Standing::HostNotAllowed;
        }
        Standing::Listed
    }

    /// Returns the hosts in whose files an app of the workspace stands, sorted.
    pub fn served(&self, app: &v1::App) -> Vec<String> {
        let hosts = self.domains.iter().chain([&self.own_host]);
        let mut served: Vec<String> =
            hosts.filter(|host| self.standing(app, host) == Standing::Listed).cloned().collect();
        served.sort_unstable();
        served.dedup();
        served
    }
}

/// Says whether an app is meant for a host: it names this one, or none.
pub fn names(app: &v1::App, host: &str) -> bool {
    app.hosts.is_empty() || app.hosts.iter().any(|named| named == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_stands_on_its_workspace_s_hosts_and_on_ours_with_leave() {
        use Standing::{HostNotAllowed, HostNotNamed, HostUnknown, Listed, Suspended};
        let place = |apps_allowed, suspended| Place {
            own_host: "go.example".into(),
            apps_allowed,
            suspended,
            domains: vec!["b.example".into(), "a.example".into()],
        };
        let naming = |hosts: &[&str]| v1::App {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..v1::App::default()
        };
        let all = ["a.example", "b.example", "go.example", "other.example"];
        for (apps_allowed, suspended, hosts, standings) in [
            (true, false, &[][..], [Listed, Listed, Listed, HostUnknown]),
            (false, false, &[], [Listed, Listed, HostNotAllowed, HostUnknown]),
            (true, true, &[], [Suspended, Suspended, Suspended, HostUnknown]),
            (true, false, &["a.example"], [Listed, HostNotNamed, HostNotNamed, HostUnknown]),
            (false, false, &["go.example"], [HostNotNamed, HostNotNamed, HostNotAllowed, HostUnknown]),
            (true, false, &["other.example"], [HostNotNamed, HostNotNamed, HostNotNamed, HostUnknown]),
        ] {
            let (place, app) = (place(apps_allowed, suspended), naming(hosts));
            assert_eq!(all.map(|host| place.standing(&app, host)), standings, "{hosts:?}");
            let listed = all.iter().zip(standings).filter(|(_, standing)| *standing == Listed);
            let listed: Vec<&str> = listed.map(|(host, _)| *host).collect();
            assert_eq!(place.served(&app), listed, "{hosts:?}");
        }
    }
}
