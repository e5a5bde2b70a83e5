//! The grammar of stream events, see `ir::Event`.

use std::collections::BTreeMap;

use weir::wire::ir::{Event, PartStart};

/// What has been seen of one stream.
#[derive(Default)]
pub(crate) struct Grammar {
    started: bool,
    /// Open parts: their choice, and whether they are calls.
    open: BTreeMap<u32, (u32, bool)>,
    used: Vec<u32>,
    stopped: Vec<u32>,
    over: bool,
    fault: Option<String>,
}

impl Grammar {
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        if let Err(fault) = self.check(event) {
            self.fault.get_or_insert(fault);
        }
    }

    fn check(&mut self, event: &Event<'_>) -> Result<(), String> {
        let sound = |good: bool, what: &str| if good { Ok(()) } else { Err(format!("{what}: {event:?}")) };
        sound(!self.over, "after the end")?;
        match event {
            Event::Start { .. } => sound(!std::mem::replace(&mut self.started, true), "a second start"),
            Event::PartStart { index, choice, part } => {
                sound(self.started && self.stopped.is_empty(), "a part before the start or after a stop")?;
                sound(!self.used.contains(index), "an index used twice")?;
                let is_call = matches!(part, PartStart::ToolCall { .. });
                let beside = self.open.values().filter(|(c, _)| c == choice).all(|(_, call)| *call && is_call);
                sound(beside, "parts that overlap")?;
                self.used.push(*index);
                self.open.insert(*index, (*choice, is_call));
                Ok(())
            }
            Event::Delta { index, .. } => sound(self.open.contains_key(index), "a delta of no open part"),
            Event::PartEnd { index } => sound(self.open.remove(index).is_some(), "the end of no open part"),
            Event::Usage(_) => sound(self.started, "usage before the start"),
            Event::Stop { choice, .. } => {
                sound(self.started && self.open.is_empty(), "a stop with parts open")?;
                sound(!self.stopped.contains(choice), "a second stop")?;
                self.stopped.push(*choice);
                Ok(())
            }
            Event::Ping => Ok(()),
            Event::Error(_) => {
                self.over = true;
                Ok(())
            }
            Event::End => {
                self.over = true;
                sound(!self.stopped.is_empty() && self.open.is_empty(), "an end without a stop")
            }
        }
    }

    pub(crate) fn verdict(self) -> Result<(), String> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.over => Ok(()),
            None => Err("neither end nor error".to_owned()),
        }
    }
}
