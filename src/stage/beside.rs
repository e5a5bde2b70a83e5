//! Models that a request names beside its own: whom its provider may ask in place of that one (OpenRouter's
//! `models` and `fallbacks`, Anthropic's `fallbacks`), and whom that one may ask itself (Anthropic's advisor).
//!
//! They pass untouched where the format stays, so the key has to be one that may use them.
//!
//! References: <https://openrouter.ai/docs/features/model-routing>,
//! <https://docs.claude.com/en/docs/agents-and-tools/tool-use/advisor-tool>.

use super::route::{Plan, Target, allowed};
use crate::config::runtime::Key;
use crate::error::{Error, Kind, Result};
use crate::wire::envelope::{Envelope, Outline};
use crate::wire::json::{self, Json, Str};
use crate::wire::scan;

/// Lists of names, or of objects with a `model`.
const LISTS: [&str; 2] = ["models", "fallbacks"];

/// Whether another model may answer than the one that is asked.
pub fn may_answer(envelope: &Envelope<'_>) -> bool {
    LISTS.into_iter().any(|list| envelope.present(list).is_some())
}

/// Refuses what key and tenant do not allow, at any provider that may be asked.
pub fn check(key: &Key, body: &[u8], outline: &Outline, plan: &Plan) -> Result<()> {
    if key.models.is_empty() && key.tenant.models.is_empty() {
        return Ok(());
    }
    for (member, name) in named(&Envelope::restore(body, outline)) {
        let name = name.text();
        let may = |target: &Target| allowed(key, &[&*target.deployment.name, "/", &name].concat());
        if !plan.targets.iter().all(may) {
            let text = format!("this key may not use a model that `{member}` names");
            return Err(Error::new(Kind::ModelNotAllowed, text).with_param(member));
        }
    }
    Ok(())
}

/// The names, and the members they stand in.
fn named<'a>(envelope: &Envelope<'a>) -> Vec<(&'static str, Str<'a>)> {
    let mut names = Vec::new();
    for member in LISTS {
        let listed = items(envelope.present(member)).into_iter();
        names
            .extend(listed.filter_map(|item| Str::from_raw(item.get()).or_else(|| model(item))).map(|it| (member, it)));
    }
    let is_advisor = |tool: &Json<'_>| {
        let kind = scan::member(tool.get(), "type").and_then(Str::from_raw);
        kind.is_some_and(|kind| kind.text().starts_with("advisor"))
    };
    let tools = envelope.present("tools").filter(|tools| tools.contains("advisor"));
    names.extend(items(tools).into_iter().filter(is_advisor).filter_map(model).map(|name| ("tools", name)));
    names
}

fn model(item: Json<'_>) -> Option<Str<'_>> {
    Str::from_raw(scan::member(item.get(), "model")?)
}

fn items(list: Option<&str>) -> Vec<Json<'_>> {
    list.and_then(|list| json::parse(list).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Vec<String> {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        named(&envelope).into_iter().map(|(member, name)| format!("{member}: {}", name.text())).collect()
    }

    #[test]
    fn models_are_found_wherever_they_are_named() {
        let body = r#"{"model":"a","models":["b","c\u0031"],"fallbacks":[{"model":"d","max_tokens":5},"e"],
            "tools":[{"type":"advisor_20260301","model":"f"},{"type":"custom","model":"g","description":"advisor"}]}"#;
        assert_eq!(names(body), ["models: b", "models: c1", "fallbacks: d", "fallbacks: e", "tools: f"]);
        for none in [r#"{"model":"a"}"#, r#"{"models":null,"fallbacks":"a","tools":{}}"#, r#"{"models":[1,{}]}"#] {
            assert_eq!(names(none), [""; 0], "{none}");
        }
        assert!(may_answer(&Envelope::parse(br#"{"models":["b"]}"#).unwrap()));
        assert!(!may_answer(&Envelope::parse(br#"{"models":null,"tools":[]}"#).unwrap()));
    }
}
