//! What clients may say of an app, read once at the door: every violation is found. Pure.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::FieldMask;

use super::{
    components::{check_android, check_apple, check_variables},
    matching::variables,
};
use crate::{app_scheme, error::Violations, pb::v1, workspaces};

const MAX_BUNDLE_ID: usize = 155;
const MAX_PACKAGE_NAME: usize = 223;
const MAX_PREFIXES: usize = 10;
const MAX_CLIPS: usize = 10;
const MAX_FINGERPRINTS: usize = 20;
const MAX_SCHEMES: usize = 20;
const MAX_HOSTS: usize = 100;
const MAX_STORE_ID: usize = 20;
const DAY: i64 = 86_400;
/// LinkForty's longest window, 2,160 hours.
const MAX_WINDOW: i64 = 90 * 86_400;
/// What an app may come to, encoded: little less than a file may.
const MAX_CONTENT: usize = 96 * 1024;

/// One field that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `name`
    Name,
    /// `url_schemes`
    UrlSchemes,
    /// `hosts`
    Hosts,
    /// `no_default_exclusions`
    NoDefaultExclusions,
    /// `ios`, all of it
    Ios,
    /// `ios.bundle_id`
    BundleId,
    /// `ios.app_id_prefixes`
    AppIdPrefixes,
    /// `ios.app_store_id`
    AppStoreId,
    /// `ios.app_clip_bundle_ids`
    AppClips,
    /// `ios.webcredentials`
    Webcredentials,
    /// `ios.components`
    AppleComponents,
    /// `ios.substitution_variables`
    Variables,
    /// `ios.development_postbacks`
    DevelopmentPostbacks,
    /// `android`, all of it
    Android,
    /// `android.package_name`
    PackageName,
    /// `android.sha256_fingerprints`
    Fingerprints,
    /// `android.play_store_id`
    PlayStoreId,
    /// `android.components`
    AndroidComponents,
    /// `attribution`, all of it
    Attribution,
}

const FIELDS: [(Field, &str); 19] = [
    (Field::Name, "name"),
    (Field::UrlSchemes, "url_schemes"),
    (Field::Hosts, "hosts"),
    (Field::NoDefaultExclusions, "no_default_exclusions"),
    (Field::Ios, "ios"),
    (Field::BundleId, "ios.bundle_id"),
    (Field::AppIdPrefixes, "ios.app_id_prefixes"),
    (Field::AppStoreId, "ios.app_store_id"),
    (Field::AppClips, "ios.app_clip_bundle_ids"),
    (Field::Webcredentials, "ios.webcredentials"),
    (Field::AppleComponents, "ios.components"),
    (Field::Variables, "ios.substitution_variables"),
    (Field::DevelopmentPostbacks, "ios.development_postbacks"),
    (Field::Android, "android"),
    (Field::PackageName, "android.package_name"),
    (Field::Fingerprints, "android.sha256_fingerprints"),
    (Field::PlayStoreId, "android.play_store_id"),
    (Field::AndroidComponents, "android.components"),
    (Field::Attribution, "attribution"),
];
/// What `*` means.
const WHOLE: [Field; 7] = [
    Field::Name,
    Field::UrlSchemes,
    Field::Hosts,
    Field::NoDefaultExclusions,
    Field::Ios,
    Field::Android,
    Field::Attribution,
];
const OUTPUT_ONLY: [&str; 8] = [
    "id",
    "workspace_id",
    "served_hosts",
    "create_time",
    "update_time",
    "etag",
    "app_token",
    "has_meta_referrer_key",
];

/// Whether an app is complete, or only what somebody wants changed of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What is required must be there.
    Complete,
    /// What is not there is not meant.
    Part,
}

