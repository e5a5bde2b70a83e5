//! Token counts in disjoint classes: every token is in exactly one of them, so sums never count
//! twice and prices multiply class by class. Beside them stands what providers bill by other units:
//! searches, images, seconds. Dialects convert at their edge.

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
    pub const ALL: [Self; 3] = [Self::Reported, Self::Partial, Self::Estimated];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}

/// Of one request: a thousand billion. Nobody can have meant more, and a provider may say anything.
pub const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Tokens of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Input read afresh (text, documents), without the audio and the images that are told apart.
    pub fresh_input_tokens: u64,
    /// Input read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Input written to the prompt cache for five minutes (or the provider's only lifetime).
    pub cache_write_tokens: u64,
    /// Input written to the prompt cache for an hour.
    pub cache_write_1h_tokens: u64,
    /// Audio input.
    pub audio_input_tokens: u64,
    /// Images of the input, where the provider tells them apart.
    pub image_input_tokens: u64,
    /// Output the client reads, without audio and without images that are told apart.
    pub visible_output_tokens: u64,
    /// Output spent on thinking.
    pub reasoning_tokens: u64,
    /// Audio output.
    pub audio_output_tokens: u64,
    /// Images made, where the provider counts them in tokens.
    pub image_output_tokens: u64,
    /// No tokens: what Cohere bills a ranking by, each at the price of a request.
    pub search_units: u64,
    /// No tokens: images made.
    pub images: u64,
    /// No tokens: seconds of audio that were listened to, begun ones whole.
    pub audio_seconds: u64,
    /// No tokens: characters of text that were spoken.
    pub characters: u64,
    /// No tokens: searches of the web that the provider made.
    pub web_searches: u64,
    /// No use but a price: what the provider itself says it charges, in pico-USD; 0 where it does not.
    pub charged_pico_usd: u64,
}

/// What another model used, which the one that answers has asked by itself: it is in no count of the answer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub model: String,
    pub usage: Usage,
}

impl Usage {
    /// What the classes are called in rows and lines, in the order of [`Usage::classes`].
    pub const CLASSES: [&str; 16] = [
        "fresh_input",
        "cached",
        "cache_write",
        "cache_write_1h",
        "audio_input",
        "image_input",
        "visible_output",
        "reasoning",
        "audio_output",
        "image_output",
        "search_units",
        "images",
        "audio_seconds",
        "characters",
        "web_searches",
        "upstream_cost_pico_usd",
    ];

    /// All counts. New ones come last: their places are kept on disk.
    pub const fn classes(&self) -> [u64; 16] {
        [
            self.fresh_input_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.audio_input_tokens,
            self.image_input_tokens,
            self.visible_output_tokens,
            self.reasoning_tokens,
            self.audio_output_tokens,
            self.image_output_tokens,
            self.search_units,
            self.images,
            self.audio_seconds,
            self.characters,
            self.web_searches,
            self.charged_pico_usd,
        ]
    }

    /// The same, to be changed.
    pub const fn classes_mut(&mut self) -> [&mut u64; 16] {
        [
            &mut self.fresh_input_tokens,
            &mut self.cached_tokens,
            &mut self.cache_write_tokens,
            &mut self.cache_write_1h_tokens,
            &mut self.audio_input_tokens,
            &mut self.image_input_tokens,
            &mut self.visible_output_tokens,
            &mut self.reasoning_tokens,
            &mut self.audio_output_tokens,
            &mut self.image_output_tokens,
            &mut self.search_units,
            &mut self.images,
            &mut self.audio_seconds,
            &mut self.characters,
            &mut self.web_searches,
            &mut self.charged_pico_usd,
        ]
    }

    /// Whether only the answer is counted, though no request is of nothing: some servers do not count what they have
    /// read before.
    pub const fn lacks_input(&self) -> bool {
        self.input_tokens() == 0 && self.output_tokens() > 0
    }

    /// All input, cached and cache-written included.
    pub const fn input_tokens(&self) -> u64 {
        self.fresh_input_tokens
            .saturating_add(self.cached_tokens)
            .saturating_add(self.cache_write_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.audio_input_tokens)
            .saturating_add(self.image_input_tokens)
    }

    /// All output, reasoning included.
    pub const fn output_tokens(&self) -> u64 {
        self.visible_output_tokens
            .saturating_add(self.reasoning_tokens)
            .saturating_add(self.audio_output_tokens)
            .saturating_add(self.image_output_tokens)
    }

    /// All cache writes.
    pub const fn cache_written_tokens(&self) -> u64 {
        self.cache_write_tokens.saturating_add(self.cache_write_1h_tokens)
    }

    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens().saturating_add(self.output_tokens())
    }

    /// What is billed by its characters has tokens too, which nobody tells.
    pub const fn tells_tokens(&self) -> bool {
        self.characters == 0 || self.total_tokens() > 0
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        let mut sum = *self;
        for (count, more) in sum.classes_mut().into_iter().zip(more.classes()) {
            *count = count.saturating_add(more);
        }
        sum
    }

    /// Splits an OpenAI-style count, whose details are parts of its totals. Details that exceed
    /// their total (seen from several resellers) are cut to it.
    pub fn from_totals(input: u64, output: u64, details: Details) -> Self {
        let mut left = input;
        let mut of_input = |part: u64| {
            let part = part.min(left);
            left -= part;
            part
        };
        let cached_tokens = of_input(details.cached);
        let cache_write_1h_tokens = of_input(details.cache_write_1h);
        let cache_write_tokens = of_input(details.cache_write);
        let audio_input_tokens = of_input(details.audio_input);
        let image_input_tokens = of_input(details.image_input);
        let fresh_input_tokens = left;
        let mut left = output;
        let mut of_output = |part: u64| {
            let part = part.min(left);
            left -= part;
            part
        };
        let reasoning_tokens = of_output(details.reasoning);
        let audio_output_tokens = of_output(details.audio_output);
        let image_output_tokens = of_output(details.image_output);
        Self {
            fresh_input_tokens,
            cached_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            audio_input_tokens,
            image_input_tokens,
            visible_output_tokens: left,
            reasoning_tokens,
            audio_output_tokens,
            image_output_tokens,
            ..Self::default()
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
    pub image_input: u64,
    pub reasoning: u64,
    pub audio_output: u64,
    pub image_output: u64,
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

    #[test]
    fn images_are_parts_of_the_totals() {
        let details = Details { cached: 5, image_input: 80, reasoning: 1, image_output: 30, ..Details::default() };
        let u = Usage::from_totals(60, 40, details);
        assert_eq!((u.fresh_input_tokens, u.cached_tokens, u.image_input_tokens), (0, 5, 55));
        assert_eq!((u.visible_output_tokens, u.image_output_tokens), (9, 30));
        assert_eq!((u.input_tokens(), u.output_tokens()), (60, 40));
    }
}
