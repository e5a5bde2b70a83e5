//! What was used: grouped, filtered, the dearest first.

use http::StatusCode;

use super::{Answer, Asked};
use crate::store::UsageQuery;
use crate::wire::json::Obj;

/// `{"data": [{tenant, model, ..., requests, ..., cost_usd}], "next_cursor": "..." or null, "source": ...}`
pub(super) fn usage(asked: &Asked<'_>) -> Answer {
    let query = match UsageQuery::read(&asked.query) {
        Ok(query) => query,
        Err(why) => return Answer::error(StatusCode::BAD_REQUEST, "invalid_query", &why),
    };
    let Some(database) = asked.backend.database() else {
        return Answer::unavailable("the database is not open yet");
    };
    match database.usage(&query.and_one_more()) {
        Ok(rows) => {
            let mut body = Vec::new();
            let mut root = Obj::new(&mut body);
            query.write(&rows, "data", &mut root);
            root.text("source", "database");
            drop(root);
            Answer::json(StatusCode::OK, body)
        }
        Err(error) => Answer::unavailable(&error.to_string()),
    }
}
