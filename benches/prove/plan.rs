//! What is sent, and what has to come of it. Each request has a number, and from it and the seed
//! everything else: the same run again sends the same requests, and the provider and the judge need
//! not tell each other what an answer has used.

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Chat,
    Messages,
    Responses,
    Gemini,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    Whole,
    Stream,
    /// The client leaves in the middle of a stream.
    Cut,
    /// The client leaves before it has anything.
    Leave,
    /// The provider breaks off.
    Broken,
    /// The first provider fails.
    Fallback,
    /// The first provider is late.
    Hedge,
}

impl Case {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("finished", Self::Whole),
        ("streamed", Self::Stream),
        ("cut by the client", Self::Cut),
        ("left by the client", Self::Leave),
        ("broken upstream", Self::Broken),
        ("fallback", Self::Fallback),
        ("hedge", Self::Hedge),
    ];
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) number: u32,
    pub(crate) case: Case,
    pub(crate) format: Format,
    pub(crate) stream: bool,
    /// Where to: `provider/model`, or a route.
    pub(crate) model: &'static str,
    /// The answer comes slowly.
    pub(crate) paced: bool,
    /// The answer takes longer than it takes until progress is on record.
    pub(crate) crawls: bool,
    /// The client leaves after that many words.
    pub(crate) cut_after_words: usize,
}

/// Token classes as the provider counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) fresh: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) written_1h: u64,
    pub(crate) visible: u64,
    pub(crate) reasoning: u64,
}

/// What a provider is called here and costs, in micro-USD a million tokens: pico-USD a token.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) fresh: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) written_1h: u64,
    pub(crate) visible: u64,
    pub(crate) reasoning: u64,
}

const fn provider(name: &'static str, kind: &'static str, base: u64) -> Provider {
    Provider {
        name,
        kind,
        fresh: base,
        cached: base / 10 + 1,
        written: base + base / 4,
        written_1h: base * 2 + 3,
        visible: base * 4 + 7,
        reasoning: base * 5 + 11,
    }
}

/// All of different prices, none of them round.
pub(crate) const PROVIDERS: [Provider; 5] = [
    provider("oa", "openai", 150_001),
    provider("an", "anthropic", 3_000_017),
    provider("brk", "openai", 400_009),
    provider("bad", "openai", 77_777),
    provider("slow", "openai", 250_003),
];

impl Provider {
    /// In pico-USD.
    pub(crate) fn cost(&self, used: &Usage) -> u128 {
        let all = [
            (used.fresh, self.fresh),
            (used.cached, self.cached),
            (used.written, self.written),
            (used.written_1h, self.written_1h),
            (used.visible, self.visible),
            (used.reasoning, self.reasoning),
        ];
        all.iter().map(|(tokens, pico)| u128::from(*tokens) * u128::from(*pico)).sum()
    }
}

/// Chance that is the same in every run (the finalizer of MurmurHash3).
pub(crate) fn shuffle(number: u32, seed: u32) -> u32 {
    let mut hash = number ^ seed.wrapping_mul(0x9e37_79b9);
    for factor in [0x85eb_ca6b, 0xc2b2_ae35] {
        hash = (hash ^ (hash >> 15)).wrapping_mul(factor);
    }
    hash ^ (hash >> 16)
}

/// Words of the answer to this request.
pub(crate) fn words(number: u32) -> usize {
    20 + usize::try_from(shuffle(number, 91) % 160).unwrap_or_default()
}

/// What this provider says that the answer has used.
pub(crate) fn usage(number: u32, provider: &str) -> Usage {
    let of = |salt: u32, most: u32| u64::from(shuffle(number, salt ^ u32::from(provider.as_bytes()[0])) % most);
    let writes = if provider == "an" { (of(13, 300), of(14, 200)) } else { (0, 0) };
    Usage {
        fresh: 20 + of(11, 500),
        cached: of(12, 400),
        written: writes.0,
        written_1h: writes.1,
        visible: u64::try_from(words(number)).unwrap_or_default() + 1,
        // Anthropic's format counts no reasoning apart.
        reasoning: if provider == "an" { 0 } else { of(15, 90) },
    }
}

impl Plan {
    pub(crate) fn of(number: u32, seed: u32) -> Self {
        let roll = |salt: u32, most: u32| shuffle(number, seed.wrapping_mul(31).wrapping_add(salt)) % most;
        let case = match roll(1, 100) {
            0..32 => Case::Whole,
            32..60 => Case::Stream,
            60..70 => Case::Cut,
            70..74 => Case::Leave,
            74..84 => Case::Broken,
            84..94 => Case::Fallback,
            _ => Case::Hedge,
        };
        let format = [Format::Chat, Format::Messages, Format::Responses, Format::Gemini];
        let stream = match case {
            Case::Whole => false,
            Case::Stream | Case::Cut => true,
            _ => roll(2, 2) == 0,
        };
        let model = match case {
            // Where some answers are broken many others are not, or its breaker would open.
            Case::Broken => "brk/m",
            Case::Fallback => "fall",
            Case::Hedge => "hedged",
            _ => ["oa/m", "an/m", "oa/m", "an/m", "brk/m", "brk/m"][usize::try_from(roll(3, 6)).unwrap_or_default()],
        };
        let cut = usize::try_from(roll(4, 1_000)).unwrap_or_default() % words(number);
        Self {
            number,
            case,
            format: format[usize::try_from(roll(5, 4)).unwrap_or_default()],
            stream,
            model,
            paced: case == Case::Cut || roll(6, 3) == 0,
            crawls: case == Case::Stream && roll(7, 40) == 0,
            cut_after_words: cut,
        }
    }

    /// What the provider is to do, as the prompt says it.
    pub(crate) fn deed(&self) -> &'static str {
        match self.case {
            Case::Broken => "break",
            Case::Fallback => "fail",
            Case::Hedge => "late",
            Case::Leave => "wait",
            _ if self.crawls => "crawl",
            _ if self.paced => "pace",
            _ => "answer",
        }
    }

    /// The whole request.
    pub(crate) fn bytes(&self, key: &str) -> Vec<u8> {
        let (number, model, deed) = (self.number, self.model, self.deed());
        let stream = if self.stream { r#","stream":true"# } else { "" };
        let prompt = format!("tag-{number:08} do:{deed}. Tell me of it, in some words.");
        let path = match self.format {
            Format::Chat => "/v1/chat/completions".to_owned(),
            Format::Messages => "/v1/messages".to_owned(),
            Format::Responses => "/v1/responses".to_owned(),
            Format::Gemini if self.stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Format::Gemini => format!("/v1beta/models/{model}:generateContent"),
        };
        let body = match self.format {
            Format::Chat => {
                format!(r#"{{"model":"{model}"{stream},"messages":[{{"role":"user","content":"{prompt}"}}]}}"#)
            }
            Format::Messages => format!(
                r#"{{"model":"{model}","max_tokens":900{stream},"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
            ),
            Format::Responses => format!(r#"{{"model":"{model}"{stream},"input":"{prompt}"}}"#),
            Format::Gemini => format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{prompt}"}}]}}]}}"#),
        };
        format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             x-weir-tags: n={number}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// What the end of a whole answer has in it.
    pub(crate) fn end(&self) -> &'static str {
        match self.format {
            _ if !self.stream => "}",
            Format::Chat => "[DONE]",
            Format::Messages => "message_stop",
            Format::Responses => "response.completed",
            Format::Gemini => "finishReason",
        }
    }
}
