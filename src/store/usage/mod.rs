//! What was used, from the sums. Whole days come from the table of days, the rest of a stretch from that
//! of quarter-hours, so that years are as quick as hours.

mod ask;

pub(crate) use ask::members;

use super::requests::Conditions;
use super::rollup::{SUMS, TAGS, Tables, USAGE, Used, of_a_row};
use super::time::{self, DAY_S, HOUR_S, QUARTER_S};
use super::{Cells, Database, Result, Session, StoreError};

/// What sums are apart by. Times are in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    Tenant,
    Key,
    User,
    Tag,
    Route,
    Model,
    Provider,
    UpstreamModel,
    Month,
    Day,
    Hour,
}

impl By {
    pub const ALL: [Self; 11] = [
        Self::Tenant,
        Self::Key,
        Self::User,
        Self::Tag,
        Self::Route,
        Self::Model,
        Self::Provider,
        Self::UpstreamModel,
        Self::Month,
        Self::Day,
        Self::Hour,
    ];

    /// In queries and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Key => "key",
            Self::User => "user",
            Self::Tag => "tag",
            Self::Route => "route",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::UpstreamModel => "upstream_model",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// `tenant,model`: each once, one of time at most.
    pub fn list(text: &str) -> std::result::Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let known = || Self::ALL.map(Self::as_str).join(", ");
            let by = Self::ALL.into_iter().find(|by| by.as_str() == word);
            let by = by.ok_or_else(|| format!("`{word}` is none of {}", known()))?;
            if all.contains(&by) {
                return Err(format!("`{word}` is there twice"));
            }
            all.push(by);
        }
        if all.iter().filter(|by| by.is_time()).count() > 1 {
            return Err("one of month, day, hour is enough".to_owned());
        }
        Ok(all)
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Month | Self::Day | Self::Hour)
    }

    /// Its column; none for time.
    const fn column(self) -> Option<&'static str> {
        match self {
            Self::Tenant => Some("tenant"),
            Self::Key => Some("key_id"),
            Self::User => Some("end_user"),
            Self::Tag => Some("tag"),
            Self::Route => Some("route"),
            Self::Model => Some("model"),
            Self::Provider => Some("provider"),
            Self::UpstreamModel => Some("upstream_model"),
            Self::Month | Self::Day | Self::Hour => None,
        }
    }
}

/// Only what has these names.
pub type Filters = Vec<(By, String)>;

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    pub by: Vec<By>,
    pub filters: Filters,
    /// Seconds since 1970. Sums are of quarter-hours: the one that this is in is counted whole.
    pub since_s: Option<i64>,
    /// Up to before then; the quarter-hour that it is in is counted whole.
    pub until_s: Option<i64>,
    /// 0: all.
    pub limit: u32,
    /// That many are left out.
    pub offset: u64,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// In the order of `by`. A name is `None` where requests had none.
    pub names: Vec<Option<String>>,
    pub used: Used,
}

/// Buckets of one tenant that are worth naming one by one: its place in the key comes after theirs.
const MOST_NAMED: i64 = 3_000;

impl UsageQuery {
    /// Why this cannot be asked.
    pub fn wrong(&self) -> Option<String> {
        if self.tables() == TAGS {
            let asked = self.by.iter().copied().chain(self.filters.iter().map(|(by, _)| *by));
            let absent = asked.filter_map(|by| Some((by, by.column()?))).find(|(_, c)| !TAGS.names.contains(c));
            if let Some((by, _)) = absent {
                return Some(format!("`{}` and `tag` cannot be asked for together", by.as_str()));
            }
        }
        let of_time = self.filters.iter().find(|(by, _)| by.is_time());
        of_time.map(|(by, _)| format!("`{}` is no filter: since and until are", by.as_str()))
    }

    fn tables(&self) -> Tables {
        let tags = self.by.contains(&By::Tag) || self.filters.iter().any(|(by, _)| *by == By::Tag);
        if tags { TAGS } else { USAGE }
    }
}

impl Database {
    /// What was used, the dearest first.
    pub fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        if let Some(wrong) = query.wrong() {
            return Err(StoreError::new(super::Fault::Failed, wrong));
        }
        let tables = query.tables();
        self.read(|session| {
            let Some(stretch) = Stretch::of(query, tables, session)? else { return Ok(Vec::new()) };
            let mut conditions = Conditions::default();
            let sql = statement(query, tables, &stretch, &mut conditions);
            session.all(&sql, &conditions.args, |cells| row(query, cells))
        })
    }
}

