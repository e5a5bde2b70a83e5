//! Recorded embeddings and rankings of real providers through the translation: every vector bit for
//! bit, in its order, and what was used.

#![expect(clippy::disallowed_types, reason = "the oracle is a plain tree, on purpose another way of reading")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it skipped"
)]

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir::wire::embeddings::{self, Encoding, Shape};
use weir::wire::ir::Dropped;
use weir::wire::{decode_error, rerank, watch};

/// Recordings of APIs that no kind uses, by file or id, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("ollama-embeddings", "its own API; the kind `ollama` uses the one of OpenAI's format"),
    ("cohere-embeddings-043a74eb6ae0", "images, by the first version of its API"),
    ("local-embeddings-faec54af2880", "64-bit floats in base64, as an old vLLM had them: bytes stay"),
];

struct Exchange {
    id: String,
    path: String,
    request: Value,
    status: u16,
    body: String,
}

/// None where the recordings are not at hand; in CI they have to be.
fn recorded(api: &str) -> Option<Vec<Exchange>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
    let dir = std::env::var_os("WEIR_RECORDED").map_or(beside, PathBuf::from);
    let suffix = format!(".{api}.jsonl");
    let files = std::fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.to_str().unwrap().ends_with(&suffix)).collect();
    files.sort();
    if files.is_empty() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no recordings in {}", dir.display());
        println!("skipped: no recordings in {}", dir.display());
        return None;
    }
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let exchange = |line: &str| {
        let it: Value = serde_json::from_str(line).unwrap();
        Exchange {
            id: it["id"].as_str().unwrap().to_owned(),
            path: it["request"]["path"].as_str().unwrap_or_default().to_owned(),
            request: it["request"]["body"].clone(),
            status: u16::try_from(it["response"]["status"].as_u64().unwrap()).unwrap(),
            body: it["response"]["body"].as_str().unwrap().to_owned(),
        }
    };
    Some(texts.iter().flat_map(|text| text.lines().map(exchange)).collect())
}

fn shape(it: &Exchange) -> Shape {
    let provider = it.id.split('-').next().unwrap();
    match provider {
        "bedrock" if it.path.contains("cohere") => Shape::CohereBedrock,
        "bedrock" if it.path.contains("nova") || it.body.contains("\"embeddings\":") => Shape::Nova,
        "bedrock" => Shape::Titan,
        "cohere" => Shape::Cohere,
        "gemini" if it.path.contains(":embedContent") => Shape::GeminiOne,
        "gemini" => Shape::GeminiMany,
        "vertex" => Shape::Predict,
        "voyage" => Shape::Voyage,
        "mistral" => Shape::Mistral,
        "perplexity" => Shape::Perplexity,
        _ => Shape::OpenAi,
    }
}

/// The vectors of an answer, by another way than the translation's.
fn vectors(shape: Shape, body: &Value) -> Vec<Vec<f32>> {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let embeddings = &body["embeddings"];
    let all = match shape {
        Shape::Titan => vec![body["embedding"].clone()],
        Shape::Nova => list(embeddings).iter().map(|it| it["embedding"].clone()).collect(),
        Shape::Cohere | Shape::CohereBedrock if embeddings.is_object() => list(&embeddings["float"]),
        Shape::Cohere | Shape::CohereBedrock => list(embeddings),
        Shape::GeminiOne => vec![body["embedding"]["values"].clone()],
        Shape::GeminiMany => list(embeddings).iter().map(|it| it["values"].clone()).collect(),
        Shape::Predict => list(&body["predictions"]).iter().map(|it| it["embeddings"]["values"].clone()).collect(),
        _ => {
            let mut data = list(&body["data"]);
            data.sort_by_key(|item| item["index"].as_u64());
            data.iter().map(|item| item["embedding"].clone()).collect()
        }
    };
    all.iter().map(|vector| floats(vector, shape == Shape::Perplexity)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "to 32 bits, as every client reads them")]
fn floats(vector: &Value, bytes: bool) -> Vec<f32> {
    match vector.as_str() {
        Some(text) if bytes => STANDARD.decode(text).unwrap().iter().map(|b| f32::from(b.cast_signed())).collect(),
        Some(text) => {
            let bytes = STANDARD.decode(text).unwrap();
            bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
        }
        None => vector.as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect(),
    }
}

