//! The rows of an import that were not stored, as CSV that can be mended and imported again.

use bytes::Bytes;
use futures::{Stream, stream};
use prost::Message as _;
use tonic::Status;

use super::{get, store};
use crate::{
    entity::{link_import::Model, link_import_error},
    env::Env,
    error::{Error, Result},
    ids::ImportId,
    pb::{
        internal::v1::{ImportCells, ImportForm, ImportReading},
        v1::ExportImportErrorsResponse,
    },
    rpc, spreadsheet,
    workspaces::Tenant,
};

/// Rows of one message: each has up to 64 KiB, and a message no more than 4 MiB.
const ROWS: u64 = 32;
/// What is added to the columns of the file.
const ADDED: [&str; 2] = ["import_row", "import_error"];

/// Writes the rows.
pub async fn errors(
    env: &Env,
    tenant: &Tenant,
    id: ImportId,
) -> Result<impl Stream<Item = Result<ExportImportErrorsResponse, Status>> + Send + use<>> {
    let import = get(env, tenant, id).await?;
    let reading = ImportReading::decode(&*import.reading).map_err(Error::internal)?;
    let columns =
        if reading.form() == ImportForm::Json { vec!["record".to_owned()] } else { reading.columns };
    let columns: Vec<String> = columns.into_iter().filter(|column| !ADDED.contains(&&**column)).collect();
    let header = line(columns.iter().map(String::as_str).chain(ADDED));
    let all = All { env: env.clone(), import, width: columns.len(), after: 0 };
    Ok(stream::unfold(Some((all, Some(header))), async |state| {
        let (mut all, header) = state?;
        match all.next(header.as_deref()).await {
            Ok(Some(data)) => Some((Ok(ExportImportErrorsResponse { data }), Some((all, None)))),
            Ok(None) => None,
            Err(error) => Some((Err(rpc::status(&error)), None)),
        }
    }))
}

struct All {
    env: Env,
    import: Model,
    width: usize,
    after: i64,
}

impl All {
    async fn next(&mut self, header: Option<&str>) -> Result<Option<Bytes>> {
        let Model { workspace_id, id, .. } = self.import;
        let rows = store::list_errors(&self.env.db.api, workspace_id, id, self.after, ROWS).await?;
        if let Some(last) = rows.last() {
            self.after = last.row_number;
        } else if header.is_none() {
            return Ok(None);
        }
        let mut text = header.unwrap_or_default().to_owned();
        for row in rows {
            text.push_str(&self.row(&row)?);
        }
        Ok(Some(text.into()))
    }

    fn row(&self, row: &link_import_error::Model) -> Result<String> {
        let cells = ImportCells::decode(&*row.cells).map_err(Error::internal)?.cells;
        let number = row.row_number.to_string();
        let cells = (0..self.width).map(|place| cells.get(place).map_or("", String::as_str));
        Ok(line(cells.chain([&*number, &*row.message])))
    }
}

fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    // A cell that came with a guard keeps the one it has.
    let cells = cells.into_iter().map(|cell| spreadsheet::write(spreadsheet::read(cell)).into_owned());
    let written = writer.write_record(cells).ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8(written).unwrap_or_default()
}
