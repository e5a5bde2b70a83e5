//! What happens to the meaning between two formats, whichever they are: opaque state is sealed on
//! its way to the client and opened on its way back, tools get names and kinds that the target
//! takes, and the request is fitted to what the model can do.
//!
//! One bridge stands for one attempt: it is built while the request is written and sees the answer
//! before the client's encoder does.

mod abilities;
mod close;
mod content;
mod custom;
mod events;
mod history;
mod ids;
mod open;
mod state;
mod tools;

pub(in crate::wire) use abilities::{schema_hint, schema_name};
pub use events::Events;

use close::{Closer, Slots};
use open::Opener;
use state::Maker;
use tools::Tools;

use super::ir::{Dropped, PartKind, Request, Response, SettingKind};
use super::json::Str;
use super::seal::Seal;
use super::{Abilities, Dialect, Quirks, Target};
use crate::error::{Error, Kind, Result};

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub client: Dialect,
    pub upstream: Dialect,
    maker: Maker,
    seal: Seal,
    tools: Tools,
    /// The format stays, and nothing in the request had to change.
    pub leaves_all: bool,
}

impl Bridge {
    /// Fits a decoded request to its target.
    ///
    /// # Errors
    /// References to state that another provider keeps; content and tools that the model does not
    /// take.
    pub fn request(
        request: &mut Request<'_>,
        upstream: Dialect,
        target: &Target<'_>,
        dropped: &mut Dropped,
    ) -> Result<Self> {
        let client = request.dialect;
        if client != upstream {
            refuse_state(request)?;
        }
        let maker = Maker::of(upstream, target.model);
        // Ids that a vendor does not know are left out by its encoder.
        let mut is_changed = client != upstream || !target.quirks.call_ids;
        is_changed |= Opener { client, upstream, maker, seal: target.seal }.request(request);
        is_changed |= abilities::fit(request, target, dropped)?;
        let mut tools = Tools::default();
        if client != upstream {
            history::forget_repetitions(request);
            tools = Tools::fit(request, upstream, dropped);
            content::keep(request, dropped)?;
            history::pair(request);
        }
        let short_ids = target.quirks.short_call_ids;
        if client != upstream || short_ids {
            is_changed |= ids::fit(request, ids::Rule::of(upstream, short_ids));
        }
        Ok(Self { client, upstream, maker, seal: target.seal.clone(), tools, leaves_all: !is_changed })
    }

    /// Whether a body that could pass as it is may have to go over the bridge all the same: state sealed
    /// here, which no upstream may see; what the model cannot do; ids that the upstream refuses. Cheap,
    /// and never wrong with `false`.
    pub fn may_change(body: &[u8], abilities: Abilities, quirks: &Quirks) -> bool {
        Seal::may_be_in(body)
            || abilities != Abilities::UNKNOWN && abilities::may_matter(abilities, body)
            || quirks.short_call_ids && ids::may_be_long(body)
            || !quirks.call_ids && ids::may_be_on_functions(body)
    }

    /// For answers to requests that were not translated here (benches, tests).
    pub fn plain(client: Dialect, upstream: Dialect, seal: &Seal) -> Self {
        let maker = Maker::of(upstream, "");
        Self { client, upstream, maker, seal: seal.clone(), tools: Tools::default(), leaves_all: true }
    }

    /// Fits a whole answer to the client.
    pub fn response(&self, response: &mut Response<'_>) {
        let closer = self.closer();
        for choice in &mut response.choices {
            if let Some(closer) = &closer {
                choice.parts = closer.parts(std::mem::take(&mut choice.parts));
                // What its provider ran is of its own format.
                choice.parts.retain(|part| !matches!(part.kind, PartKind::Other { .. }));
            }
            self.tools.answer(&mut choice.parts);
        }
    }

    /// The same for a stream.
    pub fn events(&self) -> Events {
        Events::new(self.closer(), self.tools.clone())
    }

    /// What stands for the proof of a thought that has none: it opens to nothing.
    pub(in crate::wire) fn no_proof(&self) -> Str<'static> {
        Str::from_text(&self.seal.close(b""))
    }

    /// The same format has slots of its own for all there is.
    fn closer(&self) -> Option<Closer> {
        let closer = || Closer { slots: Slots::of(self.client), maker: self.maker, seal: self.seal.clone() };
        (self.client != self.upstream).then(closer)
    }
}

/// Of a thread of Anthropic's that is no more, in the details of the error.
pub(in crate::wire) const THREAD_NOT_FOUND: &str = "thread_not_found";

/// State that one provider keeps means nothing to another.
fn refuse_state(request: &Request<'_>) -> Result<()> {
    let state = request.options.iter().find(|o| o.kind == SettingKind::State);
    match state {
        // Its SDKs then send all of the conversation.
        Some(setting) if setting.name == "thread" => {
            let text = "the provider of this model keeps no threads: send the whole conversation";
            Err(Error::new(Kind::NotFound, text).with_param("thread").with_code(THREAD_NOT_FOUND))
        }
        Some(setting) if setting.name == "input" => {
            let text =
                "`input` refers to an item that nobody here knows any more: send the item itself (`store: false`)";
            Err(Error::new(Kind::NotExpressible, text).with_param("input"))
        }
        Some(setting) => {
            let message = format!("`{}` needs a provider that keeps state, and this one does not", setting.name);
            Err(Error::new(Kind::NotExpressible, message).with_param(setting.name.to_string()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
