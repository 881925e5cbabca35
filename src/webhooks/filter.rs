//! Which of the events of its types an endpoint is told. Pure.
//!
//! | field | of what |
//! |---|---|
//! | `links`, `project`, `domain` | links, clicks, opens; installs by what they are credited to; events by the link that opened the app last |
//! | `apps` | installs, events, postbacks |
//! | `classes`, `countries` | clicks, opens |
//! | `event_names` | events |
//!
//! Whatever a field does not speak of passes it: an endpoint that is told of domains hears of all, whichever links it wants.

use crate::{
    feed,
    geo::Country,
    ids::{AppId, LinkId, ProjectId},
    pb::v1::ClickClass,
};

/// Which events. What is empty lets everything pass, but for `classes`. In the order that somebody set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What happens to these links.
    pub links: Vec<LinkId>,
    /// What happens to links of this project.
    pub project: Option<ProjectId>,
    /// What happens to links on this host, as `domains::expect_host` returns it.
    pub domain: String,
    /// What happens in these apps.
    pub apps: Vec<AppId>,
    /// Clicks of these; empty: of people.
    pub classes: Vec<ClickClass>,
    /// Clicks from these.
    pub countries: Vec<Country>,
    /// Events of these names.
    pub event_names: Vec<String>,
}

impl Filter {
    /// Returns it as it is asked, again and again.
    pub fn ready(&self) -> feed::Filter {
        let Self { links, project, domain, apps, classes, countries, event_names } = self;
        let people = [ClickClass::Human];
        let classes = if classes.is_empty() { &people[..] } else { classes };
        feed::Filter {
            links: links.iter().copied().collect(),
            project: project.map(|project| project.to_string()).unwrap_or_default(),
            domain: domain.clone(),
            apps: apps.iter().copied().collect(),
            classes: classes.iter().copied().collect(),
            countries: countries.iter().copied().collect(),
            event_names: event_names.iter().cloned().collect(),
        }
    }
}
