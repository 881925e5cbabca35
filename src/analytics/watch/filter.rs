//! What somebody wants to see of what happens in a workspace. Pure, but for the look whether what it names is there.

use std::collections::HashSet;

use crate::{
    clicks::class::Class,
    domains,
    env::Env,
    error::{Error, Result, Violations},
    feed::{self, Click, Event, Install},
    geo::Country,
    ids::{LinkId, ProjectId},
    links::{self, NOT_A_UUID},
    pb::v1::{ClickClass, WatchEventsRequest, WatchKind},
    workspaces::Tenant,
};

const MOST: usize = 100;
const TOO_MANY: &str = "must be at most 100";
const NOT_KNOWN: &str = "must be one this server knows";

/// What somebody wants to see. What is empty lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: HashSet<WatchKind>,
    project: Option<ProjectId>,
    /// Its domain is the one that was asked for, and then as the feed has it.
    of: feed::Filter,
}

impl Filter {
    /// Reads a request.
    pub fn read(request: &WatchEventsRequest) -> Result<Self> {
        let mut wrong = Violations::default();
        for (field, many) in [
            ("link_ids", request.link_ids.len()),
            ("kinds", request.kinds.len()),
            ("classes", request.classes.len()),
            ("countries", request.countries.len()),
            ("event_names", request.event_names.len()),
        ] {
            if many > MOST {
                return Err(Error::invalid_field(field, TOO_MANY));
            }
        }
        let links = request.link_ids.iter().enumerate().filter_map(|(at, id)| {
            wrong.take(&format!("link_ids[{at}]"), LinkId::parse(id).ok_or(NOT_A_UUID))
        });
        let links = links.collect();
        let kinds = request.kinds.iter().enumerate().filter_map(|(at, kind)| {
            let kind = WatchKind::try_from(*kind).ok().filter(|kind| *kind != WatchKind::Unspecified);
            wrong.take(&format!("kinds[{at}]"), kind.ok_or(NOT_KNOWN))
        });
        let kinds = kinds.collect();
        let classes = request.classes.iter().enumerate().filter_map(|(at, class)| {
            let class = ClickClass::try_from(*class).ok().filter(|class| *class != ClickClass::Unspecified);
            wrong.take(&format!("classes[{at}]"), class.ok_or(NOT_KNOWN))
        });
        let mut classes: HashSet<ClickClass> = classes.collect();
        if classes.is_empty() && !request.include_bots {
            classes.insert(ClickClass::Human);
        }
        let countries = request.countries.iter().enumerate().filter_map(|(at, country)| {
            let country = Country::parse(country).ok_or("must be two letters (ISO 3166-1)");
            wrong.take(&format!("countries[{at}]"), country)
        });
        let countries = countries.collect();
        let mut project = None;
        if !request.project_id.is_empty() {
            project = wrong.take("project_id", ProjectId::parse(&request.project_id).ok_or(NOT_A_UUID));
        }
        let of = feed::Filter {
            links,
            project: project.map(|project: ProjectId| project.to_string()).unwrap_or_default(),
            domain: request.domain.clone(),
            apps: HashSet::new(),
            classes,
            countries,
            event_names: request.event_names.iter().cloned().collect(),
        };
        wrong.into_result(Self { kinds, project, of })
    }

    /// Fails for what is not the workspace's, and takes the domain as the feed has it.
    pub async fn expect(mut self, env: &Env, tenant: &Tenant) -> Result<Self> {
        if !self.of.links.is_empty() {
            links::expect_all(env, tenant, &self.of.links).await?;
        }
        if let Some(project) = self.project {
            links::expect_project(env, tenant, project).await?;
        }
        if !self.of.domain.is_empty() {
            self.of.domain = domains::expect_host(env, tenant, &self.of.domain).await?;
        }
        Ok(self)
    }

    /// Says whether a click is to be shown.
    pub fn click(&self, click: &Click) -> bool {
        self.kind(WatchKind::Clicks) && self.of.click(click, Class::told(click.class))
    }

    /// Says whether what became of an install is to be shown.
    pub fn install(&self, install: &Install) -> bool {
        self.kind(WatchKind::Installs) && self.of.install(install)
    }

    /// Says whether an event is to be shown. One whose rate was found later was shown before.
    pub fn event(&self, event: &Event) -> bool {
        self.kind(WatchKind::Events) && !event.priced_later && self.of.event(event)
    }

    fn kind(&self, kind: WatchKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::from_micros,
        feed::Credit,
        ids::{ClickId, EventId, InstallId},
    };

    fn link(number: u128) -> LinkId {
        LinkId(Uuid::from_u128(number))
    }

    fn click(of: u128, class: i16, country: &str, project: &str) -> Click {
        Click {
            id: ClickId(Uuid::nil()),
            link: link(of),
            domain: "go.example".into(),
            project: project.into(),
            platform: 0,
            class,
            step: 0,
            visitor: 0,
            user_agent: "".into(),
            referrer_host: "".into(),
            language: "".into(),
            query: "".into(),
            country: country.into(),
            region: "".into(),
            city: "".into(),
            campaign: "".into(),
        }
    }

    fn ask() -> WatchEventsRequest {
        WatchEventsRequest::default()
    }

    fn read(request: &WatchEventsRequest) -> Filter {
        Filter::read(request).expect("good")
    }