impl Database {
    /// What was used by rows that began at `from_ms` or later and ended before `before_ms`, of those with
    /// these names, each group of `by` for itself: for stretches that sums are too coarse for.
    pub fn used_between(
        &self,
        filters: &Filters,
        by: &[By],
        from_ms: i64,
        before_ms: i64,
    ) -> Result<Vec<(Vec<Option<String>>, Used)>> {
        let sums = of_a_row().map(|column| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"));
        let columns: Vec<&str> = by.iter().filter_map(|by| by.column()).collect();
        let shown = columns.iter().copied().chain(sums.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
        let mut sql = format!(
            "SELECT {shown} FROM weir_requests WHERE started_ms >= $1 AND started_ms + COALESCE(duration_us, 0) / 1000 < $2"
        );
        let mut args: Vec<super::Arg<'_>> = vec![from_ms.into(), before_ms.into()];
        let tag = |(by, name): &(By, String)| (*by == By::Tag).then(|| serde_json::to_string(name).unwrap_or_default());
        let tags: Vec<String> = filters.iter().filter_map(tag).collect();
        let mut tags = tags.iter();
        for (by, name) in filters {
            let number = args.len() + 1;
            match (by, by.column()) {
                (By::Tag, _) => {
                    // As it stands in the list, and to the letter: LIKE is another thing in each database.
                    sql.push_str(&format!(" AND REPLACE(tags, ${number}, '') <> tags"));
                    args.extend(tags.next().map(super::Arg::from));
                }
                (_, Some(column)) => {
                    sql.push_str(&format!(" AND {column} = ${number}"));
                    args.push(name.into());
                }
                (_, None) => {}
            }
        }
        if !columns.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", columns.join(", ")));
        }
        let read = |cells: &dyn Cells| {
            let names = (0..columns.len()).map(|at| cells.text(at)).collect::<Result<_>>()?;
            Ok((names, Used::read(cells, columns.len())?))
        };
        self.read(|session| session.all(&sql, &args, read))
    }
}

/// What of the tables is looked at: quarter-hours, days, quarter-hours; each up to before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: i64,
    to: i64,
    /// Empty (`begin >= end`) where no whole day is in it, or hours are wanted.
    days: (i64, i64),
}

impl Stretch {
    /// Bounded by what there is. `None`: nothing.
    fn of(query: &UsageQuery, tables: Tables, session: &mut dyn Session) -> Result<Option<Self>> {
        let days = tables.days;
        let sql = format!("SELECT (SELECT MIN(bucket) FROM {days}), (SELECT MAX(bucket) FROM {days})");
        let bounds = session.one(&sql, &[], |cells| Ok((cells.int(0)?, cells.int(1)?)))?;
        let Some((Some(first), Some(last))) = bounds else { return Ok(None) };
        Ok(Self::within(query, first, last + DAY_S))
    }

    fn within(query: &UsageQuery, first: i64, end: i64) -> Option<Self> {
        let floor = |at: i64, length: i64| at - at.rem_euclid(length);
        let ceil = |at: i64, length: i64| floor(at.saturating_add(length - 1), length);
        let from = query.since_s.map_or(first, |at| floor(at, QUARTER_S).max(first));
        let to = query.until_s.map_or(end, |at| ceil(at, QUARTER_S).min(end));
        let days = if query.by.contains(&By::Hour) { (to, to) } else { (ceil(from, DAY_S), floor(to, DAY_S)) };
        (from < to).then_some(Self { from, to, days })
    }

    /// The parts as table, and beginning and end.
    fn parts(&self, tables: Tables) -> Vec<(&'static str, i64, i64, i64)> {
        let (begin, end) = self.days;
        let quarters = |from, to| (tables.quarters, from, to, QUARTER_S);
        let parts = if begin < end {
            vec![quarters(self.from, begin), (tables.days, begin, end, DAY_S), quarters(end, self.to)]
        } else {
            vec![quarters(self.from, self.to)]
        };
        parts.into_iter().filter(|(_, from, to, _)| from < to).collect()
    }
}

