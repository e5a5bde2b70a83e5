//! `compression`, of tenants, keys and routes.

use crate::config::read::{Size, settings};

settings! {
    /// Fewer tokens in what tools gave back. A request may ask for less in the header
    /// `x-weir-compression`, never for more.
    Compression in "`compression`" {
        /// Say once what a text says many times, so that a model can still read all of it: repeated
        /// lines, common beginnings, progress, terminal codes, white space of JSON, results that were
        /// there before.
        lossless: bool = "true",
        /// Leave out the middle of long logs, listings, search results and output of tests that passed.
        /// Never of files that were read and of commands that failed.
        lossy: bool = "false",
        /// Shorter texts are left alone.
        min_bytes: Size = "512",
        /// The time it may take for one request, in microseconds, reckoned at 100 bytes of text for
        /// each; what comes behind that is left as it is.
        max_micros: u64 = "20000",
        /// Mark the ends of tools, instructions and messages for the prompt cache of Anthropic's models, at
        /// Anthropic or Bedrock, where a request in Anthropic's format has no mark of its own.
        prompt_cache: bool = "false",
        /// Leave out tools that a long conversation never names, once their use has shown in eight rounds of calls.
        /// A model cannot call what it is not told of.
        trim_tools: bool = "false",
        /// Fold what users say, too, where that makes it half as long at most: for agents that send what their tools
        /// gave back as the user's text. Never what is JSON.
        user_texts: bool = "false",
    }
}
