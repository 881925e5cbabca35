//! Links as a file, page by page: as much of it in memory as one message holds.

use bytes::Bytes;
use futures::Stream;
use serde_json::Value;
use tonic::Status;

use super::{CountedLink, LinkOrder, LinkQuery, flat, list, weight, wire};
use crate::{
    env::Env,
    error::{Error, Result},
    page::{Cursor, Page, PageRequest},
    pb::v1::{ExportFormat, ExportLinksResponse, Link},
    rpc::{self, Permission, Vigil},
    spreadsheet,
    workspaces::{self, Tenant},
};

/// Links of one message; a page of long ones ends earlier.
const LINKS: u32 = 500;
/// How much the links of a message weigh: as text they take up to three times as much.
const PART_BYTES: usize = 1024 * 1024;

/// What to write.
#[derive(Debug)]
pub struct Export {
    /// How.
    pub format: ExportFormat,
    /// Which links.
    pub query: LinkQuery,
    /// Behind which link to go on.
    pub after: Option<Cursor>,
    /// Everything about the call but its page.
    pub question: Vec<u8>,
    /// Sees whether it may go on.
    pub vigil: Vigil,
}

/// Writes links.
pub fn export(
    env: &Env,
    tenant: Tenant,
    export: Export,
) -> impl Stream<Item = Result<ExportLinksResponse, Status>> + Send + use<> {
    let reach = tenant.reach.clone();
    let query = LinkQuery { order: LinkOrder::Oldest, reach, ..export.query.clone() };
    let header = export.after.is_none() && export.format == ExportFormat::Csv;
    let run = Run { env: env.clone(), tenant, export: Export { query, ..export }, header };
    rpc::parts(run, |run| Box::pin(run.next()))
}

struct Run {
    env: Env,
    tenant: Tenant,
    export: Export,
    header: bool,
}

impl Run {
    async fn next(&mut self) -> Result<(ExportLinksResponse, bool)> {
        let (env, workspace) = (&self.env, self.tenant.id.to_string());
        let enter = async |caller| {
            workspaces::enter(env, &caller, &workspace, Permission::LinksExport).await.map(drop)
        };
        self.export.vigil.keep(env.now(), enter).await?;
        let page = PageRequest { size: LINKS, after: self.export.after.clone() };
        let page = list::list(&self.env.db.api, self.tenant.id, &self.export.query, &page).await?;
        let page = cut(page);
        let count = page.items.len() as i32;
        let (env, format, header) = (self.env.clone(), self.export.format, std::mem::take(&mut self.header));
        let write = move || {
            let links = page.items.into_iter().map(|link| wire::link(&env.config, link));
            (written(links, format, header), page.next)
        };
        // Not on a thread that answers others.
        let (data, next) = tokio::task::spawn_blocking(write).await.map_err(Error::internal)?;
        self.export.after = next;
        let token = self.env.pages.token(self.export.after.as_ref(), &self.export.question, self.env.now());
        let more = !token.is_empty();
        Ok((ExportLinksResponse { data, links: count, next_page_token: token }, more))
    }
}

/// Leaves off the end of a page that would make too large a message.
fn cut(page: Page<CountedLink>) -> Page<CountedLink> {
    let mut bytes = 0;
    let fits = page.items.iter().take_while(|counted| {
        bytes += weight::of(&counted.link);
        bytes <= PART_BYTES
    });
    let most = fits.count().max(1);
    if most >= page.items.len() {
        return page;
    }
    let mut items = page.items;
    items.truncate(most);
    let next = items.last().map(|last| Cursor { key: String::new(), id: last.link.id.to_string() });
    Page { items, next }
}

/// Writes links as lines.
pub fn written(links: impl Iterator<Item = Link>, format: ExportFormat, header: bool) -> Bytes {
    if format == ExportFormat::Ndjson {
        let lines = links.map(|link| Value::Object(flat::to_json(&link)).to_string() + "\n");
        return lines.collect::<String>().into();
    }
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    let columns = flat::columns();
    if header {
        writer.write_record(columns.iter().map(|column| &*column.path)).expect("memory takes every row");
    }
    for link in links {
        let json = flat::to_json(&link);
        let cells = columns.iter().map(|column| {
            let cell = column.cell(&json);
            spreadsheet::write(&cell).into_owned()
        });
        writer.write_record(cells).expect("memory takes every row, and all have the same length");
    }
    writer.into_inner().expect("memory takes every row").into()
}
