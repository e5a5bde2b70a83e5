//! What was spent before this process counted: asked of the ledger's database at the start, and later
//! for users and tags that come anew and for budgets that a reload brings.
//!
//! Sums are of quarter-hours; the rest of a stretch is added up from its rows (without what attempts used
//! that did not answer).

use std::collections::HashMap;

use crate::config::runtime::ModelPattern;
use crate::limit::Scope;
use crate::limit::budget::{Accounts, Spend, Wanted};
use crate::store::{By, Database, Filters, StoreError, UsageQuery, Used};

/// Sums are of quarter-hours.
const QUARTER_MS: u64 = 900_000;

/// Answers all that the accounts want to know. At the start nothing of this process is in the database,
/// and all of it counts; later only what ended before the account began.
pub(super) fn restore(
    accounts: &Accounts,
    database: &Database,
    unix_ms: u64,
    at_start: bool,
) -> Result<usize, StoreError> {
    let mut restored = 0;
    let mut asked: HashMap<(&'static str, u64, u64), Sums> = HashMap::new();
    for wanted in accounts.wanted(unix_ms) {
        let until_ms = if at_start { u64::MAX } else { wanted.before_ms - wanted.before_ms % QUARTER_MS };
        let question = (wanted.scope.kind(), wanted.begins_ms, until_ms);
        let sums = match asked.entry(question) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(sums(database, &wanted, until_ms)?),
        };
        let mut spent = spent(sums, &wanted.scope);
        if !at_start {
            let stretch = [until_ms.max(wanted.begins_ms), wanted.before_ms].map(signed);
            spent = spent.plus(rest(database, &wanted.scope, stretch)?);
        }
        if accounts.restore_spent(&wanted, spent) {
            restored += 1;
        }
    }
    Ok(restored)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// What the rows of a stretch come to that sums are too coarse for.
fn rest(database: &Database, scope: &Scope, [from_ms, before_ms]: [i64; 2]) -> Result<Spend, StoreError> {
    let tenant = (By::Tenant, scope.tenant().to_owned());
    let filters: Filters = match scope {
        Scope::Tenant(_) | Scope::Model { .. } => vec![tenant],
        Scope::Key { key, .. } => vec![tenant, (By::Key, key.clone())],
        Scope::User { user, .. } => vec![tenant, (By::User, user.clone())],
        Scope::Tag { tag, .. } => vec![tenant, (By::Tag, tag.clone())],
    };
    // No column knows the pattern of a model.
    let by: &[By] = if matches!(scope, Scope::Model { .. }) { &MODELS } else { &[] };
    let rows = database.used_between(&filters, by, from_ms, before_ms)?;
    Ok(if by.is_empty() { sum(rows.iter().map(|(_, used)| used)) } else { spent(&rows, scope) })
}

/// What patterns of models are compared with.
const MODELS: [By; 4] = [By::Tenant, By::Model, By::Provider, By::UpstreamModel];

/// Used by everyone of a kind, by their names.
type Sums = Vec<(Vec<Option<String>>, Used)>;

fn sums(database: &Database, wanted: &Wanted, until_ms: u64) -> Result<Sums, StoreError> {
    let by: &[By] = match wanted.scope {
        Scope::Tenant(_) => &[By::Tenant],
        Scope::Key { .. } => &[By::Tenant, By::Key],
        Scope::User { .. } => &[By::Tenant, By::User],
        Scope::Tag { .. } => &[By::Tenant, By::Tag],
        Scope::Model { .. } => &MODELS,
    };
    let seconds = |ms: u64| i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    let until_s = (until_ms != u64::MAX).then(|| seconds(until_ms));
    let query =
        UsageQuery { by: by.to_vec(), since_s: Some(seconds(wanted.begins_ms)), until_s, ..UsageQuery::default() };
    Ok(database.usage(&query)?.into_iter().map(|row| (row.names, row.used)).collect())
}

fn spent(sums: &Sums, scope: &Scope) -> Spend {
    sum(sums.iter().filter(|(names, _)| is_of(names, scope)).map(|(_, used)| used))
}

fn sum<'u>(all: impl Iterator<Item = &'u Used>) -> Spend {
    all.fold(Spend::default(), |sum, used| sum.plus(Spend { tokens: used.tokens(), cost: used.charged() }))
}

fn is_of(names: &[Option<String>], scope: &Scope) -> bool {
    let name = |at: usize| names.get(at).and_then(Option::as_deref).unwrap_or_default();
    if name(0) != scope.tenant() {
        return false;
    }
    match scope {
        Scope::Tenant(_) => true,
        Scope::Key { key, .. } => name(1) == key,
        Scope::User { user, .. } => name(1) == user,
        Scope::Tag { tag, .. } => name(1) == tag,
        Scope::Model { pattern, .. } => {
            let pattern = ModelPattern(pattern.clone());
            pattern.matches(name(1)) || pattern.matches(&format!("{}/{}", name(2), name(3)))
        }
    }
}
