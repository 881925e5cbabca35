//! What a row of the feed says, and how it is written (`linkforty.internal.v1.FeedBatch`). Pure.
//!
//! The clicks of a batch have most of their texts in common, so each text is written once: a click takes some fifty bytes.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use quick_cache::DefaultHashBuilder;
use uuid::Uuid;

use super::Kind;
use crate::{
    clock::{Moment, from_micros},
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId},
    pb::internal::v1::{FeedBatch, FeedClick, FeedCredit, FeedEvent, FeedInstall, FeedLink, FeedMoney},
};

/// What one row holds at the most.
const MOST_ITEMS: usize = 1000;
/// About so many bytes; a row is closed before it has more, unless one item alone does.
const MOST_BYTES: usize = 256 * 1024;
/// What an item takes besides its texts, at the most.
const ITEM_BYTES: usize = 160;

/// A click, with all that it is counted by. Its texts are borrowed where it is written and shared where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Click<T = Arc<str>> {
    /// Which: its time part is the moment of the visit.
    pub id: ClickId,
    /// Which link.
    pub link: LinkId,
    /// The host the link was on when the click was drained; empty when the link had been deleted.
    pub domain: T,
    /// The project of the link, as text; empty when it had none.
    pub project: T,
    /// 0 web, 1 iOS, 2 Android.
    pub platform: i16,
    /// Who made it: 0 a person, else `clicks::class::Class`.
    pub class: i16,
    /// Which step of the destination chain fired.
    pub step: i16,
    /// Keyed hash of address and user agent.
    pub visitor: i64,
    /// The User-Agent header.
    pub user_agent: T,
    /// The host of the Referer header.
    pub referrer_host: T,
    /// The first Accept-Language tag.
    pub language: T,
    /// The query of the short URL.
    pub query: T,
    /// Two letters; empty where nobody knows, as the next two.
    pub country: T,
    /// The code of the part of the country, without the country: `ZH`.
    pub region: T,
    /// The English name of the city.
    pub city: T,
    /// The campaign as `clicks::query::campaign` writes it.
    pub campaign: T,
}

/// What an install is credited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credit {
    /// 1 attributed, 2 organic, 3 pending (`linkforty.sdk.v1.AttributionState`).
    pub state: i16,
    /// How (`linkforty.sdk.v1.MatchMethod`).
    pub method: i16,
    /// The link.
    pub link: Option<LinkId>,
    /// The click.
    pub click: Option<ClickId>,
    /// The host of the link, as it was with the click; empty where nobody knows.
    pub domain: String,
    /// Its project, as text; empty when it had none.
    pub project: String,
    /// The campaign of the click, written in the same way.
    pub campaign: String,
}

/// What became of an install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Which.
    pub id: InstallId,
    /// Which app, where somebody said.
    pub app: Option<AppId>,
    /// When the app was first opened.
    pub time: Moment,
    /// 1 iOS, 2 Android, 0 unknown.
    pub platform: i16,
    /// Whether it is a developers' device.
    pub test: bool,
    /// What it is credited to now.
    pub now: Credit,
    /// What it was credited to before; `None`: it is new.
    pub before: Option<Credit>,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// ISO 4217.
    pub currency: String,
    /// Whole units.
    pub units: i64,
    /// Billionths of a unit, of the same sign.
    pub nanos: i32,
}

/// An event of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub id: EventId,
    /// In which install; it may be known later, or never.
    pub install: InstallId,
    /// Which app, where somebody said.
    pub app: Option<AppId>,
    /// What happened.
    pub name: String,
    /// When.
    pub time: Moment,
    /// What it earned, as the app says.
    pub revenue: Option<Money>,
    /// The same in the currency of the workspace; `None` while nobody knows the rate.
    pub reporting: Option<Money>,
    /// Whether another event earned the same before.
    pub duplicate_revenue: bool,
    /// The link that opened the app last, as the app says.
    pub link: Option<LinkId>,
    /// Its click, as the app says.
    pub click: Option<ClickId>,
    /// When it did.
    pub link_open_time: Option<Moment>,
    /// The host of that link when the event was stored; empty without one.
    pub domain: String,
    /// Its project, as text.
    pub project: String,
    /// True: the event was told before, without `reporting`, which is all that is new.
    pub priced_later: bool,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// Clicks, in the order they were drained.
    Clicks(Vec<Click>),
    /// Installs.
    Installs(Vec<Install>),
    /// Events.
    Events(Vec<Event>),
}

