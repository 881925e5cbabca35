//! LinkForty Core (not this server): what its API says of links (`GET /api/links`, and of one), in the words of its tables; pure.

use std::time::Duration;

use super::{
    entry::Entry,
    split::{Content, Record},
};
use crate::{
    links::{flat::key, timestamp},
    pb::v1,
};

/// Members that its links have and ours do not.
const OWN: &[&str] = &["originalurl", "webfallbackurl", "iosappstoreurl", "isactive"];
const HOUR: u64 = 3600;

/// Says whether a record is one of its links.
pub fn is_one(record: &Record) -> bool {
    let Ok(Content::Object(object)) = &record.content else { return false };
    object.keys().any(|name| OWN.contains(&&*key(name)))
}

/// Reads a link. Templates and projects are not taken along: their ids mean nothing here.
pub fn read(entry: &mut Entry) {
    entry.destination(&["originalurl"]);
    entry.code(&["shortcode"]);
    entry.title(&["title"]);
    entry.description(&["description"]);
    entry.made(&["createdat"]);
    entry.expire(&["expiresat"]);
    entry.url("ios_url", &["iosappstoreurl", "iosurl"], |link| &mut link.ios_url);
    entry.url("android_url", &["androidappstoreurl", "androidurl"], |link| &mut link.android_url);
    entry.url("web_url", &["webfallbackurl"], |link| &mut link.web_url);
    entry.url("ios_universal_link", &["iosuniversallink"], |link| &mut link.ios_universal_link);
    entry.url("android_app_link", &["androidapplink"], |link| &mut link.android_app_link);
    entry.url("app_scheme", &["appscheme"], |link| &mut link.app_scheme);
    entry.url("deep_link_path", &["deeplinkpath"], |link| &mut link.deep_link_path);
    entry.url("disable_reason", &["disabledreason"], |link| &mut link.disable_reason);
    entry.url("external_user_id", &["externaluserid"], |link| &mut link.external_user_id);
    let warn = entry.moment("warn_time", &["warnat"]).map(timestamp);
    let disable = entry.moment("disable_time", &["disabledat"]).map(timestamp);
    let active = entry.text(&["isactive"]).map(|_| entry.flag(&["isactive"]));
    let click_id = entry.flag(&["appendclickid"]);
    let hours = entry.text(&["attributionwindowhours"]).and_then(|hours| hours.parse::<u64>().ok());
    let seconds = hours.and_then(|hours| hours.checked_mul(HOUR));
    let window =
        seconds.and_then(|seconds| prost_types::Duration::try_from(Duration::from_secs(seconds)).ok());
    let (utm, targeting, og) = (utm(entry), targeting(entry), og(entry));
    let parameters = entry.pairs(&["deeplinkparameters"]);
    let row = entry.row();
    let mut set = |field: &str, is_set: bool| {
        if is_set {
            row.fields.insert(field.to_owned());
        }
    };
    set("warn_time", warn.is_some());
    set("disable_time", disable.is_some());
    set("active", active.is_some());
    set("append_click_id", click_id);
    set("attribution_window", window.is_some());
    set("utm", utm.is_some());
    set("targeting", targeting.is_some());
    set("og", og.is_some());
    set("deep_link_parameters", !parameters.is_empty());
    let link = &mut row.link;
    link.warn_time = warn;
    link.disable_time = disable;
    link.active = active;
    link.append_click_id = click_id;
    link.attribution_window = window;
    link.utm = utm;
    link.targeting = targeting;
    link.og = og;
    link.deep_link_parameters = parameters.into_iter().collect();
}

fn utm(entry: &Entry) -> Option<v1::Utm> {
    let given = entry.inner(&["utmparameters"]);
    let text = |name: &str| given.text(&[name]).unwrap_or_default();
    let utm = v1::Utm {
        source: text("source"),
        medium: text("medium"),
        campaign: text("campaign"),
        term: text("term"),
        content: text("content"),
    };
    (utm != v1::Utm::default()).then_some(utm)
}

/// An unknown device targets nobody there either, so it is not passed over in silence: the link is refused.
fn targeting(entry: &Entry) -> Option<v1::Targeting> {
    let given = entry.inner(&["targetingrules"]);
    let platform = |name: String| match &*name.to_ascii_lowercase() {
        "ios" => v1::Platform::Ios,
        "android" => v1::Platform::Android,
        "web" => v1::Platform::Web,
        _ => v1::Platform::Unspecified,
    };
    let targeting = v1::Targeting {
        countries: given.texts(&["countries"]),
        platforms: given
            .texts(&["devices", "platforms"])
            .into_iter()
            .map(|name| platform(name).into())
            .collect(),
        languages: given.texts(&["languages"]),
    };
    (targeting != v1::Targeting::default()).then_some(targeting)
}

fn og(entry: &Entry) -> Option<v1::Og> {
    let text = |name: &str| entry.text(&[name]).unwrap_or_default();
    let og = v1::Og {
        title: text("ogtitle"),
        description: text("ogdescription"),
        image_url: text("ogimageurl"),
        site_name: String::new(),
    };
    (og != v1::Og::default()).then_some(og)
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Members, *};

    #[test]
    fn a_window_that_no_clock_can_count_is_left_out() {
        for (hours, expected) in
            [("1", Some(3600)), ("0", Some(0)), ("18446744073709551615", None), ("-1", None), ("soon", None)]
        {
            let object = [("attribution_window_hours".to_owned(), hours.into())].into_iter().collect();
            let record = Record { cells: Vec::new(), content: Ok(Content::Object(object)) };
            let mut entry = Entry::of(Members::of(&record, &[]).expect("an object"));
            read(&mut entry);
            let window = entry.row().link.attribution_window;
            assert_eq!(window.map(|window| window.seconds), expected, "{hours}");
        }
    }
}
