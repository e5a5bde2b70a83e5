//! Prompt caches: which beginnings of prompts were seen before, per credential and model.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

use super::prompt::{Mark, Prompt};

/// Chat caches from here on.
const CHAT_LEAST_TOKENS: u64 = 64;
/// Beginnings remembered.
const MOST: usize = 65_536;

/// Input tokens by what the cache made of them; `input` has all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) input: u64,
    pub(super) read: u64,
    pub(super) write_5m: u64,
    pub(super) write_1h: u64,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    seen: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Cache {
    /// OpenAI's: unasked, whole messages.
    pub(super) fn chat(&mut self, credential: &str, prompt: &Prompt) -> Input {
        let prefixes = prefixes(credential, prompt);
        let read = prefixes.iter().rev().find(|p| p.tokens >= CHAT_LEAST_TOKENS && self.seen.contains(&p.digest));
        let input = Input { input: prompt.input_tokens(), read: read.map_or(0, |p| p.tokens), ..Input::default() };
        for prefix in &prefixes {
            self.remember(prefix.digest);
        }
        input
    }

    /// Anthropic's: up to the last mark.
    pub(super) fn messages(&mut self, credential: &str, prompt: &Prompt) -> Input {
        let prefixes = prefixes(credential, prompt);
        let input = prompt.input_tokens();
        let Some(last) = prefixes.iter().rposition(|p| p.mark.is_some()) else {
            return Input { input, ..Input::default() };
        };
        let marked = prefixes.get(..=last).unwrap_or_default();
        let read = marked.iter().rev().find(|p| self.seen.contains(&p.digest)).map_or(0, |p| p.tokens);
        let (end, mark) = marked.last().map_or((0, None), |p| (p.tokens, p.mark));
        for prefix in marked {
            self.remember(prefix.digest);
        }
        let write = end - read.min(end);
        match mark {
            Some(Mark::OneHour) => Input { input, read, write_5m: 0, write_1h: write },
            _ => Input { input, read, write_5m: write, write_1h: 0 },
        }
    }

    fn remember(&mut self, digest: [u8; 32]) {
        if !self.seen.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

struct Prefix {
    digest: [u8; 32],
    tokens: u64,
    mark: Option<Mark>,
}

/// Every beginning of the prompt that ends with a segment.
fn prefixes(credential: &str, prompt: &Prompt) -> Vec<Prefix> {
    let mut hash = Sha256::new();
    hash.update(credential);
    hash.update(&prompt.model);
    let mut tokens = 0;
    let prefix = |segment: &super::prompt::Segment| {
        hash.update([0]);
        hash.update(&segment.identity);
        tokens += segment.tokens;
        Prefix { digest: hash.clone().finalize().into(), tokens, mark: segment.mark }
    };
    prompt.segments.iter().map(prefix).collect()
}
