//! Tables as lines: CSV for spreadsheets and databases, JSON for programs. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::table::{Cell, Column, Row, decimal, moment};
use crate::spreadsheet;

/// Writes the line that names the columns (RFC 4180).
pub fn csv_header(columns: &[Column]) -> Vec<u8> {
    csv(|writer| writer.write_record(columns.iter().map(|column| &*column.name)))
}

/// Writes rows. No text of a cell is taken for a formula by whatever opens the file.
pub fn csv_rows(rows: &[Row]) -> Vec<u8> {
    csv(|writer| {
        rows.iter()
            .try_for_each(|row| writer.write_record(row.iter().map(|cell| csv_cell(cell).into_owned())))
    })
}

fn csv(write: impl FnOnce(&mut ::csv::Writer<Vec<u8>>) -> ::csv::Result<()>) -> Vec<u8> {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    write(&mut writer).expect("memory takes every row, and all have the same length");
    writer.into_inner().expect("memory takes everything")
}

fn csv_cell(cell: &Cell) -> Cow<'_, str> {
    match cell {
        Cell::Nothing => "".into(),
        Cell::Text(text) => spreadsheet::write(text),
        // Numbers are no formulas, negative ones neither.
        Cell::Integer(number) => number.to_string().into(),
        Cell::Real(number) => number.to_string().into(),
        Cell::Decimal(nanos) => decimal(*nanos).into(),
        Cell::Moment(at) => moment(*at).into(),
        Cell::Boolean(yes) => if *yes { "true" } else { "false" }.into(),
    }
}

/// Writes rows, one JSON object each. Decimals are texts, which no reader rounds.
pub fn json_rows(columns: &[Column], rows: &[Row]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        let fields = columns.iter().zip(row).map(|(column, cell)| (column.name.clone(), json_cell(cell)));
        let object = Value::Object(Map::from_iter(fields));
        lines.extend_from_slice(object.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}

fn json_cell(cell: &Cell) -> Value {
    match cell {
        Cell::Nothing => Value::Null,
        Cell::Text(text) => text.clone().into(),
        Cell::Integer(number) => (*number).into(),
        Cell::Real(number) => (*number).into(),
        Cell::Decimal(nanos) => decimal(*nanos).into(),
        Cell::Moment(at) => moment(*at).into(),
        Cell::Boolean(yes) => (*yes).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{analytics::export::table::Kind, clock::from_micros};

    fn rows() -> Vec<Row> {
        vec![
            vec![
                Cell::Text("=1+1, \"x\"".into()),
                Cell::Integer(-5),
                Cell::Decimal(-2_500_000_000),
                Cell::Moment(from_micros(0)),
                Cell::Real(0.25),
            ],
            vec![Cell::Text("Zürich".into()), Cell::Nothing, Cell::Nothing, Cell::Nothing, Cell::Nothing],
        ]
    }

    fn columns() -> Vec<Column> {
        [
            ("value", Kind::Text),
            ("clicks", Kind::Integer),
            ("revenue_chf", Kind::Decimal),
            ("time", Kind::Moment),
            ("rate", Kind::Real),
        ]
        .map(|(name, kind)| Column::new(name, kind))
        .into()
    }

    #[test]
    fn rows_are_safe_in_spreadsheets_and_numbers_stay_numbers() {
        let file = [csv_header(&columns()), csv_rows(&rows())].concat();
        let text = String::from_utf8(file).expect("UTF-8");
        assert_eq!(
            text,
            "value,clicks,revenue_chf,time,rate\r\n\"'=1+1, \"\"x\"\"\",-5,-2.5,1970-01-01T00:00:00Z,0.25\r\nZürich,,,,\r\n"
        );
    }

    #[test]
    fn lines_are_json_as_it_was() {
        let text = String::from_utf8(json_rows(&columns(), &rows())).expect("UTF-8");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["value"], "=1+1, \"x\"");
        assert_eq!((&lines[0]["clicks"], &lines[0]["revenue_chf"]), (&(-5).into(), &"-2.5".into()));
        assert_eq!((&lines[1]["value"], &lines[1]["clicks"]), (&"Zürich".into(), &Value::Null));
    }
}
