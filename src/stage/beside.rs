//! Models that a request names beside its own: whom its provider may ask in place of that one (OpenRouter's
//! `models` and `fallbacks`, Anthropic's `fallbacks`), and whom that one may ask itself (Anthropic's advisor,
//! OpenRouter's fusion and its router's list, the model of images of OpenAI's tool, the models of Groq's systems).
//!
//! They pass untouched where the format stays, so the key has to be one that may use them.
//!
//! References: <https://openrouter.ai/docs/features/model-routing>,
//! <https://docs.claude.com/en/docs/agents-and-tools/tool-use/advisor-tool>,
//! <https://openrouter.ai/docs/guides/features/server-tools/fusion>,
//! <https://platform.openai.com/docs/guides/tools-image-generation>,
//! <https://console.groq.com/docs/compound>.

use memchr::memmem;

use super::account::has_letters_escaped;
use super::route::{Plan, Target, allowed};
use crate::config::runtime::Key;
use crate::error::{Error, Kind, Result};
use crate::wire::envelope::{Envelope, Outline};
use crate::wire::json::Str;
use crate::wire::scan;

/// Lists of names, or of objects with a `model`.
const LISTS: [&str; 2] = ["models", "fallbacks"];

/// As many models a request may name; providers take fewer.
const MOST_NAMES: usize = 64;

/// The models that may answer in place of the one that is asked.
pub fn others(envelope: &Envelope<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for member in LISTS {
        for item in items(envelope.present(member)) {
            names.extend(name(item).ok().flatten().map(|name| name.text().into_owned()));
            if names.len() > MOST_NAMES {
                return Err(Error::invalid(member, format!("`{member}` names more than {MOST_NAMES} models")));
            }
        }
    }
    Ok(names)
}

/// Refuses what key and tenant do not allow, at any provider that may be asked.
pub fn check(key: &Key, body: &[u8], outline: &Outline, plan: &Plan) -> Result<()> {
    if key.models.is_empty() && key.tenant.models.is_empty() {
        return Ok(());
    }
    for (member, name) in named(&Envelope::restore(body, outline))? {
        let name = name.text();
        let may = |target: &Target| allowed(key, &[&*target.deployment.name, "/", &name].concat());
        if !plan.targets.iter().all(may) {
            let text = format!("this key may not use a model that `{member}` names");
            return Err(Error::new(Kind::ModelNotAllowed, text).with_param(member));
        }
    }
    Ok(())
}

/// The names, and the members they stand in. What can be read in two ways is refused.
fn named<'a>(envelope: &Envelope<'a>) -> Result<Vec<(&'static str, Str<'a>)>> {
    let mut names = Vec::new();
    for member in LISTS {
        for item in items(envelope.present(member)) {
            names.extend(name(item).map_err(|error| error.with_param(member))?.map(|name| (member, name)));
        }
    }
    // Most lists of tools have none that asks a model, and are long.
    let may_ask = |list: &&str| may_have(list, &ASKING);
    for (member, list) in ["tools", "plugins"].map(|member| (member, envelope.present(member).filter(may_ask))) {
        for item in items(list) {
            names.extend(asked(item).map_err(|error| error.with_param(member))?.into_iter().map(|name| (member, name)));
        }
    }
    names.extend(brought(envelope).map_err(|error| error.with_param("input"))?.into_iter().map(|name| ("input", name)));
    names.extend(of_system(envelope)?.into_iter().map(|name| ("compound_custom", name)));
    Ok(names)
}

/// Whether JSON may have one of these words; one that is found may be something else all the same.
fn may_have(json: &str, words: &[&str]) -> bool {
    let has = |word: &&str| memmem::find(json.as_bytes(), word.as_bytes()).is_some();
    words.iter().any(has) || has_letters_escaped(json.as_bytes())
}

