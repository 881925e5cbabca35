//! One step of an import: up to 1,000 rows in one transaction, together with how far the import is afterwards.

use std::collections::{HashMap, HashSet};

use chrono::Duration;
use prost::Message as _;
use sea_orm::DatabaseTransaction;
use tokio::sync::Semaphore;

use super::{
    Terms, Where, bitly, dub,
    entry::{Entry, Members, Row},
    fate::{Fate, decide},
    forty_core, kutt, shlink,
    split::{self, Cut, Part, Record},
    store, table, unknown, yourls,
};
use crate::{
    clock::Moment,
    domains,
    entity::{
        link::Model, link_import::Model as Import, link_import_draft::Model as DraftRow,
        link_import_error::Model as ErrorRow,
    },
    env::Env,
    error::{Error, Reason, Result},
    ids::{ImportId, LinkId, ProjectId, TemplateId},
    links::{
        self, Checks, Code, CodeStyle, Decide, Door, Draft, Inserted, changes::Changes, code::Alphabet,
        code_taken, flat, insert as insert_links, related::Related, revisions, routing_tests::Runner,
        store as links_store, wire as links_wire,
    },
    pb::{
        internal::v1::{ImportCells, ImportReading},
        v1::{self, ImportOutcome, ImportRow, ImportSource, Quota},
    },
    rpc,
    trail::{self, Action},
    workspaces::{Tenant, quotas},
};

/// Rows of one transaction.
const ROWS: usize = 1000;
/// How many steps a node works on at once: imports have time, visitors and other callers do not.
const AT_ONCE: usize = 2;
/// How many rows that were not imported are kept.
const KEPT_ERRORS: i64 = 100_000;
/// How much is told of one wrong row.
const VIOLATIONS: usize = 5;
const VIOLATION: usize = 300;

/// The next part of a file.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Where in the file it begins.
    pub offset: i64,
    /// What stands there.
    pub data: &'a [u8],
    /// Whether the file ends with it.
    pub last: bool,
}

/// What came of a step.
#[derive(Debug)]
pub struct Step {
    /// The import.
    pub import: Import,
    /// What became of each row.
    pub rows: Vec<ImportRow>,
}

struct Steps(Semaphore);

/// Gets on with an import by up to 1,000 rows.
pub async fn step(
    env: &Env,
    tenant: &Tenant,
    id: ImportId,
    given: Given<'_>,
    decide: Decide,
) -> Result<Step> {
    let steps = env.memory.of(|| Steps(Semaphore::new(AT_ONCE)));
    let _place = steps.0.acquire().await.map_err(Error::internal)?;
    let before = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?;
    let end = given.offset.saturating_add(given.data.len() as i64);
    if before.done {
        // A repeat of what is done with.
        return if end <= before.next_offset {
            Ok(Step { import: before, rows: Vec::new() })
        } else {
            Err(done())
        };
    }
    let Some(known) = before.next_offset.checked_sub(given.offset).filter(|known| *known >= 0) else {
        return Err(mismatch(&before));
    };
    let Some(data) = given.data.get(known as usize..).filter(|data| !data.is_empty() || given.last) else {
        return Ok(Step { import: before, rows: Vec::new() });
    };
    let terms = Terms::of(&before)?;
    let (cut, rows) = read(&before, &terms, data, given.last).await?;
    if cut.consumed == 0 && !cut.ended {
        return Ok(Step { import: before, rows: Vec::new() });
    }
    Box::pin(store(env, tenant, (before, &terms), cut, rows, decide)).await
}

type Rows = Vec<(Record, Result<Row>)>;

/// Cuts a part into rows. Not on a thread that answers others: a thousand rows take some milliseconds.
async fn read(import: &Import, terms: &Terms, data: &[u8], last: bool) -> Result<(Cut, Rows)> {
    let reading = ImportReading::decode(&*import.reading).map_err(Error::internal)?;
    let (data, terms, first) = (data.to_vec(), terms.clone(), import.next_offset == 0);
    let read = move || {
        let lists = lists(terms.source());
        let part = Part { data: &data, first, last, most: ROWS, lists };
        let mut cut = split::cut(&reading, part).map_err(|wrong| Error::invalid_field("data", wrong))?;
        let records = std::mem::take(&mut cut.records);
        let rows = records
            .into_iter()
            .map(|record| {
                let row = of_source(&record, &cut.reading.columns, &terms);
                (record, row)
            })
            .collect();
        Ok((cut, rows))
    };
    tokio::task::spawn_blocking(read).await.map_err(Error::internal)?
}

