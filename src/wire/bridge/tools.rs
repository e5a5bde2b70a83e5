//! Tools as the target takes them, and their calls as the client knows them.

use crate::wire::ir::{Arguments, Part, PartKind};
use crate::wire::json::Str;

/// What answers have to be told back by.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// Names as they were sent, with the client's own.
    renamed: Vec<(Str<'static>, Str<'static>)>,
    /// The client's names of its custom tools that were sent as functions.
    unwrapped: Vec<Str<'static>>,
}

impl Tools {
    /// The calls of an answer, as the client declared the tools.
    pub(super) fn answer(&self, parts: &mut [Part<'_>]) {
        for part in parts {
            let PartKind::ToolCall { name, arguments, .. } = &mut part.kind else { continue };
            if let Some((_, own)) = self.renamed.iter().find(|(sent, _)| sent == name) {
                *name = own.clone();
            }
            if self.unwrapped.contains(name) {
                *arguments = Arguments::Text(arguments.input());
            }
        }
    }

    /// The client's name of a tool that is being called, and what its arguments go through.
    pub(super) fn call(&self, sent: &Str<'_>, custom: bool) -> (Str<'static>, Option<Call>) {
        let name = self
            .renamed
            .iter()
            .find(|(known, _)| known == sent)
            .map_or_else(|| sent.clone().into_owned(), |(_, own)| own.clone());
        let call = (!custom && self.unwrapped.contains(&name)).then(Call::default);
        (name, call)
    }
}

/// The arguments of a function that stands for a custom tool, on their way to its free text.
#[derive(Debug, Default)]
pub(super) struct Call {
    json: String,
}

impl Call {
    pub(super) fn push(&mut self, json: &Str<'_>, _sink: &mut dyn FnMut(Str<'_>)) {
        self.json.push_str(json.escaped());
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Str<'_>)) {
        let input = Arguments::Encoded(Str::from_escaped(&self.json)).input();
        if !input.is_empty() {
            sink(input);
        }
    }
}
