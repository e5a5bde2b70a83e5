//! OpenAI Responses.

use super::{Eye, Glance, Verdict, literal, scan, tier};
use crate::wire::responses;

impl Eye {
    pub(super) fn responses(&mut self, name: &str, data: &str) -> Verdict {
        let kind = match name {
            "" => scan::member(data, "type").map(literal).unwrap_or_default(),
            name => name,
        };
        match kind {
            "response.completed" | "response.incomplete" | "response.cancelled" => {
                self.progress.usage = responses::usage::in_body(data, &self.quirks);
                self.progress.service_tier = scan::member(data, "response").and_then(tier);
                self.progress.has_stopped = true;
                self.progress.complete();
            }
            "response.failed" => {
                // A failed answer may have cost something already.
                self.progress.usage = responses::usage::in_body(data, &self.quirks);
                return self.error(data);
            }
            "error" => return self.error(data),
            "response.created" | "response.in_progress" | "response.queued" => return Verdict::Opening,
            kind if kind.ends_with(".delta") => {
                self.progress.has_content = true;
                self.progress.output += Glance::at(data).text;
            }
            // Items and parts are opened before anything is said: an error may still take its place.
            kind if kind.ends_with(".added") && !self.progress.has_content => return Verdict::Opening,
            "" => {}
            _ => self.progress.has_content = true,
        }
        Verdict::Begun
    }
}
