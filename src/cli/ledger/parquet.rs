//! Rows as Parquet. <https://parquet.apache.org/docs/file-format/> (2026-07)
//!
//! `started_at` is a timestamp in milliseconds of UTC, times are doubles, lists are JSON texts, and
//! `cost_usd` is a decimal as text: exact, whatever the size. `cost_pico_usd` is null beyond 63 bits.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::columns::{COLUMNS, Column, Kind};
use crate::ledger::Row;
use crate::store::read_ms;

/// Rows of a group: they are in memory until it is written.
const GROUP: usize = 20_000;

/// See the module documentation.
pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    rows: Vec<Row>,
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn new(out: W) -> Result<Self> {
        let schema = Arc::new(parse_message_type(&schema())?);
        let compressed = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        let writer = SerializedFileWriter::new(out, schema, Arc::new(compressed.build()))?;
        Ok(Self { writer, rows: Vec::new() })
    }

    pub(super) fn rows(&mut self, rows: Vec<Row>) -> Result<()> {
        self.rows.extend(rows);
        if self.rows.len() >= GROUP { self.group() } else { Ok(()) }
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.group()?;
        let mut out = self.writer.into_inner()?;
        Ok(out.flush()?)
    }

    fn group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in COLUMNS {
            if let Some(mut writer) = group.next_column()? {
                write(&mut writer, column, &rows)?;
                writer.close()?;
            }
        }
        group.close().map(drop)
    }
}

fn schema() -> String {
    let column = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => ("BYTE_ARRAY", " (UTF8)"),
            Kind::List => ("BYTE_ARRAY", " (JSON)"),
            Kind::Moment => ("INT64", " (TIMESTAMP(MILLIS,true))"),
            Kind::Count => ("INT64", ""),
            Kind::Truth => ("BOOLEAN", ""),
            Kind::Ms => ("DOUBLE", ""),
        };
        format!("  OPTIONAL {physical} {}{logical};\n", column.name)
    };
    format!("message ledger {{\n{}}}\n", COLUMNS.iter().map(column).collect::<String>())
}

fn write(writer: &mut SerializedColumnWriter<'_>, column: &Column, rows: &[Row]) -> Result<()> {
    let texts = rows.iter().map(|row| (column.of)(row));
    match column.kind {
        Kind::Text | Kind::List => {
            put::<ByteArrayType>(writer, texts.map(|text| text.map(|t| ByteArray::from(t.into_bytes()))))
        }
        Kind::Moment => put::<Int64Type>(writer, texts.map(|text| read_ms(&text?))),
        Kind::Count => put::<Int64Type>(writer, texts.map(|text| text?.parse().ok())),
        Kind::Truth => put::<BoolType>(writer, texts.map(|text| text.map(|text| text == "true"))),
        Kind::Ms => put::<DoubleType>(writer, texts.map(|text| text?.parse().ok())),
    }
}

fn put<T: DataType>(writer: &mut SerializedColumnWriter<'_>, cells: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    writer.typed::<T>().write_batch(&values, Some(&levels), None).map(drop)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_by_others() {
        let line = br#"{"request_id":"r","client_request_id":null,"trace_id":null,"started_at":"2026-11-28T22:54:00.120Z","tenant":"acme","key_id":null,"user":null,"tags":["a","b"],"format":"chat","route":null,"model":"m","provider":null,"upstream_model":null,"stream":true,"status":200,"outcome":"finished","attempts":1,"fallback":false,"input_tokens":5,"output_tokens":null,"cached_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"usage_source":null,"usage":null,"service_tier":null,"cost_pico_usd":170141183460469231731687303715884105727,"cost_usd":170141183460469231731687303.715884105727,"price_version":null,"duration_ms":12.345,"ttft_ms":null,"overhead_ms":0.100,"dropped":[],"error":null,"timeline":[]}"#;
        let row = Row::read(line).unwrap();
        let mut out = Vec::new();
        let mut parquet = Parquet::new(&mut out).unwrap();
        parquet.rows(vec![row.clone(), Row { tenant: None, ..row }]).unwrap();
        parquet.end().unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
        let place = |name: &str| COLUMNS.iter().position(|column| column.name == name).unwrap();
        let first = &rows[0];
        assert_eq!((rows.len(), first.get_string(place("tenant")).unwrap().as_str()), (2, "acme"));
        assert!(rows[1].get_string(place("tenant")).is_err(), "null");
        assert_eq!(first.get_timestamp_millis(place("started_at")).unwrap(), 1_795_906_440_120);
        assert_eq!(first.get_string(place("tags")).unwrap(), r#"["a","b"]"#);
        assert_eq!(first.get_long(place("input_tokens")).unwrap(), 5);
        assert!((first.get_double(place("duration_ms")).unwrap() - 12.345).abs() < 1e-9);
        assert_eq!(first.get_string(place("cost_usd")).unwrap(), "170141183460469231731687303.715884105727");
        assert!(first.get_long(place("cost_pico_usd")).is_err() && first.get_bool(place("stream")).unwrap());
    }
}
