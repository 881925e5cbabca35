//! What the query of a short URL says, read long after the answer: pure, from what is kept with every click.
//!
//! Names that begin with `utm_` or `fp_` and the name of the click id are reserved: the first are the campaign, the second
//! hints of the page that sent the visitor, about their device. Everything else belongs to the app or the page the link
//! leads to.

use std::borrow::Cow;

use url::form_urlencoded::{Serializer, parse};

/// The parameter that carries the id of the click.
pub const CLICK_ID: &str = "lf_click";
/// The parameter that carries the token of a click, which is signed.
pub const TOKEN: &str = "lf";
/// The names of a campaign's parameters, in the order they are written in.
pub const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
/// The parameters of ad networks that name the visitor's device by its advertising id, on Android and on iOS.
const AD_IDS: [&str; 2] = ["gaid", "idfa"];
/// The parameter of ad networks that says, by `1` or `true`, that the visitor allowed that.
const CONSENT: &str = "consent";
/// What devices say whose owners have no advertising id.
const NO_AD_ID: &str = "00000000-0000-0000-0000-000000000000";
/// The longest advertising id, in bytes.
const MAX_AD_ID: usize = 128;
/// The longest value of a campaign, in bytes.
const MAX_VALUE: usize = 255;
/// The longest hints that mean something, in bytes.
const MAX_TIME_ZONE: usize = 64;
const MAX_HINT: usize = 35;
/// No screen has more pixels on a side.
const MAX_PIXELS: u32 = 100_000;

/// What a page says of the device of its visitor, as far as it makes sense. Anybody can write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// `fp_tz`: a time zone, as the IANA database names them.
    pub time_zone: Option<String>,
    /// `fp_lang`: a language tag.
    pub language: Option<String>,
    /// `fp_sw` and `fp_sh`: the width and the height of the screen, in whatever pixels the page counts.
    pub screen: Option<(u32, u32)>,
    /// `fp_platform`: the device, in lower case.
    pub platform: Option<String>,
    /// `fp_pv`: the version of its system.
    pub platform_version: Option<String>,
}

/// Reads the hints of a query. Of a name that is there twice the first that makes sense counts.
pub fn hints(query: &str) -> Hints {
    // Most queries have none, and most clicks no query.
    if !query.contains("fp_") && !query.contains('%') {
        return Hints::default();
    }
    let text = |name: &str, most: usize| {
        let mut values = values(query, name).filter(|value| value.len() <= most);
        values.find(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
    };
    let pixels = |name: &str| {
        let mut sides = values(query, name).filter_map(|value| value.parse().ok());
        sides.find(|side| (1..=MAX_PIXELS).contains(side))
    };
    Hints {
        time_zone: text("fp_tz", MAX_TIME_ZONE),
        language: text("fp_lang", MAX_HINT),
        screen: pixels("fp_sw").zip(pixels("fp_sh")),
        platform: text("fp_platform", MAX_HINT).map(|platform| platform.to_ascii_lowercase()),
        platform_version: text("fp_pv", MAX_HINT),
    }
}

/// Returns the advertising id of the visitor's device, where a network brings it and says that the visitor allowed it.
pub fn ad_id(query: &str) -> Option<String> {
    if !names_a_device(query.as_bytes()) || !values(query, CONSENT).any(|said| said == "1" || said == "true")
    {
        return None;
    }
    let mut ids = AD_IDS.into_iter().flat_map(|name| values(query, name));
    ids.find(|id| id != NO_AD_ID && id.len() <= MAX_AD_ID)
}

/// Returns a query as it may be kept: without advertising ids, unless the visitor allowed them.
pub fn allowed(query: &str) -> Cow<'_, str> {
    if !names_a_device(query.as_bytes()) || ad_id(query).is_some() {
        return Cow::Borrowed(query);
    }
    Cow::Owned(without_ad_ids(query))
}

/// Returns a query without advertising ids.
pub fn without_ad_ids(query: &str) -> String {
    let mut kept = Serializer::new(String::new());
    kept.extend_pairs(parse(query.as_bytes()).filter(|(name, _)| !AD_IDS.contains(&&**name)));
    kept.finish()
}

/// Says whether something may hold an advertising id.
pub fn names_a_device(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|part| AD_IDS.iter().any(|name| part == name.as_bytes()))
}

/// Returns the parameters that are meant for where the link leads, in their order, as they are there.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = parse(query.as_bytes()).filter(|(name, _)| !name.is_empty() && !is_reserved(name));
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Returns the campaign of a click: each parameter from the visitor's query, else from the link's own (`name=value`, as the
/// link has them). A line `name=value` for each, not encoded, in one order, so that equal campaigns are equal texts; empty
/// when there is none. It stays small enough for an index, and no value holds a control character.
pub fn campaign(query: &str, link: &[&str]) -> String {
    if link.is_empty() && !query.contains("utm_") && !query.contains('%') {
        return String::new();
    }
    let of_link = |name: &str| {
        let mut pairs = link.iter().filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| plain(value))
    };
    let mut lines = Vec::new();
    for name in CAMPAIGN {
        let value = values(query, name).next().or_else(|| of_link(name)).unwrap_or_default();
        if !value.is_empty() {
            lines.push(format!("{name}={}", kept(&value)));
        }
    }
    lines.join("\n")
}

