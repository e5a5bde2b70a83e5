//! What may be limited: requests and tokens in a stretch of time, and requests at the same time.

use crate::config::budget::Budget;

/// `on_store_loss`: what holds for a shared limit or budget while its store is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreLoss {
    /// What is leased may be spent; then a limit is this replica's part of it, and a budget is closed.
    #[default]
    LastLease,
    /// Everything is let through, and charged afterwards.
    Open,
    /// Everything is refused.
    Closed,
}

impl OnStoreLoss {
    pub const WORDS: [(&str, Self); 3] =
        [("last_lease", Self::LastLease), ("open", Self::Open), ("closed", Self::Closed)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastLease => "last_lease",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    Requests,
    InputTokens,
    OutputTokens,
    /// Input and output together.
    Tokens,
}

/// Any stretch of time of this length; it slides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Every {
    Second,
    Minute,
    Hour,
    Day,
}

/// So many in any stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    pub what: What,
    pub every: Every,
}

/// One kind of limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limited {
    Rate(Rate),
    /// Requests at the same time.
    Concurrency,
}

impl What {
    /// As a sentence has it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Tokens => "tokens",
        }
    }
}

impl Every {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub const fn length_ms(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// Declares every kind of limit once: its name in the configuration, and what it is.
macro_rules! limits {
    ($($name:ident = $limited:expr;)*) => {
        /// `limits:`; `None` is no limit.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Limits {
            $( pub $name: Option<u64>, )*
            /// `None`: `state.on_store_loss`.
            pub on_store_loss: Option<OnStoreLoss>,
        }

        /// Every kind of limit by its name.
        const NAMED: &[(&str, Limited)] = &[$( (stringify!($name), $limited), )*];

        impl Limits {
            /// Those that are set, in the order of [`Limited::all`].
            pub fn iter(&self) -> impl Iterator<Item = (Limited, u64)> + use<> {
                let all = [$( ($limited, self.$name), )*];
                all.into_iter().filter_map(|(limited, limit)| Some((limited, limit?)))
            }

            /// Where the limit of a name is kept; `None` where there is none of that name.
            pub fn named_mut(&mut self, name: &str) -> Option<&mut Option<u64>> {
                match name {
                    $( stringify!($name) => Some(&mut self.$name), )*
                    _ => None,
                }
            }

            /// The same limits by what `read` finds for each: `limits_from!` of the raw settings.
            pub(in crate::config) fn of_raw(
                raw: &crate::config::raw::Limits,
                mut read: impl FnMut(Limited, &crate::config::read::At<u64>) -> Option<u64>,
            ) -> Self {
                Self {
                    $( $name: raw.$name.as_ref().and_then(|given| read($limited, given)), )*
                    on_store_loss: raw.on_store_loss.as_ref().map(|word| word.value.0),
                }
            }
        }
    };
}

const fn rate(what: What, every: Every) -> Limited {
    Limited::Rate(Rate { what, every })
}

limits! {
    requests_per_second = rate(What::Requests, Every::Second);
    requests_per_minute = rate(What::Requests, Every::Minute);
    requests_per_hour = rate(What::Requests, Every::Hour);
    requests_per_day = rate(What::Requests, Every::Day);
    input_tokens_per_second = rate(What::InputTokens, Every::Second);
    input_tokens_per_minute = rate(What::InputTokens, Every::Minute);
    input_tokens_per_hour = rate(What::InputTokens, Every::Hour);
    input_tokens_per_day = rate(What::InputTokens, Every::Day);
    output_tokens_per_second = rate(What::OutputTokens, Every::Second);
    output_tokens_per_minute = rate(What::OutputTokens, Every::Minute);
    output_tokens_per_hour = rate(What::OutputTokens, Every::Hour);
    output_tokens_per_day = rate(What::OutputTokens, Every::Day);
    tokens_per_second = rate(What::Tokens, Every::Second);
    tokens_per_minute = rate(What::Tokens, Every::Minute);
    tokens_per_hour = rate(What::Tokens, Every::Hour);
    tokens_per_day = rate(What::Tokens, Every::Day);
    concurrency = Limited::Concurrency;
}

impl Limited {
    /// Every kind of limit there is.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMED.iter().map(|(_, limited)| *limited)
    }

    /// Its name in the configuration: `requests_per_minute`, `concurrency`.
    pub fn as_str(self) -> &'static str {
        NAMED.iter().find(|(_, limited)| *limited == self).map_or("", |(name, _)| *name)
    }

    /// `requests per minute`, `concurrent requests`.
    pub fn words(self) -> String {
        match self {
            Self::Rate(Rate { what, every }) => format!("{} per {}", what.words(), every.as_str()),
            Self::Concurrency => "concurrent requests".to_owned(),
        }
    }
}

impl Limits {
    /// The limit of a kind.
    pub fn get(&self, limited: Limited) -> Option<u64> {
        self.iter().find(|(known, _)| *known == limited).map(|(_, limit)| limit)
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Of both the smaller, kind by kind.
    #[must_use]
    pub fn tightest(mut self, other: Self) -> Self {
        for (limited, limit) in other.iter() {
            if let Some(own) = self.named_mut(limited.as_str()) {
                *own = Some(own.map_or(limit, |own| own.min(limit)));
            }
        }
        self.on_store_loss = self.on_store_loss.or(other.on_store_loss);
        self
    }
}

/// Limits and budgets that each of many has for itself: every user, or every tag of a pattern.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Share {
    pub limits: Limits,
    pub budgets: Vec<Budget>,
}

impl Share {
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.budgets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_limit_has_a_name_of_its_own_and_a_place() {
        let all: Vec<Limited> = Limited::all().collect();
        assert_eq!(all.len(), 17);
        let mut limits = Limits::default();
        for (limit, limited) in (1..).zip(&all) {
            assert_eq!(limits.get(*limited), None);
            *limits.named_mut(limited.as_str()).unwrap() = Some(limit);
            assert_eq!(limits.get(*limited), Some(limit));
        }
        assert_eq!(limits.iter().map(|(limited, _)| limited).collect::<Vec<_>>(), all);
        let spelled = |limited: &Limited| match limited {
            Limited::Rate(rate) => format!("{}_per_{}", rate.what.words().replace(' ', "_"), rate.every.as_str()),
            Limited::Concurrency => "concurrency".to_owned(),
        };
        assert!(all.iter().all(|limited| limited.as_str() == spelled(limited)));
    }

    #[test]
    fn the_tightest_of_two_is_the_smaller_of_each_kind() {
        let one = Limits { requests_per_day: Some(5), concurrency: Some(2), ..Limits::default() };
        let other = Limits { requests_per_day: Some(7), tokens_per_hour: Some(1), ..Limits::default() };
        let both = Limits { tokens_per_hour: Some(1), ..one };
        assert_eq!((one.tightest(other), other.tightest(one)), (both, both));
    }
}