const fn lists(source: ImportSource) -> &'static [&'static str] {
    match source {
        ImportSource::Bitly => bitly::LISTS,
        ImportSource::Dub => dub::LISTS,
        ImportSource::Shlink => shlink::LISTS,
        ImportSource::Kutt => kutt::LISTS,
        ImportSource::Yourls => yourls::LISTS,
        ImportSource::Linkforty | ImportSource::Csv | ImportSource::Unspecified => table::LISTS,
    }
}

/// Reads a record as its source means it.
pub fn of_source(record: &Record, columns: &[String], terms: &Terms) -> Result<Row> {
    let map = &terms.0.column_map;
    let read = match terms.source() {
        _ if !map.is_empty() => return table::read(record, columns, map),
        ImportSource::Linkforty if forty_core::is_one(record) => forty_core::read,
        ImportSource::Linkforty | ImportSource::Csv | ImportSource::Unspecified => {
            return table::read(record, columns, map);
        }
        ImportSource::Bitly => bitly::read,
        ImportSource::Dub => dub::read,
        ImportSource::Shlink => shlink::read,
        ImportSource::Kutt => kutt::read,
        ImportSource::Yourls => yourls::read,
    };
    let members = Members::of(record, columns).map_err(|wrong| Error::invalid_field("row", wrong))?;
    let mut entry = Entry::of(members);
    read(&mut entry);
    entry.done()
}

/// What the rows of a step have led to so far.
struct Sheet<'a> {
    env: &'a Env,
    tenant: &'a Tenant,
    door: Door<'a>,
    home: Where,
    /// Runs the routing tests of links, which an import must not break either.
    runner: Runner,
    checks: Checks,
    related: Related,
    now: Moment,
    /// Links of the workspace by their codes, as the rows so far would leave them; new ones too.
    known: HashMap<String, Model>,
    /// Codes that somebody else has. Only a dry run asks beforehand.
    foreign: HashSet<String>,
    /// The versions of those that are stored.
    versions: HashMap<LinkId, i64>,
    /// New links, in their order.
    drafts: Vec<Draft>,
    /// Stored links that change.
    changed: HashSet<LinkId>,
}

