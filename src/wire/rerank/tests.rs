use super::*;

fn encoded(body: &str, shape: Shape) -> (String, Vec<String>) {
    let mut dropped = Dropped::default();
    let out = Request::decode(body).unwrap().encode(shape, "m", &mut dropped).unwrap();
    (String::from_utf8(out).unwrap(), dropped.paths().to_vec())
}

const OBJECTS: &str = concat!(
    r#"{"model":"x","query":"q","documents":["a",{"text":"b","id":7}],"top_n":1,"#,
    r#""return_documents":true,"max_tokens_per_doc":9}"#
);

#[test]
fn a_request_reaches_every_shape() {
    let (jina, lost) = encoded(OBJECTS, Shape::Jina);
    let expected = concat!(
        r#"{"model":"m","query":"q","documents":["a",{"text":"b","id":7}],"top_n":1,"#,
        r#""return_documents":true,"max_tokens_per_doc":9}"#
    );
    assert_eq!((jina.as_str(), lost.len()), (expected, 0));
    let (cohere, lost) = encoded(OBJECTS, Shape::Cohere);
    assert_eq!(cohere, r#"{"model":"m","query":"q","documents":["a","b"],"top_n":1,"max_tokens_per_doc":9}"#);
    assert_eq!(lost, ["documents[1].id"]);
    let (bedrock, _) = encoded(OBJECTS, Shape::CohereBedrock);
    assert!(bedrock.starts_with(r#"{"api_version":2,"query":"q""#), "{bedrock}");
    let (voyage, lost) = encoded(OBJECTS, Shape::Voyage);
    assert_eq!(voyage, r#"{"model":"m","query":"q","documents":["a","b"],"top_k":1}"#);
    assert_eq!(lost, ["documents[1].id", "max_tokens_per_doc"]);
}

#[test]
fn bytes_stay_where_the_vendor_takes_them() {
    let plain = Request::decode(r#"{"model":"x","query":"q","documents":["a"],"top_n":1}"#).unwrap();
    assert!(plain.fits(Shape::Jina) && plain.fits(Shape::Cohere) && !plain.fits(Shape::Voyage));
    let objects = Request::decode(OBJECTS).unwrap();
    assert!(objects.fits(Shape::Jina) && !objects.fits(Shape::Cohere));
    let voyage = Request::decode(r#"{"model":"x","query":"q","documents":["a"],"top_k":1}"#).unwrap();
    assert!(voyage.fits(Shape::Voyage) && !voyage.fits(Shape::Jina));
    let odd = Request::decode(r#"{"model":"x","query":"q","documents":[{"image":"u"}]}"#).unwrap();
    let error = odd.encode(Shape::Cohere, "m", &mut Dropped::default()).unwrap_err();
    assert_eq!((error.status(), error.param()), (400, Some("documents[0]")));
}

fn answered(client: Shape, upstream: Shape, body: &str, request: &str) -> (Option<Usage>, String) {
    let turn = Turn { client, upstream, kept: false };
    let told = Told { model: "m", id: "id-1", input_estimate_tokens: 9 };
    let (usage, out) = turn.answer(body, request, &told).unwrap();
    (usage, String::from_utf8(out.unwrap()).unwrap())
}

#[test]
fn coheres_answer_reaches_both_kinds_of_client() {
    let cohere = concat!(
        r#"{"id":"c1","results":[{"index":1,"relevance_score":0.50},{"index":0,"relevance_score":1e-7}],"#,
        r#""meta":{"api_version":{"version":"2"},"billed_units":{"search_units":2}}}"#
    );
    let (usage, out) = answered(Shape::Jina, Shape::Cohere, cohere, OBJECTS);
    let usage = usage.unwrap();
    assert_eq!((usage.search_units, usage.input_tokens()), (2, 9));
    let expected = concat!(
        r#"{"id":"c1","model":"m","results":[{"index":1,"relevance_score":0.50,"document":{"text":"b","id":7}},"#,
        r#"{"index":0,"relevance_score":1e-7,"document":{"text":"a"}}],"usage":{"total_tokens":9},"#,
        r#""meta":{"api_version":{"version":"2"},"billed_units":{"search_units":2}}}"#
    );
    assert_eq!(out, expected);
    let (_, out) = answered(Shape::Voyage, Shape::Cohere, cohere, OBJECTS);
    let expected = concat!(
        r#"{"object":"list","data":[{"index":1,"relevance_score":0.50,"document":"b"},"#,
        r#"{"index":0,"relevance_score":1e-7,"document":"a"}],"model":"m","usage":{"total_tokens":9}}"#
    );
    assert_eq!(out, expected);
}

#[test]
fn voyages_answer_reaches_jinas_clients() {
    let voyage = r#"{"data":[{"index":0,"relevance_score":0.5,"document":"theirs"}],"usage":{"total_tokens":3}}"#;
    let ask = |more: &str| format!(r#"{{"model":"x","query":"q","documents":["a"]{more}}}"#);
    let (usage, out) = answered(Shape::Jina, Shape::Voyage, voyage, &ask(""));
    assert_eq!(usage.map(|u| (u.input_tokens(), u.search_units)), Some((3, 0)));
    assert!(out.contains(r#""document":{"text":"theirs"}"#) && out.contains(r#""id":"id-1""#), "{out}");
    let (_, out) = answered(Shape::Jina, Shape::Voyage, voyage, &ask(r#","return_documents":false"#));
    assert!(!out.contains("document\""), "{out}");
}

#[test]
fn odd_answers_pass_where_bytes_stay_and_fail_where_they_change() {
    let told = Told { model: "m", id: "i", input_estimate_tokens: 1 };
    let kept = Turn { client: Shape::Jina, upstream: Shape::Jina, kept: true };
    assert_eq!(kept.answer("[1]", "{}", &told).unwrap(), (None, None));
    let changed = Turn { kept: false, ..kept };
    assert_eq!(changed.answer(r#"{"odd":1}"#, "{}", &told).unwrap_err().kind(), Kind::UpstreamFailed);
}
