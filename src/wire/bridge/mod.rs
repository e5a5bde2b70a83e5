//! What happens to the meaning between two formats, whichever they are: opaque state is sealed on
//! its way to the client and opened on its way back, tools get names and kinds that the target
//! takes, and the request is fitted to what the model can do.
//!
//! One bridge stands for one attempt: it is built while the request is written and sees the answer
//! before the client's encoder does.

mod close;
mod events;
mod open;
mod state;
mod tools;

pub use events::Events;

use close::{Closer, Slots};
use open::Opener;
use state::Maker;
use tools::Tools;

use super::ir::{Dropped, Request, Response, SettingKind};
use super::seal::Seal;
use super::{Dialect, Target};
use crate::error::{Error, Kind, Result};

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub client: Dialect,
    pub upstream: Dialect,
    maker: Maker,
    seal: Seal,
    tools: Tools,
}

impl Bridge {
    /// Fits a decoded request to its target.
    ///
    /// # Errors
    /// References to state that another provider keeps.
    pub fn request(
        request: &mut Request<'_>,
        upstream: Dialect,
        target: &Target<'_>,
        _dropped: &mut Dropped,
    ) -> Result<Self> {
        let client = request.dialect;
        if client != upstream {
            refuse_state(request)?;
        }
        let maker = Maker::of(upstream, target.model);
        Opener { client, upstream, maker, seal: target.seal }.request(request);
        Ok(Self { client, upstream, maker, seal: target.seal.clone(), tools: Tools::default() })
    }

    /// For answers to requests that were not translated here (benches, tests).
    pub fn plain(client: Dialect, upstream: Dialect, seal: &Seal) -> Self {
        Self { client, upstream, maker: Maker::of(upstream, ""), seal: seal.clone(), tools: Tools::default() }
    }

    /// Fits a whole answer to the client.
    pub fn response(&self, response: &mut Response<'_>) {
        let closer = self.closer();
        for choice in &mut response.choices {
            if let Some(closer) = &closer {
                choice.parts = closer.parts(std::mem::take(&mut choice.parts));
            }
            self.tools.answer(&mut choice.parts);
        }
    }

    /// The same for a stream.
    pub fn events(&self) -> Events {
        Events::new(self.closer(), self.tools.clone())
    }

    /// The same format has slots of its own for all there is.
    fn closer(&self) -> Option<Closer> {
        let closer = || Closer { slots: Slots::of(self.client), maker: self.maker, seal: self.seal.clone() };
        (self.client != self.upstream).then(closer)
    }
}

/// State that one provider keeps means nothing to another.
fn refuse_state(request: &Request<'_>) -> Result<()> {
    let state = request.options.iter().find(|o| o.kind == SettingKind::State);
    match state {
        Some(setting) => {
            let message = format!("`{}` needs a provider that keeps state, and this one does not", setting.name);
            Err(Error::new(Kind::NotExpressible, message).with_param(setting.name.to_string()))
        }
        None => Ok(()),
    }
}