impl Items {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Clicks(clicks) => clicks.len(),
            Self::Installs(installs) => installs.len(),
            Self::Events(events) => events.len(),
        }
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What.
    pub kind: Kind,
    /// `linkforty.internal.v1.FeedBatch`.
    pub payload: Vec<u8>,
}

/// Puts clicks into rows, each of one workspace, in the order they come.
pub fn clicks<'a>(clicks: impl IntoIterator<Item = (WorkspaceId, Click<&'a str>)>) -> Vec<Entry> {
    let mut closed = Vec::new();
    let mut open: Vec<(WorkspaceId, Draft<'a>)> = Vec::new();
    // Where in `open` each workspace is; one that comes again right away, as most do, is not looked up.
    let mut places: HashMap<WorkspaceId, usize, DefaultHashBuilder> = HashMap::default();
    let mut last = usize::MAX;
    for (workspace, click) in clicks {
        if open.get(last).is_none_or(|(of, _)| *of != workspace) {
            last = *places.entry(workspace).or_insert_with(|| {
                open.push((workspace, Draft::default()));
                open.len() - 1
            });
        }
        let draft = &mut open[last].1;
        if draft.is_full() {
            closed.push(std::mem::take(draft).close(workspace));
        }
        draft.add(&click);
    }
    closed.extend(open.into_iter().map(|(workspace, draft)| draft.close(workspace)));
    closed
}

/// A row of clicks that is being written.
#[derive(Default)]
struct Draft<'a> {
    batch: FeedBatch,
    bytes: usize,
    texts: HashMap<&'a str, u32, DefaultHashBuilder>,
    links: HashMap<(LinkId, &'a str, &'a str), u32, DefaultHashBuilder>,
}

impl<'a> Draft<'a> {
    fn is_full(&self) -> bool {
        self.batch.clicks.len() == MOST_ITEMS || self.bytes >= MOST_BYTES
    }

    fn add(&mut self, click: &Click<&'a str>) {
        let link = self.link(click.link, click.domain, click.project);
        let click = FeedClick {
            id: bytes(click.id.0),
            link,
            platform: number(click.platform),
            class: number(click.class),
            step: number(click.step),
            visitor: click.visitor.cast_unsigned(),
            user_agent: self.text(click.user_agent),
            referrer_host: self.text(click.referrer_host),
            language: self.text(click.language),
            query: self.text(click.query),
            country: self.text(click.country),
            region: self.text(click.region),
            city: self.text(click.city),
            campaign: self.text(click.campaign),
        };
        self.bytes += ITEM_BYTES / 2;
        self.batch.clicks.push(click);
    }

    fn text(&mut self, text: &'a str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let (batch, size) = (&mut self.batch, &mut self.bytes);
        *self.texts.entry(text).or_insert_with(|| {
            if batch.texts.is_empty() {
                batch.texts.push(String::new());
            }
            batch.texts.push(text.to_owned());
            *size += text.len() + 4;
            place(batch.texts.len() - 1)
        })
    }

    fn link(&mut self, id: LinkId, domain: &'a str, project: &'a str) -> u32 {
        let (batch, size) = (&mut self.batch, &mut self.bytes);
        *self.links.entry((id, domain, project)).or_insert_with(|| {
            let link =
                FeedLink { id: bytes(id.0), domain: domain.to_owned(), project_id: project.to_owned() };
            *size += link.encoded_len() + 3;
            batch.links.push(link);
            place(batch.links.len() - 1)
        })
    }

    fn close(self, workspace: WorkspaceId) -> Entry {
        Entry { workspace, kind: Kind::Clicks, payload: self.batch.encode_to_vec() }
    }
}

/// Puts what became of installs into rows.
pub fn installs(installs: impl IntoIterator<Item = (WorkspaceId, Install)>) -> Vec<Entry> {
    let items = installs.into_iter().map(|(workspace, install)| (workspace, write_install(install)));
    rows(Kind::Installs, items, |installs| FeedBatch { installs, ..FeedBatch::default() })
}

