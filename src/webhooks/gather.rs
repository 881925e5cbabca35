//! From what happened to messages: who wants to hear of it, and what they are told.

use std::collections::HashMap;

use prost::Message as _;
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    EventType, Message, Settings,
    listener::{self, Listener},
    payload::{self, Click, StoredEvent, StoredInstall},
    store,
};
use crate::{
    analytics::dims::Agents,
    clock::Moment,
    entity::{event, install, outbox},
    env::Env,
    feed::{self, Items, Position},
    ids::{AppId, ClickId, EventId, InstallId, LinkId, MessageId, WebhookEndpointId, WorkspaceId, time_of},
    outbox::Kind,
    pb::sdk::v1::DeepLink,
    workspaces,
};

/// How many rows of the feed are asked for at once; one holds a thousand items at the most.
const ROWS_AT_ONCE: u64 = 10;
/// After so many items of the feed a round ends, so that what was gathered is told soon.
const ITEMS_A_ROUND: usize = 10_000;
/// How many rows of the outbox a round takes.
const OUTBOX_A_ROUND: u64 = 1000;
/// With more workspaces than these all rows of the feed are read.
const NAMED_WORKSPACES: usize = 500;
/// What one body holds at the most: so many clicks, and about so many bytes.
const MOST_CLICKS: usize = 100;
const MOST_BYTES: usize = 128 * 1024;
/// How many rows are looked up in one statement.
const LOOKED_UP_AT_ONCE: usize = 1000;

/// What a round has to write.
#[derive(Debug, Default)]
pub struct Gathered {
    /// How far in the feed it came.
    pub end: Position,
    /// What is told.
    pub messages: Vec<Message>,
    /// To whom.
    pub deliveries: Vec<(WorkspaceId, WebhookEndpointId, MessageId)>,
    /// Rows of the outbox that were told, or that nobody wants to be told.
    pub told: Vec<Uuid>,
    /// When the oldest of it was stored.
    pub oldest: Option<Moment>,
    /// Whether there is more.
    pub more: bool,
}

/// Who wants to hear of one thing.
struct Wanted<'a, T> {
    workspace: WorkspaceId,
    event_type: EventType,
    item: &'a T,
    by: Vec<WebhookEndpointId>,
}

/// Returns what follows in the feed behind `from` and what waits in the outbox, as messages. Who listens is read after what there is to hear:
/// whoever had made an endpoint before something happened hears of it.
pub async fn gather(db: &impl ConnectionTrait, env: &Env, from: Position) -> Result<Gathered, DbErr> {
    let settled = feed::settled(db).await?;
    let waiting = store::untold(db, OUTBOX_A_ROUND).await?;
    let mut listeners: HashMap<WorkspaceId, Vec<Listener>> = HashMap::new();
    for (workspace, id, settings) in store::listening(db).await? {
        // One that a later release wrote is told by nodes of that release.
        if let Some(settings) = Settings::decode(&settings) {
            listeners.entry(workspace).or_default().push(Listener::new(id, settings));
        }
    }
    let mut gathered = Gathered { end: from, ..Gathered::default() };
    gathered.outbox(db, env, &listeners, waiting).await?;
    if listeners.is_empty() {
        gathered.end = from.max(settled);
        return Ok(gathered);
    }
    let named: Vec<WorkspaceId> = listeners.keys().copied().collect();
    let named = (named.len() <= NAMED_WORKSPACES).then_some(&named[..]);
    let mut items = 0;
    while items < ITEMS_A_ROUND {
        let rows = feed::read_between(db, named, (gathered.end, settled), ROWS_AT_ONCE).await?;
        items += rows.iter().map(|row| row.items.len()).sum::<usize>();
        gathered.feed(db, env, &listeners, &rows).await?;
        gathered.end = rows.last().map_or(gathered.end, |row| row.position);
        if (rows.len() as u64) < ROWS_AT_ONCE {
            // What others have, and numbers that were drawn for nothing, is behind us too.
            gathered.end = gathered.end.max(settled);
            return Ok(gathered);
        }
    }
    gathered.more = true;
    Ok(gathered)
}

impl Gathered {
    fn stored_at(&mut self, time: Moment) {
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
    }

