//! Decides whether a URL opens an app, by the rules of Apple and Android. Pure.
//!
//! Both try components in their order and take the first that matches; when none does, the app is not opened. They differ in
//! what they compare.
//!
//! - Apple: `applinks.details.components` as iOS 13, macOS 10.15 and their successors read it (Apple's documentation of the object, WWDC 2019
//!   session 717). The parts of a URL are taken as they are unless a component says otherwise, every item of a name must match, and one that
//!   is missing or has no value counts as empty. Older systems read `paths`, which this server does not write. Neither does it write
//!   `defaults`: each component says its own.
//! - Android: `dynamic_app_link_components` as Android 15 does (AOSP: `DomainVerificationService`, `UriRelativeFilterGroup`,
//!   `UriRelativeFilter`, and `glob.rs` for the patterns). Parts are decoded first. A query is then cut at `&`, or at `;` when that does not
//!   cut it, and one item, `name=value` as a whole, must match each pattern. What a URL does not have matches no pattern. How Google Play
//!   services read the same file nobody outside of Google can see.

use url::Url;

use super::{
    association::OWN_PAGES,
    glob::Glob,
    pattern::{Case, Pattern, Variables, percent_decoded},
};
use crate::pb::v1;

/// What a device compares of a URL, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tapped<'a> {
    /// The path.
    pub path: &'a str,
    /// The query, if there is one.
    pub query: Option<&'a str>,
    /// The fragment, if there is one.
    pub fragment: Option<&'a str>,
}

/// What becomes of a URL on a host whose file lists the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It opens the app: by this component, or because the app has none.
    Opens(Option<usize>),
    /// This component keeps it from doing so.
    Excluded(usize),
    /// It is a page of the server itself, matched by this pattern.
    OwnPage(&'static str),
    /// No component matches, each for its reason.
    NoComponent(Vec<Miss>),
}

/// Why a component does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The first part that does not.
    pub part: v1::LinkPart,
    /// The pattern it has there.
    pub pattern: String,
    /// What the URL has there.
    pub found: String,
    /// The name of the query item.
    pub item: String,
}

impl<'a> Tapped<'a> {
    /// Returns the parts of a URL.
    pub fn of(url: &'a Url) -> Self {
        Self { path: url.path(), query: url.query(), fragment: url.fragment() }
    }

    /// Returns the values of the query's items of one name, as Apple sees them; of an item without a value, the empty text.
    fn items(&self, name: &str, form: Form) -> Vec<String> {
        let query = self.query.unwrap_or_default();
        let pairs = query.split('&').map(|item| item.split_once('=').unwrap_or((item, "")));
        pairs.filter(|(found, _)| form.of(found) == name).map(|(_, value)| form.of(value)).collect()
    }
}

/// How parts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    AsWritten,
    Decoded,
}

impl Form {
    fn of(self, text: &str) -> String {
        match self {
            Self::AsWritten => text.to_owned(),
            Self::Decoded => percent_decoded(text),
        }
    }
}

/// Says what becomes of a URL on Apple's platforms.
pub fn apple(app: &v1::IosApp, own_pages_excluded: bool, url: &Tapped<'_>) -> Verdict {
    let is_own = |page: &str| {
        Pattern::apple(page, &Variables::new()).is_ok_and(|page| page.matches(url.path, Case::Sensitive))
    };
    if let Some(page) = own_page(own_pages_excluded, is_own) {
        return Verdict::OwnPage(page);
    }
    if app.components.is_empty() {
        return if url.path.len() > 1 { Verdict::Opens(None) } else { Verdict::NoComponent(Vec::new()) };
    }
    let variables = variables(app);
    first(app.components.iter().map(|component| (component.exclude, apple_miss(component, &variables, url))))
}

/// Says what becomes of a URL on Android 15 and later, as far as the app's manifest lets it come.
pub fn android(app: &v1::AndroidApp, own_pages_excluded: bool, url: &Tapped<'_>) -> Verdict {
    let path = percent_decoded(url.path);
    if let Some(page) = own_page(own_pages_excluded, |page| Glob::read(page).matches(&path)) {
        return Verdict::OwnPage(page);
    }
    if app.components.is_empty() {
        return Verdict::Opens(None);
    }
    first(app.components.iter().map(|component| (component.exclude, android_miss(component, url))))
}

