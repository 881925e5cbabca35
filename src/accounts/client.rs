//! Where a call comes from, as far as sessions and the throttle care.

use std::net::IpAddr;

use tonic::Request;

use crate::rpc::ClientAddress;

const MAX_USER_AGENT_CHARACTERS: usize = 256;

/// The program that calls and where it is. Nothing is known of the operator at the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls itself: bounded, without control characters.
    pub user_agent: String,
}

impl Client {
    /// Returns who sent a request.
    pub fn of<T>(request: &Request<T>) -> Self {
        let address = request.extensions().get::<ClientAddress>().map(|client| client.0);
        let user_agent = request.metadata().get("user-agent").and_then(|value| value.to_str().ok());
        Self { address, user_agent: bounded(user_agent.unwrap_or_default()) }
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
