//! How often an answer is given to who asks the same in other words, and how often to who asks something else:
//! `pairs.tsv` with the vectors of a real model, for several thresholds, with and without what has to agree word for
//! word.
//!
//! `make semantic` starts a small model on this machine. Others: `WEIR_EMBEDDINGS=http://127.0.0.1:8080/v1`,
//! `WEIR_EMBEDDINGS_MODEL=openai/text-embedding-3-small` and `WEIR_EMBEDDINGS_KEY`: an address that speaks OpenAI's
//! API without TLS, such as this gateway.

#![expect(clippy::disallowed_methods, reason = "a bench has no configuration but its environment")]

use std::collections::BTreeMap;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde::Deserialize;
use weir::cache::semantic::Vector;
use weir::cache::semantic::facts::facts;
use weir::wire::json::Obj;

type Failure = Box<dyn std::error::Error>;

/// In one request.
const AT_ONCE: usize = 16;
const THRESHOLDS: [f32; 10] = [0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99];

struct Pair {
    kind: String,
    similarity: f32,
    agrees: bool,
}

impl Pair {
    fn is_same(&self) -> bool {
        self.kind == "same"
    }
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    embedding: Vec<f32>,
}

fn embed(texts: &[&str]) -> Result<Vec<Vector>, Failure> {
    let url = env::var("WEIR_EMBEDDINGS").map_err(|_| "WEIR_EMBEDDINGS is not set: see `make semantic`")?;
    let rest = url.strip_prefix("http://").ok_or("expected an address without TLS: this gateway is one")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut body = Vec::new();
    {
        let mut body = Obj::new(&mut body);
        body.text("model", &env::var("WEIR_EMBEDDINGS_MODEL").unwrap_or_else(|_| "all-MiniLM-L6-v2".to_owned()));
        let mut input = body.arr("input");
        texts.iter().for_each(|text| _ = input.text(text));
    }
    let key = env::var("WEIR_EMBEDDINGS_KEY").unwrap_or_default();
    let mut stream = TcpStream::connect(authority)?;
    write!(
        stream,
        "POST /{}/embeddings HTTP/1.0\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        path.trim_end_matches('/'),
        body.len(),
    )?;
    stream.write_all(&body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.contains(" 200") {
        return Err(format!("the model did not answer: {answer}").into());
    }
    let embeddings: Embeddings = serde_json::from_str(body)?;
    let vectors: Option<Vec<Vector>> = embeddings.data.into_iter().map(|item| Vector::new(item.embedding)).collect();
    vectors.filter(|vectors| vectors.len() == texts.len()).ok_or_else(|| "not a vector for each text".into())
}

fn pairs() -> Result<Vec<Pair>, Failure> {
    let lines = include_str!("pairs.tsv").lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    let mut texts: Vec<&str> = rows.iter().flat_map(|row| row.iter().skip(1).copied()).collect();
    texts.sort_unstable();
    texts.dedup();
    let mut vectors = BTreeMap::new();
    for some in texts.chunks(AT_ONCE) {
        vectors.extend(some.iter().copied().zip(embed(some)?));
    }
    let pair = |row: &Vec<&str>| {
        let [kind, one, other] = row.as_slice() else { return None };
        let similarity = vectors.get(one)?.similarity(vectors.get(other)?)?;
        Some(Pair { kind: (*kind).to_owned(), similarity, agrees: facts(one).is_some() && facts(one) == facts(other) })
    };
    rows.iter().map(pair).collect::<Option<_>>().ok_or_else(|| "a line is not three columns".into())
}

/// Wrong answers among those given, right ones among those that could have been, in words.
fn rates(pairs: &[Pair], is_given: impl Fn(&Pair) -> bool) -> String {
    let count = |wants: bool| pairs.iter().filter(|pair| pair.is_same() == wants && is_given(pair)).count();
    let (right, wrong) = (count(true), count(false));
    let all = pairs.iter().filter(|pair| pair.is_same()).count();
    let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
    format!("{right} | {wrong} | {:.1} % | {:.1} %", percent(right, right + wrong), percent(right, all))
}

fn main() -> Result<(), Failure> {
    let (pairs, mut out) = (pairs()?, std::io::stdout().lock());
    writeln!(out, "{} pairs, {} of them the same.\n", pairs.len(), pairs.iter().filter(|pair| pair.is_same()).count())?;
    writeln!(out, "| threshold | right | wrong | precision | recall | right, guarded | wrong | precision | recall |")?;
    writeln!(out, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for threshold in THRESHOLDS {
        let near = |pair: &Pair| pair.similarity >= threshold;
        let (plain, guarded) = (rates(&pairs, near), rates(&pairs, |pair| near(pair) && pair.agrees));
        writeln!(out, "| {threshold:.2} | {plain} | {guarded} |")?;
    }
    writeln!(
        out,
        "\n| what differs | pairs | nearest | agree word for word | nearest of those |\n|---|--:|--:|--:|--:|"
    )?;
    let mut kinds: Vec<&str> = pairs.iter().map(|pair| pair.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind: Vec<&Pair> = pairs.iter().filter(|pair| pair.kind == kind).collect();
        let agree: Vec<&&Pair> = of_kind.iter().filter(|pair| pair.agrees).collect();
        let nearest = of_kind.iter().map(|pair| pair.similarity).fold(0.0, f32::max);
        let nearest_left = agree.iter().map(|pair| pair.similarity).fold(0.0, f32::max);
        writeln!(out, "| {kind} | {} | {nearest:.3} | {} | {nearest_left:.3} |", of_kind.len(), agree.len())?;
    }
    Ok(())
}
