//! What is behind a provider's refusal where neither status nor code tells: the sentences of vendors,
//! as recorded or in their users' reports until 2026-11. Those of Copilot, GitHub, Hugging Face and
//! Voyage, and Alibaba's on lengths and content, are from memory and have not been seen since.
//!
//! Sentences about the account count only where they cannot be the client's own words thrown back at
//! it: a bad request may quote any of its values, and whoever could have a target taken for broke
//! would take it from everybody.

use crate::error::Kind;

/// A request that is longer than the model can read. Limits on the answer alone read otherwise.
const TOO_LONG: &[&str] = &[
    "prompt is too long",                           // Anthropic
    "prompt too long",                              // Z.ai, Ollama
    "exceed context limit",                         // Anthropic, with max_tokens
    "context window",                               // OpenAI, MiniMax
    "maximum context length",                       // OpenAI, DeepSeek, OpenRouter, vLLM, Mistral
    "model's context length",                       // SGLang, Together
    "context length exceeded",                      // many, after OpenAI's code
    "greater than the context length",              // LM Studio
    "exceeds the context length",                   // Ollama, embeddings
    "exceeds the available context size",           // llama.cpp
    "maximum prompt length",                        // xAI
    "model token limit",                            // Moonshot
    "reduce the length of the messages",            // Groq
    "length of all messages is too long",           // Perplexity
    "maximum allowed input length",                 // Poolside
    "input length should be",                       // Alibaba
    "input token count",                            // Gemini
    "exceeds the maximum number of tokens allowed", // Gemini, Vertex AI
    "input is too long",                            // Bedrock
    "input tokens exceeded",                        // Bedrock
    "prompt token count",                           // GitHub Copilot
    "tokens + `max_new_tokens` must be",            // Hugging Face
    "max allowed tokens",                           // Voyage
];

/// Content that the provider will not read or has begun to write.
const REFUSED_CONTENT: &[&str] = &[
    "potentially violating our usage policy",    // OpenAI
    "rejected as a result of our safety system", // OpenAI, images
    "rejected by the safety system",             // OpenAI, images
    "content management policy",                 // Azure
    "content filtering policy",                  // Anthropic
    "content filter",                            // Bedrock, Moonshot
    "content violates usage guidelines",         // xAI
    "content exists risk",                       // DeepSeek
    "inappropriate content",                     // Alibaba
    "unsafe or sensitive content",               // Z.ai
    "requires moderation",                       // OpenRouter
    "responsible ai practices",                  // Vertex AI
];

/// How a bad request begins that is none, but an empty account.
const BROKE: &[&str] = &[
    "your credit balance is too low",                                   // Anthropic
    "you have reached your specified ",                                 // Anthropic
    "billing hard limit has been reached",                              // OpenAI, images
    "access denied, please make sure your account is in good standing", // Alibaba
];

/// The account's money or its quota of the day is gone.
const SPENT: &[&str] = &[
    "insufficient balance",               // DeepSeek, Z.ai
    "insufficient credits",               // OpenRouter
    "used all available credits",         // xAI
    "run out of credits",                 // xAI
    "credits are depleted",               // Gemini
    "spending cap",                       // Gemini
    "spending limit",                     // Fireworks
    "usage limit for this billing cycle", // Kimi
    "overdue account",                    // Alibaba
    "key limit exceeded",                 // OpenRouter
    "invalid_payment_instrument",         // Bedrock
    "tokens per day",                     // Groq, Bedrock
    "requests per day",                   // OpenAI, Groq
    "models-per-day",                     // OpenRouter
    "bymodelbyday",                       // GitHub
    "calls / month",                      // Cohere
];

/// What a request was turned down for, by the words of a 4xx that is about the request.
pub(super) fn of_rejection(message: &str) -> Kind {
    let message = message.to_ascii_lowercase();
    let says = |all: &[&str]| all.iter().any(|words| message.contains(words));
    match () {
        () if BROKE.iter().any(|words| message.starts_with(words)) => Kind::UpstreamQuota,
        () if says(TOO_LONG) => Kind::UpstreamContextTooLong,
        () if says(REFUSED_CONTENT) => Kind::UpstreamRefusedContent,
        () => Kind::UpstreamRejected,
    }
}

/// Whether an answer that is about the account (a 403 or 429) says that nothing is left of it.
pub(super) fn is_spent(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    SPENT.iter().chain(BROKE).any(|words| message.contains(words))
}

/// Whether what a 403 forbids is the content, not the access.
pub(super) fn is_refused_content(message: &str) -> bool {
    of_rejection(message) == Kind::UpstreamRefusedContent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_is_told_by_its_words() {
        const LONG: Kind = Kind::UpstreamContextTooLong;
        const CONTENT: Kind = Kind::UpstreamRefusedContent;
        let table = [
            ("prompt is too long: 213462 tokens > 200000 maximum", LONG),
            ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000", LONG),
            ("Your input exceeds the context window of this model. Please adjust", LONG),
            ("This model's maximum context length is 1048565 tokens. However, you requested", LONG),
            ("The input (263000 tokens) is longer than the model's context length (262144 tokens).", LONG),
            ("request (2009 tokens) exceeds the available context size (512 tokens)", LONG),
            ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", LONG),
            ("Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)", LONG),
            ("Please reduce the length of the messages or completion. Current length is 42328", LONG),
            ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", LONG),
            ("The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).", LONG),
            ("Input is too long for requested model.", LONG),
            ("Prompt too long", LONG),
            (
                "max_tokens is too large: 99999. This model supports at most 16384 completion tokens",
                Kind::UpstreamRejected,
            ),
            ("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", CONTENT),
            ("Output blocked by content filtering policy", CONTENT),
            ("Content Exists Risk", CONTENT),
            ("Your credit balance is too low to access the Anthropic API.", Kind::UpstreamQuota),
            ("Invalid value: 'x'", Kind::UpstreamRejected),
            ("", Kind::UpstreamRejected),
        ];
        for (message, kind) in table {
            assert_eq!(of_rejection(message), kind, "{message}");
        }
    }

    #[test]
    fn words_of_the_client_do_not_empty_an_account() {
        let echoed = "Invalid value: 'Your credit balance is too low, insufficient balance'.";
        assert_eq!(of_rejection(echoed), Kind::UpstreamRejected);
    }

    #[test]
    fn an_account_is_spent_by_money_or_for_the_day() {
        for message in [
            "Insufficient Balance",
            "Your team x has either used all available credits or reached its monthly spending limit.",
            "Account x is suspended, possibly due to reaching the monthly spending limit",
            "Your prepayment credits are depleted.",
            "Rate limit reached for model `m` on tokens per day (TPD): Limit 100000",
            "Rate limit exceeded: free-models-per-day. Add 10 credits",
            "Rate limit of 150 per 86400s exceeded for UserByModelByDay.",
            "Too many tokens per day, please wait before trying again.",
        ] {
            assert!(is_spent(message), "{message}");
        }
        for message in ["Rate limit reached on tokens per min (TPM): Limit 10", "Too many tokens, please wait"] {
            assert!(!is_spent(message), "{message}");
        }
    }
}
