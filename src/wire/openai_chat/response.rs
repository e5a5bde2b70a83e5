use crate::error::{Error, Result};
use crate::wire::{Client, Quirks, ir};
pub fn decode<'a>(_body: &'a str, _quirks: &Quirks) -> Result<ir::Response<'a>> {
    Err(Error::internal("stub"))
}
pub fn encode(_response: &ir::Response<'_>, _client: &Client<'_>, _out: &mut Vec<u8>) {}
