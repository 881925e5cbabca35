//! A stream of clicks as they are recorded: who may go on watching, what they want to see, and when the stream says that it is
//! alive.

use std::{collections::HashSet, time::Duration};

use futures::{Stream, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::Status;

use crate::{
    clicks::class::Class,
    clicks::live::{self, Heard, Seen, Watch},
    clock::Moment,
    env::Env,
    error::{Error, Result, Violations},
    ids::{LinkId, time_of},
    links::{self, NOT_A_UUID, timestamp},
    pb::v1::{
        Click, ClickClass, Heartbeat, Lagged, Platform, WatchEventsRequest, WatchEventsResponse,
        watch_events_response::Event,
    },
    rpc::{self, Permission, Vigil},
    workspaces::{self, Tenant},
};

const MAX_LINKS: usize = 100;
/// The longest a stream is silent.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a stream looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What somebody wants to see of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Which links; none means all.
    pub links: HashSet<LinkId>,
    /// Whether clicks that no person made are shown.
    pub bots: bool,
}

impl Filter {
    /// Reads a request.
    pub fn read(request: &WatchEventsRequest) -> Result<Self> {
        if request.link_ids.len() > MAX_LINKS {
            return Err(Error::invalid_field("link_ids", "must be at most 100"));
        }
        let mut wrong = Violations::default();
        let links = request.link_ids.iter().enumerate().filter_map(|(at, id)| {
            wrong.take(&format!("link_ids[{at}]"), LinkId::parse(id).ok_or(NOT_A_UUID))
        });
        let links = links.collect();
        wrong.into_result(Self { links, bots: request.include_bots })
    }

    /// Says whether a click is to be shown.
    pub fn wants(&self, link: LinkId, class: u32) -> bool {
        (self.bots || class == 0) && (self.links.is_empty() || self.links.contains(&link))
    }
}

/// Begins to watch.
pub async fn open(
    env: &Env,
    tenant: &Tenant,
    filter: Filter,
    vigil: Vigil,
) -> Result<impl Stream<Item = Result<WatchEventsResponse, Status>> + Send + use<>> {
    if !filter.links.is_empty() {
        links::expect_all(env, tenant, &filter.links).await?;
    }
    let wants = move |seen: &Seen| filter.wants(seen.link, seen.class);
    let watch = live::watch(env, tenant.id, wants).await?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed { env: env.clone(), watch, vigil, workspace: tenant.id.to_string(), sent: None, look };
    Ok(stream::unfold(Some(feed), async |feed| {
        let mut feed = feed?;
        match feed.next().await {
            Ok(event) => Some((Ok(WatchEventsResponse { event: Some(event) }), Some(feed))),
            // Nothing comes after an error, and the place is free for somebody else.
            Err(error) => Some((Err(rpc::status(&error)), None)),
        }
    }))
}

struct Feed {
    env: Env,
    watch: Watch,
    vigil: Vigil,
    workspace: String,
    sent: Option<Moment>,
    look: Interval,
}

impl Feed {
    async fn next(&mut self) -> Result<Event> {
        let event = self.wait().await?;
        self.sent = Some(self.env.now());
        Ok(event)
    }

    async fn wait(&mut self) -> Result<Event> {
        loop {
            let now = self.env.now();
            let (env, workspace) = (&self.env, &self.workspace);
            // While a store does not answer nothing is recorded either, so there is nothing to see.
            let enter = async |caller| {
                workspaces::enter(env, &caller, workspace, Permission::AnalyticsRead).await.map(drop)
            };
            self.vigil.keep(now, enter).await?;
            if self.sent.is_none_or(|sent| is_due(sent, SILENCE, now)) {
                return Ok(Event::Heartbeat(Heartbeat {}));
            }
            tokio::select! {
                biased;
                left = self.vigil.left() => return Err(left),
                heard = self.watch.next() => return Ok(event(heard)),
                _ = self.look.tick() => {}
            }
        }
    }
}

/// Says whether something is to be done again. A clock that went back is no reason to wait.
fn is_due(last: Moment, every: Duration, now: Moment) -> bool {
    now < last || now >= last + every
}

fn event(heard: Heard) -> Event {
    match heard {
        Heard::Click(seen) => Event::Click(click(&seen)),
        Heard::Missed(count) => Event::Lagged(Lagged { missed: i64::try_from(count).unwrap_or(i64::MAX) }),
    }
}

fn click(seen: &Seen) -> Click {
    Click {
        id: seen.id.to_string(),
        link_id: seen.link.to_string(),
        time: Some(timestamp(time_of(seen.id.0))),
        platform: platform(seen.platform).into(),
        class: class(seen.class).into(),
        referrer_host: seen.referrer_host.clone(),
        language: seen.language.clone(),
        query: seen.query.clone(),
    }
}

/// One that this release does not know is no person's all the same.
fn class(number: u32) -> ClickClass {
    match i16::try_from(number).ok().and_then(Class::of_number) {
        Some(Class::Human) => ClickClass::Human,
        Some(Class::Preview) => ClickClass::Preview,
        Some(Class::Prefetch) => ClickClass::Prefetch,
        Some(Class::Monitor) => ClickClass::Monitor,
        Some(Class::Bot(_)) | None => ClickClass::Bot,
    }
}

const fn platform(number: u32) -> Platform {
    match number {
        0 => Platform::Web,
        1 => Platform::Ios,
        2 => Platform::Android,
        _ => Platform::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::from_micros;

    fn link(number: u128) -> LinkId {
        LinkId(Uuid::from_u128(number))
    }

    #[test]
    fn a_click_is_shown_to_those_who_want_it() {
        for (links, bots, of, bot, shown) in [
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
            let filter = Filter { links: links.iter().map(|number| link(*number)).collect(), bots };
            assert_eq!(filter.wants(link(of), bot), shown, "{filter:?} {of} {bot}");
        }
    }

    #[test]
    fn wrong_link_ids_are_all_named() {
        let good = link(1).to_string();
        let ask = |link_ids| WatchEventsRequest { link_ids, ..WatchEventsRequest::default() };
        assert_eq!(Filter::read(&ask(vec![good.clone(); 100])).expect("good").links.len(), 1);
        Filter::read(&ask(vec![good.clone(); 101])).expect_err("too many");
        let error = Filter::read(&ask(vec!["x".into(), good, String::new()])).expect_err("two are wrong");
        let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
        assert_eq!(fields, ["link_ids[0]", "link_ids[2]"]);
    }

    #[test]
    fn a_click_says_what_was_recorded() {
        let classes: Vec<_> = [0, 1, 3, 4, 5, 6, 99].map(class).into();
        let bot = ClickClass::Bot;
        let (human, preview) = (ClickClass::Human, ClickClass::Preview);
        assert_eq!(classes, [human, bot, bot, preview, ClickClass::Prefetch, ClickClass::Monitor, bot]);
        let named: Vec<_> = (0..4).map(platform).collect();
        assert_eq!(named, [Platform::Web, Platform::Ios, Platform::Android, Platform::Unspecified]);
    }

    #[test]
    fn the_clock_says_what_is_due() {
        let at = |seconds: i64| from_micros(seconds * 1_000_000);
        for (now, due) in [(100, false), (114, false), (115, true), (99, true)] {
            assert_eq!(is_due(at(100), SILENCE, at(now)), due, "{now}");
        }
    }
}
