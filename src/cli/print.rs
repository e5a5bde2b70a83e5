//! What reaches the terminal: results on stdout, all else on stderr. A reader that has gone
//! (`weir models | head`) is no error; a disk that is full is one, and ends the command.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde::Serialize;

use crate::config::env::{Env as _, System};

/// A result, with its line end.
pub(crate) fn out(text: &str) {
    if let Err(error) = written(&mut io::stdout().lock(), text) {
        note(&format!("weir: the output cannot be written: {error}"));
        // Whoever asked must not take this for done: a key's secret is shown only once.
        std::process::exit(1);
    }
}

/// Fails where the text is lost to somebody who still reads.
fn written(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A result as JSON.
pub(crate) fn json(value: &impl Serialize) {
    out(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A word to the person, not part of the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether stderr takes colours: a terminal that is not dumb, without `NO_COLOR` (<https://no-color.org>).
pub(crate) fn colour() -> bool {
    let is_dumb = System.var("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb && System.var("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// A name that somebody else chose, without what a terminal would take for a command.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(one).collect())
}

/// Columns, aligned; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    out(text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that takes nothing, for this reason.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_error() {
        let failed = |kind| written(&mut Broken(kind), "text").map_err(|error| error.kind());
        assert_eq!(failed(ErrorKind::BrokenPipe), Ok(()));
        assert_eq!(failed(ErrorKind::StorageFull), Err(ErrorKind::StorageFull));
    }
}
