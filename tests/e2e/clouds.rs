//! What the tests of Vertex AI and Azure have in common: one provider under test, and every client's
//! format asked whole and streamed.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, message, stream_text, streamed};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, new_dir};

/// A gateway with this one provider (`name: {...}`), which sees these variables.
pub(crate) fn gateway(provider: &str, env: &[(&str, &str)]) -> Gateway {
    Gateway::start_in(new_dir(), &config(provider), env)
}

pub(crate) fn config(provider: &str) -> String {
    format!(
        "server: {{listen: \"127.0.0.1:0\", threads: 2}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n\
         state: {{dir: \"@DIR@/data\"}}\nproviders:\n  {provider}\ndefaults: {{retries: 0}}\n\
         tenants: {{acme: {{keys: [{{id: acme-dev, secret: \"{KEY}\"}}]}}}}\n"
    )
}

/// Every client's format, whole and streamed: path, request, whether streamed.
pub(crate) fn all_formats(model: &str, text: &str) -> Vec<(String, Value, bool)> {
    let gemini = |verb: &str| format!("/v1beta/models/{model}:{verb}");
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    let responses = json!({"model": model, "input": text});
    vec![
        (CHAT.to_owned(), chat(model, text), false),
        (CHAT.to_owned(), streamed(chat(model, text)), true),
        (MESSAGES.to_owned(), message(model, text), false),
        (MESSAGES.to_owned(), streamed(message(model, text)), true),
        ("/v1/responses".to_owned(), responses.clone(), false),
        ("/v1/responses".to_owned(), streamed(responses), true),
        (gemini("generateContent"), contents.clone(), false),
        (gemini("streamGenerateContent?alt=sse"), contents, true),
    ]
}

fn gemini_text(answer: &Value) -> String {
    let parts = answer["candidates"][0]["content"]["parts"].as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// What an answer says, whatever its format.
pub(crate) fn said(answer: &Answer, is_stream: bool) -> String {
    if is_stream {
        let of_responses = |event: &Value| event["type"] == "response.output_text.delta";
        // Google ends its lines as HTTP does.
        let events = Answer { body: answer.text().replace("\r\n", "\n").into(), ..answer.clone() }.events();
        let others = events.iter().filter(|event| event.data != "[DONE]").map(|event| {
            let event = event.json();
            let delta = if of_responses(&event) { event["delta"].as_str().unwrap_or_default() } else { "" };
            delta.to_owned() + &gemini_text(&event)
        });
        return stream_text(&events) + &others.collect::<String>();
    }
    let answer = answer.json();
    let blocks = |list: &Value| {
        let texts = list.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
        texts.collect::<String>()
    };
    let output = answer["output"].as_array().into_iter().flatten();
    [
        answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
        blocks(&answer["content"]),
        output.map(|item| blocks(&item["content"])).collect(),
        gemini_text(&answer),
    ]
    .concat()
}

/// A header of a request in the simulator's log.
pub(crate) fn logged<'e>(entry: &'e Value, name: &str) -> &'e str {
    let mut headers = entry["headers"].as_array().into_iter().flatten();
    headers.find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str()).unwrap_or_default()
}
