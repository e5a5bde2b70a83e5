//! OpenAI Responses.

use super::tell::Amend;
use super::{Eye, Glance, MODEL, Verdict, literal, model_of, scan, tier_of};
use crate::wire::responses;
use crate::wire::sse::Frame;

/// What an answer says beside its counts.
const BESIDE: [&str; 3] = ["speed", "service_tier", MODEL];

impl Eye {
    pub(super) fn responses(&mut self, frame: &Frame<'_>, data: &str) -> Verdict {
        let kind = match frame.name {
            "" => scan::member(data, "type").map(literal).unwrap_or_default(),
            name => name,
        };
        // What follows the end of the answer is another one.
        if self.progress.ending.is_some() {
            return Verdict::Begun;
        }
        match kind {
            "response.completed" | "response.incomplete" | "response.cancelled" => {
                self.progress.has_stopped = true;
                self.progress.complete();
                return self.ends(data);
            }
            "response.failed" => {
                // A failed answer may have cost something already.
                self.progress.usage = responses::usage::in_body(data, &self.quirks);
                self.opens(data);
                return self.error(data);
            }
            "error" => return self.error(data),
            "response.created" => {
                self.opens(data);
                return Verdict::Opening;
            }
            "response.in_progress" | "response.queued" => return Verdict::Opening,
            kind if kind.ends_with(".delta") => {
                self.progress.has_content = true;
                self.progress.output += self.alike.text(data).unwrap_or_else(|| {
                    let glance = Glance::at(data);
                    self.told |= item(data);
                    self.alike.learn_in(frame.raw, data, &glance);
                    glance.text
                });
            }
            // Some servers tell an item by its end alone.
            kind if kind.ends_with("_text.done") || kind.ends_with("_arguments.done") => {
                self.progress.has_content = true;
                if self.told & item(data) == 0 {
                    self.told |= item(data);
                    self.progress.output += Glance::at(data).text;
                }
            }
            // Items and parts are opened before anything is said: an error may still take its place.
            kind if kind.ends_with(".added") && !self.progress.has_content => return Verdict::Opening,
            "" => {}
            _ => self.progress.has_content = true,
        }
        Verdict::Begun
    }

    /// What an event says of an answer that may never come to its end.
    fn opens(&mut self, data: &str) {
        let [speed, tier, model] = scan::several(scan::member(data, "response").unwrap_or_default(), BESIDE);
        self.progress.service_tier = tier_of(speed, tier).or_else(|| self.progress.service_tier.take());
        self.progress.model = model_of(model).or_else(|| self.progress.model.take());
    }

    /// The event that holds the whole answer.
    fn ends(&mut self, data: &str) -> Verdict {
        let [usage, tools] = responses::usage::PLACES;
        let response = scan::member(data, "response").unwrap_or_default();
        let [speed, tier, model] = BESIDE;
        let [counts, tools, speed, tier, model] = scan::several(response, [usage, tools, speed, tier, model]);
        let usage = responses::usage::at(counts, tools);
        self.progress.usage = usage.or_else(|| responses::usage::in_body(data, &self.quirks));
        self.progress.service_tier = tier_of(speed, tier).or_else(|| self.progress.service_tier.take());
        self.progress.model = model_of(model).or_else(|| self.progress.model.take());
        usage.and_then(|_| Amend::of(data, counts?)).map_or(Verdict::Begun, Verdict::Amended)
    }
}

/// A bit for the item that an event is about; the last one stands for all that are beyond.
fn item(data: &str) -> u64 {
    let index: u32 = scan::member(data, "output_index").and_then(|index| index.parse().ok()).unwrap_or(0);
    1 << index.min(u64::BITS - 1)
}
