//! Other costs for rows that are there: a row and every sum that it is in, all of it or nothing.

use super::columns::{COLUMNS, Columns};
use super::rollup::{RollUps, Sums, TAGS, USAGE, by_day, split};
use super::{Arg, Database, Result, Session, owned};
use crate::ledger::Row;
use crate::record::Record;
use crate::usage::price::PicoUsd;

/// What a rerating writes; the row has to be there with what it had before.
const CHANGED: [&str; 4] = ["cost_pico_usd", "due_pico_usd", "price_version", "rest"];
const UPDATE: &str = "UPDATE weir_requests SET cost_pico_usd = $2, due_pico_usd = $3, price_version = $4, rest = $5 \
    WHERE request_id = $1 AND cost_pico_usd IS NOT DISTINCT FROM $6 AND due_pico_usd IS NOT DISTINCT FROM $7 \
    AND price_version IS NOT DISTINCT FROM $8 AND rest IS NOT DISTINCT FROM $9";

impl Database {
    /// Puts costs in place of those of rows: each is there as it was read, and as it is to be. What has
    /// another cost by now, its own or an attempt's, is left alone. Gives how many were changed.
    pub fn rerate(&self, rows: &[(Row, Row)]) -> Result<u64> {
        let pack = |(was, is): &(Row, Row)| Ok((owned::pack(was)?, owned::pack(is)?));
        let bytes = rows.iter().map(pack).collect::<Result<Vec<_>>>()?;
        let records = bytes.iter().filter_map(|(was, is)| Some((Record::unpack(was)?, Record::unpack(is)?)));
        let records: Vec<(Record<'_>, Record<'_>)> = records.collect();
        self.write(|session| {
            let (mut before, mut after) = (RollUps::default(), RollUps::default());
            let mut changed = 0;
            for (was, is) in &records {
                let (old, new) = (Columns::new(was), Columns::new(is));
                let (old, new) = (old.args(), new.args());
                let (is_to_be, is_now) = (CHANGED.map(|name| cell(&new, name)), CHANGED.map(|name| cell(&old, name)));
                let args: Vec<Arg<'_>> = [cell(&new, "request_id")].into_iter().chain(is_to_be).chain(is_now).collect();
                if session.run(UPDATE, &args)? == 1 {
                    before.add(was);
                    after.add(is);
                    changed += 1;
                }
            }
            for (table, names, before, after) in [
                (USAGE.quarters, USAGE.names, &before.quarters, &after.quarters),
                (USAGE.days, USAGE.names, &by_day(&before.quarters), &by_day(&after.quarters)),
                (TAGS.quarters, TAGS.names, &before.tag_quarters, &after.tag_quarters),
                (TAGS.days, TAGS.names, &by_day(&before.tag_quarters), &by_day(&after.tag_quarters)),
            ] {
                write(session, table, names, before, after)?;
            }
            Ok(changed)
        })
    }
}

fn cell<'a>(args: &[Arg<'a>], name: &str) -> Arg<'a> {
    let at = COLUMNS.iter().position(|column| column.name == name);
    at.and_then(|at| args.get(at)).copied().unwrap_or(Arg::Null)
}

