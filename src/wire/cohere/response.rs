//! A whole answer of this format.

use crate::error::{Error, Result};
use crate::wire::ir::Response;
use crate::wire::{Client, Quirks};

pub fn decode<'a>(_body: &'a str, _quirks: &Quirks) -> Result<Response<'a>> {
    Err(Error::internal("no decoder"))
}

pub fn encode(_response: &Response<'_>, _client: &Client<'_>, _out: &mut Vec<u8>) {}
