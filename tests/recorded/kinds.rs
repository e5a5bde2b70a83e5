//! Which kind of provider stands for each recorded one.

/// Recorded provider and kind, in the order of the recordings.
pub(crate) const KINDS: &[(&str, &str)] = &[
    ("alibaba", "openai-compatible"),
    ("anthropic", "anthropic"),
    ("avian", "openai-compatible"),
    ("azure", "azure"),
    ("bedrock", "openai-compatible"),
    ("cerebras", "cerebras"),
    ("cloudflare", "openai-compatible"),
    ("copilot", "openai-compatible"),
    ("databricks", "openai-compatible"),
    ("deepseek", "deepseek"),
    ("doubleword", "openai-compatible"),
    ("gemini", "openai-compatible"),
    ("gpustack", "openai-compatible"),
    ("groq", "groq"),
    ("heroku", "openai-compatible"),
    ("huggingface", "huggingface"),
    ("litellm", "openai-compatible"),
    ("llamacpp", "llamacpp"),
    ("local", "openai-compatible"),
    ("mistral", "mistral"),
    ("mistralrs", "openai-compatible"),
    ("moonshotai", "moonshot"),
    ("ollama", "ollama"),
    ("openai", "openai"),
    ("openai_compatible", "openai-compatible"),
    ("openrouter", "openrouter"),
    ("perplexity", "perplexity"),
    ("portkey", "openai-compatible"),
    ("pydantic_gateway", "openai-compatible"),
    ("snowflake", "openai-compatible"),
    ("together", "together"),
    ("venice", "openai-compatible"),
    ("vercel_gateway", "openai-compatible"),
    ("vertex", "vertex"),
    ("vllm", "vllm"),
    ("xai", "xai"),
    ("zai", "openai-compatible"),
];

/// The kind of a recorded provider.
pub(crate) fn kind(recorded: &str) -> Option<&'static str> {
    KINDS.iter().find(|(name, _)| *name == recorded).map(|(_, kind)| *kind)
}
