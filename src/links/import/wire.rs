//! Between the messages of imports and the types of this room.

use prost::Message as _;

use super::{
    Terms,
    step::{Given, Step, step},
    table,
};
use crate::{
    entity::link_import::Model,
    env::Env,
    error::{Error, Result, Violations},
    ids::ImportId,
    links::{Decide, NOT_A_UUID, Place, timestamp, wire as links_wire},
    pb::v1::{
        Import, ImportChunkRequest, ImportChunkResponse, ImportCounts, ImportExisting, ImportSource,
        ImportState, StartImportRequest,
    },
    workspaces::Tenant,
};

const MAX_NAME: usize = 255;
const MAX_DIGEST: usize = 128;
const MAX_MAP: usize = 100;
/// The largest part of a file.
const MAX_DATA: usize = 768 * 1024;
/// How much one answer tells of: other stacks' clients take 4 MiB.
const ANSWER: usize = 1024 * 1024;

/// Reads what an import shall be.
pub fn started(env: &Env, mut request: StartImportRequest) -> Result<Terms> {
    let mut wrong = Violations::default();
    let place = links_wire::place(env, &request.domain);
    request.domain = match wrong.take("domain", place).unwrap_or(Place::Own) {
        Place::Own | Place::Anywhere => String::new(),
        Place::Host(host) => host,
    };
    if matches!(ImportSource::try_from(request.source), Err(_) | Ok(ImportSource::Unspecified)) {
        wrong.add("source", "is required, and must be one this server knows");
    }
    if ImportExisting::try_from(request.existing).is_err() {
        wrong.add("existing", "is nothing this server knows");
    }
    if request.column_map.len() > MAX_MAP {
        wrong.add("column_map", "must name at most 100 columns");
    }
    for (name, path) in &request.column_map {
        wrong.take(&format!("column_map[{name:?}]"), table::check_target(path));
    }
    let targets: Vec<&str> = request.column_map.values().map(String::as_str).collect();
    if !targets.is_empty() && !targets.contains(&"destination_url") {
        wrong.add("column_map", "must say which column is the destination_url");
    }
    for (field, text, most) in
        [("file_name", &request.file_name, MAX_NAME), ("file_digest", &request.file_digest, MAX_DIGEST)]
    {
        if text.chars().nth(most).is_some() || text.chars().any(char::is_control) {
            wrong.add(field, format!("must have at most {most} characters, no control characters"));
        }
    }
    if request.file_size < 0 {
        wrong.add("file_size", "must not be negative");
    }
    request.workspace_id.clear();
    request.request_id.clear();
    if request.existing() == ImportExisting::Unspecified {
        request.existing = ImportExisting::Keep.into();
    }
    wrong.into_result(Terms(request))
}

/// Reads the id of an import.
pub fn import_id(id: &str) -> Result<ImportId> {
    ImportId::parse(id).ok_or_else(|| Error::invalid_field("import_id", NOT_A_UUID))
}

/// Makes sure that a part of a file is one.
pub fn check_part(offset: i64, data: &[u8]) -> Result<()> {
    let mut wrong = Violations::default();
    if offset < 0 {
        wrong.add("offset", "must not be negative");
    }
    if data.len() > MAX_DATA {
        wrong.add("data", "must have at most 786,432 bytes");
    }
    wrong.into_result(())
}

/// Imports a part of a file, as much of it as one answer can tell of.
pub async fn chunk(
    env: &Env,
    tenant: &Tenant,
    id: ImportId,
    request: ImportChunkRequest,
    decide: Decide,
) -> Result<ImportChunkResponse> {
    let given = Given { offset: request.offset, data: &request.data, last: request.last };
    let Step { mut import, mut rows } = step(env, tenant, id, given, decide).await?;
    loop {
        let told: usize = rows.iter().map(prost::Message::encoded_len).sum();
        let at = import.next_offset;
        if import.done || at >= request.offset.saturating_add(request.data.len() as i64) || told > ANSWER {
            break;
        }
        let more = step(env, tenant, id, given, decide).await?;
        if more.import.next_offset == at && !more.import.done {
            break;
        }
        import = more.import;
        rows.extend(more.rows);
    }
    Ok(ImportChunkResponse { import: Some(shown(&import)?), rows })
}

/// Writes an import.
pub fn shown(import: &Model) -> Result<Import> {
    let terms = StartImportRequest::decode(&*import.request).map_err(Error::internal)?;
    let state = if import.done { ImportState::Done } else { ImportState::Open };
    Ok(Import {
        id: import.id.to_string(),
        workspace_id: import.workspace_id.to_string(),
        source: terms.source,
        existing: terms.existing,
        validate_only: terms.validate_only,
        file_name: terms.file_name,
        file_digest: terms.file_digest,
        file_size: terms.file_size,
        state: state.into(),
        next_offset: import.next_offset,
        counts: Some(ImportCounts {
            rows: import.row_count,
            created: import.created,
            changed: import.changed,
            same: import.same,
            conflicts: import.conflicts,
            wrong: import.wrong,
        }),
        create_time: Some(timestamp(import.create_time)),
        update_time: Some(timestamp(import.update_time)),
        domain: terms.domain,
    })
}
