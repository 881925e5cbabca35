//! One table in three formats, in pieces as its rows come.

use super::{
    parquet::ParquetFile,
    table::{Column, Row},
    text,
};
use crate::{
    error::{Error, Result},
    pb::v1::ReportFormat,
};

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Reads what the contract says.
    pub fn read(number: i32) -> Result<Self> {
        match ReportFormat::try_from(number) {
            Ok(ReportFormat::Csv) => Ok(Self::Csv),
            Ok(ReportFormat::Ndjson) => Ok(Self::Ndjson),
            Ok(ReportFormat::Parquet) => Ok(Self::Parquet),
            Ok(ReportFormat::Unspecified) => Err(Error::invalid_field("format", "is required")),
            Err(_) => Err(Error::invalid_field("format", "is no format this server knows")),
        }
    }

    /// Returns the end of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// Returns what a file is, for those who serve or store it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub enum File {
    /// Before its first line.
    NewCsv(Vec<Column>),
    /// Behind it.
    Csv,
    /// Lines of JSON.
    Ndjson(Vec<Column>),
    /// Parquet.
    Parquet(Box<ParquetFile>),
}

impl File {
    /// Begins a file.
    pub fn new(format: Format, columns: Vec<Column>) -> Result<Self> {
        Ok(match format {
            Format::Csv => Self::NewCsv(columns),
            Format::Ndjson => Self::Ndjson(columns),
            Format::Parquet => Self::Parquet(Box::new(ParquetFile::new(columns).map_err(Error::internal)?)),
        })
    }

    /// Writes rows. Returns the file to go on with, and what of it is ready.
    pub fn write(self, rows: Vec<Row>) -> Result<(Self, Vec<u8>)> {
        Ok(match self {
            Self::NewCsv(columns) => {
                (Self::Csv, [text::csv_header(&columns), text::csv_rows(&rows)].concat())
            }
            Self::Csv => (Self::Csv, text::csv_rows(&rows)),
            Self::Ndjson(columns) => {
                let lines = text::json_rows(&columns, &rows);
                (Self::Ndjson(columns), lines)
            }
            Self::Parquet(mut file) => {
                let bytes = file.write(rows).map_err(Error::internal)?;
                (Self::Parquet(file), bytes)
            }
        })
    }

    /// Ends the file and returns the rest of it.
    pub fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::NewCsv(columns) => Ok(text::csv_header(&columns)),
            Self::Csv | Self::Ndjson(_) => Ok(Vec::new()),
            Self::Parquet(file) => file.finish().map_err(Error::internal),
        }
    }
}