/// Reads what clients may say of an app, in the form in which it is stored, and notes everything that is wrong with it.
/// Reading it again changes nothing.
pub fn check(app: v1::App, extent: Extent, wrong: &mut Violations) -> v1::App {
    let complete = extent == Extent::Complete;
    let name = if complete || !app.name.is_empty() {
        wrong.take("app.name", workspaces::name(&app.name)).unwrap_or_default()
    } else {
        String::new()
    };
    let url_schemes = each("app.url_schemes", MAX_SCHEMES, app.url_schemes, scheme, wrong);
    let hosts = each("app.hosts", MAX_HOSTS, app.hosts, host, wrong);
    if complete && app.ios.is_none() && app.android.is_none() && url_schemes.is_empty() {
        wrong.add("app", "must have at least one of ios, android and url_schemes");
    }
    let ios = app.ios.map(|ios| check_ios(ios, complete, wrong));
    let android = app.android.map(|android| check_of_android(android, complete, wrong));
    let read = v1::App {
        name,
        ios,
        android,
        url_schemes,
        hosts,
        no_default_exclusions: app.no_default_exclusions,
        attribution: app.attribution.map(|attribution| check_attribution(attribution, wrong)),
        ..v1::App::default()
    };
    if read.encoded_len() > MAX_CONTENT {
        wrong.add("app", "must come to at most 96 KiB");
    }
    read
}

fn check_ios(mut ios: v1::IosApp, complete: bool, wrong: &mut Violations) -> v1::IosApp {
    let path = "app.ios";
    if complete || !ios.bundle_id.is_empty() {
        ios.bundle_id =
            wrong.take(&format!("{path}.bundle_id"), bundle_id(&ios.bundle_id)).unwrap_or_default();
    }
    if complete && ios.app_id_prefixes.is_empty() {
        wrong.add(format!("{path}.app_id_prefixes"), "must name at least one, usually the team id");
    }
    let prefixes = std::mem::take(&mut ios.app_id_prefixes);
    ios.app_id_prefixes = each(&format!("{path}.app_id_prefixes"), MAX_PREFIXES, prefixes, prefix, wrong);
    if !ios.app_store_id.is_empty() && !is_number(&ios.app_store_id) {
        wrong.add(format!("{path}.app_store_id"), "must be the number in the App Store URL, without id");
    }
    let clips = std::mem::take(&mut ios.app_clip_bundle_ids);
    let of_app = format!("{}.", ios.bundle_id);
    let clip = |text: &str| {
        let id = bundle_id(text)?;
        let fits = ios.bundle_id.is_empty() || id.starts_with(&of_app);
        if fits { Ok(id) } else { Err("must begin with the bundle id of its app and a dot") }
    };
    let clips = each(&format!("{path}.app_clip_bundle_ids"), MAX_CLIPS, clips, clip, wrong);
    ios.app_clip_bundle_ids = clips;
    check_variables(&format!("{path}.substitution_variables"), &ios.substitution_variables, wrong);
    // Of a part, the variables may be those that are stored.
    let known = variables(&ios);
    let known = if complete || !known.is_empty() { Some(&known) } else { None };
    check_apple(&format!("{path}.components"), &ios.components, known, wrong);
    ios
}

fn check_of_android(mut android: v1::AndroidApp, complete: bool, wrong: &mut Violations) -> v1::AndroidApp {
    let path = "app.android";
    if complete || !android.package_name.is_empty() {
        if let Err(description) = package_name(&android.package_name) {
            wrong.add(format!("{path}.package_name"), description);
        }
    }
    if complete && android.sha256_fingerprints.is_empty() {
        wrong.add(format!("{path}.sha256_fingerprints"), "must name at least one certificate");
    }
    let fingerprints = std::mem::take(&mut android.sha256_fingerprints);
    android.sha256_fingerprints =
        each(&format!("{path}.sha256_fingerprints"), MAX_FINGERPRINTS, fingerprints, fingerprint, wrong);
    if !android.play_store_id.is_empty()
        && let Err(description) = package_name(&android.play_store_id)
    {
        wrong.add(format!("{path}.play_store_id"), description);
    }
    check_android(&format!("{path}.components"), &android.components, wrong);
    android
}

