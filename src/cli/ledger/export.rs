//! `weir ledger export`: all rows of a stretch, the oldest first, a page at a time.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Requests that began then or later: 7d, 2026-11-28, 2026-11-28T22:54:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Up to before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Where to; - is stdout [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
    Parquet,
}

impl Args {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
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
    let all = |out: Box<dyn Write + Send>| write(&database, &span, args.format(), out);
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => into(path, all),
        None => all(Box::new(io::stdout())).or_else(reader_gone),
    }
}

/// A file of requests is for its owner's eyes, unless the one before it was for others too.
const OWNERS: u32 = 0o600;

/// Writes a file under another name until it is whole. What is no file of its own (a pipe, a device, a link to
/// something) stays what it is, and is written to.
fn into<T>(path: &Path, write: impl FnOnce(Box<dyn Write + Send>) -> Result<T, Wrong>) -> Result<T, Wrong> {
    let failed = |path: &Path, error: io::Error| Wrong::Failed(format!("{}: {error}", path.display()));
    let mode = match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => there.permissions().mode() & 0o777,
        Err(error) if error.kind() == ErrorKind::NotFound => OWNERS,
        Ok(there) => {
            // Only behind a link may nothing be yet.
            let is_made = there.is_symlink();
            let opened = OpenOptions::new().write(true).create(is_made).truncate(true).mode(OWNERS).open(path);
            return write(Box::new(opened.map_err(|error| failed(path, error))?));
        }
        Err(error) => return Err(failed(path, error)),
    };
    let part = part(path);
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNERS).open(&part);
    let file: File = opened.map_err(|error| failed(&part, error))?;
    let done = file.set_permissions(Permissions::from_mode(mode)).map_err(|error| failed(&part, error));
    let rows = done.and_then(|()| write(Box::new(file))).inspect_err(|_| _ = fs::remove_file(&part))?;
    fs::rename(&part, path).map_err(|error| failed(path, error))?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, symlink};

    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn json_has_an_option_of_its_own_as_elsewhere() {
        let format = |words: &[&str]| {
            let line = Line::try_parse_from([&["export"], words].concat());
            line.map(|line| line.args.format()).map_err(|error| error.kind())
        };
        assert_eq!((format(&[]), format(&["--json"])), (Ok(Format::Csv), Ok(Format::Json)));
        assert_eq!(format(&["--json", "--format", "csv"]), Err(clap::error::ErrorKind::ArgumentConflict));
    }

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weir-export-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn export_into(path: &Path) {
        into(path, |mut out| Ok(out.write_all(b"rows")?)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_its_owners_or_for_whom_it_was() {
        let directory = Directory::new("mode");
        let file = directory.0.join("rows.csv");
        export_into(&file);
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("rows", 0o600));
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        export_into(&file);
        assert_eq!((mode(&file), fs::read_dir(&directory.0).unwrap().count()), (0o640, 1));
        let broken = into(&file, |_| Err::<(), _>(Wrong::Failed("no".to_owned())));
        assert!(broken.is_err() && fs::read_to_string(&file).unwrap() == "rows");
    }

    #[test]
    fn a_pipe_and_a_link_stay_what_they_are() {
        let directory = Directory::new("kinds");
        let (link, file, pipe) = (directory.0.join("link"), directory.0.join("file"), directory.0.join("pipe"));
        fs::write(&file, "longer than what comes").unwrap();
        symlink(&file, &link).unwrap();
        export_into(&link);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "rows");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        export_into(&pipe);
        assert_eq!(reader.join().unwrap(), "rows");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