/// Whom tools ask that a conversation of the Responses format brings along the way. It is long, and few do.
fn brought<'a>(envelope: &Envelope<'a>) -> Result<Vec<Str<'a>>> {
    let may_bring = |json: &&str| may_have(json, &["\"tools\""]) && may_have(json, &ASKING);
    let mut names = Vec::new();
    for item in items(envelope.present("input").filter(may_bring)).filter(|item| item.starts_with('{')) {
        if may_bring(&item) {
            for tool in items(object(item)?.present("tools")) {
                names.extend(asked(tool)?);
            }
        }
    }
    Ok(names)
}

/// The models of which Groq makes a system.
fn of_system<'a>(envelope: &Envelope<'a>) -> Result<Vec<Str<'a>>> {
    let object = |json: &'a str| object(json).map_err(|error| error.with_param("compound_custom"));
    let custom = envelope.present("compound_custom").filter(|custom| custom.starts_with('{'));
    let custom = custom.map(object).transpose()?;
    let models = custom.as_ref().and_then(|custom| custom.present("models")).unwrap_or_default();
    Ok(scan::members(models).filter_map(|(_, name)| Str::from_raw(name)).collect())
}

/// A name, or the `model` of an object.
fn name(item: &str) -> Result<Option<Str<'_>>> {
    match Str::from_raw(item) {
        Some(name) => Ok(Some(name)),
        None if item.starts_with('{') => Ok(object(item)?.string("model")),
        None => Ok(None),
    }
}

/// How the kinds of tools and plugins begin that ask a model.
const ASKING: [&str; 5] = ["advisor", "openrouter:", "fusion", "auto-router", "image_generation"];

/// Whom a tool asks: most say it beside their type, OpenRouter's tools among their parameters.
fn asked(item: &str) -> Result<Vec<Str<'_>>> {
    if !item.starts_with('{') {
        return Ok(Vec::new());
    }
    let tool = object(item)?;
    let asks = |kind: Str<'_>| ASKING.iter().any(|known| kind.text().starts_with(known));
    if !["type", "id"].iter().any(|name| tool.string(name).is_some_and(asks)) {
        return Ok(Vec::new());
    }
    let parameters = tool.present("parameters").filter(|parameters| parameters.starts_with('{'));
    let parameters = parameters.map(object).transpose()?;
    let mut names = Vec::new();
    for said in [Some(&tool), parameters.as_ref()].into_iter().flatten() {
        names.extend(said.string("model"));
        for list in ["analysis_models", "allowed_models"] {
            names.extend(items(said.present(list)).filter_map(Str::from_raw).take(MOST_NAMES + 1));
        }
        if names.len() > MOST_NAMES {
            return Err(Error::new(Kind::InvalidRequest, format!("a tool names more than {MOST_NAMES} models")));
        }
    }
    Ok(names)
}

fn object(json: &str) -> Result<Envelope<'_>> {
    Envelope::parse_str(json)
        .map_err(|_| Error::new(Kind::InvalidJson, "a member of an object that names a model appears more than once"))
}

