//! Which items of the feed somebody wants to see. Pure.

use std::collections::HashSet;

use super::{Click, Event, Install};
use crate::{
    geo::Country,
    ids::{AppId, LinkId},
    pb::v1::ClickClass,
};

/// Which items somebody wants to see. What is empty lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Items of these links.
    pub links: HashSet<LinkId>,
    /// Items of links of this project, as text.
    pub project: String,
    /// Items of links on this host.
    pub domain: String,
    /// Installs and events of these apps.
    pub apps: HashSet<AppId>,
    /// Clicks of these.
    pub classes: HashSet<ClickClass>,
    /// Clicks from these.
    pub countries: HashSet<Country>,
    /// Events of these names.
    pub event_names: HashSet<String>,
}

impl Filter {
    /// Says whether a click, made by `class`, passes.
    pub fn click(&self, click: &Click, class: ClickClass) -> bool {
        let is_from =
            |country: &str| Country::parse(country).is_some_and(|one| self.countries.contains(&one));
        (self.classes.is_empty() || self.classes.contains(&class))
            && (self.countries.is_empty() || is_from(&click.country))
            && self.place([Some(click.link)].into_iter(), &[(&click.domain, &click.project)])
    }

    /// Says whether what became of an install passes: by what it is credited to, or was before.
    pub fn install(&self, install: &Install) -> bool {
        let credits = || [Some(&install.now), install.before.as_ref()].into_iter().flatten();
        let homes: Vec<(&str, &str)> =
            credits().map(|credit| (credit.domain.as_str(), credit.project.as_str())).collect();
        self.app(install.app) && self.place(credits().map(|credit| credit.link), &homes)
    }

    /// Says whether an event passes.
    pub fn event(&self, event: &Event) -> bool {
        self.app(event.app)
            && (self.event_names.is_empty() || self.event_names.contains(&event.name))
            && self.place([event.link].into_iter(), &[(&event.domain, &event.project)])
    }

    /// Says whether a link passes, with its host and its project.
    pub fn link(&self, link: LinkId, domain: &str, project: &str) -> bool {
        self.place([Some(link)].into_iter(), &[(domain, project)])
    }

    /// Says whether what happens in an app passes.
    pub fn app(&self, app: Option<AppId>) -> bool {
        self.apps.is_empty() || app.is_some_and(|app| self.apps.contains(&app))
    }

    fn place(&self, mut links: impl Iterator<Item = Option<LinkId>>, homes: &[(&str, &str)]) -> bool {
        (self.links.is_empty() || links.any(|link| link.is_some_and(|link| self.links.contains(&link))))
            && homes.iter().any(|(domain, project)| {
                (self.domain.is_empty() || self.domain == *domain)
                    && (self.project.is_empty() || self.project == *project)
            })
    }
}
