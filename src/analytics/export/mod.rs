//! Reports as files: what a call answers, written as a table, part by part and never all of it in memory.
//!
//! | file | what |
//! |---|---|
//! | `table.rs` | columns, rows and what stands in them; pure |
//! | `rows.rs` | answers of calls as rows; pure |
//! | `source.rs` | pages of an answer, one after the other |
//! | `format.rs` `text.rs` `parquet.rs` | a table as CSV, lines of JSON, Parquet; pure |
//!
//! Guarantees: the numbers are those of the call, because its answer is what is written. A reader who takes nothing is sent nothing, and nothing more
//! is read for it. A file that ends with `end` is whole; one with more than [`MOST_ROWS`] rows ends with REPORT_TOO_LARGE instead.

mod format;
mod parquet;
mod rows;
mod source;
mod table;
mod text;

use std::collections::VecDeque;

use bytes::Bytes;
use futures::Stream;
use tonic::Status;

use self::{
    format::{File, Format},
    source::{Piece, Source},
    table::Table,
};
use crate::{
    env::Env,
    error::{Error, Reason, Result},
    pb::v1::{
        ExportReportRequest, ExportReportResponse, ReportFile, ReportFileEnd, export_report_response::Part,
    },
    rpc::{self, Permission, Vigil},
    workspaces::{self, Tenant},
};

/// How many rows a file has at the most.
const MOST_ROWS: usize = 1_000_000;
/// How many bytes one message carries.
const PART_BYTES: usize = 64 * 1024;

/// Returns the workspace that a request is about.
pub fn workspace_id(asked: &ExportReportRequest) -> String {
    Source::workspace_id(asked.report.as_ref()).to_owned()
}

/// Writes a report. What cannot be answered is refused before anything is sent.
pub async fn export(
    env: &Env,
    tenant: Tenant,
    asked: ExportReportRequest,
    vigil: Vigil,
) -> Result<impl Stream<Item = Result<ExportReportResponse, Status>> + Send + use<>> {
    let format = Format::read(asked.format);
    let source = Source::read(asked.report);
    let (format, mut source) = crate::error::both(format, source)?;
    let first = source.next(env, &tenant).await?;
    let Piece { table: Table { columns, rows }, span, more } = first;
    let file_name = format!("{}-{}.{}", source.name(), span, format.extension());
    let file = ReportFile { file_name, media_type: format.media_type().to_owned() };
    let mut run = Run {
        env: env.clone(),
        tenant,
        vigil,
        source,
        file: Some(File::new(format, columns.clone())?),
        columns,
        ready: VecDeque::from([Part::File(file)]),
        rows: 0,
        bytes: 0,
    };
    run.take(rows, more).await?;
    Ok(rpc::parts(run, |run| Box::pin(run.next())))
}

struct Run {
    env: Env,
    tenant: Tenant,
    vigil: Vigil,
    source: Source,
    columns: Vec<table::Column>,
    /// `None`: it is written.
    file: Option<File>,
    /// What can be sent.
    ready: VecDeque<Part>,
    rows: usize,
    bytes: usize,
}

impl Run {
    async fn next(&mut self) -> Result<(ExportReportResponse, bool)> {
        self.keep().await?;
        while self.ready.is_empty() && self.file.is_some() {
            let piece = self.source.next(&self.env, &self.tenant).await?;
            let Piece { table: Table { columns, rows }, more, .. } = piece;
            if columns != self.columns {
                return Err(Error::new(
                    Reason::PageTokenInvalid,
                    "the currencies of the report changed while it was written: start again",
                ));
            }
            self.take(rows, more).await?;
            // Pages on which nothing fits are read while nobody is sent anything.
            self.keep().await?;
        }
        let part = self.ready.pop_front();
        let more = !self.ready.is_empty() || self.file.is_some();
        Ok((ExportReportResponse { part }, more))
    }

    /// Fails when the node leaves, or the caller may not go on.
    async fn keep(&mut self) -> Result<()> {
        let (env, workspace) = (&self.env, self.tenant.id.to_string());
        let enter = async |caller| {
            workspaces::enter(env, &caller, &workspace, Permission::AnalyticsExport).await.map(drop)
        };
        self.vigil.keep(env.now(), enter).await
    }

    /// Writes rows, and the end of the file when no more follow.
    async fn take(&mut self, rows: Vec<table::Row>, more: bool) -> Result<()> {
        self.rows += rows.len();
        if self.rows > MOST_ROWS {
            return Err(Error::new(
                Reason::ReportTooLarge,
                format!(
                    "the file would have more than {MOST_ROWS} rows: ask for a shorter time or a smaller part"
                ),
            )
            .with("rows", "rows")
            .with("limit", MOST_ROWS.to_string()));
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let write = move || {
            let (file, mut bytes) = file.write(rows)?;
            if more {
                return Ok((Some(file), bytes));
            }
            bytes.extend(file.finish()?);
            Ok::<_, Error>((None, bytes))
        };
        // Not on a thread that answers others.
        let (file, bytes) = tokio::task::spawn_blocking(write).await.map_err(Error::internal)??;
        self.file = file;
        self.bytes += bytes.len();
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(PART_BYTES));
            self.ready.push_back(Part::Data(part));
        }
        if self.file.is_none() {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            let end = ReportFileEnd { rows: count(self.rows), bytes: count(self.bytes) };
            self.ready.push_back(Part::End(end));
        }
        Ok(())
    }
}
