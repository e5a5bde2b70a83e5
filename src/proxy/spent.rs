//! `GET /v1/usage?by=...`: what the calling key used, from the database. A key sees only its own.

use bytes::Bytes;

use super::Gateway;
use super::context::Exchange;
use super::local;
use crate::error::{Error, Result};
use crate::store::{By, UsageQuery};
use crate::wire::json::Obj;

/// Whether more is asked than what budgets know.
pub(super) fn is_asked(query: Option<&str>) -> bool {
    query.is_some_and(|query| !query.is_empty())
}

/// The answer without a query, and `usage`: the groups.
pub(super) async fn answer(gateway: &Gateway, x: &Exchange, query: &str) -> Result<Bytes> {
    let query = own(x, query)?;
    let asked = query.and_one_more();
    let rows = gateway.stored.ask(move |database| database.usage(&asked)).await?;
    let mut out = Vec::with_capacity(1_024);
    let mut body = Obj::new(&mut out);
    local::write_usage(x, &mut body);
    query.write(&rows, "usage", &mut body);
    drop(body);
    Ok(Bytes::from(out))
}

fn own(x: &Exchange, query: &str) -> Result<UsageQuery> {
    let caller = x.caller.as_ref().ok_or_else(|| Error::internal("no caller"))?;
    let mut query = UsageQuery::read_own(query).map_err(|why| Error::invalid("query", why))?;
    if let Some((by, _)) = query.filters.iter().find(|(by, _)| matches!(by, By::Tenant | By::Key)) {
        return Err(Error::invalid(by.as_str(), "a key sees its own usage only"));
    }
    query.filters.push((By::Tenant, caller.key.tenant.id.clone()));
    query.filters.push((By::Key, caller.key.id.clone()));
    Ok(query)
}