/// Returns what the variables of an app stand for.
pub fn variables(app: &v1::IosApp) -> Variables {
    let variables = app.substitution_variables.iter();
    variables.map(|variable| (variable.name.clone(), variable.values.clone())).collect()
}

fn own_page(excluded: bool, matches: impl Fn(&str) -> bool) -> Option<&'static str> {
    let mut pages = OWN_PAGES.iter().filter(|_| excluded);
    pages.find(|page| matches(page)).copied()
}

fn first(components: impl Iterator<Item = (bool, Option<Miss>)>) -> Verdict {
    let mut misses = Vec::new();
    for (place, (exclude, miss)) in components.enumerate() {
        match miss {
            Some(miss) => misses.push(miss),
            None if exclude => return Verdict::Excluded(place),
            None => return Verdict::Opens(Some(place)),
        }
    }
    Verdict::NoComponent(misses)
}

fn apple_miss(component: &v1::AppleComponent, variables: &Variables, url: &Tapped<'_>) -> Option<Miss> {
    let case = if component.case_sensitive == Some(false) { Case::Insensitive } else { Case::Sensitive };
    let form = if component.percent_encoded == Some(false) { Form::Decoded } else { Form::AsWritten };
    let matches = |pattern: &str, text: &str| {
        // A variable that nobody defined was refused when the app was stored; it would match nothing.
        Pattern::apple(pattern, variables).is_ok_and(|pattern| pattern.matches(text, case))
    };
    let whole = |part, pattern: &Option<String>, text: &str| {
        let pattern = pattern.as_ref()?;
        let found = form.of(text);
        let miss = || miss(part, pattern, found.clone(), "");
        (!matches(pattern, &found)).then(miss)
    };
    whole(v1::LinkPart::Path, &component.path, url.path)
        .or_else(|| whole(v1::LinkPart::Query, &component.query, url.query.unwrap_or_default()))
        .or_else(|| {
            component.query_items.iter().find_map(|item| {
                let mut values = url.items(&item.name, form);
                if values.is_empty() {
                    values.push(String::new());
                }
                let wrong = values.into_iter().find(|value| !matches(&item.value, value))?;
                Some(miss(v1::LinkPart::QueryItem, &item.value, wrong, &item.name))
            })
        })
        .or_else(|| whole(v1::LinkPart::Fragment, &component.fragment, url.fragment.unwrap_or_default()))
}

fn android_miss(component: &v1::AndroidComponent, url: &Tapped<'_>) -> Option<Miss> {
    let whole = |part, pattern: &Option<String>, text: Option<&str>| {
        let pattern = pattern.as_ref()?;
        let found = text.map(percent_decoded);
        let is_match = found.as_ref().is_some_and(|found| Glob::read(pattern).matches(found));
        (!is_match).then(|| miss(part, pattern, found.unwrap_or_default(), ""))
    };
    whole(v1::LinkPart::Path, &component.path, Some(url.path))
        .or_else(|| {
            let query = url.query.map(percent_decoded).unwrap_or_default();
            let items = android_items(&query);
            component.query_items.iter().find_map(|item| {
                let glob = Glob::item(&item.name, &item.value);
                if items.iter().any(|one| glob.matches(one)) {
                    return None;
                }
                let of_name = |one: &&str| one.split_once('=').is_some_and(|(name, _)| name == item.name);
                let found = items.iter().copied().find(of_name).and_then(|one| one.split_once('='));
                let found = found.map_or("", |(_, value)| value).to_owned();
                Some(miss(v1::LinkPart::QueryItem, &item.value, found, &item.name))
            })
        })
        .or_else(|| whole(v1::LinkPart::Fragment, &component.fragment, url.fragment))
}

/// Cuts a query as Android does: at `&`, what is empty at the end left out; where that makes one of it, the whole at `;`.
fn android_items(query: &str) -> Vec<&str> {
    let mut items: Vec<&str> = query.split('&').collect();
    while items.len() > 1 && items.last() == Some(&"") {
        items.pop();
    }
    if items.len() > 1 { items } else { query.split(';').collect() }
}

fn miss(part: v1::LinkPart, pattern: &str, found: String, item: &str) -> Miss {
    Miss { part, pattern: pattern.to_owned(), found, item: item.to_owned() }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
