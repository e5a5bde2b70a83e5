//! Token counts in disjoint classes: every token is in exactly one of them, so sums never count
//! twice and prices multiply class by class. Dialects convert at their edge.

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsageSource {
    /// The upstream's final count.
    Reported,
    /// The upstream's count up to where the answer was cut.
    Partial,
    /// Counted here.
    #[default]
    Estimated,
}

impl UsageSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}

/// Tokens of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Input read afresh (text, images, documents), without audio.
    pub fresh_input_tokens: u64,
    /// Input read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Input written to the prompt cache for five minutes (or the provider's only lifetime).
    pub cache_write_tokens: u64,
    /// Input written to the prompt cache for an hour.
    pub cache_write_1h_tokens: u64,
    /// Audio input.
    pub audio_input_tokens: u64,
    /// Output the client reads, without audio.
    pub visible_output_tokens: u64,
    /// Output spent on thinking.
    pub reasoning_tokens: u64,
    /// Audio output.
    pub audio_output_tokens: u64,
    /// No tokens: what Cohere bills a ranking by, each at the price of a request.
    pub search_units: u64,
}

impl Usage {
    /// All input, cached and cache-written included.
    pub const fn input_tokens(&self) -> u64 {
        self.fresh_input_tokens
            .saturating_add(self.cached_tokens)
            .saturating_add(self.cache_write_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.audio_input_tokens)
    }

    /// All output, reasoning included.
    pub const fn output_tokens(&self) -> u64 {
        self.visible_output_tokens.saturating_add(self.reasoning_tokens).saturating_add(self.audio_output_tokens)
    }

    /// All cache writes.
    pub const fn cache_written_tokens(&self) -> u64 {
        self.cache_write_tokens.saturating_add(self.cache_write_1h_tokens)
    }

    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens().saturating_add(self.output_tokens())
    }

    /// Splits an OpenAI-style count, whose details are parts of its totals. Details that exceed
    /// their total (seen from several resellers) are cut to it.
    pub fn from_totals(input: u64, output: u64, details: Details) -> Self {
        let cached = details.cached.min(input);
        let write_1h = details.cache_write_1h.min(input - cached);
        let write = details.cache_write.min(input - cached - write_1h);
        let audio_in = details.audio_input.min(input - cached - write_1h - write);
        let reasoning = details.reasoning.min(output);
        let audio_out = details.audio_output.min(output - reasoning);
        Self {
            fresh_input_tokens: input - cached - write_1h - write - audio_in,
            cached_tokens: cached,
            cache_write_tokens: write,
            cache_write_1h_tokens: write_1h,
            audio_input_tokens: audio_in,
            visible_output_tokens: output - reasoning - audio_out,
            reasoning_tokens: reasoning,
            audio_output_tokens: audio_out,
            search_units: 0,
        }
    }
}

/// Parts of a total, see [`Usage::from_totals`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Details {
    pub cached: u64,
    pub cache_write: u64,
    pub cache_write_1h: u64,
    pub audio_input: u64,
    pub reasoning: u64,
    pub audio_output: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_disjoint_and_add_up() {
        let u = Usage::from_totals(
            100,
            50,
            Details { cached: 60, cache_write: 30, audio_input: 30, reasoning: 70, ..Details::default() },
        );
        assert_eq!((u.input_tokens(), u.output_tokens(), u.total_tokens()), (100, 50, 150));
        assert_eq!(
            (u.cached_tokens, u.cache_write_tokens, u.audio_input_tokens, u.fresh_input_tokens),
            (60, 30, 10, 0)
        );
        assert_eq!((u.reasoning_tokens, u.visible_output_tokens), (50, 0));
    }
}