fn tokens(shape: Shape, body: &Value) -> Option<u64> {
    match shape {
        Shape::Titan => body["inputTextTokenCount"].as_u64(),
        Shape::Nova | Shape::CohereBedrock => None,
        Shape::Cohere => body["meta"]["billed_units"]["input_tokens"].as_u64(),
        Shape::GeminiOne | Shape::GeminiMany => body["usageMetadata"]["promptTokenCount"].as_u64(),
        Shape::Predict => {
            let all = body["predictions"].as_array().unwrap().iter();
            Some(all.map(|it| it["embeddings"]["statistics"]["token_count"].as_u64().unwrap()).sum())
        }
        _ => body["usage"]["prompt_tokens"].as_u64().or_else(|| body["usage"]["total_tokens"].as_u64()),
    }
}

fn is_excepted(it: &Exchange) -> bool {
    EXCEPTIONS.iter().any(|(id, _)| it.id.starts_with(id))
}

const TOLD: embeddings::Told<'_> = embeddings::Told { model: "m", input_estimate_tokens: 7 };

/// Into each client's shape, and read again there.
fn check_answer(it: &Exchange) {
    let (upstream, theirs): (_, Value) = (shape(it), serde_json::from_str(&it.body).unwrap());
    let (expected, used) = (vectors(upstream, &theirs), tokens(upstream, &theirs));
    for (client, encoding) in [
        (Shape::OpenAi, Encoding::Floats),
        (Shape::OpenAi, Encoding::Base64),
        (Shape::GeminiMany, Encoding::Floats),
        (Shape::GeminiOne, Encoding::Floats),
    ] {
        let turn = embeddings::Turn { client, upstream, encoding };
        let (usage, out) = turn.answer(&[&it.body], &TOLD).unwrap();
        // Where the bytes stay, what was used is read as in any answer of that format.
        let seen = watch::whole(upstream.dialect(), &it.body, &weir::wire::Quirks::NONE).unwrap().usage;
        let usage = usage.or_else(|| seen.filter(|_| client == upstream)).map(|usage| usage.input_tokens());
        assert_eq!(usage, used, "{} for {client:?}", it.id);
        let ours: Value = out.map_or_else(|| theirs.clone(), |out| serde_json::from_slice(&out).unwrap());
        let ours_vectors = vectors(client, &ours);
        let wanted = if client == Shape::GeminiOne { &expected[..1] } else { &expected[..] };
        let bits = |all: &[Vec<f32>]| -> Vec<Vec<u32>> {
            all.iter().map(|vector| vector.iter().map(|float| float.to_bits()).collect()).collect()
        };
        assert_eq!(bits(&ours_vectors), bits(wanted), "{} for {client:?} {encoding:?}", it.id);
        if client == Shape::OpenAi {
            assert_eq!(
                ours["data"][0]["embedding"].is_string(),
                encoding == Encoding::Base64 || theirs["data"][0]["embedding"].is_string() && upstream == Shape::OpenAi
            );
            if client != upstream {
                assert_eq!(ours["usage"]["total_tokens"], used.unwrap_or(7), "{}", it.id);
            }
        }
    }
}

#[test]
fn recorded_vectors_reach_every_client_bit_for_bit() {
    let Some(exchanges) = recorded("embeddings") else { return };
    let mut checked = 0;
    for it in exchanges.iter().filter(|it| it.status == 200 && !is_excepted(it)) {
        check_answer(it);
        checked += 1;
    }
    println!("{checked} of {}", exchanges.len());
    assert!(checked > 100, "{checked}");
}

#[test]
fn recorded_refusals_are_understood() {
    for api in ["embeddings", "rerank"] {
        let Some(exchanges) = recorded(api) else { return };
        for it in exchanges.iter().filter(|it| it.status >= 400) {
            let error = decode_error(shape(it).dialect(), it.status, &it.body);
            assert!(!error.public().is_empty() && error.status() >= 400, "{}: {error:?}", it.id);
            if it.status == 404 {
                assert_eq!(error.status(), 404, "{}: {error:?}", it.id);
            }
        }
    }
}

