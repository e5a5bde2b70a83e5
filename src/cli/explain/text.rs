//! The explanation for people: a line for each thing there is to say, then the targets.

use super::found::{Ask, Explanation, Row, Score};

pub(super) fn of(told: &Explanation) -> String {
    let mut lines = vec![line("model", &model(told)), line("tenant", &caller(told))];
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(line(name, &value));
        }
    };
    say("stands for", told.public.clone().filter(|public| *public != told.model));
    say("route", told.strategy.map(|strategy| format!("{strategy}{}", attempts(told))));
    say("needs", Some(told.needs.join(", ")));
    say("tags", Some(told.tags.join(", ")));
    say("rule", told.rule.map(|rule| format!("{rule} holds")));
    say("prefer", told.prefer.map(str::to_owned));
    say(
        "affinity",
        told.affinity.as_ref().map(|by| format!("the conversation keeps its endpoint; which one it is, tells {by}")),
    );
    say("reason", told.reason.clone());
    if !told.targets.is_empty() {
        lines.push(String::new());
        lines.extend(told.targets.iter().flat_map(target));
        lines.push(String::new());
    }
    lines.extend(end(told));
    lines.join("\n")
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<10}  {value}")
}

fn model(told: &Explanation) -> String {
    let most = told.max_output_tokens.map(|most| format!(", at most {most} out")).unwrap_or_default();
    format!("{} ({}, about {} tokens in{most})", told.model, told.format, told.input_tokens)
}

fn caller(told: &Explanation) -> String {
    let key = told.key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
    format!("{}{key}", told.tenant)
}

fn attempts(told: &Explanation) -> String {
    told.most_attempts
        .map(|most| format!(", at most {most} attempt{}", if most == 1 { "" } else { "s" }))
        .unwrap_or_default()
}

/// A target, and its endpoints where there is more than one or one is left out.
fn target(row: &Row) -> Vec<String> {
    let mut words = vec![row.model.clone()];
    words.extend(row.weight.map(|weight| format!("weight {weight}")));
    words.extend(row.cost_usd.as_ref().map(|cost| format!("${cost}")));
    words.extend(row.score.as_ref().map(|score| {
        let doubt = if score.doubtful { ", not sure it can" } else { "" };
        let Score { total, cost, quality, latency, .. } = score;
        format!("score {total} (cost {cost}, quality {quality}, latency {latency}{doubt})")
    }));
    words.extend(row.left_out.as_ref().map(|why| format!("left out: {why}")));
    let mut lines = vec![format!("  {}", words.join("  "))];
    if row.endpoints.len() > 1 {
        lines.extend(row.endpoints.iter().map(|endpoint| {
            let region = endpoint.region.as_ref().map(|region| format!("  {region}")).unwrap_or_default();
            let why = endpoint.left_out.map(|why| format!("  left out: {why}")).unwrap_or_default();
            format!("    {}{region}{why}", endpoint.id)
        }));
    }
    lines
}

fn end(told: &Explanation) -> Vec<String> {
    let Some(first) = &told.first else {
        return vec![line("nobody", told.error.as_deref().unwrap_or("would be asked"))];
    };
    let chance = if told.by_chance { "  (by chance: another request may begin elsewhere)" } else { "" };
    let mut lines = vec![line("first", &format!("{}{chance}", ask(first)))];
    lines.extend(told.order.iter().skip(1).map(|next| line("then", &ask(next))));
    lines
}

fn ask(ask: &Ask) -> String {
    format!("{} for {}", ask.endpoint, ask.model)
}
