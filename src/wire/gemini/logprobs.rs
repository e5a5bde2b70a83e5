//! Log probabilities of an answer, in chat's words, which are the intermediate form's.

use crate::wire::json::{Json, Listed, Obj, Raw, Rest};
use crate::wire::lenient::{read, text};
use crate::wire_object;

use super::response::one_or_more;

wire_object! {
    struct Logprobs<'a> {
        chosen: Listed<'a> = "chosenCandidates" | "chosen_candidates",
        top: Listed<'a> = "topCandidates" | "top_candidates",
    }
}

wire_object! {
    struct Top<'a> { candidates: Listed<'a> }
}

wire_object! {
    struct Token<'a> { token: Json<'a>, logprob: Json<'a> = "logProbability" | "log_probability" }
}

/// Reads them from what a candidate has beyond its content.
pub(super) fn decode(rest: &Rest<'_>) -> Option<Raw<'static>> {
    let (_, raw) = rest.iter().find(|(name, _)| matches!(&**name, "logprobsResult" | "logprobs_result"))?;
    let it: Logprobs<'_> = raw.read()?;
    let chosen = one_or_more(it.chosen);
    if chosen.is_empty() {
        return None;
    }
    let mut likeliest = one_or_more(it.top).into_iter();
    let mut out = Vec::new();
    {
        let mut all = Obj::new(&mut out);
        let mut list = all.arr("content");
        for raw in chosen {
            // One for each token, so that they stay side by side.
            let top: Top<'_> = read(likeliest.next()).unwrap_or_default();
            let mut entry = list.obj();
            token(raw, &mut entry);
            let mut others = entry.arr("top_logprobs");
            one_or_more(top.candidates).into_iter().for_each(|raw| token(raw, &mut others.obj()));
        }
        drop(list);
        all.null("refusal");
    }
    String::from_utf8(out).ok().map(Raw::owned)
}

fn token(raw: Json<'_>, entry: &mut Obj<'_>) {
    let it: Token<'_> = read(Some(raw)).unwrap_or_default();
    match text(it.token) {
        Some(token) => entry.str("token", &token),
        None => entry.text("token", ""),
    };
    let number = it.logprob.map(Json::get).filter(|number| number.parse::<f64>().is_ok());
    entry.raw("logprob", number.unwrap_or("0")).null("bytes");
}