    /// Adds a message for whoever wants it.
    fn tell(
        &mut self,
        env: &Env,
        (workspace, event_type, subject, time): (WorkspaceId, EventType, Uuid, Moment),
        by: &[WebhookEndpointId],
        body: Vec<u8>,
    ) {
        let id = MessageId::mint(&env.ids, env.now());
        self.messages.push(Message { id, workspace, endpoint: None, event_type, subject, time, body });
        self.deliveries.extend(by.iter().map(|endpoint| (workspace, *endpoint, id)));
    }

    async fn outbox(
        &mut self,
        db: &impl ConnectionTrait,
        env: &Env,
        listeners: &HashMap<WorkspaceId, Vec<Listener>>,
        waiting: Vec<outbox::Model>,
    ) -> Result<(), DbErr> {
        self.more |= waiting.len() as u64 == OUTBOX_A_ROUND;
        let mut secretive: HashMap<WorkspaceId, bool> = HashMap::new();
        for row in waiting {
            let outbox::Model { id, workspace_id: workspace, kind, subject_id: subject, body, told_time: _ } =
                row;
            let time = time_of(id);
            self.stored_at(time);
            self.told.push(id);
            let (Some(kind), Some(of_workspace)) = (Kind::of_name(&kind), listeners.get(&workspace)) else {
                continue;
            };
            let event_type = event_type(kind);
            let mut data = match body.and_then(|body| serde_json::from_slice::<Value>(&body).ok()) {
                Some(data) => data,
                None => told_by_earlier_releases(workspace, kind, subject),
            };
            let by: Vec<_> = of_workspace
                .iter()
                .filter(|listener| wants_fact(listener, event_type, subject, &data))
                .map(|listener| listener.id)
                .collect();
            if by.is_empty() {
                continue;
            }
            if let Some(link) = data.get_mut("link").and_then(Value::as_object_mut) {
                let hides = match secretive.get(&workspace) {
                    Some(hides) => *hides,
                    None => {
                        let stored = workspaces::find(db, workspace).await?;
                        let settings = stored.and_then(|stored| stored.settings);
                        let hides = workspaces::settings::shown(settings.as_deref()).ephemeral_deep_links;
                        *secretive.entry(workspace).or_insert(hides)
                    }
                };
                if hides {
                    // They are handed over once and then erased: nothing else may keep them.
                    link.remove("deep_link_parameters");
                }
            }
            self.tell(env, (workspace, event_type, subject, time), &by, data.to_string().into_bytes());
        }
        Ok(())
    }

    async fn feed(
        &mut self,
        db: &impl ConnectionTrait,
        env: &Env,
        listeners: &HashMap<WorkspaceId, Vec<Listener>>,
        rows: &[feed::Row],
    ) -> Result<(), DbErr> {
        let agents = env.memory.of(Agents::default);
        let mut batches = Batches::default();
        let (mut installs, mut events) = (Vec::new(), Vec::new());
        for row in rows {
            let Some(of_workspace) = listeners.get(&row.workspace).map(Vec::as_slice) else { continue };
            self.stored_at(row.time);
            match &*row.items {
                Items::Clicks(clicks) => {
                    for click in clicks {
                        self.click(env, &agents, (row.workspace, of_workspace), click, &mut batches);
                    }
                }
                Items::Installs(all) => installs.extend(all.iter().filter_map(|item| {
                    let event_type = listener::of_install(item)?;
                    wanted(row.workspace, event_type, item, of_workspace, Listener::wants_install)
                })),
                Items::Events(all) => events.extend(all.iter().flat_map(|item| {
                    listener::of_event(item).iter().filter_map(move |event_type| {
                        wanted(row.workspace, *event_type, item, of_workspace, Listener::wants_event)
                    })
                })),
            }
        }
        batches.close_all(self, env);
        if installs.is_empty() && events.is_empty() {
            return Ok(());
        }
        let known = Known::of(db, &installs, &events).await?;
        for Wanted { workspace, event_type, item, by } in installs {
            let data = payload::install(
                workspace,
                item,
                known.installs.get(&(workspace, item.id)),
                item.now.click.and_then(|click| known.queries.get(&(workspace, click))).map(String::as_str),
            );
            let what = (workspace, event_type, item.id.0, item.time);
            self.tell(env, what, &by, data.to_string().into_bytes());
        }
        for Wanted { workspace, event_type, item, by } in events {
            let data = payload::event(
                workspace,
                item,
                known.events.get(&(workspace, item.id)),
                known.installs.get(&(workspace, item.install)).and_then(|install| install.link),
                item.click.and_then(|click| known.queries.get(&(workspace, click))).map(String::as_str),
            );
            let what = (workspace, event_type, item.id.0, item.time);
            self.tell(env, what, &by, data.to_string().into_bytes());
        }
        Ok(())
    }

