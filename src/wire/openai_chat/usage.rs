use crate::usage::tokens::Usage;
use crate::wire::Quirks;
/// Reads a usage object; `None` where it holds no count.
pub fn decode(_json: &str, _quirks: &Quirks) -> Option<Usage> {
    None
}
/// Writes a usage object.
pub fn encode(_usage: &Usage, _out: &mut Vec<u8>) {}
pub fn in_body(json: &str, quirks: &Quirks) -> Option<Usage> {
    decode(crate::wire::scan::member(json, "usage")?, quirks)
}