fn statement<'q>(query: &'q UsageQuery, tables: Tables, stretch: &Stretch, conditions: &mut Conditions<'q>) -> String {
    for (by, name) in &query.filters {
        if let Some(column) = by.column() {
            conditions.and(&format!("{column} = ?"), name);
        }
    }
    let of_one_tenant = query.filters.iter().any(|(by, _)| *by == By::Tenant);
    let keys: Vec<String> = query.by.iter().map(|by| key(*by, stretch)).collect();
    let mut columns: Vec<&str> = query.by.iter().filter_map(|by| by.column()).chain(["bucket"]).collect();
    columns.extend(SUMS);
    let columns = columns.join(", ");
    let part = |(table, from, to, length): (&str, i64, i64, i64)| {
        let filter = conditions.text();
        let and = if filter.is_empty() { " WHERE" } else { " AND" };
        let bounds = buckets(from, to, length, of_one_tenant);
        format!("SELECT {columns} FROM {table}{filter}{and} {bounds}")
    };
    let parts = stretch.parts(tables).into_iter().map(part).collect::<Vec<_>>().join(" UNION ALL ");
    let names: Vec<String> = keys.iter().enumerate().map(|(at, key)| format!("{key} AS k{at}, ")).collect();
    let group: Vec<String> = (0..keys.len()).map(|at| format!("k{at}")).collect();
    let sums = SUMS.map(|sum| format!("CAST(SUM({sum}) AS BIGINT) AS {sum}")).join(", ");
    let grouped = if group.is_empty() { String::new() } else { format!(" GROUP BY {}", group.join(", ")) };
    let order: Vec<String> = [
        "cost_micro_usd + cost_rest_pico_usd / 1000000 DESC",
        "cost_rest_pico_usd % 1000000 DESC",
        "input_tokens + output_tokens DESC",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(group)
    .collect();
    let page = match (query.limit, query.offset) {
        (0, 0) => String::new(),
        (0, offset) => format!(" LIMIT 9223372036854775807 OFFSET {offset}"),
        (limit, offset) => format!(" LIMIT {limit} OFFSET {offset}"),
    };
    let inner = format!("SELECT {}{sums} FROM ({parts}) AS parts{grouped}", names.concat());
    format!("SELECT * FROM ({inner}) AS sums WHERE requests IS NOT NULL ORDER BY {}{page}", order.join(", "))
}

/// What is grouped by: a name, or the beginning of a time.
fn key(by: By, stretch: &Stretch) -> String {
    let floor = |length: i64| format!("CAST(bucket - bucket % {length} AS BIGINT)");
    match by.column() {
        Some(column) => column.to_owned(),
        None if by == By::Hour => floor(HOUR_S),
        None if by == By::Day => floor(DAY_S),
        None => {
            let months = time::months(stretch.from, stretch.to);
            let ends = months.iter().skip(1).zip(&months);
            let cases: Vec<String> = ends.map(|(end, begin)| format!("WHEN bucket < {end} THEN {begin}")).collect();
            let last = months.last().copied().unwrap_or_default();
            if cases.is_empty() {
                format!("CAST({last} AS BIGINT)")
            } else {
                format!("CAST(CASE {} ELSE {last} END AS BIGINT)", cases.join(" "))
            }
        }
    }
}

fn buckets(from: i64, to: i64, length: i64, of_one_tenant: bool) -> String {
    let count = (to - from) / length;
    if !of_one_tenant || count > MOST_NAMED {
        return format!("bucket >= {from} AND bucket < {to}");
    }
    let all: Vec<String> = (0..count).map(|number| (from + number * length).to_string()).collect();
    format!("bucket IN ({})", all.join(", "))
}

fn row(query: &UsageQuery, cells: &dyn Cells) -> Result<UsageRow> {
    let name = |(at, by): (usize, &By)| {
        Ok::<_, StoreError>(match by {
            By::Month => Some(time::month(cells.need_int(at)?)),
            By::Day => Some(time::date(cells.need_int(at)?)),
            By::Hour => Some(time::hour(cells.need_int(at)?)),
            _ => cells.text(at)?.filter(|name| !name.is_empty()),
        })
    };
    let names = query.by.iter().enumerate().map(name).collect::<Result<Vec<_>>>()?;
    Ok(UsageRow { names, used: Used::read(cells, query.by.len())? })
}

#[cfg(test)]
mod tests;
