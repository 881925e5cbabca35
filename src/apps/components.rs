//! What the components of an app may say. Pure.

use super::{
    fields::repeated,
    pattern::{Pattern, Variables, is_known},
};
use crate::{error::Violations, pb::v1};

const MAX_COMPONENTS: usize = 200;
const MAX_PATTERN: usize = 500;
const MAX_COMMENT: usize = 200;
const MAX_ITEMS: usize = 20;
const MAX_ITEM_NAME: usize = 200;
const MAX_VARIABLES: usize = 50;
const MAX_VARIABLE_NAME: usize = 50;
const MAX_VALUES: usize = 200;
const MAX_VALUE: usize = 200;

/// Notes what is wrong with components for Apple. `variables` are those that patterns may name; `None`: nobody knows yet.
pub(super) fn check_apple(
    path: &str,
    components: &[v1::AppleComponent],
    variables: Option<&Variables>,
    wrong: &mut Violations,
) {
    if components.len() > MAX_COMPONENTS {
        wrong.add(path, format!("must be at most {MAX_COMPONENTS}"));
        return;
    }
    for (place, component) in components.iter().enumerate() {
        let path = format!("{path}[{place}]");
        let mut pattern = |field: &str, text: &str| {
            check_pattern(&format!("{path}.{field}"), text, wrong);
            if let Some(variables) = variables
                && let Err(name) = Pattern::apple(text, variables)
            {
                wrong.add(
                    format!("{path}.{field}"),
                    format!("names the variable {name:?}, which is not defined"),
                );
            }
        };
        if let Some(text) = &component.path {
            pattern("path", text);
        }
        if let Some(text) = &component.query {
            pattern("query", text);
        }
        for (item, text) in component.query_items.iter().enumerate() {
            pattern(&format!("query_items[{item}].value"), &text.value);
        }
        if let Some(text) = &component.fragment {
            pattern("fragment", text);
        }
        if let Some(text) = &component.path {
            check_beginning(&format!("{path}.path"), text, &["/", "*", "?", "$("], wrong);
        }
        if component.query.is_some() && !component.query_items.is_empty() {
            wrong.add(format!("{path}.query_items"), "must be empty where query is set");
        }
        check_items(&format!("{path}.query_items"), &component.query_items, wrong);
        check_comment(&format!("{path}.comment"), &component.comment, wrong);
    }
}

/// Notes what is wrong with components for Android.
pub(super) fn check_android(path: &str, components: &[v1::AndroidComponent], wrong: &mut Violations) {
    if components.len() > MAX_COMPONENTS {
        wrong.add(path, format!("must be at most {MAX_COMPONENTS}"));
        return;
    }
    for (place, component) in components.iter().enumerate() {
        let path = format!("{path}[{place}]");
        let looks_at_nothing = component.path.is_none() && component.fragment.is_none();
        if looks_at_nothing && component.query_items.is_empty() {
            // Apple's systems match everything with such a one.
            wrong.add(
                path.as_str(),
                "must set path, query_items or fragment: Android matches nothing with a component that looks at nothing",
            );
        }
        if let Some(text) = &component.path {
            check_glob(&format!("{path}.path"), text, wrong);
            if !text.is_empty() {
                check_beginning(&format!("{path}.path"), text, &["/", "*", "?"], wrong);
            }
        }
        for (item, text) in component.query_items.iter().enumerate() {
            check_glob(&format!("{path}.query_items[{item}].value"), &text.value, wrong);
        }
        if let Some(text) = &component.fragment {
            check_glob(&format!("{path}.fragment"), text, wrong);
        }
        check_items(&format!("{path}.query_items"), &component.query_items, wrong);
        check_comment(&format!("{path}.comment"), &component.comment, wrong);
    }
}

/// Notes what is wrong with substitution variables.
pub(super) fn check_variables(path: &str, variables: &[v1::SubstitutionVariable], wrong: &mut Violations) {
    if variables.len() > MAX_VARIABLES {
        wrong.add(path, format!("must be at most {MAX_VARIABLES}"));
        return;
    }
    let twice = repeated(variables.iter().map(|variable| variable.name.as_str()));
    for (place, v1::SubstitutionVariable { name, values }) in variables.iter().enumerate() {
        let path = format!("{path}[{place}]");
        let length = name.chars().count();
        let odd =
            name.chars().any(|character| matches!(character, '$' | '(' | ')') || character.is_control());
        if length == 0 || length > MAX_VARIABLE_NAME || odd {
            wrong.add(
                format!("{path}.name"),
                "must have 1 to 50 characters, none of them $, a parenthesis or a control character",
            );
        } else if is_known(name) {
            wrong.add(format!("{path}.name"), "is a variable that Apple knows already");
        } else if twice.contains(name.as_str()) {
            wrong.add(format!("{path}.name"), "is defined twice");
        }
        if values.is_empty() || values.len() > MAX_VALUES {
            wrong.add(format!("{path}.values"), format!("must be 1 to {MAX_VALUES}"));
            continue;
        }
        for (value, text) in values.iter().enumerate() {
            let length = text.chars().count();
            if length == 0 || length > MAX_VALUE || text.chars().any(char::is_control) {
                wrong.add(
                    format!("{path}.values[{value}]"),
                    "must have 1 to 200 characters, none of them a control character",
                );
            } else if text.contains("$(") {
                wrong.add(format!("{path}.values[{value}]"), "must not use other variables");
            }
        }
    }
}

fn check_pattern(path: &str, text: &str, wrong: &mut Violations) {
    if text.chars().nth(MAX_PATTERN).is_some() {
        wrong.add(path, "must have at most 500 characters");
    }
    if text.chars().any(char::is_control) {
        wrong.add(path, "must not contain control characters");
    }
}

fn check_glob(path: &str, text: &str, wrong: &mut Violations) {
    if text.is_empty() {
        wrong.add(path, "must not be empty: Android takes no empty patterns");
    }
    check_pattern(path, text, wrong);
}

/// A pattern of paths that begins with anything else matches none: every path begins with a slash.
fn check_beginning(path: &str, text: &str, beginnings: &[&str], wrong: &mut Violations) {
    if !beginnings.iter().any(|beginning| text.starts_with(beginning)) {
        wrong.add(path, "must begin with /, as every path does, or with a wildcard");
    }
}

fn check_items(path: &str, items: &[v1::QueryItemPattern], wrong: &mut Violations) {
    if items.len() > MAX_ITEMS {
        wrong.add(path, format!("must be at most {MAX_ITEMS}"));
        return;
    }
    let twice = repeated(items.iter().map(|item| item.name.as_str()));
    for (place, item) in items.iter().enumerate() {
        let length = item.name.chars().count();
        if length == 0 || length > MAX_ITEM_NAME || item.name.chars().any(char::is_control) {
            wrong.add(
                format!("{path}[{place}].name"),
                "must have 1 to 200 characters, none of them a control character",
            );
        } else if twice.contains(item.name.as_str()) {
            wrong.add(format!("{path}[{place}].name"), "stands here twice");
        }
    }
}

fn check_comment(path: &str, text: &str, wrong: &mut Violations) {
    if text.chars().nth(MAX_COMMENT).is_some() || text.chars().any(char::is_control) {
        wrong.add(path, "must have at most 200 characters, none of them a control character");
    }
}
