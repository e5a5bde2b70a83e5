//! The list of vendors: whole, in order, documented, and in keeping with what was recorded of them.

#![expect(clippy::disallowed_types, reason = "the oracle is a plain tree, on purpose another way of reading")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it skipped"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weir::provider::{Auth, PROVIDERS, Provider, find};
use weir::wire::resume::Mark;
use weir::wire::vendor::Models;
use weir::wire::{Dialect, Quirks};

#[path = "recorded/kinds.rs"]
mod kinds;
#[path = "providers/taken.rs"]
mod taken;

/// Kinds of which no chat exchange was recorded, and why that is.
const NOT_RECORDED: &[(&str, &str)] = &[
    ("deepinfra", "no public recording"),
    ("fireworks", "no public recording"),
    ("github", "no public recording; Copilot is another service"),
    ("jina", "no generation"),
    ("lmstudio", "no public recording"),
    ("nvidia", "no public recording"),
    ("sglang", "no public recording"),
    ("simulator", "part of this program"),
    ("vllm", "completions only; chat with it is among the recorded `local` ones"),
    ("voyage", "no generation"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(provider: &Provider) -> PathBuf {
    root().join("src/provider").join(provider.kind.replace('-', "_")).with_extension("rs")
}

#[test]
fn kinds_are_sorted_and_unique() {
    let kinds: Vec<&str> = PROVIDERS.iter().map(|p| p.kind).collect();
    let sorted: Vec<&str> = kinds.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(kinds, sorted);
    assert!(PROVIDERS.iter().all(|p| find(p.kind).is_some_and(|found| std::ptr::eq(found, *p))));
    assert!(find("no-such-kind").is_none());
}

#[test]
fn every_file_is_listed_and_every_kind_has_its_file() {
    let files: BTreeSet<PathBuf> = std::fs::read_dir(root().join("src/provider"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("mod.rs"))
        .collect();
    let listed: BTreeSet<PathBuf> = PROVIDERS.iter().map(|p| source(p)).collect();
    assert_eq!(files, listed);
}

/// CONTRACT section 2, those of the formats there are.
#[test]
fn the_promised_kinds_are_there() {
    let promised = "openai anthropic gemini bedrock azure vertex mistral groq deepseek xai openrouter together fireworks cerebras perplexity \
                    moonshot deepinfra nvidia huggingface github vllm sglang ollama llamacpp lmstudio openai-compatible \
                    anthropic-compatible simulator";
    for kind in promised.split_whitespace() {
        assert!(find(kind).is_some(), "{kind}");
    }
}

#[test]
fn addresses_paths_and_keys_are_well_formed() {
    let mut env = BTreeMap::new();
    for p in PROVIDERS {
        let kind = p.kind;
        if let Some(base) = p.base_url {
            assert!(base.starts_with("https://") && !base.ends_with('/'), "{kind}: {base}");
            assert!(!p.key_optional, "{kind}: a vendor's own address wants a key");
            let fetched = p.auth == Auth::Google;
            assert!(fetched || !p.env.is_empty(), "{kind}: without a file only the environment has its key");
        }
        let paths = p.paths;
        let apis = p.apis.iter().flat_map(|api| [Some(api.path), api.stream_path]);
        let embeddings = paths.embeddings.iter().map(|api| Some(api.path));
        let rerank = paths.rerank.map(|api| api.path);
        let others = [paths.count_tokens, paths.completions, rerank, paths.models];
        for path in apis.chain(embeddings).chain(others) {
            assert!(path.is_none_or(|path| path.starts_with('/') && !path.ends_with('/')), "{kind}: {path:?}");
        }
        assert!(!p.apis.is_empty() || !paths.embeddings.is_empty(), "{kind}: no API");
        assert!(p.docs_url.starts_with("https://") || kind == "simulator", "{kind}");
        assert!(["max_tokens", "max_completion_tokens"].contains(&p.quirks.max_tokens), "{kind}");
        assert!(!p.title.is_empty() && !p.catalogue.is_empty(), "{kind}");
        for name in p.env {
            assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{kind}: {name}");
            assert_eq!(env.insert(*name, kind), None, "{name} is the key of two");
        }
    }
}

#[test]
fn every_chat_vendor_has_recordings_or_a_reason() {
    let recorded: BTreeSet<&str> = kinds::KINDS.iter().map(|(_, kind)| *kind).collect();
    for (name, kind) in kinds::KINDS {
        assert!(find(kind).is_some(), "{name} stands for {kind}, which is no kind");
    }
    for p in PROVIDERS.iter().filter(|p| p.dialect() == Dialect::OpenAiChat) {
        let why = NOT_RECORDED.iter().any(|(kind, _)| *kind == p.kind);
        let chat = recorded.contains(p.kind) && p.kind != "vllm";
        assert_ne!(chat, why, "{}: recorded, or a reason why not, and never both", p.kind);
    }
}

/// The recordings, or None where they are not at hand.
fn recordings() -> Option<Vec<PathBuf>> {
    let beside = root().join("../shared/recorded");
    let dir = std::env::var_os("WEIR_RECORDED").map_or(beside, PathBuf::from);
    let files = std::fs::read_dir(&dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort();
    if files.is_empty() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no recordings in {}", dir.display());
        println!("skipped: no recordings in {}", dir.display());
        return None;
    }
    Some(files)
}

fn exchanges(file: &Path) -> impl Iterator<Item = Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.into_iter().map(|line| serde_json::from_str(&line).unwrap())
}

/// The provider in a recording's name, for the two formats.
fn recorded_provider(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    name.strip_suffix(".chat_completions.jsonl").or_else(|| name.strip_suffix(".messages.jsonl"))
}

#[test]
fn every_recorded_vendor_of_the_two_formats_has_a_kind() {
    let Some(files) = recordings() else { return };
    let names: BTreeSet<&str> = files.iter().filter_map(|f| recorded_provider(f)).collect();
    let missing: Vec<_> = names.iter().filter(|name| kinds::kind(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Exchanges are cited as what shows a quirk: they must exist, and be the vendor's.
#[test]
fn cited_exchanges_exist() {
    let Some(files) = recordings() else { return };
    let ids: BTreeSet<String> =
        files.iter().flat_map(|f| exchanges(f)).filter_map(|e| Some(e["id"].as_str()?.to_owned())).collect();
    let mut cited = 0;
    for p in PROVIDERS {
        for id in notes(p).split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).filter(|w| is_id(w)) {
            assert!(ids.contains(id), "{}: {id}", p.kind);
            let of = id.split('-').next().and_then(kinds::kind);
            assert_eq!(of, Some(p.kind), "{}: {id}", p.kind);
            cited += 1;
        }
    }
    assert!(cited > 40, "{cited}");
}

/// `deepseek-chat_completions-483b225bf701`
fn is_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    matches!(parts[..], [_, api, hash] if api.contains("completions") && hash.len() == 12)
}

/// What a request that the vendor accepted shows that it takes, against what its record denies.
fn contradictions(quirks: &Quirks, body: &Value) -> Vec<&'static str> {
    let model = body["model"].as_str().unwrap_or_default();
    let members = || body.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let effort = body["reasoning_effort"].as_str();
    let unknown = effort.is_some_and(|word| quirks.efforts(model).is_some_and(|known| !known.words.contains(&word)));
    let messages = || body["messages"].as_array().into_iter().flatten();
    let parts = || messages().filter_map(|m| m["content"].as_array()).flatten();
    let strict = |tool: &Value| !tool["function"]["strict"].is_null();
    let seen = [
        ("developer_role", !quirks.developer_role, messages().any(|m| m["role"] == "developer")),
        ("stream_options", !quirks.stream_options, body["stream_options"].is_object()),
        ("reasoning_effort", !quirks.reasoning_effort, body["reasoning_effort"].is_string()),
        ("json_schema", !quirks.json_schema, body["response_format"]["type"] == "json_schema"),
        ("strict_tools", !quirks.strict_tools, body["tools"].as_array().is_some_and(|t| t.iter().any(strict))),
        ("parallel_tool_calls", !quirks.parallel_tool_calls, body["parallel_tool_calls"].is_boolean()),
        ("image_urls", !quirks.image_urls, parts().any(is_remote_image)),
        ("reasoning_echo", quirks.reasoning_echo.is_none(), messages().any(echoes)),
        ("refused", true, members().any(|member| quirks.refuses(model, member))),
        ("efforts", true, unknown),
    ];
    seen.into_iter().filter(|(_, denied, shown)| *denied && *shown).map(|(name, ..)| name).collect()
}

fn is_remote_image(part: &Value) -> bool {
    let url = &part["image_url"];
    url["url"].as_str().or_else(|| url.as_str()).is_some_and(|url| url.starts_with("http"))
}

fn echoes(message: &Value) -> bool {
    message["role"] == "assistant" && (message["reasoning_content"].is_string() || message["reasoning"].is_string())
}

#[test]
fn a_record_that_denies_what_was_accepted_is_found_out() {
    let body = serde_json::json!({
        "messages": [
            {"role": "developer", "content": [{"type": "image_url", "image_url": {"url": "https://h/i.png"}}]},
            {"role": "assistant", "reasoning_content": "hm"},
        ],
        "tools": [{"function": {"strict": true}}],
        "stream_options": {}, "reasoning_effort": "low", "parallel_tool_calls": false,
        "response_format": {"type": "json_schema"},
    });
    let nothing = Quirks {
        stream_options: false,
        reasoning_effort: false,
        json_schema: false,
        strict_tools: false,
        parallel_tool_calls: false,
        image_urls: false,
        ..Quirks::NONE
    };
    let all = Quirks { developer_role: true, reasoning_echo: Some("reasoning_content"), ..Quirks::NONE };
    assert_eq!(contradictions(&nothing, &body).len(), 8);
    assert!(contradictions(&all, &body).is_empty());
}

#[test]
fn records_agree_with_what_vendors_accepted() {
    let Some(files) = recordings() else { return };
    let mut checked = 0;
    for file in &files {
        let recorded = file.file_name().unwrap().to_str().unwrap().strip_suffix(".chat_completions.jsonl");
        let Some(p) = recorded.and_then(kinds::kind).and_then(find) else { continue };
        if p.kind == "openai-compatible" {
            continue; // many servers: the operator says what theirs takes
        }
        for exchange in exchanges(file).filter(|e| e["response"]["status"].as_u64().is_some_and(|s| s < 400)) {
            let denied = contradictions(&p.quirks, &exchange["request"]["body"]);
            assert!(denied.is_empty(), "{}: {} shows that it takes {denied:?}", p.kind, exchange["id"]);
            checked += 1;
        }
    }
    assert!(checked > 1_000, "{checked}");
}

/// Who counts reasoning outside the completion: the totals tell.
#[test]
fn records_agree_with_the_totals_of_recorded_usage() {
    let Some(files) = recordings() else { return };
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        let recorded = file.file_name().unwrap().to_str().unwrap().strip_suffix(".chat_completions.jsonl");
        let Some(p) = recorded.and_then(kinds::kind).and_then(find) else { continue };
        if p.kind == "openai-compatible" {
            continue;
        }
        for exchange in exchanges(file).filter(|e| e["response"]["kind"] == "json") {
            let Ok(body) = serde_json::from_str::<Value>(exchange["response"]["body"].as_str().unwrap_or("")) else {
                continue;
            };
            let usage = &body["usage"];
            let count = |value: &Value| value.as_u64().unwrap_or(0);
            let (prompt, completion) = (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
            let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
            if reasoning == 0 || usage["total_tokens"].is_null() {
                continue;
            }
            let outside = count(&usage["total_tokens"]) == prompt + completion + reasoning;
            assert_eq!(outside, p.quirks.reasoning_outside_completion, "{}: {}", p.kind, exchange["id"]);
            *told.entry(p.kind).or_default() += 1;
        }
    }
    println!("{told:?}");
    assert!(told.contains_key("xai") && told.contains_key("openai") && told.contains_key("deepseek"), "{told:?}");
}

/// The module's own words on the vendor.
fn notes(provider: &Provider) -> String {
    let text = std::fs::read_to_string(source(provider)).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_vendor_is_described() {
    for p in PROVIDERS.iter().filter(|p| p.kind != "simulator") {
        assert!(notes(p).contains("\nUsage: "), "{}: its usage convention is not told", p.kind);
    }
}

/// `docs/providers.md`
fn page() -> String {
    let mut page = String::from(
        "# Providers\n\nWritten by `tests/providers.rs` from `src/provider/` (`WEIR_BLESS=1 cargo test --test providers` \
         writes it again).\n\nA provider in the configuration names one of these kinds (`kind`, by default its own name). \
         Every kind takes `base_url`; where none is built in, it is required. Without a configuration file every vendor \
         whose environment variable is set is used.\n\n\
         | kind | vendor | format | base URL | key from | sent as |\n|---|---|---|---|---|---|\n",
    );
    for p in PROVIDERS {
        row(&mut page, p);
    }
    for p in PROVIDERS {
        section(&mut page, p);
    }
    page
}

fn row(page: &mut String, p: &Provider) {
    let base = p.base_url.map_or_else(|| "required".to_owned(), |base| format!("`{base}`"));
    let env = p.env.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let key = match (env.is_empty(), p.key_optional) {
        _ if p.auth == Auth::Google => "`credentials_file`, or Application Default Credentials".to_owned(),
        (false, _) => env,
        (true, true) => "none needed".to_owned(),
        (true, false) => "`api_key`".to_owned(),
    };
    let auth = match p.auth {
        Auth::Bearer => "`authorization: Bearer`".to_owned(),
        Auth::Header(name) => format!("`{name}`"),
        Auth::SigV4(_) => "signature, or `authorization: Bearer`".to_owned(),
        Auth::Google => "`authorization: Bearer`, a token that is fetched".to_owned(),
    };
    let format = p.apis.first().map_or("none", |api| api.dialect.as_str());
    let (kind, title) = (p.kind, p.title);
    writeln!(page, "| [`{kind}`](#{kind}) | {title} | {format} | {base} | {key} | {auth} |").unwrap();
}

fn section(page: &mut String, p: &Provider) {
    write!(page, "\n## {}\n\n{}\n", p.kind, notes(p)).unwrap();
    let paths = [
        ("count_tokens", p.paths.count_tokens),
        ("completions", p.paths.completions),
        ("rerank", p.paths.rerank.map(|api| api.path)),
        ("models", p.paths.models),
    ];
    let embeddings = p.paths.embeddings.iter().map(|api| ("embeddings", Some(api.path)));
    let apis = p.apis.iter().map(|api| (api.dialect.as_str(), Some(api.path)));
    let paths: Vec<String> =
        apis.chain(embeddings).chain(paths).filter_map(|(name, path)| Some(format!("{name} `{}`", path?))).collect();
    write!(page, "\nPaths below the base URL: {}.\n", paths.join(", ")).unwrap();
    if !p.paths.passes.is_empty() {
        let passes: Vec<&str> = p.paths.passes.iter().map(|pass| pass.as_str()).collect();
        write!(page, "\n[Passed on](passing.md): {}.\n", passes.join(", ")).unwrap();
    }
    let differences = differences(&p.quirks);
    if p.dialect() == Dialect::OpenAiChat && !differences.is_empty() {
        write!(page, "\nTranslated requests: {}.\n", differences.join("; ")).unwrap();
    }
    if !p.docs_url.is_empty() {
        write!(page, "\nReference: <{}>\n", p.docs_url).unwrap();
    }
}

/// Where the record differs from the plain format, in words.
fn differences(q: &Quirks) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |differs: bool, words: String| {
        if differs {
            said.push(words);
        }
    };
    say(q.max_tokens != Quirks::NONE.max_tokens, format!("the limit goes as `{}`", q.max_tokens));
    say(q.developer_role, "`developer` stays `developer`".to_owned());
    say(!q.stream_options, "no `stream_options`".to_owned());
    say(!q.reasoning_effort, "no `reasoning_effort`".to_owned());
    say(!q.efforts.is_empty(), "`reasoning_effort` where the model takes it, in its words".to_owned());
    say(q.thinking_switch.is_some(), "no thinking is `thinking: {type: disabled}`".to_owned());
    say(q.seed != Quirks::NONE.seed, format!("the seed goes as `{}`", q.seed));
    for refused in q.refused {
        let whom =
            if refused.models == Models::ALL { String::new() } else { format!(" for {}", named(&refused.models)) };
        say(true, format!("no {}{whom}", quoted(refused.members, ", ")));
    }
    say(q.reasoning_echo.is_some(), format!("earlier thinking goes back in `{}`", q.reasoning_echo.unwrap_or("")));
    say(q.thinking_in_content, "earlier thinking goes back in the content, to models that take an effort".to_owned());
    say(!q.json_schema, "`json_object` for `json_schema`".to_owned());
    say(!q.strict_tools, "no `strict` on tools".to_owned());
    say(!q.parallel_tool_calls, "no `parallel_tool_calls`".to_owned());
    say(q.reasoning_outside_completion, "reasoning is counted beside `completion_tokens`".to_owned());
    say(!q.image_urls, "images inline only".to_owned());
    let mark = match q.prefill {
        Some(Mark::Prefix) => "`prefix`",
        Some(Mark::ContinueFinalMessage) => "`continue_final_message`",
        None => "",
    };
    say(q.prefill.is_some(), format!("goes on with a last message by {mark}"));
    said
}

fn quoted(words: &[&str], between: &str) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(between)
}

fn named(models: &Models) -> String {
    match models.except {
        [] => quoted(models.names, ", "),
        except => format!("{} without {}", quoted(models.names, ", "), quoted(except, ", ")),
    }
}

#[test]
fn the_page_of_providers_is_current() {
    let path = root().join("docs/providers.md");
    let page = page();
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::create_dir_all(root().join("docs")).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/providers.md is out of date: run `WEIR_BLESS=1 cargo test --test providers`");
}
