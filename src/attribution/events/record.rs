//! An event as the spool holds it: `linkforty.internal.v1.EventRecord`.

use prost::Message as _;
use uuid::Uuid;

use super::{Source, fields::NewEvent, fields::Revenue, key::id_of, money::Amount};
use crate::{
    clock::{Moment, from_micros},
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId, time_of},
    pb::internal::v1::{EventProperty, EventRecord},
};

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: EventId,
    pub source: Source,
    pub install: InstallId,
    pub key: String,
    pub name: String,
    /// By the clock of the device, but not later than `received`.
    pub time: Moment,
    pub received: Moment,
    pub content: i64,
    pub session: Option<String>,
    pub properties: Vec<EventProperty>,
    pub revenue: Option<Revenue>,
    pub transaction: Option<String>,
    pub link: Option<LinkId>,
    pub click: Option<ClickId>,
    pub link_open_time: Option<Moment>,
}

/// Writes an event.
pub fn encode(source: Source, install: InstallId, content: i64, event: NewEvent) -> Vec<u8> {
    let NewEvent {
        key,
        name,
        time,
        late: _,
        session,
        properties,
        revenue,
        transaction,
        link,
        click,
        link_open_time,
    } = event;
    let bytes = |id: Uuid| id.as_bytes().to_vec().into();
    let (units, nanos) =
        revenue.as_ref().map_or((0, 0), |revenue| (revenue.amount.units(), revenue.amount.nanos()));
    EventRecord {
        workspace_id: bytes(source.workspace.0),
        app_id: source.app.map(|app| bytes(app.0)).unwrap_or_default(),
        install_id: bytes(install.0),
        event_key: key,
        name,
        event_time: time.timestamp_micros(),
        content_hash: content,
        session_id: session,
        properties,
        currency: revenue.map(|revenue| revenue.currency).unwrap_or_default(),
        units,
        nanos,
        transaction_id: transaction,
        link_id: link.map(|link| bytes(link.0)).unwrap_or_default(),
        click_id: click.map(|click| bytes(click.0)).unwrap_or_default(),
        link_open_time: link_open_time.map_or(0, |time| time.timestamp_micros()),
    }
    .encode_to_vec()
}

/// Reads a record; `None` for bytes that are no event. When it was received stands in the record's own id.
pub fn decode(record: Uuid, payload: &[u8]) -> Option<Row> {
    let EventRecord {
        workspace_id,
        app_id,
        install_id,
        event_key,
        name,
        event_time,
        content_hash,
        session_id,
        properties,
        currency,
        units,
        nanos,
        transaction_id,
        link_id,
        click_id,
        link_open_time,
    } = EventRecord::decode(payload).ok()?;
    let optional = |bytes: &[u8]| match bytes {
        [] => Some(None),
        bytes => Uuid::from_slice(bytes).ok().map(Some),
    };
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let source = Source {
        workspace: WorkspaceId(Uuid::from_slice(&workspace_id).ok()?),
        app: optional(&app_id)?.map(AppId),
    };
    let (device, received) = (from_micros(event_time), time_of(record));
    Some(Row {
        id: id_of(source.scope(), &event_key, device),
        source,
        install: InstallId(Uuid::from_slice(&install_id).ok()?),
        key: event_key,
        name,
        time: device.min(received),
        received,
        content: content_hash,
        session: text(session_id),
        properties,
        revenue: text(currency).map(|currency| Revenue { currency, amount: Amount::new(units, nanos) }),
        transaction: text(transaction_id),
        link: optional(&link_id)?.map(LinkId),
        click: optional(&click_id)?.map(ClickId),
        link_open_time: (link_open_time != 0).then(|| from_micros(link_open_time)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    const NOON: i64 = 1_795_348_800_000_000;

    fn event() -> NewEvent {
        NewEvent {
            key: "event-0001".into(),
            name: "purchase".into(),
            time: from_micros(NOON + 123_456),
            late: false,
            session: String::new(),
            properties: vec![EventProperty { name: "sku".into(), value: "\"a\"".into() }],
            revenue: Some(Revenue { currency: "CHF".into(), amount: Amount::new(-1, -500_000_000) }),
            transaction: "t1".into(),
            link: Some(LinkId(Uuid::from_u128(4))),
            click: None,
            link_open_time: Some(from_micros(NOON)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let ids = Ids::seeded(1);
        let source =
            Source { workspace: WorkspaceId(Uuid::from_u128(1)), app: Some(AppId(Uuid::from_u128(2))) };
        let install = InstallId(Uuid::from_u128(3));
        let bytes = encode(source, install, -7, event());
        for (received, time) in [(NOON + 1_000_000, NOON + 123_456), (NOON, NOON)] {
            let row = decode(ids.past_uuid(from_micros(received)), &bytes).expect("an event");
            assert_eq!((row.time, row.received), (from_micros(time), from_micros(received)));
            assert_eq!(row.id, id_of(source.scope(), "event-0001", from_micros(NOON + 123_456)));
            assert_eq!((row.source, row.install, row.content), (source, install, -7));
            assert_eq!((row.session, row.transaction.as_deref()), (None, Some("t1")));
            assert_eq!(row.revenue, event().revenue);
            assert_eq!(row.properties, event().properties);
            assert_eq!((row.link, row.click), (event().link, None));
            assert_eq!(row.link_open_time, event().link_open_time);
        }
        let unknown = Source { app: None, ..source };
        let bytes = encode(unknown, install, -7, event());
        assert_eq!(decode(Uuid::nil(), &bytes).map(|row| row.source), Some(unknown));
        for wrong in [&b"garbage"[..], &[], &bytes[2..]] {
            assert_eq!(decode(Uuid::nil(), wrong), None);
        }
    }
}
