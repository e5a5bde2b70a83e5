//! What may be done, and how much of it.

/// How far compression may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tier {
    #[default]
    Off,
    Lossless,
    Lossy,
}

impl Tier {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Lossless => "lossless",
            Self::Lossy => "lossy",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        [Self::Off, Self::Lossless, Self::Lossy].into_iter().find(|tier| tier.as_str().eq_ignore_ascii_case(word))
    }
}

/// `compression:` of a tenant, a key or a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub lossless: bool,
    pub lossy: bool,
    /// Shorter texts are left alone.
    pub min_bytes: usize,
    /// The time it may take for one request. How much text that is, is reckoned at 100 bytes a microsecond,
    /// so that it does not depend on how busy the machine is.
    pub max_micros: u64,
    /// Mark what is to be kept of a prompt for Anthropic's models, where the client marked nothing.
    pub prompt_cache: bool,
    /// Leave out tools that a long conversation never names.
    pub trim_tools: bool,
    /// Fold outputs of machines in what users say, too.
    pub user_texts: bool,
}

impl Rules {
    /// What holds for somebody who asks for it and for whom nothing is configured.
    pub const ASKED: Self = Self {
        lossless: true,
        lossy: false,
        min_bytes: 512,
        max_micros: 20_000,
        prompt_cache: false,
        trim_tools: false,
        user_texts: false,
    };
    const BYTES_A_MICROSECOND: u64 = 100;

    /// As far as it goes where a request asks for nothing.
    pub const fn tier(&self) -> Tier {
        match (self.lossy, self.lossless) {
            (true, _) => Tier::Lossy,
            (false, true) => Tier::Lossless,
            (false, false) => Tier::Off,
        }
    }

    /// The text that is looked at in one request; what comes behind it is left as it is.
    pub fn most_bytes(&self) -> usize {
        usize::try_from(self.max_micros.saturating_mul(Self::BYTES_A_MICROSECOND)).unwrap_or(usize::MAX)
    }
}
