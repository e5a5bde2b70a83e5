//! Cohere's rerank, version 2: <https://docs.cohere.com/reference/rerank>, on Bedrock
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-rerank.html>.
//!
//! - texts alone, and none of them in the answer (by its reference, 2026-11)
//! - billed by `search_units`, of which one is a query with up to a hundred documents
//!   (cohere-rerank-252a9c6d26a1, seen 2026-02)

use super::{Request, Shape};
use crate::error::Result;
use crate::wire::ir::Dropped;
use crate::wire::json::Obj;

pub(super) fn encode<'r>(
    shape: Shape,
    request: &'r Request<'_>,
    model: &str,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<Vec<&'r str>> {
    let texts = request.texts(dropped)?;
    let mut body = Obj::new(out);
    match shape {
        Shape::CohereBedrock => body.num("api_version", 2),
        _ => body.text("model", model),
    };
    body.str("query", &request.query);
    {
        let mut documents = body.arr("documents");
        texts.iter().for_each(|text| _ = documents.raw(text.get()));
    }
    request.top.iter().for_each(|top| _ = body.raw("top_n", top.get()));
    Ok(request.options(&["max_tokens_per_doc", "priority"], &mut body))
}
