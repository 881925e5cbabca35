//! `linkforty cost`: sends files of what campaigns cost to a deployment. What is sent again takes the place of what is there, so a break needs no more than another call.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::api::{Api, is_passing};
use crate::{
    attribution::events::money::{self, Amount},
    pb::v1::{Cost, ImportCostsRequest, ImportCostsResponse, Money},
};

/// How many costs one call sends.
const AT_ONCE: usize = 2000;
const CALL: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// A trillion has as many, and more is refused.
const MOST_DIGITS: usize = 13;
/// How many wrong lines are named.
const MOST_NAMED: usize = 20;
/// The fields of a line.
const FIELDS: [&str; 11] = [
    "date", "source", "medium", "campaign", "ad_group", "creative", "country", "app_id", "link_id", "cost",
    "currency",
];

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Imports a CSV file of costs: a line for each day and campaign, under a first line that names the columns. Lines that differ in nothing but their cost are added up.
    /// What is there for the same day, campaign, ad group, creative, country, app and link is replaced, so what a network corrected is simply imported again. Exits 0 when every
    /// line was imported
    Import(Import),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Columns: date (2026-11-20), cost (12.50), currency, source, medium, campaign, ad_group, creative, country, app_id, link_id.
Costs meet the visits with the same utm_source, utm_medium, utm_campaign, utm_term (ad_group) and utm_content (creative).

Examples:
  linkforty cost import costs.csv
  linkforty cost import ads.csv --map 'Day=date' --map 'Amount spent=cost' --map 'Campaign name=campaign' --map 'Ad set name=ad_group' \\
      --set source=facebook --set medium=cpc --set currency=CHF
  linkforty cost import ads.csv --dry-run"
)]
pub(super) struct Import {
    /// The file.
    file: PathBuf,
    /// What a column means: its name, `=`, a field. Columns that are neither named here nor called like a field are not read.
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = mapped)]
    map: Vec<(String, String)>,
    /// What a field is where a line does not say.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = set)]
    set: Vec<(String, String)>,
    /// Check everything, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for a deployment that does not answer, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// The workspace; an API key has only one.
    #[arg(long, default_value = "", value_name = "UUID", hide_default_value = true)]
    workspace: String,
    #[command(flatten)]
    api: Api,
}

fn mapped(text: &str) -> Result<(String, String), String> {
    // A column may have an = in its name; a field has none.
    let (column, field) = text.rsplit_once('=').ok_or("must be COLUMN=FIELD")?;
    known(field)?;
    Ok((column.to_owned(), field.to_owned()))
}

fn set(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("must be FIELD=VALUE")?;
    known(field)?;
    Ok((field.to_owned(), value.to_owned()))
}