    #[test]
    fn a_click_is_shown_to_those_who_want_it() {
        let ids = |numbers: &[u128]| numbers.iter().map(|number| link(*number).to_string()).collect();
        for (links, include_bots, of, class, shown) in [
            (&[][..], false, 1, 0, true),
            (&[], false, 1, 1, false),
            (&[], false, 1, 99, false),
            (&[], true, 1, 1, true),
            (&[], true, 1, 0, true),
            (&[1, 2], false, 2, 0, true),
            (&[1, 2], false, 3, 0, false),
            (&[1, 2], true, 3, 1, false),
            (&[1, 2], true, 1, 2, true),
            (&[1, 2], false, 1, 2, false),
        ] {
            let filter = read(&WatchEventsRequest { link_ids: ids(links), include_bots, ..ask() });
            assert_eq!(filter.click(&click(of, class, "", "")), shown, "{filter:?} {of} {class}");
        }
        let project = Uuid::from_u128(5).to_string();
        let classes = vec![ClickClass::Preview as i32, ClickClass::Bot as i32];
        for (request, shown) in [
            (WatchEventsRequest { kinds: vec![WatchKind::Installs as i32], ..ask() }, false),
            (WatchEventsRequest { kinds: vec![WatchKind::Clicks as i32, 2], ..ask() }, true),
            (WatchEventsRequest { classes: classes.clone(), ..ask() }, false),
            (WatchEventsRequest { classes, include_bots: true, ..ask() }, false),
            (WatchEventsRequest { countries: vec!["de".into(), "CH".into()], ..ask() }, true),
            (WatchEventsRequest { countries: vec!["DE".into()], ..ask() }, false),
            (WatchEventsRequest { project_id: project.clone(), ..ask() }, true),
            (WatchEventsRequest { project_id: Uuid::from_u128(6).to_string(), ..ask() }, false),
            (WatchEventsRequest { domain: "go.example".into(), ..ask() }, true),
            (WatchEventsRequest { domain: "no.example".into(), ..ask() }, false),
            (WatchEventsRequest { event_names: vec!["purchase".into()], ..ask() }, true),
        ] {
            assert_eq!(read(&request).click(&click(1, 0, "CH", &project)), shown, "{request:?}");
        }
    }

    #[test]
    fn an_install_is_of_the_link_it_is_credited_to_or_was() {
        let credit =
            |of: u128| Credit { link: Some(link(of)), domain: "go.example".into(), ..Credit::default() };
        let install = |now: Credit, before: Option<Credit>| Install {
            id: InstallId(Uuid::nil()),
            app: None,
            time: from_micros(0),
            platform: 0,
            test: false,
            now,
            before,
        };
        let filter = read(&WatchEventsRequest { link_ids: vec![link(1).to_string()], ..ask() });
        for (now, before, shown) in [
            (credit(1), None, true),
            (credit(2), None, false),
            (Credit::default(), None, false),
            (Credit::default(), Some(credit(1)), true),
            (credit(2), Some(credit(3)), false),
        ] {
            assert_eq!(filter.install(&install(now.clone(), before.clone())), shown, "{now:?} {before:?}");
        }
        let anywhere = read(&ask());
        assert!(anywhere.install(&install(Credit::default(), None)));
        let there = read(&WatchEventsRequest { domain: "go.example".into(), ..ask() });
        assert!(
            there.install(&install(credit(9), None)) && !there.install(&install(Credit::default(), None))
        );
    }

    #[test]
    fn an_event_is_shown_by_its_name_and_once() {
        let event = |name: &str, priced_later| Event {
            id: EventId(Uuid::nil()),
            install: InstallId(Uuid::nil()),
            app: None,
            name: name.to_owned(),
            time: from_micros(0),
            revenue: None,
            reporting: None,
            duplicate_revenue: false,
            link: Some(link(1)),
            click: None,
            link_open_time: None,
            domain: "go.example".to_owned(),
            project: String::new(),
            priced_later,
        };
        let filter = read(&WatchEventsRequest { event_names: vec!["purchase".into()], ..ask() });
        assert!(filter.event(&event("purchase", false)));
        assert!(!filter.event(&event("purchase", true)) && !filter.event(&event("open", false)));
        let elsewhere = read(&WatchEventsRequest { link_ids: vec![link(2).to_string()], ..ask() });
        assert!(!elsewhere.event(&event("purchase", false)));
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let good = link(1).to_string();
        let links = |link_ids| WatchEventsRequest { link_ids, ..ask() };
        assert_eq!(read(&links(vec![good.clone(); 100])).of.links.len(), 1);
        Filter::read(&links(vec![good.clone(); 101])).expect_err("too many");
        let request = WatchEventsRequest {
            link_ids: vec!["x".into(), good, String::new()],
            kinds: vec![0, 1, 99],
            classes: vec![1, 0],
            countries: vec!["CHE".into()],
            project_id: "y".into(),
            ..ask()
        };
        let error = Filter::read(&request).expect_err("wrong");
        let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
        let expected = [
            "link_ids[0]",
            "link_ids[2]",
            "kinds[0]",
            "kinds[2]",
            "classes[1]",
            "countries[0]",
            "project_id",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn unknown_classes_are_no_persons() {
        let classes: Vec<_> = [0, 1, 3, 4, 5, 6, 99].map(Class::told).into();
        let bot = ClickClass::Bot;
        let (human, preview) = (ClickClass::Human, ClickClass::Preview);
        assert_eq!(classes, [human, bot, bot, preview, ClickClass::Prefetch, ClickClass::Monitor, bot]);
    }
}
