//! Embeddings and rankings: one client's shape over every vendor's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::gateway::{Gateway, PROVIDER_KEY, full_config};
use crate::support::upstream::{Request, Upstream};

const EMBEDDINGS: &str = "/v1/embeddings";

/// With one upstream for all kinds.
fn gateway(upstream: &Upstream, tenant: &str) -> Gateway {
    let address = upstream.address;
    let one = |kind: &str, path: &str| {
        format!("  {kind}: {{kind: {kind}, base_url: \"http://{address}{path}\", api_key: \"{PROVIDER_KEY}\"}}\n")
    };
    let kinds = [
        ("gemini", ""),
        ("voyage", "/v1"),
        ("mistral", "/v1"),
        ("perplexity", ""),
        ("jina", "/v1"),
        ("vllm", "/v1"),
        ("cohere", ""),
    ];
    let providers: String = kinds.iter().map(|(kind, path)| one(kind, path)).collect();
    let more =
        "defaults: {retries: 0}\nroutes:\n  embed: {targets: [{model: gemini/e}, {model: voyage/e}], retries: 1}\n";
    let providers = format!(
        "{providers}  bedrock: {{region: eu-west-1, base_url: \"http://{address}\", api_key: \"{PROVIDER_KEY}\"}}\n"
    );
    let config = full_config("", address, address, tenant, more);
    Gateway::start(&config.replacen("tenants:", &format!("{providers}tenants:"), 1))
}

/// The vector of the input number `n`.
fn vector(n: usize) -> [f32; 3] {
    [f32::from(u16::try_from(n).unwrap()), -0.1, 1e-7]
}

fn base64_of(n: usize) -> String {
    STANDARD.encode(vector(n).iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<_>>())
}

/// Answers as the vendor does whose path and body it sees.
fn answer(request: &Request) -> String {
    let body = request.json();
    let floats = |n: usize| format!("[{},-0.1,1e-7]", n);
    let list = |items: Vec<String>| items.join(",");
    if let Some(requests) = body["requests"].as_array() {
        let all = (0..requests.len()).map(|n| format!("{{\"values\":{}}}", floats(n))).collect();
        return format!("{{\"embeddings\":[{}],\"usageMetadata\":{{\"promptTokenCount\":5}}}}", list(all));
    }
    if body["content"].is_object() {
        return format!("{{\"embedding\":{{\"values\":{}}}}}", floats(0));
    }
    if let Some(texts) = body["texts"].as_array() {
        let all = (0..texts.len()).map(floats).collect();
        return format!(
            "{{\"embeddings\":{{\"float\":[{}]}},\"meta\":{{\"billed_units\":{{\"input_tokens\":5}}}}}}",
            list(all)
        );
    }
    if body["inputText"].is_string() {
        return format!("{{\"embedding\":{},\"inputTextTokenCount\":5}}", floats(0));
    }
    let inputs = body["input"].as_array().map_or(1, Vec::len);
    let item = |n: usize| match body["encoding_format"].as_str() {
        Some("base64") => format!("{{\"object\":\"embedding\",\"index\":{n},\"embedding\":\"{}\"}}", base64_of(n)),
        _ => format!("{{\"object\":\"embedding\",\"index\":{n},\"embedding\":{}}}", floats(n)),
    };
    // The last first: the order is what `index` says.
    let data = list((0..inputs).rev().map(item).collect());
    format!(
        "{{\"object\":\"list\",\"data\":[{data}],\"model\":\"e\",\"usage\":{{\"prompt_tokens\":5,\"total_tokens\":5}}}}"
    )
}

fn vendor() -> Upstream {
    Upstream::start(|request, conn| conn.json(200, &answer(request)))
}

