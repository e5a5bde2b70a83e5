use crate::error::{Error, Result};
use crate::wire::{Target, ir};
pub fn decode(_body: &str) -> Result<ir::Request<'_>> {
    Err(Error::internal("stub"))
}
pub fn encode(
    _request: &ir::Request<'_>,
    _target: &Target<'_>,
    _out: &mut Vec<u8>,
    _dropped: &mut ir::Dropped,
) -> Result<()> {
    Err(Error::internal("stub"))
}
