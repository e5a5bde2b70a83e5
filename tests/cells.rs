//! What each client format's members become in each provider format, found by writing the requests:
//! the page `docs/cells.md` is what came out (`WEIR_BLESS=1 cargo test --test cells` writes it again),
//! and nothing may vanish without being named.

#![expect(clippy::disallowed_types, reason = "probes are written as trees")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "cells/chat.rs"]
mod chat;
#[path = "cells/gemini.rs"]
mod gemini;
#[path = "cells/messages.rs"]
mod messages;
#[path = "cells/responses.rs"]
mod responses;

use std::fmt::Write as _;

use serde_json::Value;
use weir::wire::bridge::Bridge;
use weir::wire::seal::Seal;
use weir::wire::{Abilities, Dialect, Quirks, Target, Thinking, decode_request, encode_request, ir};

/// One member, in a request that is sound without it too.
struct Probe {
    /// As the page names it.
    member: &'static str,
    without: Value,
    with: Value,
}

/// `with` is the request and some top-level members.
fn member(member: &'static str, base: &Value, members: &Value) -> Probe {
    let mut with = base.clone();
    for (name, value) in members.as_object().expect("members") {
        with[name] = value.clone();
    }
    Probe { member, without: base.clone(), with }
}

/// Both requests said whole.
fn pair(member: &'static str, base: &Value, without: &Value, with: &Value) -> Probe {
    let Probe { with: without, .. } = self::member(member, base, without);
    let Probe { with, .. } = self::member(member, base, with);
    Probe { member, without, with }
}

/// A provider format, with a model that is typical of it.
struct Upstream {
    dialect: Dialect,
    title: &'static str,
    model: &'static str,
    quirks: Quirks,
    thinking: Thinking,
}

fn upstreams() -> [Upstream; 6] {
    let of = |kind: &str| weir::provider::find(kind).expect("a kind").quirks;
    let upstream = |dialect, title, model, quirks, thinking| Upstream { dialect, title, model, quirks, thinking };
    [
        upstream(Dialect::OpenAiChat, "Chat", "gpt-5-mini", of("openai"), Thinking::Unknown),
        upstream(Dialect::Responses, "Responses", "gpt-5-mini", of("openai"), Thinking::Unknown),
        upstream(Dialect::Anthropic, "Messages", "claude-sonnet-4-5", Quirks::NONE, Thinking::Budget),
        upstream(Dialect::Gemini, "Gemini", "gemini-2.5-flash", Quirks::NONE, Thinking::Budget),
        upstream(
            Dialect::Converse,
            "Converse",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            Quirks::NONE,
            Thinking::Budget,
        ),
        upstream(Dialect::Cohere, "Cohere", "command-a-03-2025", of("cohere"), Thinking::Unknown),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carried,
    /// Something was written for it, and it was named as dropped.
    Approximated,
    Dropped,
    Refused,
    /// Nothing was written for it, and nothing was named.
    Silent,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Approximated => "approximated",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Silent => "-",
        }
    }
}

/// What is written for a request, and what is named as dropped; `None` where it is refused.
fn written(client: Dialect, upstream: &Upstream, sent: &Value) -> Option<(String, Vec<String>)> {
    let body = sent.to_string();
    let seal = Seal::new("cells", b"key");
    let target = Target {
        model: upstream.model,
        quirks: &upstream.quirks,
        max_output_tokens: Some(64_000),
        thinking: upstream.thinking,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let mut request = decode_request(client, &body).expect("a client's request is read");
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    let result = Bridge::request(&mut request, upstream.dialect, &target, &mut dropped)
        .and_then(|_| encode_request(upstream.dialect, &request, &target, &mut out, &mut dropped));
    match result {
        Ok(()) => {
            for path in dropped.paths() {
                let at = upstream.title;
                assert!(is_in(sent, path), "`{path}` is no spelling of {client:?}'s, at {at}: {body}");
            }
            Some((String::from_utf8(out).unwrap(), dropped.paths().to_vec()))
        }
        Err(error) => {
            assert_eq!(error.kind().face().status, 400, "{error:?}");
            assert!(!error.public().is_empty(), "a refusal says why");
            None
        }
    }
}

/// Whether a path leads somewhere in a request: `tools[2].cache_control`.
fn is_in(request: &Value, path: &str) -> bool {
    let steps = path.split('.').flat_map(|step| step.split(['[', ']']).filter(|name| !name.is_empty()));
    let step = |value: &'_ Value, name: &str| match name.parse::<usize>() {
        Ok(index) => value.get(index).cloned(),
        Err(_) => value.get(name).cloned(),
    };
    steps.clone().try_fold(request.clone(), |value, name| step(&value, name)).is_some()
}