fn check_attribution(of: v1::AppAttribution, wrong: &mut Violations) -> v1::AppAttribution {
    let path = |name| format!("app.attribution.{name}");
    if !(0..=100).contains(&of.probabilistic_threshold) {
        wrong.add(path("probabilistic_threshold"), "must be 0 to 100");
    }
    let mut seconds = |name, given: Option<prost_types::Duration>, bounds: std::ops::RangeInclusive<i64>| {
        let whole = given.filter(|given| given.nanos != 0 || !bounds.contains(&given.seconds));
        if whole.is_some() {
            let (least, most) = (bounds.start(), bounds.end());
            wrong.add(path(name), format!("must be {least} to {most} whole seconds"));
        }
    };
    seconds("probabilistic_window", of.probabilistic_window, 60..=MAX_WINDOW);
    seconds("attribution_window", of.attribution_window, 3600..=MAX_WINDOW);
    seconds("session_gap", of.session_gap, 60..=86_400);
    seconds("view_window", of.view_window, 3600..=86_400);
    seconds("inactivity_window", of.inactivity_window, 0..=365 * DAY);
    // None at all has a meaning of its own.
    let some = |window: Option<prost_types::Duration>| {
        window.filter(|window| (window.seconds, window.nanos) != (0, 0))
    };
    seconds("reattribution_window", some(of.reattribution_window), 30 * DAY..=730 * DAY);
    seconds("reengagement_window", some(of.reengagement_window), DAY..=90 * DAY);
    of
}

/// Reads the items of a list, each on its own; repeats are dropped.
fn each(
    path: &str,
    most: usize,
    items: Vec<String>,
    read: impl Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Vec<String> {
    if items.len() > most {
        wrong.add(path, format!("must be at most {most}"));
        return Vec::new();
    }
    let mut list = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        match read(item) {
            Ok(item) if list.contains(&item) => {}
            Ok(item) => list.push(item),
            Err(description) => wrong.add(format!("{path}[{place}]"), description),
        }
    }
    list
}

fn bundle_id(text: &str) -> Result<String, &'static str> {
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if text.len() <= MAX_BUNDLE_ID && text.contains('.') && text.split('.').all(good) {
        return Ok(text.to_owned());
    }
    Err(
        "must be a bundle id such as com.example.shop: at most 155 letters, digits and hyphens, with dots between",
    )
}

fn package_name(text: &str) -> Result<(), &'static str> {
    let good = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if text.len() <= MAX_PACKAGE_NAME && text.contains('.') && text.split('.').all(good) {
        return Ok(());
    }
    Err(
        "must be an application id such as com.example.shop: at most 223 letters, digits and underscores in parts that begin \
         with a letter, with dots between",
    )
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let good =
        text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if good {
        Ok(text.to_owned())
    } else {
        Err("must be ten upper-case letters and digits such as ABCDE12345")
    }
}

fn is_number(text: &str) -> bool {
    text.len() <= MAX_STORE_ID && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a fingerprint in any of the forms in which tools print it.
fn fingerprint(text: &str) -> Result<String, &'static str> {
    let digits: String = text.chars().filter(|character| !matches!(character, ':' | ' ' | '-')).collect();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digits.len() {
        64 if is_hex => {
            let pairs: Vec<&str> = (0..32).map(|byte| &digits[byte * 2..byte * 2 + 2]).collect();
            Ok(pairs.join(":").to_ascii_uppercase())
        }
        40 if is_hex => Err("is a SHA-1 fingerprint; what is needed is the one by SHA-256"),
        32 if is_hex => Err("is an MD5 fingerprint; what is needed is the one by SHA-256"),
        _ => Err(
            "must be a SHA-256 fingerprint: 64 hexadecimal digits, with colons between the bytes or without",
        ),
    }
}

fn scheme(text: &str) -> Result<String, &'static str> {
    let scheme = text.to_ascii_lowercase();
    app_scheme::check(&scheme)?;
    Ok(scheme)
}

fn host(text: &str) -> Result<String, &'static str> {
    let is_plain = |domain: &str| {
        domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    match url::Host::parse(text.trim_end_matches('.')) {
        Ok(url::Host::Domain(domain)) if is_plain(&domain) && !text.contains('%') => Ok(domain),
        _ => Err("must be a host such as go.example.com, without scheme, port and path"),
    }
}