/// The same of a link whose own parameters are known by names without `utm_`.
pub fn campaign_of<'a>(query: &str, link: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let link: Vec<String> = link.into_iter().map(|(name, value)| format!("utm_{name}={value}")).collect();
    campaign(query, &link.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns the value of a campaign's parameter as [`campaign`] keeps it.
pub fn value(text: &str) -> String {
    kept(&plain(text)).to_owned()
}

/// Returns the parameters of a campaign as [`campaign`] writes it, in the order of [`CAMPAIGN`]; empty where one is not set.
pub fn utm(campaign: &str) -> [&str; 5] {
    let mut parameters = [""; 5];
    for (name, value) in campaign.lines().filter_map(|line| line.split_once('=')) {
        if let Some(at) = CAMPAIGN.iter().position(|known| *known == name) {
            parameters[at] = value;
        }
    }
    parameters
}

/// Says whether a name is ours: nobody who shares a short URL may fill in what a link claims of itself.
pub fn is_reserved(name: &str) -> bool {
    let begins = |with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("utm_") || begins("fp_") || name.eq_ignore_ascii_case(CLICK_ID) || name.eq_ignore_ascii_case(TOKEN)
}

/// Returns the values that a name has, without spaces around them and without blank ones.
fn values(query: &str, name: &str) -> impl Iterator<Item = String> {
    let pairs = parse(query.as_bytes()).filter(move |(given, _)| given == name);
    pairs.map(|(_, value)| plain(&value)).filter(|value| !value.is_empty())
}

/// Returns as much of a value as is kept.
fn kept(value: &str) -> &str {
    super::cut(value, MAX_VALUE)
}

/// Returns a text without control characters and without spaces around it.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_when_they_make_sense() {
        let none = Hints::default();
        let zone = |zone: &str| Hints { time_zone: Some(zone.to_owned()), ..Hints::default() };
        for (query, expected) in [
            ("", none.clone()),
            ("fp_tz=Europe%2FZurich", zone("Europe/Zurich")),
            ("fp%5Ftz=Europe/Zurich", zone("Europe/Zurich")),
            ("fp_tz=%20&fp_tz=UTC", zone("UTC")),
            ("fp_tz=a%00b", none.clone()),
            (&format!("fp_tz={}", "x".repeat(65)), none.clone()),
            ("fp_sw=390&fp_sh=844", Hints { screen: Some((390, 844)), ..none.clone() }),
            ("fp_sw=390", none.clone()),
            ("fp_sw=390&fp_sh=abc", none.clone()),
            ("fp_sw=0&fp_sh=844", none.clone()),
            ("fp_sw=-1&fp_sh=99999999999", none.clone()),
            (
                "fp_lang=de-CH&fp_platform=iOS&fp_pv=17.5",
                Hints {
                    language: Some("de-CH".to_owned()),
                    platform: Some("ios".to_owned()),
                    platform_version: Some("17.5".to_owned()),
                    ..none.clone()
                },
            ),
            ("tz=UTC&lang=de", none),
        ] {
            assert_eq!(hints(query), expected, "{query}");
        }
    }

    #[test]
    fn what_is_not_reserved_is_the_apps() {
        let query = "utm_source=x&id=7&fp_tz=UTC&a+b=%C3%BC&lf_click=1&UTM_X=1&flag&=lost";
        let expected = [("id", "7"), ("a b", "ü"), ("flag", "")];
        assert_eq!(parameters(query), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parameters("utm_source=x"), []);
    }

    #[test]
    fn a_campaign_is_read_as_it_was_written() {
        for (text, expected) in [
            ("", [""; 5]),
            ("utm_source=mail\nutm_content=a=b", ["mail", "", "", "", "a=b"]),
            (
                "utm_source=1\nutm_medium=2\nutm_campaign=3\nutm_term=4\nutm_content=5",
                ["1", "2", "3", "4", "5"],
            ),
            ("utm_id=7\nno parameter", [""; 5]),
        ] {
            assert_eq!(utm(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_visitors_campaign_comes_before_the_links() {
        let links = ["utm_source=mail", "utm_campaign= spring sale ", "utm_term= "];
        for (query, link, expected) in [
            ("", &[][..], ""),
            ("a=utm_source", &[], ""),
            ("utm_source=a+b", &[], "utm_source=a b"),
            (
                "utm_content=5&utm_term=4&utm_medium=2&utm_source=1&utm_campaign=3",
                &[],
                "utm_source=1\nutm_medium=2\nutm_campaign=3\nutm_term=4\nutm_content=5",
            ),
            ("utm%5Fsource=x", &[], "utm_source=x"),
            ("utm_source=%20x%20&utm_medium=+", &[], "utm_source=x"),
            ("utm_source=a%0Autm_term%3Db%00", &[], "utm_source=a utm_term=b"),
            ("", &links, "utm_source=mail\nutm_campaign=spring sale"),
            ("utm_source=x&utm_id=7", &links, "utm_source=x\nutm_campaign=spring sale"),
            ("utm_source=&utm_medium=m", &links, "utm_source=mail\nutm_medium=m\nutm_campaign=spring sale"),
        ] {
            assert_eq!(campaign(query, link), expected, "{query} {link:?}");
        }
        let long = format!("utm_source={}", "x".repeat(400));
        assert_eq!(campaign(&long, &[]).len(), "utm_source=".len() + 255);
    }
}