/// Puts events into rows.
pub fn events(events: impl IntoIterator<Item = (WorkspaceId, Event)>) -> Vec<Entry> {
    let items = events.into_iter().map(|(workspace, event)| (workspace, write_event(event)));
    rows(Kind::Events, items, |events| FeedBatch { events, ..FeedBatch::default() })
}

fn rows<T: prost::Message>(
    kind: Kind,
    items: impl Iterator<Item = (WorkspaceId, T)>,
    batch: impl Fn(Vec<T>) -> FeedBatch,
) -> Vec<Entry> {
    let mut open: Vec<(WorkspaceId, usize, Vec<T>)> = Vec::new();
    let mut closed = Vec::new();
    let close = |workspace, items| Entry { workspace, kind, payload: batch(items).encode_to_vec() };
    for (workspace, item) in items {
        let size = item.encoded_len() + 4;
        let at = match open.iter().position(|(of, ..)| *of == workspace) {
            Some(at) => at,
            None => {
                open.push((workspace, 0, Vec::new()));
                open.len() - 1
            }
        };
        let (_, taken, items) = &mut open[at];
        if items.len() == MOST_ITEMS || (*taken + size > MOST_BYTES && !items.is_empty()) {
            closed.push(close(workspace, std::mem::take(items)));
            *taken = 0;
        }
        *taken += size;
        items.push(item);
    }
    closed.extend(open.into_iter().map(|(workspace, _, items)| close(workspace, items)));
    closed
}

fn write_install(Install { id, app, time, platform, test, now, before }: Install) -> FeedInstall {
    FeedInstall {
        id: bytes(id.0),
        app_id: maybe(app.map(|app| app.0)),
        install_time_micros: time.timestamp_micros(),
        platform: number(platform),
        test,
        now: Some(write_credit(now)),
        before: before.map(write_credit),
    }
}

fn write_credit(Credit { state, method, link, click, domain, project, campaign }: Credit) -> FeedCredit {
    FeedCredit {
        state: number(state),
        method: number(method),
        link_id: maybe(link.map(|link| link.0)),
        click_id: maybe(click.map(|click| click.0)),
        domain,
        project_id: project,
        campaign,
    }
}

fn write_event(event: Event) -> FeedEvent {
    let Event {
        id,
        install,
        app,
        name,
        time,
        revenue,
        reporting,
        duplicate_revenue,
        link,
        click,
        link_open_time,
        domain,
        project: project_id,
        priced_later,
    } = event;
    let money = |Money { currency, units, nanos }| FeedMoney { currency, units, nanos };
    FeedEvent {
        id: bytes(id.0),
        install_id: bytes(install.0),
        app_id: maybe(app.map(|app| app.0)),
        name,
        event_time_micros: time.timestamp_micros(),
        revenue: revenue.map(money),
        reporting: reporting.map(money),
        duplicate_revenue,
        link_id: maybe(link.map(|link| link.0)),
        click_id: maybe(click.map(|click| click.0)),
        link_open_time_micros: link_open_time.map_or(0, |time| time.timestamp_micros()),
        priced_later,
        domain,
        project_id,
    }
}

/// Reads a row; `None` for what no release writes.
pub(super) fn read(kind: i16, payload: &[u8]) -> Option<Items> {
    let batch = FeedBatch::decode(payload).ok()?;
    match kind {
        1 => read_clicks(batch).map(Items::Clicks),
        2 => batch.installs.into_iter().map(read_install).collect::<Option<_>>().map(Items::Installs),
        3 => batch.events.into_iter().map(read_event).collect::<Option<_>>().map(Items::Events),
        _ => None,
    }
}

fn read_clicks(batch: FeedBatch) -> Option<Vec<Click>> {
    let none: Arc<str> = Arc::from("");
    let texts: Vec<Arc<str>> = batch.texts.iter().map(|text| Arc::from(text.as_str())).collect();
    let mut links = Vec::with_capacity(batch.links.len());
    for link in &batch.links {
        let id = LinkId(Uuid::from_slice(&link.id).ok()?);
        links.push((id, Arc::<str>::from(link.domain.as_str()), Arc::<str>::from(link.project_id.as_str())));
    }
    let text = |place: u32| match place {
        0 => Some(none.clone()),
        place => texts.get(place as usize).cloned(),
    };
    let click = |click: FeedClick| {
        let (link, domain, project) = links.get(click.link as usize)?.clone();
        Some(Click {
            id: ClickId(Uuid::from_slice(&click.id).ok()?),
            link,
            domain,
            project,
            platform: i16::try_from(click.platform).ok()?,
            class: i16::try_from(click.class).ok()?,
            step: i16::try_from(click.step).ok()?,
            visitor: click.visitor.cast_signed(),
            user_agent: text(click.user_agent)?,
            referrer_host: text(click.referrer_host)?,
            language: text(click.language)?,
            query: text(click.query)?,
            country: text(click.country)?,
            region: text(click.region)?,
            city: text(click.city)?,
            campaign: text(click.campaign)?,
        })
    };
    batch.clicks.into_iter().map(click).collect()
}