/// Returns the fields that a mask names.
pub fn read_mask(mask: Option<&FieldMask>, app: &v1::App, wrong: &mut Violations) -> BTreeSet<Field> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    if paths.is_empty() {
        return WHOLE.into_iter().filter(|field| field.is_set(app)).collect();
    }
    let mut fields = BTreeSet::new();
    for path in paths {
        if path == "*" {
            fields.extend(WHOLE);
        } else if let Some((field, _)) = FIELDS.iter().find(|(_, name)| name == path) {
            fields.insert(*field);
        } else if !OUTPUT_ONLY.contains(&path.as_str()) {
            wrong.add("update_mask", format!("{path:?} is no field of an app"));
        }
    }
    fields
}

impl Field {
    fn is_set(self, app: &v1::App) -> bool {
        match self {
            Self::Name => !app.name.is_empty(),
            Self::UrlSchemes => !app.url_schemes.is_empty(),
            Self::Hosts => !app.hosts.is_empty(),
            Self::NoDefaultExclusions => app.no_default_exclusions,
            Self::Android => app.android.is_some(),
            Self::Attribution => app.attribution.is_some(),
            _ => app.ios.is_some(),
        }
    }
}

/// Writes the fields of `from` that are named into `to`.
pub fn copy(fields: &BTreeSet<Field>, from: &v1::App, to: &mut v1::App) {
    let (from_ios, from_android) =
        (from.ios.clone().unwrap_or_default(), from.android.clone().unwrap_or_default());
    // In the order of the enum: a platform as a whole comes before its parts.
    for field in fields {
        match field {
            Field::Name => to.name.clone_from(&from.name),
            Field::UrlSchemes => to.url_schemes.clone_from(&from.url_schemes),
            Field::Hosts => to.hosts.clone_from(&from.hosts),
            Field::NoDefaultExclusions => to.no_default_exclusions = from.no_default_exclusions,
            Field::Ios => to.ios.clone_from(&from.ios),
            Field::Android => to.android.clone_from(&from.android),
            Field::Attribution => to.attribution = from.attribution,
            Field::BundleId
            | Field::AppIdPrefixes
            | Field::AppStoreId
            | Field::AppClips
            | Field::Webcredentials
            | Field::AppleComponents
            | Field::Variables
            | Field::DevelopmentPostbacks => copy_ios(*field, &from_ios, to.ios.get_or_insert_default()),
            Field::PackageName | Field::Fingerprints | Field::PlayStoreId | Field::AndroidComponents => {
                copy_android(*field, &from_android, to.android.get_or_insert_default());
            }
        }
    }
}

fn copy_ios(field: Field, from: &v1::IosApp, to: &mut v1::IosApp) {
    match field {
        Field::BundleId => to.bundle_id.clone_from(&from.bundle_id),
        Field::AppIdPrefixes => to.app_id_prefixes.clone_from(&from.app_id_prefixes),
        Field::AppStoreId => to.app_store_id.clone_from(&from.app_store_id),
        Field::AppClips => to.app_clip_bundle_ids.clone_from(&from.app_clip_bundle_ids),
        Field::Webcredentials => to.webcredentials = from.webcredentials,
        Field::AppleComponents => to.components.clone_from(&from.components),
        Field::DevelopmentPostbacks => to.development_postbacks = from.development_postbacks,
        _ => to.substitution_variables.clone_from(&from.substitution_variables),
    }
}

fn copy_android(field: Field, from: &v1::AndroidApp, to: &mut v1::AndroidApp) {
    match field {
        Field::PackageName => to.package_name.clone_from(&from.package_name),
        Field::Fingerprints => to.sha256_fingerprints.clone_from(&from.sha256_fingerprints),
        Field::PlayStoreId => to.play_store_id.clone_from(&from.play_store_id),
        _ => to.components.clone_from(&from.components),
    }
}

/// Counts how often each text stands in a list, and returns those that stand there twice.
pub(super) fn repeated<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(text, _)| text).collect()
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
