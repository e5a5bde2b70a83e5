//! `weir man`: the manual page, weir(1), one for all commands.
//!
//! The crate writes a page for each command; one page is what people look into, so theirs are sections of it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::print;

pub(super) fn man() -> ExitCode {
    match page() {
        Ok(page) => {
            print::out(String::from_utf8_lossy(&page).trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            print::note(&format!("weir: the page cannot be written: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = super::Cli::command();
    // With it subcommands know their full names.
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("Weir").source(concat!("weir ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    commands.to_writer(&mut page)?;
    for command in shown(&command) {
        section(command, &mut page)?;
    }
    closing().to_writer(&mut page)?;
    Ok(page)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

/// A command, its usage and options, then what is below it.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut head = Roff::new();
    head.control("SS", [name]);
    head.text([roman(
        command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default(),
    )]);
    head.control("PP", []);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    head.text([bold(usage.trim())]);
    head.to_writer(page)?;
    // The crate makes a section of the whole page of it, with what the page has at its top already.
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options);
    let lines = options.lines().filter(|line| ![".SH", ".ie", ".el"].iter().any(|head| line.starts_with(head)));
    for line in lines {
        writeln!(page, "{line}")?;
    }
    if let Some(more) = command.get_after_help() {
        let mut end = Roff::new();
        end.control("PP", []);
        for line in more.to_string().lines() {
            end.text([roman(line)]).control("br", []);
        }
        end.to_writer(page)?;
    }
    shown(command).try_for_each(|below| section(below, page))
}

/// What the commands' own declarations do not say.
fn closing() -> Roff {
    let mut closing = Roff::new();
    closing.control("SH", ["ENVIRONMENT"]);
    for (name, says) in [
        ("WEIR_API_KEY", "The key that clients show: of weir run without a file and of weir demo, for weir env."),
        ("WEIR_ADMIN_URL, WEIR_ADMIN_TOKEN", "The admin listener of a running gateway, and a token for it."),
        ("WEIR_LOG", "What the log on standard error has: a level, or a filter like weir=debug."),
        ("NO_COLOR", "No colours, whatever the terminal can."),
        ("NOTIFY_SOCKET", "Where systemd is told that it is ready, reloads and stops."),
    ] {
        closing.control("TP", []).text([bold(name)]).text([roman(says)]);
    }
    closing.control("SH", ["SIGNALS"]);
    for (name, says) in [
        ("SIGHUP", "Reads the configuration again. With errors in it the one before stays in force."),
        ("SIGTERM", "Drains: nothing new is accepted, what runs may end, for server.grace_period at most."),
        ("SIGQUIT", "Hands the listening sockets to weir run --upgrade, which waits for them, then drains."),
        ("SIGINT", "Ends at once."),
    ] {
        closing.control("TP", []).text([bold(name)]).text([roman(says)]);
    }
    closing.control("SH", ["EXIT STATUS"]);
    closing.text([roman("0 done, 1 the answer is no (a bad configuration, a failure), 2 used wrongly.")]);
    closing.control("SH", ["FILES"]);
    closing.control("TP", []).text([bold("weir.yaml, conf/weir.yaml")]);
    closing.text([roman(
        "Where check, explain, usage, ledger and others look for the configuration if no -c names one. run and doctor \
         do not: without -c, run serves what the environment has keys of.",
    )]);
    closing.control("TP", []).text([bold("./data")]);
    closing.text([roman("What survives a restart (state.dir): the ledger and its database, keys, budgets.")]);
    closing
}