async fn store(
    env: &Env,
    tenant: &Tenant,
    (before, terms): (Import, &Terms),
    cut: Cut,
    mut rows: Rows,
    decide: Decide,
) -> Result<Step> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let home = terms.home(&tx, tenant).await?;
    let alphabet = Alphabet::of(home.home());
    for row in rows.iter_mut().filter_map(|(_, row)| row.as_mut().ok()) {
        row.link.short_code = alphabet.kept(std::mem::take(&mut row.link.short_code));
    }
    let codes: HashSet<String> =
        rows.iter().filter_map(|(_, row)| row.as_ref().ok()).map(|row| row.link.short_code.clone()).collect();
    let import = store::lock(&tx, tenant.id, before.id).await?.ok_or_else(unknown)?;
    if import.next_offset != before.next_offset || import.done {
        return Err(mismatch(&import));
    }
    let asked = || codes.iter().map(String::as_str).filter(|code| !code.is_empty());
    let known = links_store::lock_codes(&tx, tenant.id, home.namespace(), asked()).await?;
    let hosts = domains::answering(&tx, tenant).await?;
    let before_them: HashMap<LinkId, Model> = known.values().map(|link| (link.id, link.clone())).collect();
    let mut sheet = Sheet {
        env,
        related: named(&tx, tenant, &rows, &known).await?,
        tenant,
        door: links_wire::door(env, &hosts, "", Some(decide)),
        home,
        runner: Runner::open(env, &tx, tenant.id, now).await?,
        checks: Checks { decide: Some(decide), path: "" },
        now,
        versions: known.values().map(|link| (link.id, link.version)).collect(),
        known,
        foreign: HashSet::new(),
        drafts: Vec::new(),
        changed: HashSet::new(),
    };
    if terms.is_dry() {
        let drafts = store::find_drafts(&tx, tenant.id, before.id, asked()).await?;
        let namespace = sheet.home.namespace().to_owned();
        sheet.foreign = links_store::taken(&tx, asked().map(|code| (&*namespace, code)))
            .await?
            .into_iter()
            .map(|(_, code)| code)
            .collect();
        sheet.foreign.retain(|code| !sheet.known.contains_key(code));
        sheet.recall(drafts)?;
    }

    let mut told = Vec::with_capacity(rows.len());
    let mut records = Vec::with_capacity(rows.len());
    for ((record, row), number) in rows.into_iter().zip(before.row_count + 1..) {
        let told_row = match row {
            Ok(row) => sheet.take(row, number, terms),
            Err(error) => wrong(number, String::new(), &error),
        };
        told.push(told_row);
        records.push(record);
    }

    let mut touched = Vec::new();
    if terms.is_dry() {
        store::save_drafts(&tx, sheet.remembered(before.id)).await?;
        if cut.ended {
            store::remove_drafts(&tx, tenant.id, before.id).await?;
        }
        sheet.hide_what_is_not_there(&mut told);
    } else {
        let changed: Vec<Model> =
            sheet.known.values().filter(|link| sheet.changed.contains(&link.id)).cloned().collect();
        if links_store::save(&tx, tenant.id, &changed).await?.len() != changed.len() {
            return Err(Error::internal("a locked link was changed by somebody else"));
        }
        let drafts = std::mem::take(&mut sheet.drafts);
        let asked: Vec<(LinkId, String)> =
            drafts.iter().map(|draft| (draft.link.id, draft.link.short_code.clone())).collect();
        revisions::record(env, &tx, tenant, &revisions::pairs(&before_them, &changed)).await?;
        let inserted = insert_links(env, &tx, tenant, drafts).await?;
        refuse_taken(&mut told, &asked, &inserted);
        let counts =
            trail::Changes::none().with("created", inserted.stored.len()).with("updated", changed.len());
        if !(inserted.stored.is_empty() && changed.is_empty()) {
            let did = tenant.did(Action::LinksImported, before.id.0, counts);
            trail::note(&tx, &env.ids, [did], now).await?;
        }
        let updated = revisions::pairs(&before_them, &changed);
        let updated = updated.iter().map(|(before, after)| links::told::Fate::Updated(before, after));
        let fates = inserted.stored.values().map(links::told::Fate::Created).chain(updated);
        links::told::note(env, &tx, tenant.id, fates, now).await?;
        touched = changed;
        touched.extend(inserted.stored.into_values());
    }

    let errors = errors(&before, &told, records);
    let import = advanced(import, &cut, &told, now);
    store::insert_errors(&tx, errors).await?;
    store::save(&tx, import.clone()).await?;
    let changes = Changes::of(&touched, now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    metrics::counter!("linkforty_import_rows_total").increment(told.len() as u64);
    Ok(Step { import, rows: told })
}

/// Looks up what rows name of the workspace, and the templates of the links they may change.
async fn named(
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    rows: &Rows,
    known: &HashMap<String, Model>,
) -> Result<Related> {
    let links = || rows.iter().filter_map(|(_, row)| row.as_ref().ok()).map(|row| &row.link);
    let projects = links().filter_map(|link| link.project_id.parse().ok().map(ProjectId)).collect();
    let templates = links().filter_map(|link| link.template_id.parse().ok().map(TemplateId));
    let templates = templates.chain(known.values().filter_map(|link| link.template_id)).collect();
    Ok(Related::of_named(tx, tenant.id, projects, templates).await?)
}

