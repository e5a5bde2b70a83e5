//! What a server's tool gave, as text for a model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::tools::{End, Outcome};

/// Text as it is, the rest by name: a model that is given a result can read text.
pub(super) fn outcome(result: &CallToolResult, most_bytes: usize) -> Outcome {
    let mut text = String::new();
    for block in &result.content {
        if !text.is_empty() {
            text.push('\n');
        }
        match block {
            ContentBlock::Text(block) => text.push_str(&block.text),
            ContentBlock::Image(image) => text.push_str(&format!("[an image, {}]", image.mime_type)),
            ContentBlock::Audio(audio) => text.push_str(&format!("[a sound, {}]", audio.mime_type)),
            ContentBlock::Resource(resource) => match &resource.resource {
                ResourceContents::TextResourceContents { text: inner, .. } => text.push_str(inner),
                ResourceContents::BlobResourceContents { uri, .. } => text.push_str(&format!("[a file, {uri}]")),
                _ => text.push_str("[a resource]"),
            },
            ContentBlock::ResourceLink(link) => text.push_str(&format!("[a link, {}]", link.uri)),
            _ => text.push_str("[something that is no text]"),
        }
    }
    if let (true, Some(structured)) = (text.is_empty(), &result.structured_content) {
        text = structured.to_string();
    }
    cut(&mut text, most_bytes);
    let is_error = result.is_error.unwrap_or(false);
    let end = if is_error { End::Failed } else { End::Done };
    let verbatim = serde_json::to_string(result).ok().filter(|json| json.len() <= most_bytes);
    Outcome { text, is_error, end, verbatim }
}

/// Cuts between characters, and says so.
fn cut(text: &mut String, most_bytes: usize) {
    if text.len() > most_bytes {
        let at = (0..=most_bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push_str(&format!("\n[cut off after {at} bytes]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str, most_bytes: usize) -> Outcome {
        outcome(&serde_json::from_str(json).unwrap(), most_bytes)
    }

    #[test]
    fn a_result_is_its_text() {
        let mixed = r#"{"content":[{"type":"text","text":"one"},{"type":"image","data":"aGk=","mimeType":"image/png"},
            {"type":"resource","resource":{"uri":"f:a","text":"two"}}],"isError":false}"#;
        let outcome = told(mixed, 1_000);
        assert_eq!((outcome.text.as_str(), outcome.is_error), ("one\n[an image, image/png]\ntwo", false));
        assert!(outcome.verbatim.unwrap().contains("aGk="));
        let failed = told(r#"{"content":[{"type":"text","text":"no such file"}],"isError":true}"#, 1_000);
        assert_eq!((failed.text.as_str(), failed.is_error, failed.end), ("no such file", true, End::Failed));
        assert_eq!(told(r#"{"content":[],"structuredContent":{"n":1}}"#, 1_000).text, r#"{"n":1}"#);
    }

    #[test]
    fn a_long_result_is_cut_between_characters() {
        let outcome = told(r#"{"content":[{"type":"text","text":"aéé"}]}"#, 4);
        assert_eq!(outcome.text, "aé\n[cut off after 3 bytes]");
        assert_eq!(outcome.verbatim, None);
    }
}
