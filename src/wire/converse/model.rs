//! What the models behind this one format take, each in its own way: by the author and the family in
//! their names (<https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html>,
//! seen 2026-11). A name that says nothing (the ARN of an application's own inference profile) is
//! trusted with what the client asks for.

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    Nova,
    /// Nova from its second generation: it can be told to think.
    Nova2,
    /// OpenAI's, open ones and others.
    OpenAi,
    Qwen,
    Mistral,
    /// Meta's.
    Llama,
    Other,
    /// The name does not tell.
    Hidden,
}

/// The family of a model.
pub(super) fn family(model: &str) -> Family {
    let names = [
        ("claude", Family::Claude),
        ("amazon.nova-2", Family::Nova2),
        ("amazon.nova", Family::Nova),
        ("openai.", Family::OpenAi),
        ("qwen.", Family::Qwen),
        ("mistral.", Family::Mistral),
        ("meta.", Family::Llama),
    ];
    let known = names.iter().find(|(name, _)| model.contains(name)).map(|(_, family)| *family);
    let hidden = model.starts_with("arn:") && !model.contains(":foundation-model/");
    known.unwrap_or(if hidden { Family::Hidden } else { Family::Other })
}

/// Claude before prompt caching, structured output and other later things.
fn is_early_claude(model: &str) -> bool {
    const EARLY: [&str; 6] =
        ["claude-v", "claude-2", "claude-instant", "claude-3-haiku", "claude-3-sonnet", "claude-3-opus"];
    EARLY.iter().any(|name| model.contains(name)) || model.contains("claude-3-5-sonnet-20240620")
}

/// Takes `cachePoint` among messages and instructions.
pub(super) fn caches(model: &str) -> bool {
    match family(model) {
        Family::Claude => !is_early_claude(model),
        Family::Nova | Family::Nova2 | Family::Hidden => true,
        _ => false,
    }
}

/// Takes `cachePoint` among tools.
pub(super) fn caches_tools(model: &str) -> bool {
    caches(model) && !matches!(family(model), Family::Nova | Family::Nova2)
}

/// Can be told to call a tool (`toolChoice` other than `auto`): Llama refuses that (reported until 2025-09).
pub(super) fn calls_on_demand(model: &str) -> bool {
    family(model) != Family::Llama
}

/// Takes `stopSequences`: OpenAI's models and Qwen refuse them (`This model doesn't support the stopSequences
/// field`, reported until 2025-09).
pub(super) fn stops(family: Family) -> bool {
    !matches!(family, Family::OpenAi | Family::Qwen)
}

/// Takes a schema for its output, and `strict` on tools.
pub(super) fn keeps_to_schemas(model: &str) -> bool {
    const WITHOUT: [&str; 9] = [
        "claude-3-",
        "claude-sonnet-4-2025",
        "claude-opus-4-2025",
        "claude-opus-4-1",
        "amazon.",
        "meta.",
        "ai21.",
        "cohere.",
        "writer.",
    ];
    !is_early_claude(model) && !WITHOUT.iter().any(|name| model.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_family() {
        for (model, family_of) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                Family::Claude,
            ),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/1arbu5", Family::Hidden),
            ("eu.amazon.nova-2-lite-v1:0", Family::Nova2),
            ("amazon.nova-lite-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::OpenAi),
            ("us.meta.llama3-1-405b-instruct-v1:0", Family::Llama),
            ("ai21.jamba-1-5-large-v1:0", Family::Other),
        ] {
            assert_eq!(family(model), family_of, "{model}");
        }
    }

    #[test]
    fn what_a_model_takes_follows_its_generation() {
        let new = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert!(caches(new) && caches_tools(new) && keeps_to_schemas(new));
        let old = "anthropic.claude-3-haiku-20240307-v1:0";
        assert!(!caches(old) && !keeps_to_schemas(old));
        let nova = "us.amazon.nova-pro-v1:0";
        assert!(caches(nova) && !caches_tools(nova) && !keeps_to_schemas(nova));
        assert!(!caches("meta.llama3-8b-instruct-v1:0") && keeps_to_schemas("qwen.qwen3-32b-v1:0"));
    }
}
