//! Decides whether a URL opens an app, by the rules of Apple and Android. Pure.
//!
//! Both try components in their order and take the first that matches; when none does, the app is not opened. They differ in
//! what they compare. Apple takes the parts of a URL as they are unless a component says otherwise, requires every item of a
//! name to match, and takes one that is missing for an empty one. Android decodes them, and wants one item that matches.

use url::Url;

use super::{
    association::OWN_PAGES,
    pattern::{Case, Pattern, Variables, percent_decoded},
};
use crate::pb::v1;

/// What a device compares of a URL, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tapped<'a> {
    /// The path.
    pub path: &'a str,
    /// The query, empty when there is none.
    pub query: &'a str,
    /// The fragment, empty when there is none.
    pub fragment: &'a str,
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
        Self {
            path: url.path(),
            query: url.query().unwrap_or_default(),
            fragment: url.fragment().unwrap_or_default(),
        }
    }

    /// Returns the values of the query's items of one name; of an item without a value, the empty text.
    fn items(&self, name: &str, form: Form) -> Vec<String> {
        let pairs = self.query.split('&').map(|item| item.split_once('=').unwrap_or((item, "")));
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
    if let Some(page) = own_page(own_pages_excluded, url.path) {
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
    if let Some(page) = own_page(own_pages_excluded, url.path) {
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

fn own_page(excluded: bool, path: &str) -> Option<&'static str> {
    let mut pages = OWN_PAGES.iter().filter(|_| excluded);
    pages.find(|page| Pattern::android(page).matches(path, Case::Sensitive)).copied()
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
        .or_else(|| whole(v1::LinkPart::Query, &component.query, url.query))
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
        .or_else(|| whole(v1::LinkPart::Fragment, &component.fragment, url.fragment))
}

fn android_miss(component: &v1::AndroidComponent, url: &Tapped<'_>) -> Option<Miss> {
    let matches = |pattern: &str, text: &str| Pattern::android(pattern).matches(text, Case::Sensitive);
    let whole = |part, pattern: &Option<String>, text: &str| {
        let pattern = pattern.as_ref()?;
        let found = percent_decoded(text);
        let is_match = matches(pattern, &found);
        (!is_match).then(|| miss(part, pattern, found, ""))
    };
    whole(v1::LinkPart::Path, &component.path, url.path)
        .or_else(|| {
            component.query_items.iter().find_map(|item| {
                let values = url.items(&item.name, Form::Decoded);
                let fits = values.iter().any(|value| matches(&item.value, value));
                let found = values.into_iter().next().unwrap_or_default();
                (!fits).then(|| miss(v1::LinkPart::QueryItem, &item.value, found, &item.name))
            })
        })
        .or_else(|| whole(v1::LinkPart::Fragment, &component.fragment, url.fragment))
}

fn miss(part: v1::LinkPart, pattern: &str, found: String, item: &str) -> Miss {
    Miss { part, pattern: pattern.to_owned(), found, item: item.to_owned() }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