/// The texts of a request in a vendor's shape.
fn texts(shape: Shape, body: &Value) -> Vec<Value> {
    let parts = |content: &Value| content["parts"][0]["text"].clone();
    let list = |value: &Value| value.as_array().unwrap().clone();
    match shape {
        Shape::GeminiOne => vec![parts(&body["content"])],
        Shape::GeminiMany => list(&body["requests"]).iter().map(|it| parts(&it["content"])).collect(),
        Shape::Predict => list(&body["instances"]).iter().map(|it| it["content"].clone()).collect(),
        Shape::Cohere | Shape::CohereBedrock => list(&body["texts"]),
        Shape::Titan => vec![body["inputText"].clone()],
        Shape::Nova => vec![body["singleEmbeddingParams"]["text"]["value"].clone()],
        _ => list(&body["input"]),
    }
}

#[test]
fn recorded_requests_say_the_same_in_every_shape() {
    let Some(exchanges) = recorded("embeddings") else { return };
    let mut checked = 0;
    for it in exchanges.iter().filter(|it| it.request["input"].is_string() || it.request["input"].is_array()) {
        let body = it.request.to_string();
        let request = embeddings::Request::decode(Shape::OpenAi, &body).unwrap();
        let wanted = match &it.request["input"] {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        if !wanted.iter().all(Value::is_string) {
            continue;
        }
        let size = it.request.get("dimensions").or_else(|| it.request.get("output_dimension"));
        for upstream in Shape::ALL {
            let mut dropped = Dropped::default();
            let bodies = request.encode(upstream, "m", &mut dropped).unwrap();
            let read: Vec<Value> = bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
            let all: Vec<Value> = read.iter().flat_map(|body| texts(upstream, body)).collect();
            assert_eq!(all, wanted, "{} as {upstream:?}", it.id);
            if let Some(size) = size.filter(|size| !size.is_null()) {
                assert!(read[0].to_string().contains(&format!(":{size}")), "{} as {upstream:?}: {}", it.id, read[0]);
            }
        }
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn recorded_rankings_reach_every_client() {
    let Some(exchanges) = recorded("rerank") else { return };
    for it in exchanges.iter().filter(|it| it.status == 200) {
        let upstream = match it.id.split('-').next().unwrap() {
            "cohere" => rerank::Shape::Cohere,
            "voyage" => rerank::Shape::Voyage,
            _ => rerank::Shape::Jina,
        };
        let theirs: Value = serde_json::from_str(&it.body).unwrap();
        let ranked = if upstream == rerank::Shape::Voyage { &theirs["data"] } else { &theirs["results"] };
        let mut asked = it.request.clone();
        asked["return_documents"] = json!(true);
        let request = asked.to_string();
        for client in [rerank::Shape::Jina, rerank::Shape::Voyage] {
            let told = rerank::Told { model: "m", id: "i", input_estimate_tokens: 7 };
            let turn = rerank::Turn { client, upstream, kept: false };
            let (usage, out) = turn.answer(&it.body, &request, &told).unwrap();
            let usage = usage.unwrap();
            let units = &theirs["meta"]["billed_units"]["search_units"];
            assert_eq!(usage.search_units, units.as_u64().unwrap_or(0), "{}", it.id);
            assert_eq!(usage.input_tokens(), theirs["usage"]["total_tokens"].as_u64().unwrap_or(7), "{}", it.id);
            let ours: Value = serde_json::from_slice(&out.unwrap()).unwrap();
            let list = if client == rerank::Shape::Voyage { &ours["data"] } else { &ours["results"] };
            assert_eq!(list.as_array().unwrap().len(), ranked.as_array().unwrap().len(), "{}", it.id);
            for (ours, theirs) in list.as_array().unwrap().iter().zip(ranked.as_array().unwrap()) {
                assert_eq!(ours["index"], theirs["index"], "{}", it.id);
                assert_eq!(ours["relevance_score"], theirs["relevance_score"], "{}", it.id);
                let index = usize::try_from(ours["index"].as_u64().unwrap()).unwrap();
                let text = if client == rerank::Shape::Voyage { &ours["document"] } else { &ours["document"]["text"] };
                assert_eq!(*text, it.request["documents"][index], "{}", it.id);
            }
        }
        for shape in rerank::Shape::ALL {
            let body = it.request.to_string();
            let request = rerank::Request::decode(&body).unwrap();
            let out: Value =
                serde_json::from_slice(&request.encode(shape, "m", &mut Dropped::default()).unwrap()).unwrap();
            assert_eq!((&out["query"], &out["documents"]), (&it.request["query"], &it.request["documents"]));
        }
    }
}