/// The vectors an OpenAI SDK would hand out.
fn vectors(answer: &Answer) -> Vec<Vec<f32>> {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["object"], "list");
    let mut data = body["data"].as_array().unwrap().clone();
    data.sort_by_key(|item| item["index"].as_u64());
    let floats = |vector: &Value| -> Vec<f32> {
        match vector.as_str() {
            Some(text) => {
                let bytes = STANDARD.decode(text).unwrap();
                bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
            }
            None => vector.as_array().unwrap().iter().map(|n| n.to_string().parse().unwrap()).collect(),
        }
    };
    data.iter().map(|item| floats(&item["embedding"])).collect()
}

#[test]
fn openais_sdk_gets_the_same_vectors_from_every_vendor() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "");
    for (nth, model) in
        ["openai/e", "gemini/e", "voyage/e", "mistral/e", "jina/e", "vllm/e", "cohere/e"].into_iter().enumerate()
    {
        for encoding in ["float", "base64"] {
            let body = json!({"model": model, "input": ["a", "b é"], "encoding_format": encoding, "dimensions": 3});
            let answer = gateway.post(EMBEDDINGS, &body);
            assert_eq!(vectors(&answer), [vector(0), vector(1)], "{model} {encoding}");
            let is_text = answer.json()["data"][0]["embedding"].is_string();
            assert_eq!(is_text, encoding == "base64", "{model}: {}", answer.text());
            assert_eq!(answer.json()["usage"]["prompt_tokens"], 5, "{model}");
            assert_eq!(answer.header("x-weir-usage-source"), "reported");
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(seen.json().get("model").and_then(Value::as_str), (model != "gemini/e").then_some("e"));
        }
        let record = gateway.record(2 * (nth + 1));
        let expected = (&json!("embeddings"), &json!(5), &json!(0), &json!("e"));
        let told = (&record["format"], &record["input_tokens"], &record["output_tokens"], &record["upstream_model"]);
        assert_eq!(told, expected, "{record}");
    }
    let metrics = gateway.metrics();
    assert!(metrics.contains("weir_tokens_total{"), "{metrics}");
}

#[test]
fn every_vendor_gets_its_own_words() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "");
    let body = |model: &str| json!({"model": model, "input": "a", "dimensions": 3, "input_type": "query", "user": "u"});
    for (model, path, expected, dropped) in [
        (
            "voyage/e",
            "/v1/embeddings",
            json!({"model": "e", "input": ["a"], "output_dimension": 3, "input_type": "query"}),
            "user",
        ),
        (
            "mistral/e",
            "/v1/embeddings",
            json!({"model": "e", "input": ["a"], "output_dimension": 3}),
            "input_type, user",
        ),
        (
            "jina/e",
            "/v1/embeddings",
            json!({"model": "e", "input": ["a"], "dimensions": 3, "task": "retrieval.query"}),
            "user",
        ),
        (
            "gemini/e",
            "/v1beta/models/e:batchEmbedContents",
            json!({"requests": [{"model": "models/e",
            "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY"}]}),
            "user",
        ),
    ] {
        let answer = gateway.post(EMBEDDINGS, &body(model));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let seen = upstream.requests().pop().unwrap();
        assert_eq!((seen.path.as_str(), seen.json()), (path, expected));
        assert_eq!(answer.header("x-weir-dropped"), dropped, "{model}");
        let strict = gateway.call_with("POST", EMBEDDINGS, &[("x-weir-strict", "true")], &body(model));
        assert_eq!(strict.status(), 400, "{model}");
    }
    let answer = gateway.post(EMBEDDINGS, &body("openai/e"));
    assert_eq!(answer.header("x-weir-dropped"), "");
    assert_eq!(upstream.requests().pop().unwrap().json(), crate::ask::with(body("openai/e"), json!({"model": "e"})));
}

