//! A request of this format.

use crate::error::{Error, Result};
use crate::wire::Target;
use crate::wire::ir::{Dropped, Request};

pub fn decode(_body: &str) -> Result<Request<'_>> {
    Err(Error::internal("no decoder"))
}

pub fn encode(_request: &Request<'_>, _target: &Target<'_>, _out: &mut Vec<u8>, _dropped: &mut Dropped) -> Result<()> {
    Err(Error::internal("no encoder"))
}
