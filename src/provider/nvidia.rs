//! NVIDIA's hosted NIM endpoints; a NIM of one's own takes `base_url`. Model names carry their
//! author: `nvidia/llama-3.3-nemotron-super-49b-v1`.
//!
//! Usage: OpenAI's (by its reference, 2026-11).
//!
//! Quirks:
//! - roles are `system`, `user`, `assistant` and `tool` (by its reference)
//!
//! No recorded exchange: its facts are from its reference.

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "nvidia",
    title: "NVIDIA NIM",
    apis: &[Api::CHAT],
    base_url: Some("https://integrate.api.nvidia.com/v1"),
    paths: Paths { completions: Some("/completions"), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["NVIDIA_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "nvidia",
    docs_url: "https://docs.api.nvidia.com/nim/reference/llm-apis",
};
