use crate::error::{Error, Kind};
pub fn decode(_status: u16, _body: &str) -> Error {
    Error::new(Kind::UpstreamFailed, "stub")
}
pub fn encode(error: &Error, _request_id: &str, _out: &mut Vec<u8>) -> u16 {
    error.status()
}
pub fn encode_event(_error: &Error, _request_id: &str, _out: &mut Vec<u8>) {}