    fn click(
        &mut self,
        env: &Env,
        agents: &Agents,
        (workspace, listeners): (WorkspaceId, &[Listener]),
        click: &feed::Click,
        batches: &mut Batches,
    ) {
        let event_type = listener::of_click(click);
        let wants = |listener: &&Listener| listener.wants_click(event_type, click);
        let mut by: Vec<&Listener> = listeners.iter().filter(wants).collect();
        if by.is_empty() {
            return;
        }
        let agent = agents.of(&click.user_agent);
        let told = Click::of(workspace, click, &agent);
        let told = serde_json::to_string(&told).expect("a click is written as it is");
        by.retain(|listener| {
            if listener.batches() {
                batches.add(self, env, (workspace, listener.id, event_type), click.id, &told);
            }
            !listener.batches()
        });
        if !by.is_empty() {
            let by: Vec<_> = by.iter().map(|listener| listener.id).collect();
            let what = (workspace, event_type, click.id.0, time_of(click.id.0));
            self.tell(env, what, &by, format!("{{\"click\":{told}}}").into_bytes());
        }
    }
}

/// Clicks that go into one body for one endpoint.
#[derive(Default)]
struct Batches {
    /// In the order in which they were begun.
    open: Vec<Batch>,
    places: HashMap<(WebhookEndpointId, EventType), usize>,
}

struct Batch {
    workspace: WorkspaceId,
    endpoint: WebhookEndpointId,
    event_type: EventType,
    first: ClickId,
    clicks: usize,
    /// The list as far as it is written, without its end.
    text: String,
}

impl Batches {
    fn add(
        &mut self,
        gathered: &mut Gathered,
        env: &Env,
        (workspace, endpoint, event_type): (WorkspaceId, WebhookEndpointId, EventType),
        click: ClickId,
        told: &str,
    ) {
        let begin = || Batch {
            workspace,
            endpoint,
            event_type,
            first: click,
            clicks: 0,
            text: "{\"clicks\":[".to_owned(),
        };
        let place = *self.places.entry((endpoint, event_type)).or_insert_with(|| {
            self.open.push(begin());
            self.open.len() - 1
        });
        let batch = &mut self.open[place];
        if batch.clicks == MOST_CLICKS || (batch.clicks > 0 && batch.text.len() + told.len() > MOST_BYTES) {
            std::mem::replace(batch, begin()).close(gathered, env);
        }
        if batch.clicks > 0 {
            batch.text.push(',');
        }
        batch.clicks += 1;
        batch.text.push_str(told);
    }

    fn close_all(self, gathered: &mut Gathered, env: &Env) {
        self.open.into_iter().for_each(|batch| batch.close(gathered, env));
    }
}

impl Batch {
    fn close(self, gathered: &mut Gathered, env: &Env) {
        let Self { workspace, endpoint, event_type, first, clicks: _, text } = self;
        let id = MessageId::mint(&env.ids, env.now());
        gathered.messages.push(Message {
            id,
            workspace,
            endpoint: Some(endpoint),
            event_type,
            subject: first.0,
            time: time_of(first.0),
            body: (text + "]}").into_bytes(),
        });
        gathered.deliveries.push((workspace, endpoint, id));
    }
}

fn wanted<'a, T>(
    workspace: WorkspaceId,
    event_type: EventType,
    item: &'a T,
    listeners: &[Listener],
    wants: fn(&Listener, EventType, &T) -> bool,
) -> Option<Wanted<'a, T>> {
    let by = listeners.iter().filter(|listener| wants(listener, event_type, item));
    let by: Vec<_> = by.map(|listener| listener.id).collect();
    (!by.is_empty()).then_some(Wanted { workspace, event_type, item, by })
}

