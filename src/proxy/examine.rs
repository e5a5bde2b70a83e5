//! `weir probe`: finds out what a model can do by asking it, one small request a question.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use pingora_core::connectors::ConnectorOptions;

use super::ask::ask;
use super::connector::{Pools, Upstream};
use super::credentials::Calls;
use crate::config::runtime::Runtime;
use crate::error::{Error, Result};
use crate::provider::sign::call::Reply;
use crate::stage::accept::Endpoint;
use crate::stage::parse::{self, Parsed};
use crate::stage::route::{self, Target};
use crate::stage::translate::{self, Prepared, Source};
use crate::wire::scan;

const WITHIN: Duration = Duration::from_secs(120);

/// What a question is about: the option of the configuration that its answer becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `capabilities.<name>`
    Capability(&'static str),
    /// `quirks.<name>`
    Quirk(&'static str),
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Yes,
    /// Refused, or taken without effect; in the server's own words.
    No(String),
    /// The server failed for another reason.
    Unclear(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No(why) => write!(f, "no ({why})"),
            Self::Unclear(why) => write!(f, "unclear ({why})"),
        }
    }
}

struct Question {
    subject: Subject,
    /// Members of a chat request beside `model`.
    body: &'static str,
    /// A member that a model with the ability puts into its answer.
    shows: &'static str,
}

/// A red square of 8 by 8, as a PNG.
const PIXELS: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEElEQVR4nGP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII=";

const QUESTIONS: [Question; 9] = [
    Question {
        subject: Subject::Capability("system"),
        body: r#""messages":[{"role":"system","content":"You are terse."},{"role":"user","content":"Say hi."}],"max_tokens":64"#,
        shows: "",
    },
    Question {
        subject: Subject::Capability("developer_role"),
        body: r#""messages":[{"role":"developer","content":"You are terse."},{"role":"user","content":"Say hi."}],"max_tokens":64"#,
        shows: "",
    },
    Question {
        subject: Subject::Capability("tools"),
        body: r#""messages":[{"role":"user","content":"What time is it? Call the tool."}],"max_tokens":512,"tools":[{"type":"function","function":{"name":"get_time","description":"The time of day","parameters":{"type":"object","properties":{}}}}]"#,
        shows: "tool_calls",
    },
    Question {
        subject: Subject::Capability("parallel_tools"),
        body: r#""messages":[{"role":"user","content":"Get the weather of Oslo and of Rome. Call the tool twice at once."}],"max_tokens":512,"parallel_tool_calls":true,"tools":[{"type":"function","function":{"name":"get_weather","description":"The weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]"#,
        shows: "tool_calls",
    },
    Question {
        subject: Subject::Capability("json_schema"),
        body: r#""messages":[{"role":"user","content":"Give me a colour as JSON."}],"max_tokens":256,"response_format":{"type":"json_schema","json_schema":{"name":"colour","strict":true,"schema":{"type":"object","properties":{"colour_name":{"type":"string"}},"required":["colour_name"],"additionalProperties":false}}}"#,
        shows: "colour_name",
    },
    Question { subject: Subject::Capability("images"), body: "", shows: "" },
    Question {
        subject: Subject::Quirk("reasoning_effort"),
        body: r#""messages":[{"role":"user","content":"Say hi."}],"max_tokens":512,"reasoning_effort":"low""#,
        shows: "",
    },
    Question {
        subject: Subject::Quirk("stream_options"),
        body: r#""messages":[{"role":"user","content":"Say hi."}],"max_tokens":64,"stream":true,"stream_options":{"include_usage":true}"#,
        shows: "usage",
    },
    Question {
        subject: Subject::Quirk("strict_tools"),
        body: r#""messages":[{"role":"user","content":"What time is it?"}],"max_tokens":512,"tools":[{"type":"function","function":{"name":"get_time","strict":true,"parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false}}}]"#,
        shows: "",
    },
];

impl Question {
    fn body(&self, model: &str) -> String {
        let model = crate::wire::json::Str::from_text(model);
        match self.body {
            "" => format!(
                r#"{{"model":{},"max_tokens":64,"messages":[{{"role":"user","content":[{{"type":"text","text":"Which colour is this?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{PIXELS}"}}}}]}}]}}"#,
                model.raw()
            ),
            members => format!(r#"{{"model":{},{members}}}"#, model.raw()),
        }
    }

    /// Two calls, where two were asked for; else the member in question somewhere in the answer.
    fn is_shown_in(&self, answer: &str) -> bool {
        match self.subject {
            Subject::Capability("parallel_tools") => answer.matches("get_weather").count() >= 2,
            _ => answer.contains(self.shows),
        }
    }
}

/// Asks all questions, one after the other, and hands each finding to `tell`.
pub(crate) async fn examine(
    runtime: &Runtime,
    model: &str,
    mut tell: impl FnMut(Subject, &Finding),
) -> Result<(String, String)> {
    let target = target(runtime, model)?;
    let upstream = Upstream::new(&target.deployment, None).map_err(Error::internal)?;
    let pools = Pools::new(ConnectorOptions::new(1));
    // Nothing runs beside this that would.
    target.deployment.signer.refresh(&Calls::new()).await?;
    for question in QUESTIONS {
        let finding = one(&pools, &upstream, &target, &question).await?;
        tell(question.subject, &finding);
    }
    Ok((target.deployment.name.clone(), target.model))
}

fn target(runtime: &Runtime, model: &str) -> Result<Target> {
    let mut target = route::find(model, runtime)?;
    // What the configuration says already would reshape the questions.
    let mut info = target.info.as_deref().cloned().unwrap_or_default();
    info.abilities = crate::wire::Abilities::UNKNOWN;
    target.info = Some(Arc::new(info));
    Ok(target)
}

async fn one(pools: &Pools, upstream: &Upstream, target: &Target, question: &Question) -> Result<Finding> {
    let body = Bytes::from(question.body(&target.model));
    let (prepared, _) = match prepare(&body, target) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Finding::No(error.public().to_owned())),
    };
    let request = (Method::POST, prepared.path.as_ref(), prepared.body.whole());
    match ask(pools, upstream, &target.deployment, request, WITHIN).await {
        Ok(reply) => Ok(judge(question, &prepared, &reply)),
        Err(error) => Err(error),
    }
}

fn prepare(body: &Bytes, target: &Target) -> Result<(Prepared, Parsed)> {
    let parsed = parse::parse(Endpoint::Chat, "", None, body)?;
    let source = Source { endpoint: Endpoint::Chat, body, parsed: &parsed, strict: true, betas: &[], extra: None };
    Ok((translate::prepare(source, target)?, parsed))
}

fn judge(question: &Question, prepared: &Prepared, reply: &Reply) -> Finding {
    let text = String::from_utf8_lossy(&reply.body);
    match reply.status {
        200..300 if question.is_shown_in(&text) => Finding::Yes,
        200..300 => Finding::No("taken, without effect".to_owned()),
        400 | 404 | 415 | 422 | 500 | 501 => {
            let error = crate::wire::decode_error(prepared.dialect, reply.status, &text);
            let detail = scan::is_json(&text).then(|| error.public().chars().take(160).collect::<String>());
            let why = detail.unwrap_or_else(|| format!("status {}", reply.status));
            if reply.status == 500 { Finding::Unclear(why) } else { Finding::No(why) }
        }
        status => Finding::Unclear(format!("status {status}")),
    }
}
