//! A captured exchange as JSON: what the admin API shows of it.

use std::collections::BTreeSet;

use super::exchange::{Body, Got, Header, Recorder, Sent, State, Taken};
use super::redact::{Rules, Shown, show, values};
use super::scrub::scrub;
use crate::config::capture::Redact;
use crate::limit::clock::Rfc3339;
use crate::secret::Secret;
use crate::wire::json::Obj;

/// Without what `redact` and the capture's own rules leave out.
pub(super) fn write(recorder: &Recorder, redact: &[Redact]) -> Vec<u8> {
    let state = recorder.state();
    let all: Vec<Redact> = redact.iter().chain(&recorder.running.wanted.redact).cloned().collect();
    let secrets = secrets(&state, &all);
    let rules = Rules { rules: &all, secrets: &secrets };
    let about = &recorder.about;
    let mut out = Vec::new();
    let mut root = Obj::new(&mut out);
    root.text("request_id", &about.request_id.hyphenated().to_string());
    root.text("capture_id", &recorder.running.id.hyphenated().to_string());
    root.text("started_at", &Rfc3339(about.started_at).to_string());
    root.text("tenant", &about.tenant).text("key_id", &about.key).text("format", about.format);
    let mut client = root.obj("client");
    request(&mut client.obj("request"), &state.asked, rules);
    answer(&mut client.obj("answer"), &state.got, rules);
    drop(client);
    let mut attempts = root.arr("attempts");
    state.legs.iter().for_each(|leg| attempt(&mut attempts.obj(), leg, rules));
    drop(attempts);
    drop(root);
    out
}

/// Credentials, and what rules leave out somewhere.
fn secrets(state: &State, redact: &[Redact]) -> Vec<Secret> {
    let rounds = || state.legs.iter().flat_map(|leg| &leg.rounds);
    let asked = [&state.asked].into_iter().chain(rounds().map(|(sent, _)| sent));
    let asked = asked.map(|sent| (&sent.body, &sent.headers));
    let got = [&state.got].into_iter().chain(rounds().map(|(_, got)| got)).map(|got| (&got.body, &got.headers));
    let values = asked.chain(got).flat_map(|(body, headers)| values(body.held(), content_type(headers), redact));
    let values: BTreeSet<String> = values.collect();
    state.secrets.iter().cloned().chain(values.into_iter().map(Secret::new)).collect()
}

fn content_type(headers: &[Header]) -> &str {
    let found = headers.iter().find(|(name, _)| name == "content-type");
    found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
}

fn attempt(row: &mut Obj<'_>, leg: &Taken, rules: Rules<'_>) {
    let to = &leg.to;
    row.text("provider", &to.provider).text("endpoint", &to.endpoint).text("model", &to.model);
    row.text("format", to.format).text("kind", to.kind);
    row.num("at_ms", u64::try_from(leg.at.as_millis()).unwrap_or(u64::MAX));
    let mut rounds = row.arr("rounds");
    for (sent, got) in &leg.rounds {
        let mut round = rounds.obj();
        request(&mut round.obj("request"), sent, rules);
        answer(&mut round.obj("answer"), got, rules);
    }
}

fn request(row: &mut Obj<'_>, sent: &Sent, rules: Rules<'_>) {
    row.text("method", &sent.method).text("path", &scrub(&sent.path, &[], rules.secrets));
    headers(row, &sent.headers, rules);
    body(row, &sent.body, &sent.headers, rules);
}

fn answer(row: &mut Obj<'_>, got: &Got, rules: Rules<'_>) {
    match got.status {
        Some(status) => row.num("status", status.into()),
        None => row.null("status"),
    };
    headers(row, &got.headers, rules);
    body(row, &got.body, &got.headers, rules);
}

/// Pairs of a name and a value; `null` where it is not kept.
fn headers(row: &mut Obj<'_>, headers: &[Header], rules: Rules<'_>) {
    let mut all = row.arr("headers");
    for (name, value) in headers {
        let mut pair = all.obj();
        pair.text("name", name);
        match value {
            Some(value) => pair.text("value", &scrub(value, &[], rules.secrets)),
            None => pair.null("value"),
        };
    }
}

fn body(row: &mut Obj<'_>, body: &Body, headers: &[Header], rules: Rules<'_>) {
    let bytes = body.held();
    let (shown, is_cut) = match bytes.is_empty() && body.is_cut {
        true => (Shown::LeftOut("too much was captured at the same time"), true),
        false => show(bytes, body.is_cut, content_type(headers), rules),
    };
    let mut row = row.obj("body");
    row.num("bytes", body.bytes).bool("truncated", is_cut);
    match shown {
        Shown::Text(text) => row.text("text", &text),
        Shown::Base64(text) => row.text("base64", &text),
        Shown::LeftOut(why) => row.text("left_out", why),
    };
}
