//! The table, a section for each cell, written as it comes to be.

use crate::cells::{Cell, Stream};
use crate::rows::{Figures, Row};

const COLUMNS: [&str; 11] = [
    "",
    "requests/s",
    "CPU µs/request",
    "more than the row before",
    "to bare",
    "to bare as it comes",
    "first byte, p50 / p99 µs",
    "last byte, p50 / p99 µs",
    "system calls",
    "allocations (KiB)",
    "RSS MiB",
];

pub(crate) fn begin() {
    println!("| {} |", COLUMNS.join(" | "));
    println!("|---|{}", "--:|".repeat(COLUMNS.len() - 1));
}

/// `rows` are the servers, bare Pingora first and as it comes second; `direct` is the upstream itself.
pub(crate) fn section(title: &str, cell: Option<&Cell>, direct: Option<&Figures>, rows: &[Row]) {
    let rate = cell.filter(|_| rows.iter().any(|row| row.figures.steady.is_some()));
    let rate = rate.map(|cell| format!(" (latencies at {}/s)", cell.rate()));
    line(&[format!("**{title}**{}", shown(rate))]);
    if let Some(direct) = direct {
        let steady = |pick: fn(&Figures) -> Option<[i64; 2]>| pick(direct).map(|[p50, p99]| format!("{p50} / {p99}"));
        line(&[
            "direct".to_owned(),
            format!("{:.0}", direct.requests_per_s),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            shown(steady(first)),
            shown(steady(last)),
        ]);
    }
    for (at, row) in rows.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &rows[before]).filter(|before| before.is_weir);
        let it = &row.figures;
        let more = it.cpu_us.zip(before.and_then(|before| before.figures.cpu_us));
        let to =
            |other: &Row| shown(it.cpu_us.zip(other.figures.cpu_us).map(|(us, other)| format!("{:.2}", us / other)));
        let added = |pick: fn(&Figures) -> Option<[i64; 2]>| {
            let ([p50, p99], [direct_p50, direct_p99]) = (pick(it)?, direct.and_then(pick)?);
            Some(format!("{:+} / {:+}", p50 - direct_p50, p99 - direct_p99))
        };
        let is_paced = cell.is_some_and(|cell| cell.stream == Stream::Paced);
        line(&[
            row.name.to_owned(),
            shown((it.requests_per_s > 0.0).then(|| format!("{:.0}", it.requests_per_s))),
            shown(it.cpu_us.map(|us| format!("{us:.1}"))),
            shown(more.map(|(us, before)| format!("{:+.1}", us - before))),
            to(&rows[0]),
            to(&rows[1]),
            shown(added(first)),
            // The mock's pauses add up to more than what is looked for.
            shown(added(last).filter(|_| !is_paced)),
            shown(it.syscalls.map(|calls| format!("{calls:.1}"))),
            shown(it.allocated.map(|[calls, bytes]| format!("{calls:.1} ({:.1})", bytes / 1024.0))),
            format!("{:.1}", it.rss_kib / 1024.0),
        ]);
    }
}

fn first(figures: &Figures) -> Option<[i64; 2]> {
    figures.steady.map(|it| [it.first_p50_us, it.first_p99_us].map(u64::cast_signed))
}

fn last(figures: &Figures) -> Option<[i64; 2]> {
    figures.steady.map(|it| [it.p50_us, it.p99_us].map(u64::cast_signed))
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_default()
}

/// What is not there stays empty.
fn line(texts: &[String]) {
    let mut columns = texts.to_vec();
    columns.resize(COLUMNS.len(), String::new());
    println!("| {} |", columns.join(" | "));
}
