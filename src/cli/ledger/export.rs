//! `weir ledger export`: all rows of a stretch, the oldest first, a page at a time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::columns::COLUMNS;
use super::parquet::Parquet;
use crate::cli::stored::{Stored, Wrong, moment};
use crate::cli::{cell, print};
use crate::ledger::Row;
use crate::store::{Cursor, Database, Span};

/// Rows that are in memory at a time.
const PAGE: u32 = 2_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "json is one record a line, with its attempts. A cost of cost_usd is exact in all formats.\n\
    Exit code: 0 done, 1 no database or it failed, 2 used wrongly.")]
pub(super) struct Args {
    #[command(flatten)]
    stored: Stored,
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Requests that began then or later: 7d, 2026-11-28, 2026-11-28T22:54:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Up to before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Where to [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
    Parquet,
}

pub(super) fn export(args: &Args) -> ExitCode {
    match written(args) {
        Ok(rows) => {
            print::note(&format!("{rows} rows"));
            ExitCode::SUCCESS
        }
        Err(wrong) => wrong.exit(),
    }
}

fn written(args: &Args) -> Result<u64, Wrong> {
    let span = Span {
        since_ms: moment("since", args.since.as_deref())?,
        until_ms: moment("until", args.until.as_deref())?,
        tenant: args.tenant.clone(),
    };
    let database = args.stored.open()?;
    let Some(path) = &args.output else {
        return write(&database, &span, args.format, Box::new(io::stdout())).or_else(reader_gone);
    };
    // Under another name until it is whole.
    let part = part(path);
    let file = File::create(&part).map_err(|error| Wrong::Failed(format!("{}: {error}", part.display())))?;
    let rows = write(&database, &span, args.format, Box::new(file)).inspect_err(|_| _ = fs::remove_file(&part))?;
    fs::rename(&part, path)?;
    Ok(rows)
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// `weir ledger export | head` is no error.
fn reader_gone(wrong: Wrong) -> Result<u64, Wrong> {
    match &wrong {
        Wrong::Failed(text) if text.contains("Broken pipe") => Ok(0),
        _ => Err(wrong),
    }
}

fn write(database: &Database, span: &Span, format: Format, out: Box<dyn Write + Send>) -> Result<u64, Wrong> {
    let mut sink = Sink::new(format, BufWriter::new(out))?;
    let (mut after, mut count): (Option<Cursor>, u64) = (None, 0);
    loop {
        let page = database.rows_after(span, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let rows: Vec<Row> = page.into_iter().map(|(_, row)| row).collect();
        count += u64::try_from(rows.len()).unwrap_or_default();
        sink.rows(rows)?;
    }
    sink.end()?;
    Ok(count)
}

type Out = BufWriter<Box<dyn Write + Send>>;

/// Where rows go.
enum Sink {
    Csv(Box<csv::Writer<Out>>),
    Json(Out),
    Parquet(Box<Parquet<Out>>),
}

impl Sink {
    fn new(format: Format, out: Out) -> Result<Self, Wrong> {
        Ok(match format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(COLUMNS.iter().map(|column| column.name)).map_err(failed)?;
                Self::Csv(Box::new(csv))
            }
            Format::Json => Self::Json(out),
            Format::Parquet => Self::Parquet(Box::new(Parquet::new(out).map_err(failed)?)),
        })
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Wrong> {
        match self {
            Self::Csv(csv) => {
                let text = |text: Option<String>| cell::plain(&text.unwrap_or_default()).into_owned();
                let record = |row: &Row| COLUMNS.iter().map(|column| text((column.of)(row))).collect::<Vec<_>>();
                rows.iter().try_for_each(|row| csv.write_record(record(row))).map_err(failed)
            }
            Self::Json(out) => rows.iter().try_for_each(|row| {
                out.write_all(&row.line().map_err(failed)?)?;
                Ok(out.write_all(b"\n")?)
            }),
            Self::Parquet(parquet) => parquet.rows(rows).map_err(failed),
        }
    }

    fn end(self) -> Result<(), Wrong> {
        match self {
            Self::Csv(mut csv) => Ok(csv.flush()?),
            Self::Json(mut out) => Ok(out.flush()?),
            Self::Parquet(parquet) => parquet.end().map_err(failed),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Wrong {
    Wrong::Failed(format!("the export cannot be written: {error}"))
}