fn fate(client: Dialect, upstream: &Upstream, probe: &Probe) -> Fate {
    let (plain, before) = written(client, upstream, &probe.without).expect("without the member it is sound");
    let Some((out, named)) = written(client, upstream, &probe.with) else { return Fate::Refused };
    let is_named = named.iter().any(|path| !before.contains(path));
    match (out != plain, is_named) {
        (true, false) => Fate::Carried,
        (true, true) => Fate::Approximated,
        (false, true) => Fate::Dropped,
        (false, false) => Fate::Silent,
    }
}

const HEAD: &str = "# Cells

What becomes of a client's members at a provider of another format. Written from what the code does
(`WEIR_BLESS=1 cargo test --test cells`), with a typical model of each format and a typical value of each member:

";

const LEGEND: &str = "
- **carried**: it is there, in the provider's spelling;
- **approximated**: the nearest there is was sent, and the member is named in `x-weir-dropped`;
- **dropped**: left out, named in `x-weir-dropped`, refused with 400 under `strict`;
- **refused**: 400, since without it the question would be another;
- **-**: with this value it says no more than its absence does there; or it is thinking that the provider did not
  make and would not take.

[Translation](translation.md) has the details: values, roles, answers, streams. In its own format a request keeps its
bytes, whatever is in them.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for upstream in upstreams() {
        writeln!(page, "- {}: `{}`", upstream.title, upstream.model).unwrap();
    }
    page += LEGEND;
    let clients = [
        (Dialect::OpenAiChat, "Chat clients", chat::probes()),
        (Dialect::Responses, "Responses clients", responses::probes()),
        (Dialect::Anthropic, "Messages clients", messages::probes()),
        (Dialect::Gemini, "Gemini clients", gemini::probes()),
    ];
    for (client, title, probes) in clients {
        let upstreams: Vec<Upstream> = upstreams().into_iter().filter(|u| u.dialect != client).collect();
        write!(page, "\n## {title}\n\n| member |").unwrap();
        upstreams.iter().for_each(|upstream| write!(page, " {} |", upstream.title).unwrap());
        write!(page, "\n|---|{}\n", "---|".repeat(upstreams.len())).unwrap();
        for probe in &probes {
            write!(page, "| {} |", probe.member).unwrap();
            upstreams.iter().for_each(|upstream| write!(page, " {} |", fate(client, upstream, probe).word()).unwrap());
            page += "\n";
        }
    }
    page
}

#[test]
fn the_page_of_cells_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cells.md");
    let page = page();
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page, "run WEIR_BLESS=1 cargo test --test cells");
}

/// Members that nobody knows, at every level there is.
#[test]
fn unknown_members_are_named_in_every_cell() {
    let mut wrong = Vec::new();
    for (client, probes) in [
        (Dialect::OpenAiChat, chat::unknown()),
        (Dialect::Responses, responses::unknown()),
        (Dialect::Anthropic, messages::unknown()),
        (Dialect::Gemini, gemini::unknown()),
    ] {
        for upstream in upstreams().into_iter().filter(|upstream| upstream.dialect != client) {
            for probe in &probes {
                let fate = fate(client, &upstream, probe);
                if fate != Fate::Dropped {
                    wrong.push(format!("{} of {client:?} at {}: {fate:?}", probe.member, upstream.title));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