fn read_install(install: FeedInstall) -> Option<Install> {
    let before = install.before.map(read_credit);
    Some(Install {
        id: InstallId(Uuid::from_slice(&install.id).ok()?),
        app: read_maybe(&install.app_id)?.map(AppId),
        time: from_micros(install.install_time_micros),
        platform: i16::try_from(install.platform).ok()?,
        test: install.test,
        now: read_credit(install.now?)?,
        before: match before {
            None => None,
            Some(credit) => Some(credit?),
        },
    })
}

fn read_credit(credit: FeedCredit) -> Option<Credit> {
    Some(Credit {
        state: i16::try_from(credit.state).ok()?,
        method: i16::try_from(credit.method).ok()?,
        link: read_maybe(&credit.link_id)?.map(LinkId),
        click: read_maybe(&credit.click_id)?.map(ClickId),
        domain: credit.domain,
        project: credit.project_id,
        campaign: credit.campaign,
    })
}

fn read_event(event: FeedEvent) -> Option<Event> {
    let money = |FeedMoney { currency, units, nanos }| Money { currency, units, nanos };
    let opened = event.link_open_time_micros;
    Some(Event {
        id: EventId(Uuid::from_slice(&event.id).ok()?),
        install: InstallId(Uuid::from_slice(&event.install_id).ok()?),
        app: read_maybe(&event.app_id)?.map(AppId),
        name: event.name,
        time: from_micros(event.event_time_micros),
        revenue: event.revenue.map(money),
        reporting: event.reporting.map(money),
        duplicate_revenue: event.duplicate_revenue,
        link: read_maybe(&event.link_id)?.map(LinkId),
        click: read_maybe(&event.click_id)?.map(ClickId),
        link_open_time: (opened != 0).then(|| from_micros(opened)),
        domain: event.domain,
        project: event.project_id,
        priced_later: event.priced_later,
    })
}

