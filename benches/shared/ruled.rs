//! A link with twenty rules and a visit that only the last of them fits. Shared by `micro.rs` and `choose.rs`.

use std::net::Ipv4Addr;

use linkforty::{
    clock::from_micros,
    ids::{Ids, LinkId, WorkspaceId},
    links::{Rules, Target, Urls},
    redirect::visitor::{Visit, Visitor},
};
use prost::encoding::message;

#[path = "rules.rs"]
mod rules;

/// A browser's user agent.
pub const USER_AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                              Version/18.0 Mobile/15E148 Safari/604.1";

/// Returns the link, as it is held in memory.
pub fn link() -> Target {
    let ids = Ids::seeded(1);
    // As they are stored: field 1 of a message, again and again.
    let mut stored = Vec::new();
    rules::rules(1).iter().for_each(|rule| message::encode(1, rule, &mut stored));
    let rules = Rules::load(stored);
    assert_eq!(rules.iter().count(), rules::RULES);
    Target {
        id: LinkId::mint(&ids, from_micros(0)),
        workspace_id: WorkspaceId::mint(&ids, from_micros(0)),
        destination_url: "https://www.example.com/".into(),
        addresses: Urls {
            android_url: "https://play.google.com/store/apps/details?id=com.example".to_owned(),
            ..Urls::default()
        }
        .into(),
        title: "Link".into(),
        decoration: None,
        forward_query: true,
        rules,
        extras: None,
        house: None,
        active: true,
        start_time: None,
        expire_time: None,
        max_clicks: 0,
        version: 1,
    }
}

/// Returns the visit.
pub fn visit() -> Visit<'static> {
    Visit {
        visitor: Visitor::of(USER_AGENT),
        user_agent: USER_AGENT,
        languages: "en-GB,en;q=0.9",
        referrer: "https://news.example.com/today",
        client: Some(Ipv4Addr::new(203, 0, 113, 7).into()),
        ..Visit::of_nobody()
    }
}
