//! Automatic selection: of the models behind one name, which fits this request best.
//!
//! What cannot serve it is left out, each with the reason. The others get a score for what the
//! operator prefers, and are tried in that order. Whole numbers only, and nothing but what is handed
//! in: the same request gets the same decision wherever it is made, and the decision can say in one
//! line how it came about.
//!
//! # The score
//! A score and its parts are millionths (shown as thousandths); `prefer` says what each part weighs.
//! The sum is multiplied by the share of requests that succeed.
//! - *cost*: 1 for the cheapest candidate, 0.5 for one that costs twice as much. A ten-thousandth of a
//!   dollar is added to both: below it, nobody cares. Unknown: 0.
//! - *quality*: what the configuration says (0 to 100), of 100. Where it says nothing, the market's
//!   opinion stands in: 50 for a model whose output costs one dollar per million tokens, 8 more for
//!   each doubling and less for each halving, between 5 and 95; and 50 where the price is unknown too.
//! - *latency*: as cost, by time to the first token, with 50 ms added. Unknown: 0.5, so that a model
//!   nobody has measured is neither chased nor never tried.
//!
//! Who is not known to have an ability the request needs comes after all who are; where cost is
//! preferred, an unknown price after all known ones. Equal scores keep the order of the list.

mod candidate;
mod need;
mod policy;
mod reason;
mod score;

pub use candidate::{Ability, Candidate, Excluded, PricePerToken};
pub use need::{Need, USUAL_OUTPUT_TOKENS};
pub use policy::{Decision, Policy, Verdict};
pub use score::Parts;

#[cfg(test)]
mod tests;
