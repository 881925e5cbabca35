//! Events as a file, part by part: as much of it in memory as one message holds.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::Stream;
use serde_json::Value;
use tonic::Status;

use super::{Audience, AuditQuery, Order, grpc::audience, list, wire};
use crate::{
    entity::audit_event::Model,
    env::Env,
    error::Result,
    page::{Cursor, PageRequest},
    pb::{
        self,
        v1::{ExportAuditEventsResponse, ExportFormat},
    },
    rpc::{self, Vigil},
    spreadsheet,
};

/// Events of one message: each takes up to 40 KiB.
const EVENTS: u32 = 50;

/// What to write.
#[derive(Debug)]
pub struct Export {
    /// How.
    pub format: ExportFormat,
    /// Whose.
    pub audience: Audience,
    /// The workspace as it was asked for.
    pub workspace_id: String,
    /// Which events.
    pub query: AuditQuery,
    /// Behind which event to go on.
    pub after: Option<Cursor>,
    /// Everything about the call but its page.
    pub question: Vec<u8>,
    /// Sees whether it may go on.
    pub vigil: Vigil,
}

/// Writes events.
pub fn export(
    env: &Env,
    export: Export,
) -> impl Stream<Item = Result<ExportAuditEventsResponse, Status>> + Send + use<> {
    let header = export.after.is_none() && export.format == ExportFormat::Csv;
    let run = Run { env: env.clone(), export, header };
    rpc::parts(run, |run| Box::pin(run.next()))
}

struct Run {
    env: Env,
    export: Export,
    header: bool,
}

impl Run {
    async fn next(&mut self) -> Result<(ExportAuditEventsResponse, bool)> {
        let (env, workspace) = (&self.env, &self.export.workspace_id);
        let enter = async |caller| audience(env, &caller, workspace).await.map(drop);
        self.export.vigil.keep(env.now(), enter).await?;
        let Export { audience, query, after, format, question, .. } = &self.export;
        let page = PageRequest { size: EVENTS, after: after.clone() };
        let page = list(&self.env, *audience, query, Order::Oldest, &page).await?;
        let token = self.env.pages.token(page.next.as_ref(), question, self.env.now());
        let count = i32::try_from(page.items.len()).unwrap_or(i32::MAX);
        let data = written(page.items, *format, std::mem::take(&mut self.header));
        self.export.after = page.next;
        let more = !token.is_empty();
        Ok((ExportAuditEventsResponse { data, audit_events: count, next_page_token: token }, more))
    }
}

/// Writes events as lines.
pub fn written(events: Vec<Model>, format: ExportFormat, header: bool) -> Bytes {
    if format == ExportFormat::Ndjson {
        return events
            .into_iter()
            .map(|event| Value::Object(pb::to_json("AuditEvent", &wire::event(event))).to_string() + "\n")
            .collect::<String>()
            .into();
    }
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    if header {
        writer.write_record(COLUMNS).expect("memory takes every row");
    }
    for event in events {
        let cells = cells(event);
        let cells = cells.iter().map(|cell| spreadsheet::write(cell).into_owned());
        writer.write_record(cells).expect("memory takes every row, and all have the same length");
    }
    writer.into_inner().expect("memory takes everything").into()
}

const COLUMNS: [&str; 13] = [
    "id",
    "workspace_id",
    "time",
    "actor_kind",
    "actor_id",
    "session_id",
    "address",
    "request_id",
    "action",
    "target_id",
    "changes",
    "seq",
    "hash",
];

fn cells(stored: Model) -> [String; 13] {
    let changes = stored.changes.clone();
    let time = stored.time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let event = wire::event(stored);
    let kind = event.actor_kind().as_str_name().trim_start_matches("AUDIT_ACTOR_KIND_").to_lowercase();
    let seq = if event.seq == 0 { String::new() } else { event.seq.to_string() };
    [
        event.id,
        event.workspace_id,
        time,
        kind,
        event.actor_id,
        event.session_id,
        event.address,
        event.request_id,
        event.action,
        event.target_id,
        changes,
        seq,
        HEXLOWER.encode(&event.hash),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    fn event() -> Model {
        let ids = Ids::seeded(1);
        let now = from_micros(1_700_000_000_000_000);
        Model {
            id: ids.uuid(now),
            workspace_id: None,
            time: now,
            actor_kind: 3,
            actor_id: Some(ids.uuid(now)),
            session_id: None,
            address: Some("192.0.2.1".into()),
            request_id: Some("-2+3".into()),
            action: "link.updated".into(),
            target_id: None,
            changes: r#"{"title":{"before":"a,\"b","after":"=1+1"}}"#.into(),
            seq: Some(7),
            hash: Some(vec![0xab; 32]),
        }
    }

    #[test]
    fn rows_are_safe_in_spreadsheets_and_lines_are_json() {
        let csv = written(vec![event()], ExportFormat::Csv, true);
        let mut reader = ::csv::Reader::from_reader(&csv[..]);
        assert_eq!(reader.headers().expect("a header").iter().collect::<Vec<_>>(), COLUMNS);
        let row = reader.records().next().expect("a row").expect("well formed");
        assert_eq!((&row[2], &row[3], &row[7]), ("2023-11-14T22:13:20.000000Z", "user", "'-2+3"));
        assert_eq!((&row[10], &row[11], &row[12]), (&*event().changes, "7", &*"ab".repeat(32)));

        let lines = written(vec![event(), event()], ExportFormat::Ndjson, false);
        let lines: Vec<Value> = std::str::from_utf8(&lines)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["changes"][0]["path"], "title");
        assert_eq!(lines[0]["changes"][0]["after"], "\"=1+1\"");
        assert_eq!((&lines[0]["seq"], &lines[0]["actor_kind"]), (&7.into(), &"AUDIT_ACTOR_KIND_USER".into()));
    }
}
