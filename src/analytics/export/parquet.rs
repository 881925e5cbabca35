//! Tables as Parquet: every column with its type, in row groups that are written as they come.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::parquet::{
    basic::Compression,
    data_type::{
        BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
    },
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::parser::parse_message_type,
};

use super::table::{Cell, Column, Kind, Row, SCALE};

/// Rows of a group: what is held in memory until it is written.
const GROUP: usize = 10_000;
/// Digits of a decimal.
const PRECISION: usize = 38;

/// What was written and not taken yet.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is being written.
pub struct ParquetFile {
    columns: Vec<Column>,
    writer: SerializedFileWriter<Written>,
    written: Written,
    waiting: Vec<Row>,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl ParquetFile {
    /// Begins a file.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        let schema = Arc::new(parse_message_type(&schema(&columns))?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let written = Written::default();
        let writer = SerializedFileWriter::new(written.clone(), schema, Arc::new(properties))?;
        Ok(Self { columns, writer, written, waiting: Vec::new() })
    }

    /// Takes rows and returns what of the file is ready.
    pub fn write(&mut self, rows: Vec<Row>) -> Result<Vec<u8>> {
        self.waiting.extend(rows);
        while self.waiting.len() >= GROUP {
            let rest = self.waiting.split_off(GROUP);
            self.write_group()?;
            self.waiting = rest;
        }
        Ok(self.written.take())
    }

    /// Ends the file and returns the rest of it.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        self.writer.close()?;
        Ok(self.written.take())
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        let mut group = self.writer.next_row_group()?;
        let mut place = 0;
        while let Some(mut column) = group.next_column()? {
            write_column(&mut column, self.columns[place].kind, rows.iter().map(|row| &row[place]))?;
            column.close()?;
            place += 1;
        }
        group.close()?;
        Ok(())
    }
}

fn schema(columns: &[Column]) -> String {
    let fields = columns.iter().map(|column| {
        let name = &column.name;
        match column.kind {
            Kind::Text => format!("optional binary {name} (STRING);"),
            Kind::Integer => format!("optional int64 {name};"),
            Kind::Real => format!("optional double {name};"),
            Kind::Decimal => {
                format!("optional fixed_len_byte_array(16) {name} (DECIMAL({PRECISION},{SCALE}));")
            }
            Kind::Moment => format!("optional int64 {name} (TIMESTAMP(MICROS,true));"),
            Kind::Boolean => format!("optional boolean {name};"),
        }
    });
    format!("message report {{ {} }}", fields.collect::<Vec<_>>().join(" "))
}

