//! The twenty rules of the links that are measured: nineteen look at something else of the visit each and do not fit, the last
//! does. Shared by `seed.rs`, `micro.rs` and `choose.rs`.

use linkforty::pb::v1::{
    DateCondition, LanguageCondition, NetworkCondition, Platform, PlatformCondition, QueryCondition,
    ReferrerCondition, RoutingCondition, RoutingRule, routing_condition::Condition, routing_rule::Action,
};

/// How many there are.
pub const RULES: usize = 20;

/// Returns the rules of a link. The last sends every iPhone to a URL of 86 bytes, as long as the null server's.
pub fn rules(number: usize) -> Vec<RoutingRule> {
    let mut rules: Vec<RoutingRule> = (0..RULES - 1).map(other).collect();
    let iphones = Condition::Platforms(PlatformCondition { platforms: vec![Platform::Ios.into()] });
    rules.push(rule(
        format!(
            "https://www.example.com/collections/{number:06}?utm_source=mail&utm_campaign=spring-2026-01"
        ),
        vec![iphones],
    ));
    rules
}

/// A rule for visitors that nobody sends.
fn other(place: usize) -> RoutingRule {
    let url = format!("https://www.example.com/elsewhere/{place}");
    let condition = match place % 6 {
        0 => Condition::Languages(LanguageCondition {
            languages: vec!["de".into(), "fr".into()],
            ..LanguageCondition::default()
        }),
        1 => Condition::Query(QueryCondition { name: "promo".into(), value: Some(place.to_string()) }),
        2 => Condition::Referrers(ReferrerCondition { hosts: vec!["shop.example.org".into()] }),
        3 => Condition::Networks(NetworkCondition { networks: vec!["198.51.100.0/24".into()] }),
        4 => Condition::Dates(DateCondition {
            start_time: None,
            end_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        }),
        _ => Condition::Platforms(PlatformCondition { platforms: vec![Platform::Android.into()] }),
    };
    // English first: it holds, so that the second is looked at too.
    let english = Condition::Languages(LanguageCondition {
        languages: vec!["en".into()],
        ..LanguageCondition::default()
    });
    rule(url, vec![english, condition])
}

fn rule(url: String, conditions: Vec<Condition>) -> RoutingRule {
    RoutingRule {
        conditions: conditions
            .into_iter()
            .map(|condition| RoutingCondition { condition: Some(condition) })
            .collect(),
        action: Some(Action::Url(url)),
        ..RoutingRule::default()
    }
}
