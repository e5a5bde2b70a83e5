//! `weir explain`: where a request would go, and why, by the very functions that the gateway asks.

mod found;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::found::Explanation;
use super::{USAGE, check, print, run};
use crate::config::env::System;
use crate::config::load;
use crate::config::runtime::{Key, Runtime, Tenant};
use crate::route::board::Board;
use crate::stage::accept::Endpoint;
use crate::stage::authenticate::admit;
use crate::stage::choose::Asked;
use crate::stage::parse::{self, Parsed};
use crate::usage::price::amount::day_of;
use crate::wire::envelope::Envelope;

#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing is sent: the answer is that of a process that has just begun, to which all endpoints \
    are well.\nExit code: 0 somebody would be asked, 1 nobody, 2 used wrongly.")]
pub(super) struct Args {
    /// The request's body
    request: PathBuf,
    /// The configuration [default: weir.yaml, else conf/weir.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whose request it is: a key's id
    #[arg(long, value_name = "ID", conflicts_with = "tenant")]
    key: Option<String>,
    /// The same for a tenant, with a key that narrows nothing [default: the only tenant]
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// A header of the request, as often as needed: 'x-weir-tags: nightly'
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The request's format [default: what its members look like]
    #[arg(long)]
    format: Option<Format>,
    /// The model, for Gemini's requests, which have it in their path
    #[arg(long)]
    model: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Chat,
    Messages,
    Responses,
    Gemini,
}

impl Format {
    /// What a body looks like. Messages and chat differ in what they have beside their messages.
    fn of(body: &Envelope<'_>) -> Self {
        let has = |name: &&str| body.present(name).is_some();
        if has(&"contents") {
            Self::Gemini
        } else if has(&"messages") {
            let is_messages = ["system", "thinking", "stop_sequences", "top_k", "anthropic_version"].iter().any(has);
            if is_messages { Self::Messages } else { Self::Chat }
        } else if has(&"input") || has(&"previous_response_id") {
            Self::Responses
        } else {
            Self::Chat
        }
    }

    fn endpoint(self) -> Endpoint {
        match self {
            Self::Chat => Endpoint::Chat,
            Self::Messages => Endpoint::Messages,
            Self::Responses => Endpoint::Responses,
            Self::Gemini => Endpoint::Generate,
        }
    }
}

pub(super) fn explain(args: &Args) -> ExitCode {
    let Some(config) = check::file(args.config.as_ref()) else { return ExitCode::from(USAGE) };
    let runtime = match load::from_file(&config, &System) {
        Ok(runtime) => runtime,
        Err(report) => {
            run::refused(&report);
            return ExitCode::from(USAGE);
        }
    };
    match find(args, &runtime) {
        Ok(explanation) => {
            match args.json {
                true => print::json(&explanation),
                false => print::out(&text::of(&explanation)),
            }
            ExitCode::from(u8::from(explanation.first.is_none()))
        }
        Err(error) => {
            print::note(&format!("weir: {error}"));
            ExitCode::from(USAGE)
        }
    }
}

/// Fails where it cannot be understood what is asked.
fn find(args: &Args, runtime: &Runtime) -> Result<Explanation, String> {
    let body = std::fs::read(&args.request).map_err(|e| format!("{}: {e}", args.request.display()))?;
    let (key, headers) = (caller(args, runtime)?, headers(&args.headers)?);
    let (endpoint, parsed) = read(args, &body).map_err(|error| format!("{}: {error}", args.request.display()))?;
    let mut tags = parse::tags(&headers);
    tags.extend(parsed.tags.iter().cloned());
    let asked = Asked {
        key: &key,
        board: &Board::new(runtime),
        prices: &runtime.prices,
        parsed: &parsed,
        body: &body,
        dialect: endpoint.generation(),
        headers: &headers,
        tags: &tags,
        prefer: parse::prefer(&headers).map_err(|error| error.to_string())?,
        now_ms: 0,
        chance: 0,
        day: day_of(SystemTime::now()),
    };
    Ok(found::explanation(runtime, &asked, endpoint.as_str()))
}

/// The request's format, and what the gateway reads of it.
fn read(args: &Args, body: &[u8]) -> Result<(Endpoint, Parsed), String> {
    let envelope = Envelope::parse(body).map_err(|error| error.to_string())?;
    let format = args.format.unwrap_or_else(|| Format::of(&envelope));
    let endpoint = format.endpoint();
    let path = match (format, &args.model) {
        (Format::Gemini, Some(model)) => format!("/v1beta/models/{model}:generateContent"),
        (Format::Gemini, None) => return Err("a request of Gemini's has its model in the path: say --model".to_owned()),
        (_, Some(_)) => return Err("the model stands in the body: --model is for Gemini's requests".to_owned()),
        (_, None) => String::new(),
    };
    let parsed = parse::parse(endpoint, &path, None, body).map_err(|error| error.to_string())?;
    Ok((endpoint, parsed))
}

/// Whose request it is.
fn caller(args: &Args, runtime: &Runtime) -> Result<Arc<Key>, String> {
    if let Some(id) = &args.key {
        let found = runtime.keys.values().find(|key| key.id == *id);
        let key = found.ok_or_else(|| format!("no key has the id `{id}`"))?;
        admit(key, SystemTime::now()).map_err(|error| format!("`{id}`: {error}"))?;
        return Ok(Arc::clone(key));
    }
    let tenant = match (&args.tenant, runtime.tenants.as_slice()) {
        (Some(id), all) => all.iter().find(|tenant| tenant.id == *id).ok_or_else(|| format!("no tenant `{id}`"))?,
        (None, [only]) => only,
        (None, _) => return Err("there are several tenants: say --tenant or --key".to_owned()),
    };
    Ok(Arc::new(any_key(tenant)))
}

/// A key that narrows nothing.
fn any_key(tenant: &Arc<Tenant>) -> Key {
    Key { id: String::new(), tenant: Arc::clone(tenant), ..Key::default() }
}

fn headers(lines: &[String]) -> Result<HeaderMap, String> {
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    };
    lines.iter().map(|line| header(line).ok_or_else(|| format!("`{line}` is no header: NAME: VALUE"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_members() {
        let of = |body: &str| Format::of(&Envelope::parse(body.as_bytes()).unwrap());
        assert_eq!(of(r#"{"model":"m","messages":[],"max_tokens":5}"#), Format::Chat);
        assert_eq!(of(r#"{"model":"m","messages":[],"max_tokens":5,"system":"s"}"#), Format::Messages);
        assert_eq!(of(r#"{"model":"m","input":"hi"}"#), Format::Responses);
        assert_eq!(of(r#"{"contents":[]}"#), Format::Gemini);
    }

    #[test]
    fn headers_are_read_as_lines() {
        let read = headers(&["X-Weir-Tags: a, b".to_owned()]).unwrap();
        assert_eq!(read.get("x-weir-tags").unwrap(), "a, b");
        assert!(headers(&["no header".to_owned()]).is_err());
    }
}
