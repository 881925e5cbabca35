//! `linkforty import`: sends a file of links to a deployment and says how far it is. It goes on by itself when the deployment
//! comes back, and where it was when it is called again with `--resume`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use data_encoding::HEXLOWER;
use futures::{Stream, stream};
use indicatif::{ProgressBar, ProgressStyle};
use ring::digest;

use super::{
    api::{Api, is_passing},
    takeover::Takeover,
};
use crate::{
    ids::Ids,
    pb::v1::{
        ExportImportErrorsRequest, GetImportRequest, Import as Imported, ImportCounts, ImportExisting,
        ImportLinksRequest, ImportOutcome, ImportRow, ImportSource, ImportState, StartImportRequest,
    },
};

/// What `linkforty import` imports: a file, or by the word `linkforty` a database.
#[derive(Debug)]
pub(super) enum Import {
    /// A file of links.
    File(FileImport),
    /// A database of LinkForty.
    Takeover(Takeover),
}

const TAKEOVER: &str = "linkforty";

impl Args for Import {
    fn augment_args(command: Command) -> Command {
        FileImport::augment_args(command)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
            .subcommand(Takeover::augment_args(Command::new(TAKEOVER)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Import {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((TAKEOVER, matches)) => Takeover::from_arg_matches(matches).map(Self::Takeover),
            _ => FileImport::from_arg_matches(matches).map(Self::File),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Imports a file of links. A row that is imported is never imported again, whatever breaks down in between. Exits 0 when every
/// row was imported or was there already.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkforty import links.csv --source csv --map 'Long address=destination_url' --map 'Short=short_url'
  linkforty import dub-links.csv --source dub --dry-run --diff
  linkforty import dub-links.csv --source dub --domain go.brand.com
  linkforty import bitlinks.json --source bitly --errors not-imported.csv
  linkforty import bitlinks.json --source bitly --resume 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507")]
pub(super) struct FileImport {
    /// The file.
    file: PathBuf,
    /// The tool that wrote it.
    #[arg(long, value_enum)]
    source: Source,
    /// What a column of a CSV file means: its name, `=`, a field such as destination_url, short_code, short_url, create_time,
    /// tags or utm.source. Columns that are not named are not read.
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = mapped)]
    map: Vec<(String, String)>,
    /// What becomes of a link that is there already.
    #[arg(long, value_enum, default_value_t = Existing::Keep)]
    existing: Existing,
    /// Where the links live: the host of a domain of the workspace. By default the server's own host.
    #[arg(long, default_value = "", value_name = "HOST", hide_default_value = true)]
    domain: String,
    /// Say what would become of each row, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print a line for each row that is not there already.
    #[arg(long)]
    diff: bool,
    /// Where to write the rows that were not imported, as CSV with the reasons.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Go on with an import that was started before.
    #[arg(long, value_name = "IMPORT")]
    resume: Option<String>,
    /// How long to wait for a deployment that does not answer, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// The workspace; an API key has only one.
    #[arg(long, default_value = "", value_name = "UUID", hide_default_value = true)]
    workspace: String,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Source {
    Csv,
    Linkforty,
    Bitly,
    Dub,
    Shlink,
    Kutt,
    Yourls,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Existing {
    /// It stays as it is.
    Keep,
    /// It becomes what the file says.
    Update,
}

fn mapped(text: &str) -> Result<(String, String), String> {
    // A column may have an = in its name; a field has none.
    let (column, field) = text.rsplit_once('=').ok_or("must be COLUMN=FIELD")?;
    Ok((column.to_owned(), field.to_owned()))
}

const PART: usize = 256 * 1024;
const CALL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);
/// On no terminal, how many rows lie between two lines.
const LINE_EVERY: i64 = 10_000;

impl FileImport {
    /// Runs the import.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let size = self.size()?;
        let import = self.begin(size).await?;
        let progress = Progress::new(size, &import);
        let import = match self.go_on(import.clone(), &progress).await {
            Ok(import) => import,
            Err(error) => {
                progress.bar.abandon();
                let again = format!(
                    "go on with: linkforty import {} --source {} --resume {}",
                    self.file.display(),
                    self.source
                        .to_possible_value()
                        .map(|value| value.get_name().to_owned())
                        .unwrap_or_default(),
                    import.id
                );
                return Err(error.context(again));
            }
        };
        progress.bar.finish_and_clear();
        let counts = import.counts.unwrap_or_default();
        say!("{}", sentence(&counts, self.dry_run || import.validate_only));
        let bad = counts.conflicts + counts.wrong;
        if let Some(errors) = self.errors.as_deref().filter(|_| bad > 0) {
            self.write_errors(&import, errors).await?;
            say!("the rows that were not imported are in {}", errors.display());
        }
        Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn size(&self) -> anyhow::Result<u64> {
        let about = std::fs::metadata(&self.file)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        ensure!(
            about.is_file(),
            "{} is no file, so its import could not go on after a break",
            self.file.display()
        );
        Ok(about.len())
    }

    /// Starts the import, or finds the one to go on with.
    async fn begin(&self, size: u64) -> anyhow::Result<Imported> {
        let digest = digest_of(&self.file)?;
        let mut links = self.api.links(CALL).await?;
        if let Some(id) = &self.resume {
            let request = GetImportRequest { workspace_id: self.workspace.clone(), import_id: id.clone() };
            let found = links.get_import(request).await.context("the import cannot be found")?;
            let import = found.into_inner().import.context("the answer holds no import")?;
            ensure!(
                import.file_digest == digest,
                "{} is not the file that {id} was started with",
                self.file.display()
            );
            return Ok(import);
        }
        let source = match self.source {
            Source::Csv => ImportSource::Csv,
            Source::Linkforty => ImportSource::Linkforty,
            Source::Bitly => ImportSource::Bitly,
            Source::Dub => ImportSource::Dub,
            Source::Shlink => ImportSource::Shlink,
            Source::Kutt => ImportSource::Kutt,
            Source::Yourls => ImportSource::Yourls,
        };
        let existing = match self.existing {
            Existing::Keep => ImportExisting::Keep,
            Existing::Update => ImportExisting::Update,
        };
        let request = StartImportRequest {
            workspace_id: self.workspace.clone(),
            source: source.into(),
            column_map: self.map.iter().cloned().collect::<BTreeMap<_, _>>(),
            existing: existing.into(),
            file_name: self
                .file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            file_digest: digest,
            file_size: i64::try_from(size).context("no file is that large")?,
            request_id: uuid::Uuid::from_bytes(Ids::from_os().bytes()).to_string(),
            validate_only: self.dry_run,
            domain: self.domain.clone(),
        };
        let started = links.start_import(request).await.context("the import cannot be started")?;
        let import = started.into_inner().import.context("the answer holds no import")?;
        eprintln!("import {}", import.id);
        Ok(import)
    }

    /// Sends the file until the import has all of it. Goes on after breaks, as long as there is some progress in the time that
    /// the caller is willing to wait.
    async fn go_on(&self, mut import: Imported, progress: &Progress) -> anyhow::Result<Imported> {
        let patience = Duration::from_secs(self.patience);
        let mut moved = Instant::now();
        loop {
            let before = import.next_offset;
            match self.send(&mut import, progress).await {
                Ok(()) if import.state() == ImportState::Done => return Ok(import),
                Ok(()) => bail!("the deployment stopped in the middle of the file"),
                Err(error) => {
                    if !is_passing(&error) {
                        return Err(error);
                    }
                    if import.next_offset > before {
                        moved = Instant::now();
                    }
                    if moved.elapsed() >= patience {
                        return Err(error.context(format!("nothing got on for {patience:?}")));
                    }
                    progress.note(&format!("waiting: {error:#}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
            // What was stored and not told is stored all the same.
            if let Ok(mut links) = self.api.links(CALL).await {
                let request =
                    GetImportRequest { workspace_id: self.workspace.clone(), import_id: import.id.clone() };
                if let Ok(found) = links.get_import(request).await {
                    import = found.into_inner().import.unwrap_or(import);
                    if import.state() == ImportState::Done {
                        return Ok(import);
                    }
                }
            }
        }
    }

    /// Sends the rest of the file in one call.
    async fn send(&self, import: &mut Imported, progress: &Progress) -> anyhow::Result<()> {
        let mut links = self.api.links(CALL).await?;
        let file =
            File::open(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?;
        let parts = parts(file, self.workspace.clone(), import.id.clone(), import.next_offset)?;
        let mut answers = links.import_links(parts).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            *import = answer.import.context("the answer holds no import")?;
            progress.show(import);
            if self.diff {
                answer
                    .rows
                    .iter()
                    .filter(|row| row.outcome() != ImportOutcome::Same)
                    .for_each(|row| progress.print(row));
            }
        }
        Ok(())
    }

    async fn write_errors(&self, import: &Imported, to: &Path) -> anyhow::Result<()> {
        let mut links = self.api.links(CALL).await?;
        let request =
            ExportImportErrorsRequest { workspace_id: self.workspace.clone(), import_id: import.id.clone() };
        let mut parts = links.export_import_errors(request).await?.into_inner();
        let mut file = File::create(to).with_context(|| format!("{} cannot be written", to.display()))?;
        while let Some(part) = parts.message().await? {
            file.write_all(&part.data)?;
        }
        Ok(file.sync_all()?)
    }
}

/// Returns the parts of a file from a place on.
fn parts(
    mut file: File,
    workspace: String,
    import: String,
    offset: i64,
) -> anyhow::Result<impl Stream<Item = ImportLinksRequest> + Send + 'static> {
    let size = i64::try_from(file.metadata()?.len()).context("no file is that large")?;
    file.seek(SeekFrom::Start(u64::try_from(offset).context("an offset is no negative number")?))?;
    Ok(stream::unfold(Some((file, offset)), move |state| {
        let (workspace_id, import_id) = (workspace.clone(), import.clone());
        async move {
            let (mut file, offset) = state?;
            let mut data = Vec::with_capacity(PART);
            // A file that cannot be read any more ends the call in the middle, which the deployment sees.
            (&mut file).take(PART as u64).read_to_end(&mut data).ok()?;
            let end = offset + data.len() as i64;
            let last = end >= size || data.is_empty();
            let part = ImportLinksRequest { workspace_id, import_id, offset, data: data.into(), last };
            Some((part, (!last).then_some((file, end))))
        }
    }))
}

fn digest_of(file: &Path) -> anyhow::Result<String> {
    let mut file = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut sum = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; PART];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
    }
    Ok(format!("sha256:{}", HEXLOWER.encode(sum.finish().as_ref())))
}

fn sentence(counts: &ImportCounts, dry: bool) -> String {
    let ImportCounts { rows, created, changed, same, conflicts, wrong } = counts;
    let would = if dry { "a dry run; nothing was stored: " } else { "" };
    format!(
        "{would}{rows} rows: {created} created, {changed} changed, {same} the same, {conflicts} conflicts, {wrong} wrong"
    )
}

/// Shows how far it is: a bar on a terminal, a line from time to time anywhere else.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
    told: std::cell::Cell<i64>,
}

impl Progress {
    fn new(size: u64, import: &Imported) -> Self {
        let style = "{bar:32} {percent:>3}% {bytes}/{total_bytes} {msg} {eta}";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Where there is no terminal the bar hides by itself.
        let bar = ProgressBar::new(size).with_style(style);
        let progress = Self { bar, terminal: stderr().is_terminal(), told: std::cell::Cell::new(0) };
        progress.show(import);
        progress
    }

    fn show(&self, import: &Imported) {
        let counts = import.counts.unwrap_or_default();
        self.bar.set_position(u64::try_from(import.next_offset).unwrap_or_default());
        self.bar.set_message(format!("{} rows", counts.rows));
        if !self.terminal && counts.rows - self.told.get() >= LINE_EVERY {
            self.told.set(counts.rows);
            eprintln!("{}", sentence(&counts, import.validate_only));
        }
    }

    fn note(&self, text: &str) {
        if self.terminal { self.bar.set_message(text.to_owned()) } else { eprintln!("{text}") }
    }

    fn print(&self, row: &ImportRow) {
        let outcome = row.outcome().as_str_name().trim_start_matches("IMPORT_OUTCOME_").to_ascii_lowercase();
        let mut line = format!("{outcome:<9}{:>9}  {}", row.row, row.short_code);
        if !row.changed_fields.is_empty() {
            line = format!("{line}  [{}]", row.changed_fields.join(", "));
        }
        if let Some(error) = &row.error {
            let wrong: Vec<String> = error
                .violations
                .iter()
                .map(|wrong| format!("{}: {}", wrong.field, wrong.description))
                .collect();
            let why = if wrong.is_empty() { error.message.clone() } else { wrong.join("; ") };
            line = format!("{line}  {why}");
        }
        self.bar.suspend(|| say!("{}", line.trim_end()));
    }
}