fn write_column<'a>(
    column: &mut SerializedColumnWriter<'_>,
    kind: Kind,
    cells: impl Iterator<Item = &'a Cell> + Clone,
) -> Result<()> {
    let levels: Vec<i16> = cells.clone().map(|cell| i16::from(*cell != Cell::Nothing)).collect();
    let levels = Some(&*levels);
    match kind {
        Kind::Text => {
            let texts = cells.filter_map(|cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_bytes().to_vec())),
                _ => None,
            });
            column.typed::<ByteArrayType>().write_batch(&texts.collect::<Vec<_>>(), levels, None)?;
        }
        Kind::Integer | Kind::Moment => {
            let numbers = cells.filter_map(|cell| match cell {
                Cell::Integer(number) => Some(*number),
                Cell::Moment(moment) => Some(moment.timestamp_micros()),
                _ => None,
            });
            column.typed::<Int64Type>().write_batch(&numbers.collect::<Vec<_>>(), levels, None)?;
        }
        Kind::Real => {
            let numbers = cells.filter_map(|cell| match cell {
                Cell::Real(number) => Some(*number),
                _ => None,
            });
            column.typed::<DoubleType>().write_batch(&numbers.collect::<Vec<_>>(), levels, None)?;
        }
        Kind::Boolean => {
            let answers = cells.filter_map(|cell| match cell {
                Cell::Boolean(yes) => Some(*yes),
                _ => None,
            });
            column.typed::<BoolType>().write_batch(&answers.collect::<Vec<_>>(), levels, None)?;
        }
        Kind::Decimal => {
            let numbers = cells.filter_map(|cell| match cell {
                Cell::Decimal(nanos) => Some(FixedLenByteArray::from(nanos.to_be_bytes().to_vec())),
                _ => None,
            });
            column.typed::<FixedLenByteArrayType>().write_batch(
                &numbers.collect::<Vec<_>>(),
                levels,
                None,
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::parquet::{
        basic::{LogicalType, Type as Physical},
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };
    use bytes::Bytes;

    use super::*;
    use crate::clock::from_micros;

    fn columns() -> Vec<Column> {
        [
            ("value", Kind::Text),
            ("clicks", Kind::Integer),
            ("rate", Kind::Real),
            ("revenue_chf", Kind::Decimal),
            ("time", Kind::Moment),
        ]
        .map(|(name, kind)| Column::new(name, kind))
        .into()
    }

    fn row(number: i64) -> Row {
        let seventh = |cell| if number % 7 == 0 { Cell::Nothing } else { cell };
        vec![
            seventh(Cell::Text(format!("=Zürich {number}"))),
            seventh(Cell::Integer(-number)),
            seventh(Cell::Real(number as f64 / 4.0)),
            seventh(Cell::Decimal(i128::from(number) * -2_500_000_000)),
            seventh(Cell::Moment(from_micros(number * 1_000_001))),
        ]
    }

    #[test]
    fn a_reader_finds_the_types_and_every_row() {
        let mut file = ParquetFile::new(columns()).expect("begins");
        let mut bytes = Vec::new();
        let count = 2 * GROUP as i64 + 3;
        for numbers in (0..count).collect::<Vec<_>>().chunks(999) {
            bytes
                .extend(file.write(numbers.iter().map(|number| row(*number)).collect()).expect("takes rows"));
        }
        assert!(bytes.len() > 1000, "groups leave as they are full");
        bytes.extend(file.finish().expect("ends"));

        let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("a Parquet file");
        let metadata = reader.metadata();
        assert_eq!((metadata.num_row_groups(), metadata.file_metadata().num_rows()), (3, count));
        let described = metadata.file_metadata().schema_descr();
        let types: Vec<_> = described.columns().iter().map(|column| column.physical_type()).collect();
        let (number, fixed) = (Physical::INT64, Physical::FIXED_LEN_BYTE_ARRAY);
        assert_eq!(types, [Physical::BYTE_ARRAY, number, Physical::DOUBLE, fixed, number]);
        let column = described.column(0);
        assert!(matches!(column.logical_type_ref(), Some(LogicalType::String)));
        let column = described.column(3);
        assert!(matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. })));
        assert_eq!((column.type_precision(), column.type_scale()), (38, 9));
        let column = described.column(4);
        assert!(matches!(column.logical_type_ref(), Some(LogicalType::Timestamp { .. })));

        let mut read = 0;
        for (number, found) in (0..).zip(reader.get_row_iter(None).expect("rows")) {
            let found: Vec<Field> =
                found.expect("a row").get_column_iter().map(|(_, field)| field.clone()).collect();
            match &found[..] {
                [Field::Null, Field::Null, Field::Null, Field::Null, Field::Null] => {
                    assert_eq!(number % 7, 0)
                }
                [
                    Field::Str(text),
                    Field::Long(clicks),
                    Field::Double(rate),
                    Field::Decimal(money),
                    Field::TimestampMicros(at),
                ] => {
                    assert_eq!((text, *clicks), (&format!("=Zürich {number}"), -number));
                    assert!((rate - number as f64 / 4.0).abs() < 1e-9);
                    let bytes: [u8; 16] = money.data().try_into().expect("16 bytes");
                    assert_eq!(i128::from_be_bytes(bytes), i128::from(number) * -2_500_000_000);
                    assert_eq!(*at, number * 1_000_001);
                }
                other => panic!("{number}: {other:?}"),
            }
            read += 1;
        }
        assert_eq!(read, count);
    }

    #[test]
    fn a_table_without_rows_is_a_file() {
        let bytes = ParquetFile::new(columns()).expect("begins").finish().expect("ends");
        let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("a Parquet file");
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 5);
    }
}
