//! How a client spells what the intermediate form has one name for: what an encoder drops is named so
//! that the client finds it in its own request.

use super::Dialect;
use super::ir::{At, Dropped, Output, Part, Request, Tool};
use super::json::Str;

impl Request<'_> {
    /// The client's spelling of the member that holds [`Self::stop`].
    pub fn stop_name(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::Responses => "stop",
            Dialect::Anthropic | Dialect::Cohere => "stop_sequences",
            Dialect::Gemini => "generationConfig.stopSequences",
            Dialect::Converse => "inferenceConfig.stopSequences",
        }
    }

    /// The same for the choice among its tools.
    pub fn tool_choice_name(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::Anthropic | Dialect::Responses | Dialect::Cohere => "tool_choice",
            Dialect::Gemini => "toolConfig.functionCallingConfig",
            Dialect::Converse => "toolConfig.toolChoice",
        }
    }

    /// The same for [`Self::parallel_tools`].
    pub fn parallel_tools_name(&self) -> &'static str {
        match self.dialect {
            Dialect::Anthropic => "tool_choice.disable_parallel_tool_use",
            _ => "parallel_tool_calls",
        }
    }

    /// The stop sequences for a target that takes so many and no empty ones; others are named as dropped.
    pub fn stops(&self, most: usize, dropped: &mut Dropped) -> Vec<&Str<'_>> {
        let mut taken = Vec::new();
        for (index, stop) in self.stop.iter().enumerate() {
            match (index < most && !stop.is_empty(), self.stop.len()) {
                (true, _) => taken.push(stop),
                (false, 1) => dropped.push(self.stop_name()),
                (false, _) => dropped.push(format_args!("{}[{index}]", self.stop_name())),
            }
        }
        taken
    }

    /// The client's spelling of the member that holds [`Self::output`].
    pub fn output_name(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::Cohere => "response_format",
            Dialect::Anthropic => "output_config.format",
            Dialect::Responses => "text.format",
            Dialect::Gemini if matches!(self.output, Output::JsonObject) => "generationConfig.responseMimeType",
            Dialect::Gemini => "generationConfig.responseSchema",
            Dialect::Converse => "outputConfig",
        }
    }

    /// The same for a member beside the schema of the answer.
    pub fn beside_schema(&self, name: &str) -> String {
        match self.dialect {
            Dialect::OpenAiChat => format!("response_format.json_schema.{name}"),
            _ => format!("{}.{name}", self.output_name()),
        }
    }

    /// The client's spelling of the member that holds [`Self::max_tokens`]; chat's older one, of two.
    pub fn max_tokens_name(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenAiChat | Dialect::Anthropic | Dialect::Cohere => "max_tokens",
            Dialect::Responses => "max_output_tokens",
            Dialect::Gemini => "generationConfig.maxOutputTokens",
            Dialect::Converse => "inferenceConfig.maxTokens",
        }
    }

    /// The client's spelling of the member that holds [`Self::choices`].
    pub fn choices_name(&self) -> &'static str {
        if self.dialect == Dialect::Gemini { "generationConfig.candidateCount" } else { "n" }
    }
}

impl Tool<'_> {
    /// A client's spelling of a member of a function it declares.
    pub fn spelled(&self, client: Dialect, member: &str) -> String {
        // Chat has them in an object of their own; its older `functions` have not.
        match self.at.same_list(At::member("tools")) && client == Dialect::OpenAiChat {
            true => format!("{}.function.{member}", self.at),
            false => format!("{}.{member}", self.at),
        }
    }
}

impl Part<'_> {
    /// A client's spelling of a member of a piece of content: `title`, `detail`, `citations`.
    pub fn spelled(&self, client: Dialect, member: &str) -> String {
        let member = match (client, member) {
            (Dialect::OpenAiChat, "detail") => "image_url.detail",
            (Dialect::OpenAiChat, "title") => "file.filename",
            (Dialect::Responses, "title") => "filename",
            (Dialect::OpenAiChat | Dialect::Responses, "citations") => "annotations",
            (_, member) => member,
        };
        format!("{}.{member}", self.at)
    }
}
