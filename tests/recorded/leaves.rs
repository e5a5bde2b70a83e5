//! Texts found in recorded requests and answers: every other byte stays what it was.

use weir::wire::leaves::{Edits, Leaf, Leaves};

use crate::{Score, exchanges};

/// All texts replaced by one that none of them is, and back.
fn replaced_and_back(body: &str, find: impl Fn(&str) -> Result<Vec<Leaf>, String>) -> Result<(), String> {
    let before = find(body)?;
    let mut edits = Edits::new();
    before.iter().for_each(|leaf| edits.replace(leaf, "\u{0}\u{e9}\""));
    let other = String::from_utf8(edits.write(body.as_bytes())).map_err(|e| e.to_string())?;
    let after = find(&other)?;
    let mut back = Edits::new();
    for (was, is) in before.iter().zip(&after) {
        if is.text(&other) != "\u{0}\u{e9}\"" {
            return Err(format!("not replaced: {}", is.literal(&other)));
        }
        back.replace_raw(is.span.clone(), was.literal(body).as_bytes().to_vec());
    }
    match after.len() == before.len() && back.write(other.as_bytes()) == body.as_bytes() {
        true => Ok(()),
        false => Err(format!("other bytes changed, or {} texts became {}", before.len(), after.len())),
    }
}

#[test]
fn texts_are_replaced_in_place() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges {
        let dialect = exchange.dialect;
        if let Some(request) = &exchange.request {
            let find = |body: &str| Leaves::of_request(dialect, body).map(|it| it.leaves).map_err(|e| format!("{e:?}"));
            score.note(&exchange, "request", replaced_and_back(&request.to_string(), find));
        }
        if exchange.is_whole() && exchange.body.starts_with('{') {
            let find = |body: &str| Leaves::of_answer(dialect, body).map(|it| it.leaves).map_err(|e| format!("{e:?}"));
            score.note(&exchange, "answer", replaced_and_back(&exchange.body, find));
        }
    }
    score.settle("leaves");
}