/// Adds what the sums of a table have become more (or less). In the order of their keys, as everybody
/// does who adds to sums.
fn write(session: &mut dyn Session, table: &str, names: &[&str], before: &Sums<'_>, after: &Sums<'_>) -> Result<()> {
    let wanted: Vec<String> = names.iter().zip(7..).map(|(name, place)| format!("{name} = ${place}")).collect();
    let sql = format!(
        "UPDATE {table} SET unpriced = unpriced + $1, cost_micro_usd = cost_micro_usd + $2, \
         cost_rest_pico_usd = cost_rest_pico_usd + $3, due_micro_usd = due_micro_usd + $4, \
         due_rest_pico_usd = due_rest_pico_usd + $5 WHERE bucket = $6 AND {}",
        wanted.join(" AND ")
    );
    for (key, is) in after {
        let was = before.get(key).copied().unwrap_or_default();
        let more = |is: PicoUsd, was: PicoUsd| split(PicoUsd(is.0.saturating_sub(was.0)));
        let (cost, due) = (more(is.cost, was.cost), more(is.due, was.due));
        let unpriced = is.unpriced.cast_signed().saturating_sub(was.unpriced.cast_signed());
        if (cost, due, unpriced) == ((0, 0), (0, 0), 0) {
            continue;
        }
        let numbers = [unpriced, cost.0, cost.1, due.0, due.1, key.0].map(Arg::Int);
        let args: Vec<Arg<'_>> = numbers.into_iter().chain(key.1.iter().map(|name| Arg::Text(name))).collect();
        session.run(&sql, &args)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, By, Span, State, UsageQuery};
    use super::*;
    use crate::ledger::{Asked, Priced};
    use crate::usage::price::PriceTable;

    const LINE: &str = r#"{"request_id":"0","client_request_id":null,"trace_id":null,"started_at":"2026-03-01T23:59:59.999Z","tenant":"acme",
        "key_id":"dev","user":null,"tags":["team=a","team=b"],"format":"chat","route":null,"model":"lab/m","provider":"lab",
        "upstream_model":"m","stream":true,"status":200,"outcome":"finished","attempts":2,"fallback":true,
        "input_tokens":10,"output_tokens":5,"cached_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,
        "usage_source":"reported","usage":{"fresh_input":10,"visible_output":5},
        "service_tier":null,"cost_pico_usd":null,"cost_usd":null,"price_version":null,"duration_ms":1.000,
        "ttft_ms":null,"overhead_ms":0.100,"dropped":[],"error":null,"timeline":[
        {"provider":"dear","endpoint":"dear","model":"d","kind":"first","at_ms":0.000,"duration_ms":1.000,"outcome":"timeout",
        "status":null,"error":"upstream_timeout","input_tokens":30,"output_tokens":0,"usage_source":"estimated",
        "usage":{"fresh_input":30},"cost_pico_usd":5},
        {"provider":"lab","endpoint":"lab","model":"m","kind":"fallback","at_ms":1.000,"duration_ms":1.000,"outcome":"ok",
        "status":200,"error":null}]}"#;

    fn database(name: &str) -> Database {
        let dir = std::env::temp_dir().join(format!("weir-rerate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Database::open(&State { dir, ..State::default() }).unwrap()
    }

    fn rows(database: &Database) -> Vec<Row> {
        database.rows_after(&Span::default(), None, 100).unwrap().into_iter().map(|(_, row)| row).collect()
    }

    fn priced(rows: Vec<Row>, prices: &str, version: &str) -> Vec<(Row, Row)> {
        let table = PriceTable::builtin().with_overrides(prices).unwrap();
        let find = |asked: Asked<'_>| {
            let info = std::sync::Arc::clone(table.exact(asked.provider, asked.upstream_model)?);
            Some(Priced { info, region: None })
        };
        rows.into_iter().map(|row| (row.clone(), crate::ledger::rerate(&row, &find, version))).collect()
    }

    /// By provider: requests whose cost is not known, and the cost of the others.
    fn sums(database: &Database, by: By) -> Vec<(u64, i128)> {
        let query = UsageQuery { by: vec![by], ..UsageQuery::default() };
        let mut sums: Vec<_> =
            database.usage(&query).unwrap().into_iter().map(|row| (row.used.unpriced, row.used.cost.0)).collect();
        sums.sort_unstable();
        sums
    }

    #[test]
    fn rows_and_all_their_sums_change_together() {
        let database = database("together");
        let batch = (0..3)
            .map(|n| Row::read(LINE.replace("\"0\"", &format!("\"{}\"", uuid::Uuid::from_u128(n))).as_bytes()).unwrap())
            .collect();
        database.fold(&Batch { rows: batch, ..Batch::default() }).unwrap();
        assert_eq!(sums(&database, By::Provider), [(0, 15), (3, 0)]);
        let prices = "lab/m: [{input: 1, output: 2}]\ndear/d: [{input: 3}]";
        let pairs = priced(rows(&database), prices, "second");
        assert_eq!(database.rerate(&pairs).unwrap(), 3);
        // 10 x 1 + 5 x 2, and 30 x 3, of three requests.
        assert_eq!(sums(&database, By::Provider), [(0, 60_000_000), (0, 270_000_000)]);
        assert_eq!(sums(&database, By::Tag), [(0, 330_000_000), (0, 330_000_000)]);
        let row = rows(&database).remove(0);
        assert_eq!((row.cost(), row.price_version.as_deref()), (Some(PicoUsd(20_000_000)), Some("second")));
        assert_eq!(row.timeline.first().unwrap().cost_pico_usd, Some(90_000_000));
        assert!(database.verify().unwrap().differences.is_empty());
        // What was read before is no longer so: nothing is counted twice.
        assert_eq!(database.rerate(&pairs).unwrap(), 0);
        // Nor is what somebody has changed in no more than an attempt.
        let mut stale = rows(&database);
        stale.iter_mut().for_each(|row| row.timeline[0].cost_pico_usd = Some(5));
        let other = stale.iter().map(|row| (row.clone(), Row { price_version: None, ..row.clone() }));
        assert_eq!(database.rerate(&other.collect::<Vec<_>>()).unwrap(), 0);
        // And back to dearer and cheaper ones, below a millionth of a USD.
        let pairs = priced(rows(&database), "lab/m: [{input: 0.000001, output: 0}]\ndear/d: [{input: 0}]", "third");
        assert_eq!(database.rerate(&pairs).unwrap(), 3);
        assert_eq!(sums(&database, By::Provider), [(0, 0), (0, 30)]);
        assert!(database.verify().unwrap().differences.is_empty());
    }
}
