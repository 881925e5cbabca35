//! Who wants to hear of what. Pure.

use ring::digest;

use super::{EventType, Settings, endpoint::EVERY_CLICK};
use crate::{
    clicks::{OPENED_BY_SYSTEM, class::Class},
    feed,
    ids::{AppId, ClickId, LinkId, WebhookEndpointId},
    pb::sdk::v1::AttributionState,
};

/// An endpoint that wants to hear of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Which.
    pub id: WebhookEndpointId,
    settings: Settings,
    filter: feed::Filter,
}

impl Listener {
    /// Returns an endpoint as it is asked, again and again.
    pub fn new(id: WebhookEndpointId, settings: Settings) -> Self {
        Self { id, filter: settings.filter.ready(), settings }
    }

    /// Says whether clicks come to it many in one body.
    pub fn batches(&self) -> bool {
        self.settings.batches()
    }

    /// Says whether it wants to hear of such things, whatever they are about.
    pub fn wants(&self, event_type: EventType) -> bool {
        self.settings.wants(event_type)
    }

    /// Says whether it wants to hear of a click.
    pub fn wants_click(&self, event_type: EventType, click: &feed::Click) -> bool {
        self.wants(event_type)
            && is_sampled(click.id, self.settings.click_sample)
            && self.filter.click(click, Class::told(click.class))
    }

    /// Says whether it wants to hear of an install.
    pub fn wants_install(&self, event_type: EventType, install: &feed::Install) -> bool {
        self.wants(event_type) && self.filter.install(install)
    }

    /// Says whether it wants to hear of an event.
    pub fn wants_event(&self, event_type: EventType, event: &feed::Event) -> bool {
        self.wants(event_type) && self.filter.event(event)
    }

    /// Says whether it wants to hear of a postback of an app.
    pub fn wants_postback(&self, event_type: EventType, app: Option<AppId>) -> bool {
        self.wants(event_type) && self.filter.app(app)
    }

    /// Says whether it wants to hear of a link on a host, in a project if it is in one.
    pub fn wants_link(&self, event_type: EventType, link: LinkId, domain: &str, project: &str) -> bool {
        self.wants(event_type) && self.filter.link(link, domain, project)
    }
}

/// Returns what a click of the feed is.
pub fn of_click(click: &feed::Click) -> EventType {
    if click.step == OPENED_BY_SYSTEM { EventType::OpenRecorded } else { EventType::ClickRecorded }
}

/// Returns what became of an install, if that is anything new to those who are told.
pub fn of_install(install: &feed::Install) -> Option<EventType> {
    let now = &install.now;
    if install
        .before
        .as_ref()
        .is_some_and(|before| (before.state, before.link, before.click) == (now.state, now.link, now.click))
    {
        return None;
    }
    match AttributionState::try_from(i32::from(now.state)) {
        Ok(AttributionState::Attributed) => Some(EventType::InstallAttributed),
        Ok(AttributionState::Organic) => Some(EventType::InstallOrganic),
        Ok(AttributionState::Pending | AttributionState::Unspecified) | Err(_) => None,
    }
}

/// Returns what an event of the feed is.
pub fn of_event(event: &feed::Event) -> &'static [EventType] {
    let earned = event.revenue.is_some() && !event.duplicate_revenue;
    match (event.priced_later, earned) {
        (true, _) => &[],
        (false, false) => &[EventType::EventRecorded],
        (false, true) => &[EventType::EventRecorded, EventType::RevenueRecorded],
    }
}

/// Says whether a click is among those of a sample: the same whoever asks and how often, and of a smaller sample only if of a larger.
fn is_sampled(click: ClickId, of_a_million: u32) -> bool {
    if of_a_million >= EVERY_CLICK {
        return true;
    }
    let digest = digest::digest(&digest::SHA256, click.0.as_bytes());
    let number = digest.as_ref().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    number % u64::from(EVERY_CLICK) < u64::from(of_a_million)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::from_micros,
        feed::{Credit, Install},
        ids::{Ids, InstallId},
    };

    #[test]
    fn a_sample_is_about_as_large_as_it_should_be_and_the_same_for_all() {
        let ids = Ids::seeded(1);
        let clicks: Vec<ClickId> = (0..20_000).map(|at| ClickId::mint(&ids, from_micros(at))).collect();
        let sample = |size| clicks.iter().filter(|click| is_sampled(**click, size)).count();
        assert_eq!((sample(0), sample(1_000_000)), (0, 20_000));
        assert!((1700..2300).contains(&sample(100_000)), "{}", sample(100_000));
        assert!(clicks.iter().all(|click| !is_sampled(*click, 1000) || is_sampled(*click, 2000)));
    }

    #[test]
    fn an_install_is_told_when_it_is_decided_and_when_that_changes() {
        let credit = |state: AttributionState, link: u128| Credit {
            state: state as i16,
            link: (link > 0).then(|| LinkId(Uuid::from_u128(link))),
            ..Credit::default()
        };
        let (attributed, organic, pending) =
            (AttributionState::Attributed, AttributionState::Organic, AttributionState::Pending);
        for (now, before, expected) in [
            ((attributed, 1), None, Some(EventType::InstallAttributed)),
            ((organic, 0), None, Some(EventType::InstallOrganic)),
            ((pending, 0), None, None),
            ((attributed, 1), Some((pending, 0)), Some(EventType::InstallAttributed)),
            ((organic, 0), Some((attributed, 1)), Some(EventType::InstallOrganic)),
            ((attributed, 2), Some((attributed, 1)), Some(EventType::InstallAttributed)),
            ((attributed, 1), Some((attributed, 1)), None),
            ((organic, 0), Some((organic, 0)), None),
        ] {
            let install = Install {
                id: InstallId(Uuid::nil()),
                app: None,
                time: from_micros(0),
                platform: 0,
                test: false,
                now: credit(now.0, now.1),
                before: before.map(|(state, link)| credit(state, link)),
            };
            assert_eq!(of_install(&install), expected, "{install:?}");
        }
    }
}
