//! OpenAI's embeddings: <https://platform.openai.com/docs/api-reference/embeddings>.
//!
//! Eight numbers per text (or `dimensions`), from its SHA-256: the same text has the same vector.
//! SDKs ask for base64 unless told otherwise: little-endian 32-bit floats.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::prompt::{number, text, words};

/// The answer and the tokens it used.
pub(super) fn answer(body: &Value) -> Result<(Value, u64), Failure> {
    let model = text(body, "model");
    if model.is_empty() {
        return Err(Failure::bad("model", "you must provide a model parameter"));
    }
    let inputs: Vec<String> = match body.get("input") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) if many.iter().all(Value::is_number) => vec![json!(many).to_string()],
        Some(Value::Array(many)) => {
            many.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect()
        }
        _ => return Err(Failure::bad("input", "'input' is a required property")),
    };
    let dimensions = number(body, "dimensions").unwrap_or(8).clamp(1, 4096);
    let is_base64 = text(body, "encoding_format") == "base64";
    let item = |(index, input): (usize, &String)| {
        let vector = vector(input, dimensions);
        let embedding = if is_base64 {
            json!(STANDARD.encode(vector.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>()))
        } else {
            json!(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = inputs.iter().enumerate().map(item).collect();
    let tokens = inputs.iter().map(|i| words(i)).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok((json!({"object": "list", "data": data, "model": model, "usage": usage}), tokens))
}

fn vector(input: &str, dimensions: usize) -> Vec<f32> {
    let digest = Sha256::digest(input);
    digest.iter().cycle().take(dimensions).map(|b| f32::from(*b) / 256.0 - 0.5).collect()
}