#[test]
fn more_inputs_than_a_vendor_takes_are_asked_one_after_the_other() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "");
    let inputs: Vec<String> = (0..250).map(|n| format!("text {n}")).collect();
    let answer = gateway.post(EMBEDDINGS, &json!({"model": "gemini/e", "input": inputs}));
    let all = vectors(&answer);
    assert_eq!(
        (all.len(), &all[99], &all[100], &all[249]),
        (250, &vector(99).to_vec(), &vector(0).to_vec(), &vector(49).to_vec())
    );
    let seen = upstream.requests();
    let counts: Vec<usize> = seen.iter().map(|r| r.json()["requests"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [100, 100, 50]);
    assert!(upstream.connections() <= 2, "one after the other, mostly on the same connection");
    let record = gateway.record(1);
    assert_eq!((&record["input_tokens"], &record["attempts"]), (&json!(15), &json!(1)), "{record}");
}

#[test]
fn bedrock_is_asked_in_the_words_of_each_maker() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "");
    let body = |model: &str| json!({"model": format!("bedrock/{model}"), "input": ["a", "b"]});
    let titan = gateway.post(EMBEDDINGS, &body("amazon.titan-embed-text-v2:0"));
    assert_eq!(vectors(&titan), [vector(0), vector(0)]);
    assert_eq!(titan.json()["usage"]["prompt_tokens"], 10);
    let seen = upstream.requests();
    let texts: Vec<Value> = seen.iter().map(|request| request.json()["inputText"].clone()).collect();
    assert_eq!(
        (texts, seen[1].path.as_str()),
        (vec![json!("a"), json!("b")], "/model/amazon.titan-embed-text-v2%3A0/invoke")
    );
    let cohere = gateway.post(EMBEDDINGS, &body("us.cohere.embed-v4:0"));
    assert_eq!(vectors(&cohere), [vector(0), vector(1)]);
    let seen = upstream.requests().pop().unwrap();
    let expected = json!({"input_type": "search_document", "texts": ["a", "b"], "embedding_types": ["float"]});
    assert_eq!((seen.path.as_str(), seen.json()), ("/model/us.cohere.embed-v4%3A0/invoke", expected));
    assert_eq!(gateway.post(EMBEDDINGS, &body("amazon.nova-lite-v1:0")).status(), 400);
}

