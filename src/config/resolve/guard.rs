//! `guards`.

use std::collections::HashMap;
use std::sync::Arc;

use super::base_url;
use crate::config::alerts::WebhookUrl;
use crate::config::guards::{Form, Guarding, Service, Shape, Side};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, Name, nearest};
use crate::guard::{Action, Detectors, Guard, Kind, Unfit};
use crate::secret::Secret;

/// By their names.
pub(super) struct Guards<'c> {
    all: HashMap<&'c str, Arc<Guarding>>,
    config: &'c Config,
}

/// All of the file.
pub(super) fn guards<'c>(config: &'c Config, cx: &mut Context<'_>) -> Guards<'c> {
    let mut all = HashMap::new();
    for (name, raw) in &config.guards.entries {
        // The name goes into a header and a list with colons.
        if let Some(expected) = Name::check(name).err().or_else(|| name.contains(':').then_some("no `:`")) {
            cx.say(name.place, "not a name for a guard").label(format!("expected {expected}"));
        }
        if let Some(guarding) = guarding(name, raw, config, cx) {
            all.insert(name.value.as_str(), Arc::new(guarding));
        }
    }
    Guards { all, config }
}

impl Guards<'_> {
    pub(super) fn in_order(&self) -> Vec<Arc<Guarding>> {
        self.config.guards.entries.iter().filter_map(|(name, _)| self.all.get(name.as_str()).cloned()).collect()
    }

    /// Those of a list of names.
    pub(super) fn named(&self, names: &[At<String>], cx: &mut Context<'_>) -> Vec<Arc<Guarding>> {
        let mut found: Vec<Arc<Guarding>> = Vec::with_capacity(names.len());
        let written = &self.config.guards;
        for name in names {
            let known = || written.entries.iter().map(|(name, _)| name.as_str());
            if !written.lost && !known().any(|known| known == name.value) {
                cx.say(name.place, format!("no guard is named `{}`", name.value))
                    .label(match known().next() {
                        Some(_) => format!("expected one of: {}", known().collect::<Vec<_>>().join(", ")),
                        None => "there are none: `guards` has them, by their names".to_owned(),
                    })
                    .did_you_mean(nearest(name, known()));
            }
            let is_there = |guard: &Arc<Guarding>| found.iter().any(|known| Arc::ptr_eq(known, guard));
            if let Some(guard) = self.all.get(name.as_str()).filter(|guard| !is_there(guard)) {
                found.push(Arc::clone(guard));
            }
        }
        found
    }
}

fn guarding(name: &At<String>, raw: &raw::Guard, config: &Config, cx: &mut Context<'_>) -> Option<Guarding> {
    let kinds: Vec<Kind> = raw.kinds.iter().map(|kind| kind.value.0).collect();
    let action = raw.action.0;
    let on = |side: Side| match raw.on.is_empty() {
        true => side == Side::Input,
        false => raw.on.iter().any(|word| word.value.0 == side),
    };
    let nothing = kinds.is_empty() && raw.words.is_empty() && raw.patterns.is_empty() && !raw.schema.value;
    if nothing && !raw.written.contains(&"url") && !raw.written.contains(&"model") {
        cx.say(name.place, format!("the guard `{}` looks for nothing", name.value))
            .label("expected `kinds`, `words`, `patterns`, `schema`, `url` or `model`");
    }
    if let Some(injection) = raw.kinds.iter().find(|kind| kind.value.0 == Kind::Injection) {
        if on(Side::Output) {
            cx.say(injection.place, "`injection` looks at what goes to the model").label("expected `on: [input]`");
        }
        if action == Action::Mask {
            cx.say(injection.place, "an attempt at injection cannot be masked")
                .label("expected another guard, with `action: flag` or `block`");
        }
    }
    let (service, form) = (service(raw, config, cx), form(raw, cx));
    if let Some(service) = &service
        && action == Action::Mask
        && !service.shape.has_spans()
    {
        cx.say(raw.format.place, "this service does not say where in a text it found something")
            .label("expected `action: flag` or `block`");
    }
    let detectors = detectors(raw, &kinds, cx)?;
    let message = raw.message.as_ref().map(|message| message.value.clone());
    let guard = Guard {
        name: name.value.clone(),
        detectors,
        action,
        on_input: on(Side::Input),
        on_output: on(Side::Output),
        message: message.unwrap_or_else(|| format!("blocked by the guard `{}`", name.value)),
    };
    Some(Guarding { guard: Arc::new(guard), service, form })
}