fn known(field: &str) -> Result<(), String> {
    if FIELDS.contains(&field) { Ok(()) } else { Err(format!("{field:?} is none of {}", FIELDS.join(", "))) }
}

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Import(asked) = command;
    let file = File::open(&asked.file).with_context(|| format!("cannot open {}", asked.file.display()))?;
    let sheet = Sheet::read(file, &asked.map, &asked.set)
        .with_context(|| format!("cannot import {}", asked.file.display()))?;
    let (costs, lines): (Vec<Cost>, Vec<u64>) = sheet.costs.into_values().map(Line::into_cost).unzip();
    let bar = ProgressBar::new(costs.len() as u64);
    let (mut stored, mut waiting, mut wrong) = (0, 0, sheet.wrong);
    for (costs, lines) in costs.chunks(AT_ONCE).zip(lines.chunks(AT_ONCE)) {
        let answer = asked.send(costs).await.inspect_err(|_| bar.abandon())?;
        stored += answer.stored;
        waiting += answer.waiting;
        for refused in answer.errors {
            let error = refused.error.unwrap_or_default();
            let says: Vec<String> = error
                .violations
                .iter()
                .map(|wrong| format!("{} {}", wrong.field, wrong.description))
                .collect();
            let why = if says.is_empty() { error.message } else { says.join("; ") };
            let line = usize::try_from(refused.index).ok().and_then(|at| lines.get(at)).copied();
            wrong.push((line.unwrap_or_default(), why));
        }
        bar.inc(costs.len() as u64);
    }
    bar.finish_and_clear();
    let done = if asked.dry_run { "would import" } else { "imported" };
    say!("{done} {stored} costs of {} lines; {waiting} of them wait for an exchange rate", sheet.lines);
    wrong.sort_unstable();
    for (line, why) in wrong.iter().take(MOST_NAMED) {
        eprintln!("line {line}: {why}");
    }
    if wrong.len() > MOST_NAMED {
        eprintln!("and {} more", wrong.len() - MOST_NAMED);
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Import {
    /// Sends costs, again and again while the deployment is away.
    async fn send(&self, costs: &[Cost]) -> anyhow::Result<ImportCostsResponse> {
        let begun = Instant::now();
        loop {
            match self.attempt(costs).await {
                Err(error) if is_passing(&error) && begun.elapsed().as_secs() < self.patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome.context("the costs cannot be imported"),
            }
        }
    }

    async fn attempt(&self, costs: &[Cost]) -> anyhow::Result<ImportCostsResponse> {
        let request = ImportCostsRequest {
            workspace_id: self.workspace.clone(),
            costs: costs.to_vec(),
            validate_only: self.dry_run,
        };
        Ok(self.api.costs(CALL).await?.import_costs(request).await?.into_inner())
    }
}

/// A file that was read.
#[derive(Debug, Default)]
struct Sheet {
    /// How many lines it has under the first one.
    lines: u64,
    /// By all of their fields but the cost, in the order of those.
    costs: BTreeMap<[String; FIELDS.len()], Line>,
    /// Lines that cannot be read, and why.
    wrong: Vec<(u64, String)>,
}

/// A cost, which may stand in several lines.
#[derive(Debug)]
struct Line {
    /// The first line.
    number: u64,
    fields: [String; FIELDS.len()],
    amount: Amount,
}

impl Sheet {
    fn read(
        file: impl std::io::Read,
        map: &[(String, String)],
        set: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut table = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
        let heads = table.headers().context("the file has no first line")?.clone();
        let places = places(&heads, map)?;
        let said: HashMap<&str, &str> =
            set.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect();
        for field in ["date", "cost", "currency"] {
            let is_there = places.contains_key(field) || said.contains_key(field);
            ensure!(is_there, "no column is the {field}: name it with --map 'COLUMN={field}'");
        }
        let mut sheet = Self::default();
        let mut record = csv::StringRecord::new();
        while table.read_record(&mut record).context("the file cannot be read as CSV")? {
            let number = record.position().map_or(0, csv::Position::line);
            sheet.lines += 1;
            let value = |field: &str| {
                let cell = places.get(field).and_then(|place| record.get(*place)).unwrap_or_default();
                if cell.is_empty() { said.get(field).copied().unwrap_or_default() } else { cell }
            };
            match money::decimal(value("cost"), MOST_DIGITS) {
                Some(amount) => sheet.add(number, value, amount),
                None => {
                    sheet.wrong.push((number, format!("cost {:?} is no amount such as 12.50", value("cost"))))
                }
            }
        }
        Ok(sheet)
    }

    fn add<'a>(&mut self, number: u64, value: impl Fn(&str) -> &'a str, amount: Amount) {
        let fields = FIELDS.map(|field| if field == "cost" { "" } else { value(field) }.to_owned());
        let line =
            self.costs.entry(fields.clone()).or_insert(Line { number, fields, amount: Amount::new(0, 0) });
        line.amount += amount;
    }
}

impl Line {
    fn into_cost(self) -> (Cost, u64) {
        let Self { number, fields, amount } = self;
        let [date, source, medium, campaign, ad_group, creative, country, app_id, link_id, _, currency] =
            fields;
        let amount = Money { currency, units: amount.units(), nanos: amount.nanos() };
        let cost = Cost {
            date,
            source,
            medium,
            campaign,
            ad_group,
            creative,
            country,
            app_id,
            link_id,
            amount: Some(amount),
            reporting_amount: None,
            update_time: None,
        };
        (cost, number)
    }
}

/// Finds the columns of fields.
fn places(heads: &csv::StringRecord, map: &[(String, String)]) -> anyhow::Result<HashMap<String, usize>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    for field in FIELDS {
        let same = heads.iter().position(|head| head.eq_ignore_ascii_case(field));
        places.extend(same.map(|place| (field.to_owned(), place)));
    }
    for (column, field) in map {
        let place = heads.iter().position(|head| head == column);
        let place = place.with_context(|| format!("there is no column {column:?}"))?;
        places.insert(field.clone(), place);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_in_their_cost_alone_are_added_up() {
        let file = "\u{feff}Day,Campaign,Spend,Age\n2026-11-20,spring,1.25,18-24\n2026-11-20,spring,2.5,25-34\n2026-11-21,spring,x,\n2026-11-21,sale,3,\n";
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let map = [pair("Day", "date"), pair("Spend", "cost")];
        let set = [pair("source", "ads"), pair("currency", "CHF")];
        let sheet = Sheet::read(file.as_bytes(), &map, &set).expect("a table");
        assert_eq!((sheet.lines, sheet.wrong.len(), sheet.wrong[0].0), (4, 1, 4));
        let costs: Vec<_> = sheet.costs.into_values().map(Line::into_cost).collect();
        let told: Vec<_> = costs
            .iter()
            .map(|(cost, line)| {
                let amount = cost.amount.clone().expect("an amount");
                (cost.date.as_str(), cost.campaign.as_str(), amount.units, amount.nanos, *line)
            })
            .collect();
        assert_eq!(told, [("2026-11-20", "spring", 3, 750_000_000, 2), ("2026-11-21", "sale", 3, 0, 5)]);
        assert!(costs.iter().all(|(cost, _)| cost.source == "ads"));
        for (map, missing) in [(&[][..], "no column is the date"), (&[pair("X", "date")], "no column \"X\"")]
        {
            let error = Sheet::read(file.as_bytes(), map, &[]).expect_err("no such column");
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
}
