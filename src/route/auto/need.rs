//! What a request needs of a model.

use crate::wire::ir::{Output, Part, PartKind, Request, Role, Turn};

/// Output tokens where the request sets no bound.
pub const USUAL_OUTPUT_TOKENS: u64 = 1_024;

/// See the module documentation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    pub images: bool,
    pub audio: bool,
    pub documents: bool,
    pub tools: bool,
    /// Asked for in so many words; most formats allow it unasked.
    pub parallel_tools: bool,
    pub json_schema: bool,
    pub reasoning: bool,
    /// Instructions, before the first turn or later.
    pub system: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Need {
    /// Of a request whose prompt was estimated at so many tokens.
    pub fn of(request: &Request<'_>, input_tokens: u64) -> Self {
        let mut need = Self {
            tools: !request.tools.is_empty(),
            parallel_tools: !request.tools.is_empty() && request.parallel_tools == Some(true),
            json_schema: matches!(request.output, Output::JsonSchema { .. }),
            reasoning: request.reasoning.as_ref().is_some_and(|reasoning| !reasoning.disabled),
            system: !request.system.is_empty() || request.turns.iter().any(instructs),
            input_tokens,
            output_tokens: request.max_tokens.unwrap_or(USUAL_OUTPUT_TOKENS),
            ..Self::default()
        };
        // What an assistant said is told to any model, whatever it was.
        let told = request.turns.iter().filter(|turn| turn.role != Role::Assistant);
        told.flat_map(|turn| &turn.parts).for_each(|part| need.add(part));
        need
    }

    fn add(&mut self, part: &Part<'_>) {
        match &part.kind {
            PartKind::Image { .. } => self.images = true,
            PartKind::Audio { .. } => self.audio = true,
            PartKind::Document { media, .. } => self.documents |= !media.is_text(),
            PartKind::ToolResult { content, .. } => content.iter().for_each(|part| self.add(part)),
            _ => {}
        }
    }
}

fn instructs(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Dialect, decode_request};

    fn of(dialect: Dialect, body: &str) -> Need {
        Need::of(&decode_request(dialect, body).unwrap(), 7)
    }

    const PLAIN: Need = Need {
        images: false,
        audio: false,
        documents: false,
        tools: false,
        parallel_tools: false,
        json_schema: false,
        reasoning: false,
        system: false,
        input_tokens: 7,
        output_tokens: USUAL_OUTPUT_TOKENS,
    };

    fn chat(members: &str) -> Need {
        of(Dialect::OpenAiChat, &format!(r#"{{"model":"m",{members}}}"#))
    }

    #[test]
    fn a_plain_request_needs_nothing() {
        assert_eq!(chat(r#""messages":[{"role":"user","content":"hi"}]"#), PLAIN);
        let earlier = r#""messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}]"#;
        assert_eq!(chat(earlier), PLAIN);
    }

    #[test]
    fn what_is_in_it_is_needed() {
        let user = |part: &str| chat(&format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#));
        let image = r#"{"type":"image_url","image_url":{"url":"https://a/b.png"}}"#;
        assert_eq!(user(image), Need { images: true, ..PLAIN });
        let audio = r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#;
        assert_eq!(user(audio), Need { audio: true, ..PLAIN });
        let pdf = r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}}"#;
        assert_eq!(user(pdf), Need { documents: true, ..PLAIN });
        let both = format!(
            r#""messages":[{{"role":"developer","content":"d"}},{{"role":"user","content":[{image},{audio}]}}],"max_tokens":9"#
        );
        assert_eq!(chat(&both), Need { images: true, audio: true, system: true, output_tokens: 9, ..PLAIN });
    }

    #[test]
    fn what_it_asks_for_is_needed() {
        let asks = |members: &str| chat(&format!(r#""messages":[{{"role":"user","content":"hi"}}],{members}"#));
        let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
        assert_eq!(asks(tools), Need { tools: true, ..PLAIN });
        let parallel = format!(r#"{tools},"parallel_tool_calls":true"#);
        assert_eq!(asks(&parallel), Need { tools: true, parallel_tools: true, ..PLAIN });
        assert_eq!(asks(r#""parallel_tool_calls":true"#), PLAIN);
        let schema = r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}"#;
        assert_eq!(asks(schema), Need { json_schema: true, ..PLAIN });
        assert_eq!(asks(r#""reasoning_effort":"high""#), Need { reasoning: true, ..PLAIN });
    }

    #[test]
    fn results_of_tools_may_hold_images_and_text_is_no_document() {
        let messages = |content: &str| {
            let body = format!(
                r#"{{"model":"m","max_tokens":5,"system":"s","thinking":{{"type":"disabled"}},"messages":[{{"role":"user","content":[{content}]}}]}}"#
            );
            of(Dialect::Anthropic, &body)
        };
        let base = Need { system: true, output_tokens: 5, ..PLAIN };
        let image = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#;
        let result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{image}]}}"#);
        assert_eq!(messages(&result), Need { images: true, ..base });
        let text = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}"#;
        assert_eq!(messages(text), base);
    }
}