fn items(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(scan::items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Vec<String> {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        named(&envelope).unwrap().into_iter().map(|(member, name)| format!("{member}: {}", name.text())).collect()
    }

    #[test]
    fn models_are_found_wherever_they_are_named() {
        let body = r#"{"model":"a","models":["b","c\u0031"],"fallbacks":[{"mod\u0065l":"d","max_tokens":5},"e"],
            "tools":[{"type":"\u0061dvisor_20260301","model":"f"},{"type":"custom","model":"g","description":"advisor"},
            {"type":"openrouter:advisor","parameters":{"model":"h"}}],"plugins":[{"id":"fusion","model":"i/j"}]}"#;
        let found = ["models: b", "models: c1", "fallbacks: d", "fallbacks: e", "tools: f", "tools: h"];
        assert_eq!(names(body), [&found[..], &["plugins: i/j"]].concat());
        for none in [r#"{"model":"a"}"#, r#"{"models":null,"fallbacks":"a","tools":{}}"#, r#"{"models":[1,{}]}"#] {
            assert_eq!(names(none), [""; 0], "{none}");
        }
        let of = |body: &str| others(&Envelope::parse(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            of(r#"{"models":["b"],"fallbacks":[{"model":"c"}],"tools":[{"type":"advisor","model":"d"}]}"#),
            ["b", "c"]
        );
        assert_eq!(of(r#"{"models":[],"fallbacks":5}"#), [""; 0]);
    }

    #[test]
    fn a_model_that_asks_others_names_all_of_them() {
        let one = |item: &str| names(&format!(r#"{{"plugins":[{item}]}}"#)).join(" ").replace("plugins: ", "");
        assert_eq!(one(r#"{"id":"fusion","model":"a/b","analysis_models":["c/d",5,"e/f"]}"#), "a/b c/d e/f");
        assert_eq!(one(r#"{"type":"x","id":"fusion","model":"a/b"}"#), "a/b");
        assert_eq!(one(r#"{"id":"\u0066usion","model":"a/b"}"#), "a/b");
        let tool = r#"{"type":"openrouter:fusion","model":"a","parameters":{"model":"b","analysis_models":["c"]}}"#;
        assert_eq!(one(tool), "a b c");
        let images =
            r#"{"tools":[{"type":"image_generation","model":"gpt-image-1"},{"type":"web_search","model":"a"}]}"#;
        assert_eq!(names(images), ["tools: gpt-image-1"]);
        let many =
            format!(r#"{{"plugins":[{{"id":"fusion","analysis_models":["a"{}]}}]}}"#, r#","a""#.repeat(MOST_NAMES));
        let refused = named(&Envelope::parse(many.as_bytes()).unwrap()).unwrap_err();
        assert_eq!((refused.kind(), refused.param()), (Kind::InvalidRequest, Some("plugins")));
    }

    #[test]
    fn models_are_found_in_a_conversation_in_a_system_and_in_a_routers_list() {
        let brought = r#"{"input":[{"role":"user","content":"a \"tools\" of image_generation"},{"type":"additional_tools",
            "tools":[{"type":"image_generation","model":"a"},{"type":"function","model":"b"}]},
            {"t\u006fols":[{"type":"\u0069mage_generation","model":"c"}]},"text",5]}"#;
        assert_eq!(names(brought), ["input: a", "input: c"]);
        let system =
            r#"{"compound_custom":{"models":{"answering_model":"a","reasoning_model":"b","x":null},"tools":{}}}"#;
        assert_eq!(names(system), ["compound_custom: a", "compound_custom: b"]);
        let router =
            r#"{"plugins":[{"id":"auto-router","allowed_models":["a/*","b/c"]},{"id":"web","allowed_models":["d"]}]}"#;
        assert_eq!(names(router), ["plugins: a/*", "plugins: b/c"]);
        for none in [
            r#"{"input":"image_generation \"tools\""}"#,
            r#"{"input":[{"tools":"image_generation"},"tools",["tools"]]}"#,
            r#"{"compound_custom":"models"}"#,
            r#"{"compound_custom":{"models":["a"]}}"#,
        ] {
            assert_eq!(names(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn a_request_names_no_more_models_than_are_looked_up() {
        let naming = |count: usize| {
            format!(r#"{{"models":["a"{}],"fallbacks":[{{"model":"b"}}]}}"#, r#","c""#.repeat(count - 2))
        };
        let of = |count: usize| others(&Envelope::parse(naming(count).as_bytes()).unwrap());
        assert_eq!(of(MOST_NAMES).unwrap().len(), MOST_NAMES);
        let refused = of(MOST_NAMES + 1).unwrap_err();
        assert_eq!((refused.kind(), refused.param()), (Kind::InvalidRequest, Some("fallbacks")));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            r#"{"fallbacks":[{"model":"a","model":"b"}]}"#,
            r#"{"tools":[{"type":"custom","type":"advisor_20260301","model":"b"}]}"#,
        ] {
            let refused = named(&Envelope::parse(body.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), Kind::InvalidJson, "{body}");
        }
    }
}