#[test]
fn one_of_several_that_fails_fails_the_attempt() {
    let upstream = Upstream::start(|request, conn| match (request.path.contains("batch"), request.number) {
        (true, 1) => conn.json(503, r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#),
        _ => conn.json(200, &answer(request)),
    });
    let gateway = gateway(&upstream, "");
    let inputs: Vec<String> = (0..150).map(|n| format!("text {n}")).collect();
    let answer = gateway.post(EMBEDDINGS, &json!({"model": "embed", "input": inputs}));
    assert_eq!(vectors(&answer).len(), 150);
    assert_eq!((answer.header("x-weir-provider"), answer.header("x-weir-fallback-used")), ("voyage", "1"));
}

#[test]
fn what_was_answered_before_one_of_several_failed_is_counted() {
    let upstream = Upstream::start(|request, conn| match request.number {
        0 => conn.json(200, &answer(request)),
        _ => conn.json(400, r#"{"message":"no"}"#),
    });
    let gateway = gateway(&upstream, "");
    let body = json!({"model": "bedrock/amazon.titan-embed-text-v2:0", "input": ["a", "b", "c"]});
    assert_eq!(gateway.post(EMBEDDINGS, &body).status(), 400);
    let record = gateway.record(1);
    assert_eq!((&record["input_tokens"], &record["usage_source"]), (&json!(5), &json!("partial")), "{record}");
}

#[test]
fn geminis_clients_keep_their_bytes_and_reach_others() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "");
    let content = json!({"parts": [{"text": "a"}]});
    let one = json!({"content": content, "taskType": "CLUSTERING"});
    let answer = gateway.post("/v1beta/models/gemini/e:embedContent", &one);
    assert_eq!((answer.status(), answer.text()), (200, r#"{"embedding":{"values":[0,-0.1,1e-7]}}"#.to_owned()));
    let seen = upstream.requests().pop().unwrap();
    assert_eq!((seen.path.as_str(), seen.json()), ("/v1beta/models/e:embedContent", one.clone()));
    assert_eq!(answer.header("x-weir-usage-source"), "estimated");
    let many = json!({"requests": [{"model": "models/gemini/e", "content": content}, {"model": "models/gemini/e", "content": content}]});
    let answer = gateway.post("/v1beta/models/gemini/e:batchEmbedContents", &many);
    assert_eq!(answer.json()["embeddings"].as_array().unwrap().len(), 2, "{}", answer.text());
    assert_eq!(upstream.requests().pop().unwrap().json()["requests"][1]["model"], "models/e");
    let answer = gateway.post("/v1beta/models/openai/e:batchEmbedContents", &many);
    assert_eq!(answer.json()["embeddings"][1]["values"], json!([1, -0.1, 1e-7]), "{}", answer.text());
    assert_eq!(answer.json()["usageMetadata"]["promptTokenCount"], 5);
    let answer = gateway.post("/v1beta/models/openai/e:embedContent", &one);
    assert_eq!(answer.json()["embedding"]["values"].as_array().map(Vec::len), Some(3), "{}", answer.text());
    assert_eq!(answer.header("x-weir-dropped"), "taskType");
}

#[test]
fn what_cannot_be_embedded_is_refused_in_the_callers_format() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "    models: [\"gemini/*\", \"anthropic/*\"]");
    let code =
        |answer: &Answer| (answer.status(), answer.json()["error"]["param"].as_str().unwrap_or_default().to_owned());
    let tokens = gateway.post(EMBEDDINGS, &json!({"model": "gemini/e", "input": [[1, 2], [3]]}));
    assert_eq!(code(&tokens), (400, "input".to_owned()), "{}", tokens.text());
    assert_eq!(code(&gateway.post(EMBEDDINGS, &json!({"model": "gemini/e"}))), (400, "input".to_owned()));
    let none = gateway.post(EMBEDDINGS, &json!({"model": "anthropic/claude-haiku-4-5", "input": "a"}));
    assert_eq!(code(&none), (400, "model".to_owned()), "{}", none.text());
    assert_eq!(gateway.post(EMBEDDINGS, &json!({"model": "openai/e", "input": "a"})).status(), 403);
    assert_eq!(gateway.post(EMBEDDINGS, &json!({"model": "nobody/e", "input": "a"})).status(), 404);
    let missing = gateway.post("/v1beta/models/gemini/e:embedContent", &json!({}));
    assert_eq!((missing.status(), &missing.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_vendors_refusal_reaches_the_caller_in_its_format() {
    let upstream = Upstream::json(400, r#"{"detail":"Model e is not supported."}"#);
    let gateway = gateway(&upstream, "");
    let answer = gateway.post(EMBEDDINGS, &json!({"model": "voyage/e", "input": "a"}));
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status(), &error["type"]), (400, &json!("invalid_request_error")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("Model e is not supported."), "{error}");
}

#[test]
fn limits_hold_for_embeddings() {
    let upstream = vendor();
    let gateway = gateway(&upstream, "    limits: {tokens_per_minute: 8}");
    let body = json!({"model": "openai/e", "input": [[1, 2, 3, 4, 5]]});
    assert_eq!(gateway.post(EMBEDDINGS, &body).status(), 200);
    let answer = gateway.post(EMBEDDINGS, &body);
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
}

/// Ranks the second document before the first, in the shape the path and the body ask for.
fn reranker() -> Upstream {
    Upstream::start(|request, conn| {
        match request.json()["top_k"].is_null() {
        true => conn.json(200, r#"{"id":"r1","results":[{"index":1,"relevance_score":0.90},{"index":0,"relevance_score":0.1}],"usage":{"total_tokens":6}}"#),
        false => conn.json(200, r#"{"object":"list","data":[{"relevance_score":0.90,"index":1},{"relevance_score":0.1,"index":0}],"model":"r","usage":{"total_tokens":6}}"#),
    }
    })
}

#[test]
fn a_ranking_comes_in_the_shape_of_its_client() {
    let upstream = reranker();
    let gateway = gateway(&upstream, "");
    let ask = |model: &str, more: Value| {
        crate::ask::with(json!({"model": model, "query": "q", "documents": ["one", {"text": "two", "id": 2}]}), more)
    };
    for (nth, (path, model)) in
        [("/v1/rerank", "vllm/r"), ("/v2/rerank", "voyage/r"), ("/rerank", "jina/r")].into_iter().enumerate()
    {
        let answer = gateway.post(path, &ask(model, json!({"top_n": 2, "return_documents": true})));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let first = answer.json()["results"][0].clone();
        assert_eq!((&first["index"], first["relevance_score"].to_string().as_str()), (&json!(1), "0.9"), "{model}");
        assert_eq!(answer.json()["usage"]["total_tokens"], 6);
        assert_eq!(answer.header("x-weir-usage-source"), "reported");
        if model == "voyage/r" {
            assert_eq!(first["document"], json!({"text": "two", "id": 2}));
            let seen = upstream.requests().pop().unwrap().json();
            assert_eq!(seen, json!({"model": "r", "query": "q", "documents": ["one", "two"], "top_k": 2}));
            assert_eq!(answer.header("x-weir-dropped"), "documents[1].id");
        }
        let record = gateway.record(nth + 1);
        assert_eq!((&record["format"], &record["input_tokens"]), (&json!("rerank"), &json!(6)), "{record}");
    }
    for model in ["voyage/r", "vllm/r"] {
        let answer = gateway.post("/v1/rerank", &ask(model, json!({"top_k": 1})));
        assert_eq!(answer.json()["data"][0]["index"], 1, "{}", answer.text());
        assert!(answer.json().get("results").is_none());
    }
}

/// By its own price for each search unit, whatever the tokens.
#[test]
fn cohere_ranks_by_search_units() {
    let upstream = Upstream::json(
        200,
        r#"{"id":"c1","results":[{"index":0,"relevance_score":0.5}],"meta":{"billed_units":{"search_units":2}}}"#,
    );
    let address = upstream.address;
    let cohere = format!(
        "  cohere: {{base_url: \"http://{address}\", api_key: k, models: {{r: {{price: [{{request: 0.002}}]}}}}}}\ntenants:"
    );
    let config = full_config("", address, address, "", "").replacen("tenants:", &cohere, 1);
    let gateway = Gateway::start(&config);
    let body = json!({"model": "cohere/r", "query": "q", "documents": ["one"]});
    for (more, same) in [(json!({}), true), (json!({"return_documents": true}), false)] {
        let answer = gateway.post("/v2/rerank", &crate::ask::with(body.clone(), more));
        assert_eq!((answer.status(), answer.header("x-weir-cost-usd")), (200, "0.004"), "{}", answer.text());
        assert_eq!(upstream.requests().pop().unwrap().path, "/v2/rerank");
        assert_eq!(answer.json()["results"][0]["document"]["text"] == "one", !same, "{}", answer.text());
        assert_eq!(answer.json()["meta"]["billed_units"]["search_units"], 2);
    }
}

#[test]
fn a_ranking_needs_its_members_and_a_vendor_that_ranks() {
    let upstream = reranker();
    let gateway = gateway(&upstream, "");
    let body = json!({"model": "vllm/r", "query": "q", "documents": ["one"]});
    for name in ["model", "query", "documents"] {
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove(name);
        let answer = gateway.post("/v1/rerank", &without);
        assert_eq!((answer.status(), &answer.json()["error"]["param"]), (400, &json!(name)), "{}", answer.text());
    }
    let answer = gateway.post("/v1/rerank", &crate::ask::with(body, json!({"model": "openai/gpt-4o-mini"})));
    assert_eq!(answer.status(), 400, "{}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
}
