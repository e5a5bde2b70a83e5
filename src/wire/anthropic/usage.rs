use crate::usage::tokens::Usage;
use crate::wire::Quirks;
/// Reads a usage object; `None` where it holds no count.
pub fn decode(_json: &str, _quirks: &Quirks) -> Option<Usage> {
    None
}
/// Writes a usage object.
pub fn encode(_usage: &Usage, _out: &mut Vec<u8>) {}
#[derive(Debug, Clone, Copy, Default)]
pub struct Merge;
impl Merge {
    pub fn start(&mut self, _json: &str) {}
    pub fn delta(&mut self, _json: &str) {}
    pub fn usage(&self) -> Option<Usage> {
        None
    }
}
