use super::*;

fn request(shape: Shape, body: &str) -> Request<'_> {
    Request::decode(shape, body).unwrap()
}

/// What goes out, and what was dropped.
fn encoded(body: &str, shape: Shape, model: &str) -> (Vec<String>, Vec<String>) {
    let mut dropped = Dropped::default();
    let bodies = request(Shape::OpenAi, body).encode(shape, model, &mut dropped).unwrap();
    (bodies.into_iter().map(|body| String::from_utf8(body).unwrap()).collect(), dropped.paths().to_vec())
}

fn answered(turn: Turn, bodies: &[&str]) -> (Option<u64>, String) {
    let (usage, out) = turn.answer(bodies, &Told { model: "m", input_estimate_tokens: 9 }).unwrap();
    (usage.map(|usage| usage.input_tokens()), String::from_utf8(out.unwrap()).unwrap())
}

const ASK: &str = r#"{"model":"x","input":["a\u00e9","b"],"dimensions":8,"encoding_format":"base64","user":"u"}"#;

#[test]
fn openais_request_reaches_every_shape() {
    for (shape, expected, dropped) in [
        (
            Shape::OpenAi,
            r#"{"model":"m","input":["a\u00e9","b"],"dimensions":8,"encoding_format":"base64","user":"u"}"#,
            None,
        ),
        (Shape::Mistral, r#"{"model":"m","input":["a\u00e9","b"],"output_dimension":8}"#, Some("user")),
        (
            Shape::Voyage,
            r#"{"model":"m","input":["a\u00e9","b"],"output_dimension":8,"encoding_format":"base64"}"#,
            Some("user"),
        ),
        (Shape::Jina, r#"{"model":"m","input":["a\u00e9","b"],"dimensions":8}"#, Some("user")),
        (
            Shape::GeminiMany,
            concat!(
                r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a\u00e9"}]},"outputDimensionality":8},"#,
                r#"{"model":"models/m","content":{"parts":[{"text":"b"}]},"outputDimensionality":8}]}"#
            ),
            Some("user"),
        ),
        (
            Shape::Predict,
            r#"{"instances":[{"content":"a\u00e9"},{"content":"b"}],"parameters":{"outputDimensionality":8}}"#,
            Some("user"),
        ),
        (
            Shape::Cohere,
            concat!(
                r#"{"model":"m","input_type":"search_document","texts":["a\u00e9","b"],"#,
                r#""embedding_types":["float"],"output_dimension":8}"#
            ),
            Some("user"),
        ),
    ] {
        let (bodies, lost) = encoded(ASK, shape, "m");
        assert_eq!(bodies, [expected], "{shape:?}");
        assert_eq!(lost.first().map(String::as_str), dropped, "{shape:?}");
    }
}

#[test]
fn one_at_a_time_is_asked_one_by_one() {
    let (titan, _) = encoded(ASK, Shape::Titan, "amazon.titan-embed-text-v2:0");
    assert_eq!(titan, [r#"{"inputText":"a\u00e9","dimensions":8}"#, r#"{"inputText":"b","dimensions":8}"#]);
    let (first, lost) = encoded(ASK, Shape::Titan, "amazon.titan-embed-text-v1");
    assert_eq!((first.len(), lost), (2, vec!["dimensions".to_owned(), "user".to_owned()]));
    let (nova, _) = encoded(ASK, Shape::Nova, "amazon.nova-2-multimodal-embeddings-v1:0");
    assert_eq!(nova.len(), 2);
    assert!(
        nova[0].contains(r#""embeddingDimension":8,"text":{"truncationMode":"NONE","value":"a\u00e9"}"#),
        "{nova:?}"
    );
    assert_eq!(encoded(ASK, Shape::Predict, "gemini-embedding-001").0.len(), 2);
    let many = format!(r#"{{"model":"x","input":[{}"a"]}}"#, r#""a","#.repeat(200));
    assert_eq!(encoded(&many, Shape::Cohere, "m").0.len(), 3);
    assert_eq!(encoded(&many, Shape::GeminiMany, "m").0.len(), 3);
}

#[test]
fn options_are_known_by_every_name() {
    let body = r#"{"model":"x","input":"a","task":"retrieval.query","truncation":false,"output_dtype":"int8","odd":1}"#;
    for (shape, parts, lost) in [
        (Shape::Cohere, &[r#""input_type":"search_query""#, r#""truncate":"NONE""#, r#"["int8"]"#][..], &["odd"][..]),
        (Shape::Voyage, &[r#""input_type":"query""#, r#""truncation":false"#, r#""output_dtype":"int8""#], &["odd"]),
        (Shape::Jina, &[r#""task":"retrieval.query""#, r#""truncate":false"#], &["odd"]),
        (Shape::GeminiMany, &[r#""taskType":"RETRIEVAL_QUERY""#], &["truncation", "output_dtype", "odd"]),
        (Shape::Predict, &[r#""task_type":"RETRIEVAL_QUERY""#, r#""autoTruncate":false"#], &["output_dtype", "odd"]),
        (Shape::Nova, &[r#""embeddingPurpose":"GENERIC_RETRIEVAL""#], &["output_dtype", "odd"]),
    ] {
        let (bodies, dropped) = encoded(body, shape, "m");
        assert!(parts.iter().all(|part| bodies[0].contains(part)), "{shape:?}: {bodies:?}");
        assert_eq!(dropped, lost, "{shape:?}");
    }
    // A word nobody knows is the vendor's to judge; one that a vendor has no word for is lost.
    let (bodies, _) = encoded(r#"{"model":"x","input":"a","input_type":"new"}"#, Shape::Voyage, "m");
    assert!(bodies[0].contains(r#""input_type":"new""#));
    let (_, dropped) = encoded(r#"{"model":"x","input":"a","input_type":"clustering"}"#, Shape::Voyage, "m");
    assert_eq!(dropped, ["input_type"]);
}

#[test]
fn token_numbers_need_a_vendor_that_takes_them() {
    for body in [r#"{"model":"x","input":[1,2]}"#, r#"{"model":"x","input":[[1,2],[3]]}"#] {
        let all = request(Shape::OpenAi, body);
        for shape in [Shape::GeminiMany, Shape::Predict, Shape::Cohere, Shape::Titan, Shape::Nova, Shape::Voyage] {
            let error = all.encode(shape, "m", &mut Dropped::default()).unwrap_err();
            assert_eq!((error.status(), error.param()), (400, Some("input")), "{shape:?}");
        }
        all.encode(Shape::OpenAi, "m", &mut Dropped::default()).unwrap();
    }
    assert_eq!((given_tokens("[1, 22,3]"), given_tokens("[[1,2],[33]]"), given_tokens("[\"1 2\"]")), (3, 3, 0));
    for body in [r#"{"model":"x"}"#, r#"{"model":"x","input":[]}"#] {
        assert_eq!(Request::decode(Shape::OpenAi, body).unwrap_err().param(), Some("input"), "{body}");
    }
}

#[test]
fn geminis_request_reaches_openais_shape() {
    let body = concat!(
        r#"{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"},{"text":"b"}]},"outputDimensionality":4,"#,
        r#""taskType":"CLUSTERING"},{"model":"models/x","content":{"parts":[{"text":"c"}]},"outputDimensionality":5}]}"#
    );
    let mut dropped = Dropped::default();
    let bodies = request(Shape::GeminiMany, body).encode(Shape::OpenAi, "m", &mut dropped).unwrap();
    let expected = r#"{"model":"m","input":["ab","c"],"dimensions":4,"encoding_format":"float"}"#;
    assert_eq!(bodies, [expected.as_bytes()]);
    assert_eq!(dropped.paths(), ["requests[1].outputDimensionality", "requests[0].taskType"]);
    let image = r#"{"content":{"parts":[{"inlineData":{}}]}}"#;
    let error = request(Shape::GeminiOne, image).encode(Shape::OpenAi, "m", &mut Dropped::default());
    assert!(error.is_ok(), "an object is for a server of OpenAI's shape to judge");
    assert_eq!(
        renamed(r#"[ {"content":{},"model":"models/x"}]"#, "y").unwrap(),
        r#"[{"content":{},"model":"models/y"}]"#
    );
}

#[test]
fn floats_and_base64_are_the_same_bits() {
    let digits = "[0.1,-1.5,1e-7,3]";
    let base64 = "zczMPQAAwL+Vv9YzAABAQA==";
    let turn = |client, upstream, encoding| Turn { client, upstream, encoding };
    let gemini = format!(r#"{{"embeddings":[{{"values":{digits}}}]}}"#);
    let (usage, floats) = answered(turn(Shape::OpenAi, Shape::GeminiMany, Encoding::Floats), &[&gemini]);
    assert!(floats.contains(&format!(r#""embedding":{digits}"#)), "{floats}");
    assert!(floats.ends_with(r#""model":"m","usage":{"prompt_tokens":9,"total_tokens":9}}"#), "{floats}");
    assert_eq!(usage, None);
    let (_, packed) = answered(turn(Shape::OpenAi, Shape::GeminiMany, Encoding::Base64), &[&gemini]);
    assert!(packed.contains(&format!(r#""embedding":"{base64}""#)), "{packed}");
    let voyage = format!(r#"{{"data":[{{"embedding":"{base64}","index":0}}],"usage":{{"total_tokens":4}}}}"#);
    let (usage, unpacked) = answered(turn(Shape::GeminiOne, Shape::Voyage, Encoding::Floats), &[&voyage]);
    assert_eq!(usage, Some(4));
    assert_eq!(unpacked, r#"{"embedding":{"values":[0.1,-1.5,0.0000001,3]},"usageMetadata":{"promptTokenCount":4}}"#);
    let bytes = r#"{"data":[{"embedding":"/wB/gA==","index":0}]}"#;
    let (_, signed) = answered(turn(Shape::OpenAi, Shape::Perplexity, Encoding::Floats), &[bytes]);
    assert!(signed.contains(r#""embedding":[-1,0,127,-128]"#), "{signed}");
}

#[test]
fn floats_for_a_client_that_asked_for_base64_are_packed_in_place() {
    let turn = Turn { client: Shape::OpenAi, upstream: Shape::OpenAi, encoding: Encoding::Base64 };
    let theirs = r#"{"id":"e1", "data":[{"embedding":[1],"index":1},{"embedding":[0.5],"index":0}],"usage":{"prompt_tokens":2},"x":1e400}"#;
    let (usage, out) = answered(turn, &[theirs]);
    assert_eq!(usage, None, "read where all answers of the format are read");
    let data = concat!(
        r#"[{"object":"embedding","index":0,"embedding":"AAAAPw=="},"#,
        r#"{"object":"embedding","index":1,"embedding":"AACAPw=="}]"#
    );
    assert_eq!(out, format!(r#"{{"id":"e1", "data":{data},"usage":{{"prompt_tokens":2}},"x":1e400}}"#));
    for body in [r#"{"data":[{"embedding":"AAAAPw=="}]}"#, r#"{"odd":1}"#] {
        assert_eq!(
            turn.answer(&[body], &Told { model: "m", input_estimate_tokens: 1 }).unwrap(),
            (None, None),
            "{body}"
        );
    }
}

#[test]
fn several_answers_become_one() {
    let turn = Turn { client: Shape::OpenAi, upstream: Shape::Titan, encoding: Encoding::Floats };
    let first = r#"{"embedding":[1],"embeddingsByType":{"float":[1]},"inputTextTokenCount":3}"#;
    let second = r#"{"embedding":[2],"inputTextTokenCount":4}"#;
    let (usage, out) = answered(turn, &[first, second]);
    assert_eq!(usage, Some(7));
    assert!(out.contains(r#""index":1,"embedding":[2]"#) && out.contains(r#""prompt_tokens":7"#), "{out}");
    for bad in ["{}", "[]", r#"{"embedding":{}}"#] {
        let error = turn.answer(&[bad], &Told { model: "m", input_estimate_tokens: 1 }).unwrap_err();
        assert_eq!(error.kind(), Kind::UpstreamFailed, "{bad}");
    }
}