const fn event_type(kind: Kind) -> EventType {
    match kind {
        Kind::LinkCreated => EventType::LinkCreated,
        Kind::LinkUpdated => EventType::LinkUpdated,
        Kind::LinkDeleted => EventType::LinkDeleted,
        Kind::DomainVerified => EventType::DomainVerified,
        Kind::ApiKeyExpiring => EventType::ApiKeyExpiring,
        Kind::WebhookEndpointDisabled => EventType::WebhookEndpointDisabled,
        Kind::PostbackReceived => EventType::PostbackReceived,
    }
}

fn wants_fact(listener: &Listener, event_type: EventType, subject: Uuid, data: &Value) -> bool {
    let text = |name: &str| data["link"][name].as_str().unwrap_or_default();
    match event_type {
        EventType::LinkCreated | EventType::LinkUpdated | EventType::LinkDeleted => {
            listener.wants_link(event_type, LinkId(subject), text("domain"), text("project_id"))
        }
        EventType::PostbackReceived => {
            let app = data["postback"]["app_id"].as_str().and_then(AppId::parse);
            listener.wants_postback(event_type, app)
        }
        _ => listener.wants(event_type),
    }
}

/// Returns what is told of what a node of an earlier release noted: it said no more than what it was about.
fn told_by_earlier_releases(workspace: WorkspaceId, kind: Kind, subject: Uuid) -> Value {
    let data = json!({ "id": subject, "workspace_id": workspace });
    match kind {
        Kind::LinkCreated | Kind::LinkUpdated | Kind::LinkDeleted => json!({ "link": data }),
        Kind::DomainVerified => json!({ "domain": data }),
        Kind::ApiKeyExpiring => json!({ "api_key": data }),
        Kind::WebhookEndpointDisabled => json!({ "webhook_endpoint": data }),
        Kind::PostbackReceived => json!({ "postback": data }),
    }
}

/// What is stored beside what the feed says.
#[derive(Debug, Default)]
struct Known {
    installs: HashMap<(WorkspaceId, InstallId), StoredInstall>,
    events: HashMap<(WorkspaceId, EventId), StoredEvent>,
    queries: HashMap<(WorkspaceId, ClickId), String>,
}

impl Known {
    async fn of(
        db: &impl ConnectionTrait,
        installs: &[Wanted<'_, feed::Install>],
        events: &[Wanted<'_, feed::Event>],
    ) -> Result<Self, DbErr> {
        let mut known = Self::default();
        let of_events = events.iter().map(|wanted| (wanted.workspace, wanted.item.install));
        let wanted = installs.iter().map(|wanted| (wanted.workspace, wanted.item.id)).chain(of_events);
        for some in unique(wanted).chunks(LOOKED_UP_AT_ONCE) {
            let ids = some.iter().map(|(_, id)| *id);
            let rows = install::Entity::find().filter(install::Column::Id.is_in(ids)).all(db).await?;
            known.installs.extend(rows.into_iter().map(|row| ((row.workspace_id, row.id), row.into())));
        }
        let wanted = events.iter().map(|wanted| (wanted.workspace, wanted.item.id));
        for some in unique(wanted).chunks(LOOKED_UP_AT_ONCE) {
            let ids = some.iter().map(|(_, id)| *id);
            let rows = event::Entity::find().filter(event::Column::Id.is_in(ids)).all(db).await?;
            known.events.extend(rows.into_iter().map(|row| ((row.workspace_id, row.id), row.into())));
        }
        let of_events = events.iter().filter_map(|wanted| Some((wanted.workspace, wanted.item.click?)));
        let of_installs =
            installs.iter().filter_map(|wanted| Some((wanted.workspace, wanted.item.now.click?)));
        let clicks = unique(of_installs.chain(of_events));
        let queries = store::queries_of(db, clicks).await?;
        known.queries = queries.into_iter().map(|(of, click, query)| ((of, click), query)).collect();
        Ok(known)
    }
}

fn unique<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

impl From<install::Model> for StoredInstall {
    fn from(row: install::Model) -> Self {
        let deep_link = DeepLink::decode(&row.deep_link[..]).ok().filter(|_| !row.deep_link.is_empty());
        Self {
            score: row.score,
            no_match: row.no_match,
            click_time: row.click_time,
            link: row.link_id,
            deep_link,
        }
    }
}

impl From<event::Model> for StoredEvent {
    fn from(row: event::Model) -> Self {
        Self {
            event_key: row.event_key,
            receive_time: row.receive_time,
            session: row.session,
            transaction_id: row.transaction_id,
            properties: row.properties,
        }
    }
}
