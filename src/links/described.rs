//! Visitors who are described instead of met: read from what clients send and from what is stored. Pure.

use std::net::IpAddr;

use http::uri::PathAndQuery;

use super::{Target, routing::check_text};
use crate::{
    clock::Moment,
    error::Violations,
    geo::{Country, Geo, Region, Regions},
    pb::v1,
};

const MAX_AGENT: usize = 1024;
const MAX_LANGUAGES: usize = 1024;
const MAX_REFERRER: usize = 2048;
const MAX_QUERY: usize = 4096;
const MAX_CITY: usize = 100;
const NO_REGION: &str = "must be a region of ISO 3166-2 such as US-CA";

/// Says what becomes of a described visit to a link at a moment. The room `redirect` decides, and knows this one; `serve` hands its
/// decision in here.
pub type Decide = fn(&Geo, &Target, &Described, Moment, Detail) -> v1::Resolution;

/// How much is told of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What becomes of the visit.
    Outcome,
    /// That, and why: every step and every rule.
    Reasons,
}

/// Whether the routing tests of a link must hold after a change.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// What runs them; `None`: nobody does.
    pub decide: Option<Decide>,
    /// What the paths of violations begin with: empty, or ending in a dot.
    pub path: &'static str,
}

/// A visitor, described.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The User-Agent header.
    pub user_agent: String,
    /// The Accept-Language header.
    pub languages: String,
    /// The Referer header.
    pub referrer: String,
    /// The query of the short URL.
    pub query: String,
    /// Where the visitor calls from.
    pub client: Option<IpAddr>,
    /// Where that is; `None`: the address tells.
    pub place: Option<DescribedPlace>,
    /// Whether the visitor followed the link before.
    pub returning: bool,
    /// Whether the visitor knows the password.
    pub password_given: bool,
    /// Whether the clicks of the link are used up; `None`: that is not said.
    pub used_up: Option<bool>,
}

/// Where somebody is, described.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribedPlace {
    /// The country.
    pub country: Option<Country>,
    /// The parts of it.
    pub regions: Regions,
    /// The city; may be empty.
    pub city: String,
}

/// Reads a description and notes what is wrong with it.
pub fn read(path: &str, given: v1::DescribedVisitor, wrong: &mut Violations) -> Described {
    let v1::DescribedVisitor {
        user_agent,
        accept_language,
        referrer,
        query,
        client_address,
        country,
        password_given,
        clicks_used_up,
        regions,
        city,
        returning,
    } = given;
    let name = |field: &str| format!("{path}.{field}");
    let user_agent = read_header(&name("user_agent"), &user_agent, MAX_AGENT, wrong);
    let languages = read_header(&name("accept_language"), &accept_language, MAX_LANGUAGES, wrong);
    let referrer = read_header(&name("referrer"), &referrer, MAX_REFERRER, wrong);
    wrong.take(&name("query"), check_query(&query));
    let client = (!client_address.is_empty())
        .then(|| client_address.parse::<IpAddr>().map_err(|_| "must be an IPv4 or IPv6 address"));
    let client = client.and_then(|client| wrong.take(&name("client_address"), client));
    let mut place = DescribedPlace { city, ..DescribedPlace::default() };
    if !country.is_empty() {
        let read = Country::parse(&country).ok_or("must be two letters of ISO 3166-1 such as DE");
        place.country = wrong.take(&name("country"), read);
    }
    for (number, text) in regions.iter().enumerate() {
        let read = Region::parse(text).ok_or(NO_REGION);
        let read = wrong.take(&name(&format!("regions[{number}]")), read);
        match place.regions.get_mut(number) {
            Some(region) => *region = read,
            None => wrong.add(name("regions"), "must be at most 2"),
        }
    }
    check_text(&name("city"), &place.city, MAX_CITY, wrong);
    Described {
        user_agent,
        languages,
        referrer,
        query,
        client: client.map(|client| client.to_canonical()),
        place: (place != DescribedPlace::default()).then_some(place),
        returning,
        password_given,
        used_up: clicks_used_up,
    }
}

/// Reads a header as it arrives: without the blanks around it.
fn read_header(path: &str, text: &str, most: usize, wrong: &mut Violations) -> String {
    let text = text.trim_matches([' ', '\t']);
    if text.len() > most {
        wrong.add(path, format!("must have at most {most} characters"));
    }
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        wrong.add(path, "must consist of printable ASCII characters and tabs");
    }
    text.to_owned()
}

/// Makes sure that a query can stand in the URL of a request, and that the server would read it as it is.
pub fn check_query(query: &str) -> Result<(), &'static str> {
    if query.len() > MAX_QUERY {
        return Err("must have at most 4,096 characters");
    }
    let read = PathAndQuery::try_from(format!("/?{query}"));
    let same = read.is_ok_and(|read| read.query() == Some(query));
    if same { Ok(()) } else { Err("must be a query as it stands in a URL, without ? and #, percent-encoded") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_as_the_server_would_read_the_request() {
        let mut wrong = Violations::default();
        let given = v1::DescribedVisitor {
            user_agent: " Mozilla/5.0\t".into(),
            accept_language: "fr".into(),
            referrer: "https://example.com/".into(),
            query: "a=b%20c&d".into(),
            client_address: "::ffff:192.0.2.1".into(),
            country: "fr".into(),
            password_given: true,
            clicks_used_up: Some(false),
            regions: vec!["fr-idf".into(), "FR-75".into()],
            city: "Paris".into(),
            returning: true,
        };
        let read_one = read("v", given, &mut wrong);
        assert!(wrong.is_empty());
        assert_eq!(read_one.user_agent, "Mozilla/5.0");
        assert_eq!(read_one.client, Some(IpAddr::from([192, 0, 2, 1])));
        let place = DescribedPlace {
            country: Country::parse("FR"),
            regions: ["FR-IDF", "FR-75"].map(Region::parse),
            city: "Paris".into(),
        };
        assert_eq!((read_one.place, read_one.returning), (Some(place), true));
        assert_eq!(read("v", v1::DescribedVisitor::default(), &mut wrong), Described::default());
    }

    #[test]
    fn every_violation_of_a_description_is_named() {
        let mut wrong = Violations::default();
        let given = v1::DescribedVisitor {
            user_agent: "é".into(),
            accept_language: "x".repeat(1025),
            referrer: "a\nb".into(),
            query: "a b".into(),
            client_address: "192.0.2.0/24".into(),
            country: "France".into(),
            regions: ["FR-75", "Paris", "FR-IDF"].map(Into::into).into(),
            city: "a\n".into(),
            ..v1::DescribedVisitor::default()
        };
        read("visitor", given, &mut wrong);
        let fields: Vec<String> = wrong.into_inner().into_iter().map(|wrong| wrong.field).collect();
        let names = [
            "user_agent",
            "accept_language",
            "referrer",
            "query",
            "client_address",
            "country",
            "regions[1]",
            "regions",
            "city",
        ];
        assert_eq!(fields, names.map(|name| format!("visitor.{name}")));
        for (query, good) in [("", true), ("a=1#b", false), ("a?b", true), ("a=\t", false), ("%zz", true)] {
            assert_eq!(check_query(query).is_ok(), good, "{query}");
        }
    }
}
