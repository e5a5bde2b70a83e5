//! The formats that clients speak: how they ask, and what an answer or an error has to look like.

use serde_json::{Value, json};

use crate::support::client::Answer;

/// A format of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Chat,
    Messages,
    Responses,
    Gemini,
}

use Format::{Chat, Gemini, Messages, Responses};

pub(crate) const FORMATS: [Format; 4] = [Chat, Messages, Responses, Gemini];

/// What a client reads out of a stream.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) text: String,
    /// Each error event.
    pub(crate) errors: Vec<Value>,
    /// The answer came to the end its format knows.
    pub(crate) is_whole: bool,
}

impl Format {
    pub(crate) fn path(self, model: &str, stream: bool) -> String {
        match (self, stream) {
            (Chat, _) => "/v1/chat/completions".to_owned(),
            (Messages, _) => "/v1/messages".to_owned(),
            (Responses, _) => "/v1/responses".to_owned(),
            (Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
            (Gemini, true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        }
    }

    pub(crate) fn body(self, model: &str, text: &str, stream: bool) -> Value {
        let mut body = match self {
            Chat => json!({"model": model, "messages": [{"role": "user", "content": text}]}),
            Messages => json!({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}),
            Responses => json!({"model": model, "input": text}),
            Gemini => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        };
        if stream && self != Gemini {
            body["stream"] = json!(true);
        }
        body
    }

    /// The text of a whole answer.
    pub(crate) fn text(self, answer: &Value) -> String {
        let texts = |list: &Value| -> String {
            list.as_array().into_iter().flatten().filter_map(|piece| piece["text"].as_str()).collect()
        };
        match self {
            Chat => answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
            Messages => texts(&answer["content"]),
            Responses => {
                let items = answer["output"].as_array().into_iter().flatten();
                items.filter(|item| item["type"] == "message").map(|item| texts(&item["content"])).collect()
            }
            Gemini => texts(&answer["candidates"][0]["content"]["parts"]),
        }
    }

    /// What of the shape of an error answer is wrong.
    pub(crate) fn flaw_of_error(self, answer: &Answer) -> Option<String> {
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return Some("an error that is no JSON".to_owned());
        };
        let error = &body["error"];
        let is_good = match self {
            Chat | Responses => error["type"].is_string() && error.get("code").is_some(),
            Messages => body["type"] == "error" && error["type"].is_string(),
            Gemini => error["code"] == answer.status() && error["status"].is_string(),
        };
        let says = error["message"].as_str().is_some_and(|text| !text.is_empty());
        (!is_good || !says).then(|| format!("not an error of {self:?}"))
    }

    /// What a stream tells, or what breaks its grammar.
    pub(crate) fn read(self, answer: &Answer) -> Result<Told, String> {
        let text = String::from_utf8(answer.body.clone()).map_err(|e| e.to_string())?.replace("\r\n", "\n");
        if !text.is_empty() && !text.ends_with("\n\n") {
            return Err("ends in the middle of an event".to_owned());
        }
        let mut told = Told::default();
        for block in text.split("\n\n").filter(|block| !block.is_empty()) {
            let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            if data.is_empty() {
                if block.lines().any(|line| !line.is_empty() && !line.starts_with(':')) {
                    return Err(format!("neither an event nor a comment: {block:?}"));
                }
                continue;
            }
            if told.is_whole || !told.errors.is_empty() {
                return Err(format!("after the end: {block:?}"));
            }
            self.take(&data.concat(), &mut told).map_err(|e| format!("{e}: {block:?}"))?;
        }
        Ok(told)
    }

    fn take(self, data: &str, told: &mut Told) -> Result<(), String> {
        if data == "[DONE]" && self == Chat {
            told.is_whole = true;
            return Ok(());
        }
        let event: Value = serde_json::from_str(data).map_err(|e| e.to_string())?;
        let says = |error: &Value| error["message"].as_str().is_some_and(|text| !text.is_empty());
        let (text, error, is_end) = match self {
            Chat => (event["choices"][0]["delta"]["content"].as_str(), event.get("error"), false),
            Messages => {
                let error = event.get("error").filter(|error| event["type"] == "error" && error["type"].is_string());
                (event["delta"]["text"].as_str(), error, event["type"] == "message_stop")
            }
            Responses => {
                let error = match event["type"].as_str() {
                    Some("error") => Some(&event),
                    Some("response.failed") => event["response"].get("error"),
                    _ => None,
                };
                let text = event["delta"].as_str().filter(|_| event["type"] == "response.output_text.delta");
                (text, error, event["type"] == "response.completed")
            }
            Gemini => {
                let candidate = &event["candidates"][0];
                let text = candidate["content"]["parts"][0]["text"].as_str();
                (text, event.get("error"), candidate["finishReason"].is_string())
            }
        };
        told.text.push_str(text.unwrap_or_default());
        told.is_whole |= is_end;
        if let Some(error) = error {
            if !says(error) {
                return Err("an error without words".to_owned());
            }
            told.errors.push(error.clone());
        }
        Ok(())
    }
}
