//! How well a candidate fits.

use super::super::log2::{FRACTION_BITS, log2};
use super::candidate::needed;
use super::{Candidate, Need, Verdict};
use crate::config::runtime::Prefer;

/// The highest score, and the highest part of one.
const FULL: u128 = 1_000_000;
/// 0.0001 USD in pico-USD: below this, costs hardly differ.
const NEXT_TO_NOTHING_PICO_USD: u128 = 100_000_000;
/// Nor do times below this.
const HARDLY_FELT_MS: u128 = 50;
/// One USD per million tokens, in pico-USD per token.
const ONE_USD_PER_MILLION: u64 = 1_000_000;
/// What a doubling of the price says of the quality.
const QUALITY_PER_DOUBLING: u64 = 8;
const QUALITY_UNKNOWN: u32 = 50;

/// Parts of a score, in millionths; or what they weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    pub cost: u32,
    pub quality: u32,
    pub latency: u32,
}

/// Percent of the score.
fn weights(prefer: Prefer) -> Parts {
    let [cost, quality, latency] = match prefer {
        Prefer::Cost => [100, 0, 0],
        Prefer::Quality => [0, 100, 0],
        Prefer::Latency => [0, 0, 100],
        Prefer::Balanced => [35, 35, 30],
    };
    Parts { cost, quality, latency }
}

/// The least of all candidates in the running.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    cost: u128,
    ttft_ms: u128,
}

impl Best {
    pub(super) fn of<'c>(need: &Need, running: impl Iterator<Item = &'c Candidate<'c>> + Clone) -> Self {
        Self {
            cost: running.clone().filter_map(|candidate| cost(need, candidate)).min().unwrap_or_default(),
            ttft_ms: running.filter_map(|candidate| candidate.ttft_ms).min().unwrap_or_default().into(),
        }
    }
}

/// In pico-USD, if all the output is used.
fn cost(need: &Need, candidate: &Candidate<'_>) -> Option<u128> {
    let price = candidate.price?;
    let of = |tokens: u64, rate: u64| u128::from(tokens) * u128::from(rate);
    Some(of(need.input_tokens, price.input_pico_usd).saturating_add(of(need.output_tokens, price.output_pico_usd)))
}

pub(super) fn scored(need: &Need, prefer: Prefer, candidate: &Candidate<'_>, best: Best) -> Verdict {
    let cost = cost(need, candidate).map_or(0, |cost| ratio(best.cost, cost, NEXT_TO_NOTHING_PICO_USD));
    let ttft = candidate.ttft_ms.map(u128::from);
    let latency = ttft.map_or(FULL / 2, |ttft_ms| ratio(best.ttft_ms, ttft_ms, HARDLY_FELT_MS));
    let quality = u128::from(quality(candidate)) * FULL / 100;
    let weights = weights(prefer);
    let sum =
        cost * u128::from(weights.cost) + quality * u128::from(weights.quality) + latency * u128::from(weights.latency);
    let succeeds = 1_000_u128.saturating_sub(candidate.error_rate_permille.into());
    let [score, cost, quality, latency] =
        [sum * succeeds / 1_000 / 100, cost, quality, latency].map(|part| u32::try_from(part).unwrap_or(u32::MAX));
    let doubtful = needed(need, candidate).any(|(_, has)| has != Some(true));
    Verdict::Scored { score, parts: Parts { cost, quality, latency }, doubtful }
}

fn ratio(best: u128, own: u128, addend: u128) -> u128 {
    let [best, own] = [best, own].map(|amount| amount.saturating_add(addend).min(u128::MAX / FULL));
    FULL * best / own
}

/// 0 to 100; see the module documentation for what stands in where it is not configured.
fn quality(candidate: &Candidate<'_>) -> u32 {
    let by_price = || {
        let points = |ratio: u64| u32::try_from((ratio * QUALITY_PER_DOUBLING) >> FRACTION_BITS).unwrap_or(u32::MAX);
        let price = log2(candidate.price?.output_pico_usd);
        let usual = log2(ONE_USD_PER_MILLION);
        let above = points(price.saturating_sub(usual));
        let below = points(usual.saturating_sub(price));
        Some((QUALITY_UNKNOWN + above).saturating_sub(below).clamp(5, 95))
    };
    candidate.quality.map(|quality| quality.min(100)).or_else(by_price).unwrap_or(QUALITY_UNKNOWN)
}
