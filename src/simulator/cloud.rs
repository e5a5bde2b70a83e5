//! Paths at which clouds serve the formats of others: Claude and the OpenAI-compatible models of Vertex
//! AI, the four APIs of Azure. Each becomes the path at the format's own vendor, and the body what
//! that takes.

use serde_json::Value;

use super::failure::Failure;
use super::route::Asked;

/// What Vertex AI insists on in the body of a request to Claude.
const VERSION: &str = "vertex-2023-10-16";

/// What a cloud's path asks for.
#[derive(Debug, PartialEq)]
struct Home<'p> {
    /// At the vendor's own place, without `/v1`.
    path: String,
    /// Where the path says it, and the body does not have to.
    model: Option<&'p str>,
    /// The format of Anthropic in the way of Vertex AI, streamed or not.
    raw_predict: Option<bool>,
}

/// The request as the format's own vendor would get it; `None` where the path is no cloud's. `path` is
/// without its query and its `/v1`.
pub(super) fn at_home(asked: &Asked, path: &str) -> Option<Result<Asked, Failure>> {
    let home = vertex(path).or_else(|| azure(path))?;
    Some(body(asked, &home).map(|body| Asked {
        method: asked.method.clone(),
        path: home.path,
        headers: asked.headers.clone(),
        body,
    }))
}

fn vertex(path: &str) -> Option<Home<'_>> {
    let (_, rest) = path.strip_prefix("/projects/")?.split_once("/locations/")?;
    let (_, rest) = rest.split_once('/')?;
    if let Some(rest) = rest.strip_prefix("endpoints/openapi/") {
        return Some(Home { path: format!("/{rest}"), model: None, raw_predict: None });
    }
    let (model, verb) = rest.strip_prefix("publishers/anthropic/models/")?.split_once(':')?;
    let stream = match verb {
        "rawPredict" => false,
        "streamRawPredict" => true,
        _ => return None,
    };
    Some(match model {
        "count-tokens" => Home { path: "/messages/count_tokens".to_owned(), model: None, raw_predict: Some(stream) },
        model => Home { path: "/messages".to_owned(), model: Some(model), raw_predict: Some(stream) },
    })
}

fn azure(path: &str) -> Option<Home<'_>> {
    let plain = |rest: &str| Some(Home { path: format!("/{rest}"), model: None, raw_predict: None });
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        let (model, rest) = rest.split_once('/')?;
        return Some(Home { path: format!("/{rest}"), model: Some(model), raw_predict: None });
    }
    match path {
        "/models/chat/completions" => plain("chat/completions"),
        "/openai/responses" => plain("responses"),
        _ => ["/openai/v1/", "/anthropic/v1/"].iter().find_map(|at| plain(path.strip_prefix(at)?)),
    }
}

fn body(asked: &Asked, home: &Home<'_>) -> Result<Vec<u8>, Failure> {
    if home.model.is_none() && home.raw_predict.is_none() {
        return Ok(asked.body.clone());
    }
    let mut body: Value = serde_json::from_slice(&asked.body).map_err(|e| Failure::new(400, e.to_string()))?;
    let members = body.as_object_mut().ok_or_else(|| Failure::new(400, "the body is no object".to_owned()))?;
    if let Some(stream) = home.raw_predict {
        if members.remove("anthropic_version").is_none_or(|version| version != VERSION) {
            return Err(Failure::bad("anthropic_version", "anthropic_version: Field required"));
        }
        if home.model.is_some() && members.contains_key("model") {
            return Err(Failure::bad("model", "model: Extra inputs are not permitted"));
        }
        if members.get("stream").is_some_and(|asked| asked == true) != stream {
            return Err(Failure::bad("stream", "stream does not fit the method"));
        }
    }
    if let Some(model) = home.model {
        members.insert("model".to_owned(), model.into());
    }
    Ok(body.to_string().into_bytes())
}
