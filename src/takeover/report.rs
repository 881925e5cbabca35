//! What a takeover came to, for people and for programs.

use std::fmt::{self, Write as _};

use serde::Serialize;
use uuid::Uuid;

use super::{
    Run,
    remarks::{Remark, Remarks},
    reports::Settled,
    source::Source,
    uncarried::Uncarried,
};
use crate::ids::WorkspaceId;

/// What a takeover came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where the LinkForty database is, without who asked.
    pub source: String,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Whether nothing was stored.
    pub dry_run: bool,
    /// The parts, in the order in which they are carried.
    pub parts: Vec<PartReport>,
    /// What reports are made from; none in a dry run.
    pub reports: Option<Settled>,
    /// What has no place here.
    pub not_carried: Vec<Uncarried>,
}

/// What a part came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PartReport {
    /// Which.
    pub name: &'static str,
    /// How many rows of the source were read.
    pub seen: u64,
    /// How many were stored.
    pub stored: u64,
    /// How many were there already.
    pub present: u64,
    /// The sum of what those say.
    pub carried: String,
    /// Why others were not, or not whole.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// What both databases hold in the end; none in a dry run.
    pub compared: Option<Compared>,
}

/// What both databases hold of a part.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Compared {
    /// How many rows the source has that are carried.
    pub there: u64,
    /// How many of them are here.
    pub here: u64,
    /// The sum of what they say there, as they would be here.
    pub checksum_there: String,
    /// The sum of what they say here.
    pub checksum_here: String,
    /// Those that are not here.
    pub missing: Found,
    /// Those that say something else.
    pub different: Found,
}

/// Some rows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// How many.
    pub rows: u64,
    /// The first ids, as LinkForty has them.
    pub first: Vec<Uuid>,
}

impl Compared {
    fn is_exact(&self) -> bool {
        self.there == self.here
            && self.checksum_there == self.checksum_here
            && self.missing.rows == 0
            && self.different.rows == 0
    }
}

impl PartReport {
    /// Begins one.
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }
}

impl Report {
    /// Begins one.
    pub fn new(source: &Source, workspace: WorkspaceId, run: Run) -> Self {
        Self {
            source: source.place.clone(),
            workspace,
            dry_run: run == Run::Try,
            parts: Vec::new(),
            reports: None,
            not_carried: Vec::new(),
        }
    }

    /// Says whether both databases were read to the end and hold the same, refused rows aside.
    pub fn is_exact(&self) -> bool {
        let counted = self.reports.as_ref().is_none_or(|reports| reports.differences == 0);
        counted && self.parts.iter().all(|part| part.compared.as_ref().is_none_or(Compared::is_exact))
    }

    /// Returns how many rows were not carried.
    pub fn refused(&self) -> u64 {
        self.parts.iter().map(|part| part.remarks.refused_rows()).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let would = if self.dry_run { "would be " } else { "" };
        for part in &self.parts {
            let PartReport { name, seen, stored, present, remarks, .. } = part;
            let refused = remarks.refused_rows();
            writeln!(
                text,
                "{name:<10} {seen:>9} read  {stored:>9} {would}imported  {present:>9} there already  {refused:>7} refused"
            )?;
            if let Some(of) = &part.compared {
                let says = if of.is_exact() { "exact" } else { "NOT THE SAME" };
                writeln!(
                    text,
                    "           compared: {} there, {} here, checksums {} and {}: {says}",
                    of.there, of.here, of.checksum_there, of.checksum_here
                )?;
                for (what, found) in [("missing here", &of.missing), ("different here", &of.different)] {
                    if found.rows > 0 {
                        writeln!(text, "           {} {what}: {}", found.rows, ids(&found.first))?;
                    }
                }
            }
            for (what, remarks) in [("refused", &remarks.refused), ("without", &remarks.left_out)] {
                for (why, Remark { rows, first }) in remarks {
                    writeln!(text, "           {rows} {what}: {why} ({})", ids(first))?;
                }
            }
        }
        if let Some(Settled { days, left_alone, differences }) = &self.reports {
            writeln!(text, "reports    {days} days, {left_alone} left alone, {differences} differences")?;
        }
        if !self.not_carried.is_empty() {
            writeln!(text, "not carried:")?;
        }
        for Uncarried { what, why, rows } in &self.not_carried {
            match rows {
                Some(rows) => writeln!(text, "  {what} ({rows} rows): {why}")?,
                None => writeln!(text, "  {what}: {why}")?,
            }
        }
        f.write_str(text.trim_end())
    }
}

fn ids(first: &[Uuid]) -> String {
    let mut text: Vec<String> = first.iter().take(3).map(Uuid::to_string).collect();
    if first.len() > 3 {
        text.push("…".to_owned());
    }
    text.join(", ")
}