fn form(raw: &raw::Guard, cx: &mut Context<'_>) -> Option<Form> {
    let form = Form { repairs: raw.repair.value, fails_open: raw.on_error.0 };
    if !raw.schema.value {
        if form.repairs {
            cx.say(raw.repair.place, "`repair` without `schema`").label("expected `schema: true` beside it");
        }
        return None;
    }
    if raw.action.0 == Action::Mask {
        cx.say(raw.schema.place, "an answer that is not what was asked for cannot be masked")
            .label("expected another guard, with `action: flag` or `block`");
    }
    Some(form)
}

fn detectors(raw: &raw::Guard, kinds: &[Kind], cx: &mut Context<'_>) -> Option<Detectors> {
    let mut is_fine = true;
    for word in raw.words.iter() {
        if word.trim().is_empty() || word.len() > Detectors::most_word_bytes() {
            cx.say(word.place, "not a word").label(format!("expected 1 to {} bytes", Detectors::most_word_bytes()));
            is_fine = false;
        }
    }
    for pattern in raw.patterns.iter() {
        if let Err(unfit) = Detectors::check_pattern(pattern) {
            cx.say(pattern.place, "not a pattern that can be used").label(expected(&unfit));
            is_fine = false;
        }
    }
    if !is_fine {
        return None;
    }
    let texts = |list: &[At<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    Detectors::new(kinds, &texts(&raw.words), &texts(&raw.patterns))
        .inspect_err(|unfit| {
            cx.say(raw.place, "all words and patterns together are too much for one guard").label(expected(unfit));
        })
        .ok()
}

fn expected(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Syntax(why) => format!("expected a regular expression: {}", why.lines().last().unwrap_or_default()),
        Unfit::Empty => "expected one that does not match an empty text".to_owned(),
        Unfit::TooBig => "expected less".to_owned(),
    }
}

/// A model that this gateway asks itself.
fn own(raw: &raw::Guard, model: &At<String>, config: &Config, cx: &mut Context<'_>) -> Option<Service> {
    if !raw.format.0.is_of_models() {
        cx.say(model.place, "a `model` for a service that takes none")
            .label("expected `format: llama_guard` or `openai`");
        return None;
    }
    if let Some(key) = &raw.key {
        cx.say(key.place, "`key` without a service").label("expected `url` beside it: a model is asked for its caller");
    }
    super::cache::asked(model, config, cx);
    Some(Service {
        url: None,
        shape: raw.format.0,
        model: Some(model.value.clone()),
        key: None,
        timeout: raw.timeout.0,
        fails_open: raw.on_error.0,
    })
}

fn service(raw: &raw::Guard, config: &Config, cx: &mut Context<'_>) -> Option<Service> {
    if let (Some(model), false) = (&raw.model, raw.written.contains(&"url")) {
        return own(raw, model, config, cx);
    }
    let Some(url) = &raw.url else {
        for (name, place) in [("format", raw.format.place), ("timeout", raw.timeout.place)] {
            if raw.written.contains(&name) && !raw.written.contains(&"url") {
                cx.say(place, format!("`{name}` without a service")).label("expected `url` beside it");
            }
        }
        if raw.written.contains(&"on_error") && !raw.written.contains(&"url") && !raw.schema.value {
            cx.say(raw.on_error.place, "`on_error` without a service").label("expected `url` or `schema` beside it");
        }
        if let Some(key) = raw.key.as_ref().filter(|_| !raw.written.contains(&"url")) {
            cx.say(key.place, "`key` without a service").label("expected `url` beside it");
        }
        return None;
    };
    match (&raw.model, raw.format.0) {
        (None, Shape::LlamaGuard) if !raw.written.contains(&"model") => {
            cx.say(raw.format.place, "no model is named").label("expected `model` beside it");
        }
        (Some(model), shape) if shape != Shape::LlamaGuard => {
            cx.say(model.place, "a `model` for a service that takes none").label("expected `format: llama_guard`");
        }
        _ => {}
    }
    let base = match base_url::plain(url.value.0.expose()) {
        Ok(base) => base,
        Err(expected) => {
            cx.say(url.place, "not a URL that can be called").label(format!("expected {expected}"));
            return None;
        }
    };
    Some(Service {
        url: Some(WebhookUrl { base, whole: Secret::new(url.value.0.expose()) }),
        shape: raw.format.0,
        model: raw.model.as_ref().map(|model| model.value.clone()),
        key: raw.key.as_ref().map(|key| key.value.0.clone()),
        timeout: raw.timeout.0,
        fails_open: raw.on_error.0,
    })
}
