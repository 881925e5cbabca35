//! Where a call comes from, as far as sessions and the throttle care.

use std::{net::IpAddr, sync::Arc};

use tonic::Request;

use crate::{
    rpc::{self, ClientAddress},
    trail::{Actor, Origin, Who},
};

const MAX_USER_AGENT_CHARACTERS: usize = 256;

/// The program that calls and where it is. Nothing is known of the operator at the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls itself: bounded, without control characters.
    pub user_agent: String,
    /// The id that the log lines of the call carry.
    pub request_id: Option<Arc<str>>,
}

impl Client {
    /// Returns who sent a request.
    pub fn of<T>(request: &Request<T>) -> Self {
        let Origin { address, request_id } = rpc::origin(request.metadata().as_ref(), request.extensions());
        let user_agent = request.metadata().get("user-agent").and_then(|value| value.to_str().ok());
        Self { address, user_agent: bounded(user_agent.unwrap_or_default()), request_id }
    }

    /// Returns who does something from there, as the audit trail has it.
    pub fn actor(&self, who: Who) -> Actor {
        Actor { who, origin: Origin { address: self.address, request_id: self.request_id.clone() } }
    }

    /// Returns the household it is in: the address, of IPv6 its /64.
    pub fn network(&self) -> Option<IpAddr> {
        self.address.map(|address| ClientAddress(address).network())
    }

    /// Returns the address as it is stored and told; empty when nothing is known.
    pub fn address_text(&self) -> String {
        self.address.map(|address| address.to_string()).unwrap_or_default()
    }
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_calls_itself_is_bounded() {
        assert_eq!(bounded("curl/8\t\u{7f}"), "curl/8");
        assert_eq!(bounded(&"ü".repeat(300)).chars().count(), 256);
    }
}
