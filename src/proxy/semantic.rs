//! Kept answers to questions that only mean the same: what is looked for behind an exact miss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

use super::Gateway;
use super::context::Exchange;
use super::inner::Inner;
use crate::cache::flight::Kept;
use crate::cache::key::{self, Ask, Key};
use crate::cache::semantic::{self, Question, Vector};
use crate::config::cache::{Caching, Semantic};
use crate::error::{Error, Kind, Result};
use crate::limit::clock::{unix_ms, whole_ms};
use crate::record::Purpose;
use crate::stage::accept::Endpoint;
use crate::telemetry::Sameness;
use crate::wire::envelope::Envelope;
use crate::wire::json::Obj;
use crate::wire::leaves;

/// Questions without a vector that get one beside the one that is asked. Older ones are not compared.
const MOST_UNKNOWN: usize = 15;

/// A question that is asked now.
#[derive(Debug)]
pub(super) struct Asking {
    place: Key,
    text: Box<str>,
    vector: Option<Vector>,
}

/// What the request asks, where it may be answered by what another one was told. `ask` is the whole request.
pub(super) fn question(x: &Exchange, caching: &Caching, ask: &Ask<'_>) -> Option<Asking> {
    let model = &caching.semantic.as_ref()?.model;
    let dialect = x.endpoint.and_then(Endpoint::generation)?;
    let body = std::str::from_utf8(&x.body).ok()?;
    let leaf = leaves::question(dialect, body)?;
    let text = leaf.text(body);
    if text.len() > semantic::MOST_TEXT_BYTES {
        return None;
    }
    // All but the text: as the client said it, which is what the provider's request is made of.
    let rest = [body.get(..leaf.span.start)?, "\"\"", body.get(leaf.span.end..)?].concat();
    let envelope = Envelope::parse_str(&rest).ok()?;
    let rest = key::key(&Ask { body: &envelope, ..*ask });
    let place = semantic::place(&rest, &format!("{dialect:?} {model}"), &text)?;
    Some(Asking { place, text: text.into(), vector: None })
}

/// The answer to the same question, where one is kept. Whatever goes wrong is a miss.
pub(super) async fn find(gateway: &Gateway, x: &Exchange, caching: &Caching, asking: &mut Asking) -> Option<Kept> {
    let settings = caching.semantic.as_ref()?;
    let known = gateway.cache.questions.of(&asking.place, unix_ms());
    if known.is_empty() {
        // Nobody is asked where there is nothing to compare with.
        return None;
    }
    let tenant = x.caller.as_ref().map(|caller| caller.key.tenant.id.as_str()).unwrap_or_default();
    let same = match embed(gateway, x, settings, asking, &known).await {
        Ok(vector) => {
            let same = nearest(gateway, caching, settings, asking, &vector, &known).await;
            asking.vector = Some(vector);
            same
        }
        Err(why) => {
            tracing::debug!(request_id = %x.request_id, %why, "a question could not be embedded");
            gateway.telemetry.compared(tenant, Sameness::Failed);
            return None;
        }
    };
    gateway.telemetry.compared(tenant, if same.is_some() { Sameness::Same } else { Sameness::Other });
    same
}

/// Keeps a question, for which an answer was kept.
pub(super) fn keep(gateway: &Gateway, asking: Asking, answer: Key, ttl: Duration) {
    let now_ms = unix_ms();
    let question = Question::new(asking.text, asking.vector, answer, now_ms.saturating_add(whole_ms(ttl)));
    gateway.cache.questions.put(&asking.place, question, now_ms);
}

/// The vector of what is asked; those of the others that have none yet come with it.
async fn embed(
    gateway: &Gateway,
    x: &Exchange,
    settings: &Semantic,
    asking: &Asking,
    known: &[Arc<Question>],
) -> Result<Vector> {
    let unknown: Vec<&Arc<Question>> = known.iter().rev().filter(|it| !it.has_vector()).take(MOST_UNKNOWN).collect();
    let mut body = Vec::with_capacity(256);
    {
        let mut body = Obj::new(&mut body);
        body.text("model", &settings.model).text("encoding_format", "float");
        let mut input = body.arr("input");
        input.text(&asking.text);
        unknown.iter().for_each(|question| _ = input.text(&question.text));
    }
    let deadline = x.attempt.as_ref().map(|attempt| attempt.deadline.at);
    let left = deadline.map_or(settings.timeout, |at| at.saturating_duration_since(Instant::now()));
    let within = settings.timeout.min(left);
    let inner = Inner { purpose: Purpose::Cache, path: "/v1/embeddings", body: Bytes::from(body), within };
    let answer = gateway.ask_self(x, inner).await?;
    let mut vectors = vectors(&answer, unknown.len() + 1)?.into_iter();
    let own = vectors.next().ok_or_else(|| Error::internal("no vector"))?;
    unknown.iter().zip(vectors).for_each(|(question, vector)| question.learn(vector));
    Ok(own)
}

/// Those of an answer, in the order in which they were asked for.
fn vectors(answer: &[u8], count: usize) -> Result<Vec<Vector>> {
    #[derive(Deserialize)]
    struct Embeddings {
        data: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        index: usize,
        embedding: Vec<f32>,
    }
    let unfit = || Error::new(Kind::UpstreamFailed, "an answer without a vector for each text");
    let mut all: Embeddings = serde_json::from_slice(answer).map_err(|_| unfit())?;
    all.data.sort_by_key(|item| item.index);
    let vectors: Option<Vec<Vector>> = all.data.into_iter().map(|item| Vector::new(item.embedding)).collect();
    vectors.filter(|vectors| vectors.len() == count).ok_or_else(unfit)
}

/// Of those that are near enough the nearest one whose answer is still there.
async fn nearest(
    gateway: &Gateway,
    caching: &Caching,
    settings: &Semantic,
    asking: &Asking,
    vector: &Vector,
    known: &[Arc<Question>],
) -> Option<Kept> {
    let threshold = settings.threshold.part();
    let near = |question| Some((Question::similarity(question, vector)?, question));
    let mut near: Vec<(f32, &Question)> = known.iter().map(AsRef::as_ref).filter_map(near).collect();
    near.retain(|(similarity, _)| f64::from(*similarity) >= threshold);
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    for (similarity, question) in near {
        let key = question.answer;
        let answer = match gateway.cache.get(&key, caching.ttl) {
            Some(answer) => Some(answer),
            None => gateway.cache.fetch(&key, caching.ttl).await,
        };
        match answer {
            Some(answer) => return Some(Kept { answer, key, similarity: Some(thousandths(similarity)) }),
            None => gateway.cache.questions.forget(&asking.place, &key),
        }
    }
    None
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
fn thousandths(similarity: f32) -> u16 {
    (similarity.clamp(0.0, 1.0) * 1_000.0) as u16
}
