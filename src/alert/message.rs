//! An alert as webhooks get it.

use super::event::{Alert, Severity, brief};
use crate::config::alerts::WebhookFormat;
use crate::wire::json::Obj;

/// Of the body's format.
const VERSION: u64 = 1;
/// Slack takes no longer text in a block.
const MOST_SLACK_CHARS: usize = 2_900;

/// The body of the POST. `instance` is the machine's name: a fleet has many.
pub(super) fn body(alert: &Alert, format: WebhookFormat, instance: &str) -> Vec<u8> {
    match format {
        WebhookFormat::Weir => weir(alert, instance),
        WebhookFormat::Slack => slack(alert, instance),
    }
}

fn weir(alert: &Alert, instance: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    let mut root = Obj::new(&mut body);
    root.num("version", VERSION);
    alert.write(&mut root);
    root.text("instance", instance);
    drop(root);
    body
}

fn slack(alert: &Alert, instance: &str) -> Vec<u8> {
    let event = &alert.event;
    let mark = match (event.resolved, event.severity) {
        (true, _) => ":white_check_mark:",
        (_, Severity::Info) => ":information_source:",
        (_, Severity::Warning) => ":warning:",
        (_, Severity::Critical) => ":rotating_light:",
    };
    let text = escaped(&brief(&event.text, MOST_SLACK_CHARS));
    let line = format!("{mark} {text}");
    let state = if event.resolved { "resolved" } else { event.severity.as_str() };
    let small = format!("{} | {} | {state} | {}", escaped(&event.subject), event.kind.as_str(), escaped(instance));
    let mut body = Vec::with_capacity(512);
    let mut root = Obj::new(&mut body);
    root.text("text", &line);
    let mut blocks = root.arr("blocks");
    let mut section = blocks.obj();
    section.text("type", "section").obj("text").text("type", "mrkdwn").text("text", &line);
    drop(section);
    let mut context = blocks.obj();
    context.text("type", "context");
    context.arr("elements").obj().text("type", "mrkdwn").text("text", &small);
    drop(context);
    drop(blocks);
    drop(root);
    body
}

/// Slack's three: nothing of a text becomes a link or calls a channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "a test reads its own output")]

    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::alert::event::Event;
    use crate::config::alerts::AlertKind;

    fn alert() -> Alert {
        let text = "the model <!channel> & co has no price";
        let event = Event::new(AlertKind::UnknownPrice, Severity::Warning, "model a/b", text)
            .of_tenant(Some("acme"))
            .with(|data| _ = data.text("model", "b").num("requests", 1));
        Alert { id: Uuid::nil(), at_ms: 1_790_000_000_120, event }
    }

    #[test]
    fn the_own_format_has_all_of_it() {
        let body: Value = serde_json::from_slice(&body(&alert(), WebhookFormat::Weir, "node-1")).unwrap();
        let expected = json!({
            "version": 1, "id": "00000000-0000-0000-0000-000000000000", "kind": "unknown_price",
            "severity": "warning", "state": "raised", "at": "2026-09-21T14:13:20.120Z", "subject": "model a/b",
            "tenant": "acme", "text": "the model <!channel> & co has no price",
            "data": {"model": "b", "requests": 1}, "instance": "node-1",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn slack_gets_a_message_that_calls_nobody() {
        let body: Value = serde_json::from_slice(&body(&alert(), WebhookFormat::Slack, "node-1")).unwrap();
        let line = ":warning: the model &lt;!channel&gt; &amp; co has no price";
        let expected = json!({
            "text": line,
            "blocks": [
                {"type": "section", "text": {"type": "mrkdwn", "text": line}},
                {"type": "context", "elements": [
                    {"type": "mrkdwn", "text": "model a/b | unknown_price | warning | node-1"},
                ]},
            ],
        });
        assert_eq!(body, expected);
        let over = Alert { event: alert().event.over(), ..alert() };
        let body = super::body(&over, WebhookFormat::Slack, "n");
        assert!(String::from_utf8(body).unwrap().contains(":white_check_mark:"));
    }

    #[test]
    fn a_long_text_fits_into_slacks_block() {
        let event = Event::new(AlertKind::ConfigReloadFailed, Severity::Warning, "s", "x".repeat(10_000));
        let alert = Alert { event, ..alert() };
        assert!(body(&alert, WebhookFormat::Slack, "n").len() < 2 * 3_000 + 500);
    }
}