fn bytes(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn maybe(id: Option<Uuid>) -> Bytes {
    id.map(bytes).unwrap_or_default()
}

/// Reads an id that may be missing; `None` when it is none.
fn read_maybe(bytes: &[u8]) -> Option<Option<Uuid>> {
    if bytes.is_empty() { Some(None) } else { Uuid::from_slice(bytes).ok().map(Some) }
}

fn number(number: i16) -> u32 {
    number.unsigned_abs().into()
}

fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn click(number: u128, query: &str) -> Click<&str> {
        Click {
            id: ClickId(id(number)),
            link: LinkId(id(number % 3)),
            domain: "go.example.com",
            project: "",
            platform: 2,
            class: 1,
            step: 12,
            visitor: -7,
            user_agent: "Mozilla/5.0",
            referrer_host: "example.com",
            language: "de",
            query,
            country: "CH",
            region: "ZH",
            city: "Zürich",
            campaign: "utm_source=mail\nutm_content=a=b",
        }
    }

    fn read_all(entries: &[Entry]) -> Vec<(WorkspaceId, Items)> {
        entries
            .iter()
            .map(|entry| (entry.workspace, read(entry.kind as i16, &entry.payload).expect("readable")))
            .collect()
    }

    #[test]
    fn clicks_come_back_as_they_were_and_in_their_order() {
        let given: Vec<(WorkspaceId, Click<&str>)> = (0..5000)
            .map(|number| {
                (WorkspaceId(id(number % 2)), click(number, ["", "a=1", "b=2"][number as usize % 3]))
            })
            .collect();
        let entries = clicks(given.iter().copied());
        assert_eq!(entries.len(), 6, "2,500 of each, in rows of 1,000");
        let mut came: HashMap<WorkspaceId, Vec<(ClickId, LinkId, String)>> = HashMap::new();
        for (workspace, items) in read_all(&entries) {
            let Items::Clicks(clicks) = items else { panic!("clicks") };
            assert!(clicks.len() <= MOST_ITEMS);
            for Click { id, link, query, domain, city, visitor, campaign, project, .. } in clicks {
                assert_eq!((&*domain, &*city, &*project, visitor), ("go.example.com", "Zürich", "", -7));
                assert_eq!(&*campaign, "utm_source=mail\nutm_content=a=b");
                came.entry(workspace).or_default().push((id, link, query.to_string()));
            }
        }
        for workspace in [0, 1].map(|number| WorkspaceId(id(number))) {
            let expected: Vec<_> = given
                .iter()
                .filter(|(of, _)| *of == workspace)
                .map(|(_, click)| (click.id, click.link, click.query.to_owned()))
                .collect();
            assert_eq!(came[&workspace], expected);
        }
        let size: usize = entries.iter().map(|entry| entry.payload.len()).sum();
        assert!(size / 5000 < 60, "{size} bytes for 5,000 clicks");
    }

    #[test]
    fn rows_of_long_texts_are_bounded() {
        let queries: Vec<String> = (0..1000).map(|number| format!("{number}{}", "x".repeat(1000))).collect();
        let given =
            queries.iter().enumerate().map(|(at, query)| (WorkspaceId(id(1)), click(at as u128, query)));
        let entries = clicks(given);
        assert!(entries.len() >= 4);
        assert!(entries.iter().all(|entry| entry.payload.len() < MOST_BYTES + 2 * ITEM_BYTES + 1024));
        let items: usize = read_all(&entries).iter().map(|(_, items)| items.len()).sum();
        assert_eq!(items, 1000);
    }

    #[test]
    fn installs_and_events_come_back_as_they_were() {
        let credit = Credit {
            state: 1,
            method: 3,
            link: Some(LinkId(id(1))),
            click: Some(ClickId(id(2))),
            domain: "go.example.com".to_owned(),
            project: id(3).to_string(),
            campaign: "utm_source=x".to_owned(),
        };
        let install = Install {
            id: InstallId(id(4)),
            app: Some(AppId(id(5))),
            time: from_micros(1_234_567),
            platform: 1,
            test: true,
            now: credit,
            before: Some(Credit { state: 3, ..Credit::default() }),
        };
        let organic = Install { app: None, before: None, test: false, ..install.clone() };
        let entries = installs([
            (WorkspaceId(id(1)), install.clone()),
            (WorkspaceId(id(2)), install.clone()),
            (WorkspaceId(id(1)), organic.clone()),
        ]);
        let [(first, Items::Installs(of_first)), (second, Items::Installs(of_second))] =
            &read_all(&entries)[..]
        else {
            panic!("two rows")
        };
        assert_eq!((first.0, second.0), (id(1), id(2)));
        assert_eq!((&of_first[..], &of_second[..]), (&[install.clone(), organic][..], &[install][..]));

        let event = Event {
            id: EventId(id(6)),
            install: InstallId(id(4)),
            app: None,
            name: "purchase".to_owned(),
            time: from_micros(99),
            revenue: Some(Money { currency: "USD".to_owned(), units: -3, nanos: -5 }),
            reporting: None,
            duplicate_revenue: true,
            link: None,
            click: Some(ClickId(id(2))),
            link_open_time: Some(from_micros(7)),
            domain: "go.example.com".to_owned(),
            project: String::new(),
            priced_later: false,
        };
        let many = (0..2500).map(|_| (WorkspaceId(id(1)), event.clone()));
        let read = read_all(&events(many));
        assert_eq!(read.iter().map(|(_, items)| items.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
        let Items::Events(events) = &read[2].1 else { panic!("events") };
        assert_eq!(events[0], event);
    }

    #[test]
    fn what_no_release_writes_is_nothing() {
        for (kind, payload) in [(1, &b"garbage"[..]), (0, b""), (9, b"")] {
            assert_eq!(read(kind, payload), None, "{kind}");
        }
        assert_eq!(read(1, b""), Some(Items::Clicks(Vec::new())));
        let lost = FeedBatch { clicks: vec![FeedClick::default()], ..FeedBatch::default() };
        assert_eq!(read(1, &lost.encode_to_vec()), None);
    }
}
