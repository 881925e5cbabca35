//! What an app is told of the link that brought its user. Pure.

use std::collections::BTreeMap;

use crate::{
    clicks::query::{campaign, parameters},
    clock::Moment,
    ids::{ClickId, LinkId},
    links::{Credited, timestamp},
    pb::sdk::v1::DeepLink,
};

/// The tap that led here.
#[derive(Debug, Clone, Copy)]
pub struct Tap<'a> {
    /// The click; `None`: it was not recorded.
    pub click: Option<ClickId>,
    /// When.
    pub time: Moment,
    /// The query of the URL.
    pub query: &'a str,
    /// Whether the app was installed afterwards.
    pub deferred: bool,
}

/// Returns what an app is told. Parameters of the URL win over those of the link.
pub fn deep_link(link: LinkId, credited: &Credited, tap: Tap<'_>) -> DeepLink {
    let mut handed: BTreeMap<String, String> = credited.parameters.clone();
    handed.extend(parameters(tap.query));
    let of_link: Vec<String> =
        credited.utm.iter().map(|(name, value)| format!("utm_{name}={value}")).collect();
    let of_link: Vec<&str> = of_link.iter().map(String::as_str).collect();
    let utm = campaign(tap.query, &of_link);
    let pairs = utm.lines().filter_map(|line| line.split_once('='));
    DeepLink {
        short_code: credited.short_code.clone(),
        link_id: link.to_string(),
        click_id: tap.click.map(|click| click.to_string()).unwrap_or_default(),
        path: credited.deep_link_path.clone(),
        parameters: handed,
        utm: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        app_scheme: credited.app_scheme.clone(),
        destination_url: credited.destination_url.clone(),
        ios_url: credited.ios_url.clone(),
        android_url: credited.android_url.clone(),
        web_url: credited.web_url.clone(),
        click_time: Some(timestamp(tap.time)),
        deferred: tap.deferred,
    }
}
