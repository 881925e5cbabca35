//! Whose app calls, as far as that is known without asking anybody: limits and fairness go by it. Who it is for the call itself the room finds
//! out.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::header::AUTHORIZATION;

use super::{ClientAddress, network_of};
use crate::{
    admission::Party,
    apps::tokens,
    domains::{Site, Sites},
    env::Env,
    rpc::bearer,
};

/// What the layer needs.
#[derive(Clone)]
pub(in crate::serve) struct Apps {
    pub env: Arc<Env>,
    pub sites: Sites,
}

/// Whose app calls. In the extensions of every call of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfApp {
    /// Whose work it is.
    pub party: Party,
    /// What the app's copies behind one address share a limit by.
    pub key: String,
}

/// Puts [`OfApp`] into the extensions.
pub(super) async fn find(State(apps): State<Apps>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let network = parts.extensions.get::<ClientAddress>().map(|client| network_of(client.0));
    let token = parts.headers.get(AUTHORIZATION).and_then(bearer).filter(|token| tokens::is_token(token));
    let whose = match token {
        Some(token) => tokens::known(&apps.env, token).map_or(Whose::Stranger, |holder| {
            Whose::App(holder.app.0.as_u128(), holder.workspace.0.as_u128())
        }),
        None => match apps.sites.of(&parts) {
            Site::Of(domain) => Whose::Workspace(domain.workspace_id.0.as_u128()),
            Site::Own | Site::Unknown | Site::Away => Whose::Workspace(0),
        },
    };
    parts.extensions.insert(of(whose, network));
    next.run(Request::from_parts(parts, body)).await
}

#[derive(Debug, Clone, Copy)]
enum Whose {
    /// An app's, and its workspace's.
    App(u128, u128),
    /// A workspace's, by the host; 0 for the server's own.
    Workspace(u128),
    /// A token that nobody here has seen lately: a new one, or a guess. Guesses are those of their network.
    Stranger,
}

fn of(whose: Whose, network: Option<IpAddr>) -> OfApp {
    let from = network.map_or_else(String::new, |network| network.to_string());
    match whose {
        Whose::App(app, workspace) => OfApp { party: Party(workspace), key: format!("{app:032x}:{from}") },
        Whose::Workspace(workspace) => {
            OfApp { party: Party(workspace), key: format!("{workspace:032x}:{from}") }
        }
        Whose::Stranger => OfApp { party: network.map_or(Party(0), Party::from), key: from },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_behind_one_address_share_and_guesses_are_their_networks() {
        let here: Option<IpAddr> = Some("198.51.100.7".parse().expect("an address"));
        let there: Option<IpAddr> = Some("2001:db8::".parse().expect("an address"));
        let app = of(Whose::App(7, 1), here);
        assert_eq!(app, of(Whose::App(7, 1), here));
        assert_ne!(app.key, of(Whose::App(7, 1), there).key);
        assert_ne!(app.key, of(Whose::App(8, 1), here).key);
        assert_eq!(app.party, of(Whose::App(8, 1), there).party, "apps of a workspace share its turns");
        assert_eq!(of(Whose::Workspace(1), here).party, app.party);
        assert_ne!(of(Whose::Stranger, here).party, of(Whose::Stranger, there).party);
        assert_eq!(of(Whose::Stranger, here).key, "198.51.100.7");
    }
}