impl Sheet<'_> {
    /// Decides about a row and remembers what it leads to.
    fn take(&mut self, row: Row, number: i64, terms: &Terms) -> ImportRow {
        let code = row.link.short_code.clone();
        if self.foreign.contains(&code) {
            return conflict(number, &code, None, &code_taken(&code));
        }
        let made = row.made;
        let ours = self.known.get(&code).filter(|_| !code.is_empty());
        match decide(row, ours, terms.existing(), (self.door, &self.related, &self.home.place), self.now) {
            Fate::Wrong(error) => wrong(number, code, &error),
            Fate::Create(new) => self.create(*new, made, number),
            Fate::Same => told(ImportOutcome::Same, number, &code, ours),
            Fate::Conflict(wanted) => {
                let error = Error::new(
                    Reason::ShortCodeTaken,
                    format!("the short code {code} is in use in the workspace for another link"),
                );
                let row = conflict(number, &code, ours, &error);
                ImportRow { changed_fields: self.differences(ours, &wanted), ..row }
            }
            Fate::Change(changed) => {
                if let Err(error) = self.runner.require(self.checks, ours, &changed) {
                    return wrong(number, code, &error);
                }
                let row = told(ImportOutcome::Changed, number, &code, ours);
                let row = ImportRow { changed_fields: self.differences(ours, &changed), ..row };
                self.change(*changed);
                row
            }
        }
    }

    fn draft(&self, new: links::NewLink, now: Moment) -> Result<Draft> {
        Draft::of(self.env, self.tenant, &self.home.homes, new, CodeStyle::Short, now)
            .map_err(|none| none.at("domain"))
    }

    fn create(&mut self, new: links::NewLink, made: Option<Moment>, number: i64) -> ImportRow {
        // A microsecond apart, so that they are listed in the order of the file.
        let at = self.now + Duration::microseconds(self.drafts.len() as i64);
        let mut draft = match self.draft(new, at) {
            Ok(draft) => draft,
            Err(error) => return wrong(number, String::new(), &error),
        };
        if let Some(made) = made.filter(|made| *made <= self.now) {
            draft.link.id = LinkId::mint_past(&self.env.ids, made);
            draft.link.create_time = made;
        }
        if let Err(error) = self.runner.require(self.checks, None, &draft.link) {
            return wrong(number, draft.link.short_code, &error);
        }
        let row = told(ImportOutcome::Created, number, &draft.link.short_code, Some(&draft.link));
        if draft.code == Code::Asked {
            self.known.insert(draft.link.short_code.clone(), draft.link.clone());
        }
        self.drafts.push(draft);
        row
    }

    fn change(&mut self, mut changed: Model) {
        match self.versions.get(&changed.id) {
            // However often it changes in here, it is stored once.
            Some(stored) => {
                changed.version = stored + 1;
                self.changed.insert(changed.id);
            }
            None => {
                changed.version = 1;
                match self.drafts.iter_mut().find(|draft| draft.link.id == changed.id) {
                    Some(draft) => draft.link = changed.clone(),
                    // An earlier step of a dry run would have made it.
                    None => {
                        self.changed.insert(changed.id);
                    }
                }
            }
        }
        self.known.insert(changed.short_code.clone(), changed);
    }

    /// Says in which fields two links differ.
    fn differences(&self, ours: Option<&Model>, wanted: &Model) -> Vec<String> {
        let Some(ours) = ours else { return Vec::new() };
        let json = |link: &Model| flat::to_json(&links_wire::content(&self.env.config, link.clone()));
        let (ours, wanted) = (json(ours), json(wanted));
        wanted
            .iter()
            .filter(|(name, value)| ours.get(*name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Takes up what earlier steps of a dry run would have made or changed.
    fn recall(&mut self, drafts: HashMap<String, Vec<u8>>) -> Result<()> {
        for (code, bytes) in drafts {
            let link = v1::Link::decode(&*bytes).map_err(Error::internal)?;
            let Ok(new) = self.door.new_link(Some(link)) else { continue };
            let draft = self.draft(new, self.now)?.link;
            let stored = self.known.get(&code);
            let (id, version) =
                stored.map_or((draft.id, draft.version), |stored| (stored.id, stored.version));
            // What a file does not say stays as it is stored.
            let kept =
                stored.map(|stored| (stored.password_hash.clone(), stored.create_time, stored.update_time));
            let (password_hash, create_time, update_time) =
                kept.unwrap_or((None, draft.create_time, draft.update_time));
            let link = Model { id, version, password_hash, create_time, update_time, ..draft };
            self.known.insert(code, link);
        }
        Ok(())
    }

    /// Returns what the next steps of a dry run must know.
    fn remembered(&self, import: ImportId) -> Vec<DraftRow> {
        let made = self.drafts.iter().map(|draft| &draft.link).filter(|link| !link.short_code.is_empty());
        let made: HashSet<&str> = made.map(|link| &*link.short_code).collect();
        self.known
            .values()
            .filter(|link| self.changed.contains(&link.id) || made.contains(&*link.short_code))
            .map(|link| DraftRow {
                workspace_id: self.tenant.id,
                import_id: import,
                short_code: link.short_code.clone(),
                link: links_wire::content(&self.env.config, link.clone()).encode_to_vec(),
            })
            .collect()
    }

    /// A dry run makes no ids, and generates no codes.
    fn hide_what_is_not_there(&self, rows: &mut [ImportRow]) {
        let generated: HashSet<&str> = self
            .drafts
            .iter()
            .filter(|draft| draft.code != Code::Asked)
            .map(|draft| &*draft.link.short_code)
            .collect();
        for row in rows {
            if row.outcome() == ImportOutcome::Created && generated.contains(&*row.short_code) {
                row.short_code.clear();
            }
            if LinkId::parse(&row.link_id).is_none_or(|id| !self.versions.contains_key(&id)) {
                row.link_id.clear();
            }
        }
    }
}

/// Takes back what was said of links whose code somebody else has, and says which codes were generated.
fn refuse_taken(rows: &mut [ImportRow], asked: &[(LinkId, String)], inserted: &Inserted) {
    let asked: HashMap<String, (LinkId, &str)> =
        asked.iter().map(|(id, code)| (id.to_string(), (*id, &**code))).collect();
    for row in rows {
        let Some((id, code)) = asked.get(&row.link_id) else { continue };
        match (inserted.stored.get(id), inserted.too_many.get(id)) {
            (Some(link), _) => row.short_code.clone_from(&link.short_code),
            (None, Some(limit)) => {
                *row = wrong(row.row, (*code).to_owned(), &quotas::exceeded(Quota::Links, *limit));
            }
            (None, None) => *row = conflict(row.row, code, None, &code_taken(code)),
        }
    }
}

fn told(outcome: ImportOutcome, number: i64, code: &str, link: Option<&Model>) -> ImportRow {
    ImportRow {
        row: number,
        outcome: outcome.into(),
        short_code: code.to_owned(),
        link_id: link.map(|link| link.id.to_string()).unwrap_or_default(),
        ..ImportRow::default()
    }
}

fn conflict(number: i64, code: &str, ours: Option<&Model>, error: &Error) -> ImportRow {
    let row = told(ImportOutcome::Conflict, number, code, ours);
    ImportRow { error: Some(rpc::item_error(error)), ..row }
}

fn wrong(number: i64, code: String, error: &Error) -> ImportRow {
    let mut error = rpc::item_error(error);
    error.violations.truncate(VIOLATIONS);
    for text in error.violations.iter_mut().flat_map(|wrong| [&mut wrong.field, &mut wrong.description]) {
        cut_to(text, VIOLATION);
    }
    cut_to(&mut error.message, VIOLATION);
    // Whatever stood there.
    let mut short_code = code;
    cut_to(&mut short_code, 128);
    ImportRow {
        row: number,
        outcome: ImportOutcome::Wrong.into(),
        short_code,
        error: Some(error),
        ..ImportRow::default()
    }
}

fn cut_to(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}

/// Returns the rows to keep, with what is said of them.
fn errors(import: &Import, rows: &[ImportRow], records: Vec<Record>) -> Vec<ErrorRow> {
    let room = (KEPT_ERRORS - import.conflicts - import.wrong).max(0) as usize;
    rows.iter()
        .zip(records)
        .filter_map(|(row, record)| Some((row, row.error.as_ref()?, record)))
        .take(room)
        .map(|(row, error, record)| ErrorRow {
            workspace_id: import.workspace_id,
            import_id: import.id,
            row_number: row.row,
            cells: ImportCells { cells: record.cells }.encode_to_vec(),
            message: sentence(error),
        })
        .collect()
}

/// Returns what is wrong with a row as one text. A database holds no NUL in a text.
fn sentence(error: &v1::ItemError) -> String {
    let all: Vec<String> =
        error.violations.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.description)).collect();
    let text = if all.is_empty() { error.message.clone() } else { all.join("; ") };
    text.replace('\0', "")
}

/// Returns the import as the step leaves it.
fn advanced(import: Import, cut: &Cut, rows: &[ImportRow], now: Moment) -> Import {
    let count = |outcome| rows.iter().filter(|row| row.outcome() == outcome).count() as i64;
    Import {
        done: cut.ended,
        next_offset: import.next_offset + cut.consumed as i64,
        reading: cut.reading.encode_to_vec(),
        row_count: import.row_count + rows.len() as i64,
        created: import.created + count(ImportOutcome::Created),
        changed: import.changed + count(ImportOutcome::Changed),
        same: import.same + count(ImportOutcome::Same),
        conflicts: import.conflicts + count(ImportOutcome::Conflict),
        wrong: import.wrong + count(ImportOutcome::Wrong),
        update_time: now,
        ..import
    }
}

fn done() -> Error {
    Error::new(Reason::ImportDone, "the import has all of its file; start another one")
}

fn mismatch(import: &Import) -> Error {
    Error::new(
        Reason::ImportOffsetMismatch,
        format!("the import goes on at the byte {}, not where this part begins", import.next_offset),
    )
    .with("next_offset", import.next_offset.to_string())
}
