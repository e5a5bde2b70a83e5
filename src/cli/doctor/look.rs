//! What is looked at, one function each.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::found::Checks;
use super::metrics::Metrics;
use crate::cli::instance::Instance;
use crate::config::read::{Day, Scalar as _};
use crate::config::runtime::Runtime;
use crate::provider::sign::call::Reply;

/// Prices older than this are likely to be wrong.
const OLD_PRICES: Duration = Duration::from_secs(60 * 86_400);
/// Signatures and tokens fail with clocks that are further apart.
const SKEW: Duration = Duration::from_secs(60);
const BAD_SKEW: Duration = Duration::from_secs(240);
/// As `alerts.ledger_lag` is where nothing is said.
const OLD_ROWS_SECONDS: f64 = 60.0;
const MIB: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Health {
    version: String,
    config_hash: String,
    prices_version: String,
    open_files: Option<u64>,
    open_files_limit: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    data: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Provider {
    name: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    id: String,
    #[serde(default)]
    state: String,
}

#[derive(Debug, Deserialize)]
struct Alert {
    kind: String,
    state: String,
    subject: String,
    text: String,
}

fn read<T: DeserializeOwned>(reply: Result<Reply, String>) -> Result<T, String> {
    let reply = reply?;
    match reply.status {
        200 => serde_json::from_slice(&reply.body).map_err(|error| format!("an answer of another shape: {error}")),
        status => Err(format!("status {status}")),
    }
}

/// All of it, as far as the instance can be reached.
pub(super) async fn look(instance: &Instance, runtime: Option<&Runtime>, checks: &mut Checks) {
    if !reachable(instance, checks).await {
        return;
    }
    ready(instance, checks).await;
    match read::<Health>(instance.get("/health").await) {
        Ok(health) => {
            version(&health, checks);
            in_force(&health, runtime, checks);
            prices(&health, SystemTime::now(), checks);
            files(&health, checks);
        }
        Err(why) => checks.bad("health", why, "is this the admin address of a Weir?"),
    }
    match read::<List<Provider>>(instance.get("/admin/v1/providers").await) {
        Ok(providers) => providers.data.iter().for_each(|provider| endpoints(provider, checks)),
        Err(why) => checks.bad("providers", why, "the admin API does not list the providers"),
    }
    match read::<List<Alert>>(instance.get("/admin/v1/alerts").await) {
        Ok(alerts) => goes_on(&alerts.data, checks),
        Err(why) => checks.unknown("alerts", why),
    }
    match instance.get("/metrics").await {
        Ok(reply) => counted(Metrics(&String::from_utf8_lossy(&reply.body)), checks),
        Err(why) => checks.unknown("metrics", why),
    }
    if let Some(runtime) = runtime {
        disk(instance, runtime, checks);
        clock(instance, runtime, checks).await;
    }
}

async fn reachable(instance: &Instance, checks: &mut Checks) -> bool {
    let url = &instance.url;
    match instance.get("/livez").await {
        Ok(reply) if reply.status == 200 => checks.good("reachable", format!("{url} answers")),
        Ok(reply) => {
            checks.bad("reachable", format!("{url} answers with {}", reply.status), "is this the admin address?");
            return false;
        }
        Err(why) => {
            checks.bad(
                "reachable",
                format!("{url}: {why}"),
                "does it run? `weir run -c FILE`; --url names another address",
            );
            return false;
        }
    }
    match instance.get("/health").await.map(|reply| reply.status) {
        Ok(401) => checks.bad(
            "token",
            "the admin token is not taken",
            "set WEIR_ADMIN_TOKEN (or --token) to one of `admin.token` and `admin.tokens`",
        ),
        Ok(403) => checks.bad(
            "token",
            "it may not look at the instance",
            "without a token one asks from its own machine, by its address or `localhost`; with one its role has to be \
             `admin` or `viewer`",
        ),
        _ => return true,
    }
    false
}

async fn ready(instance: &Instance, checks: &mut Checks) {
    match instance.get("/readyz").await {
        Ok(reply) if reply.status == 200 => checks.good("ready", "new requests are welcome"),
        Ok(reply) => {
            let said = String::from_utf8_lossy(&reply.body).chars().take(200).collect::<String>();
            checks.odd("ready", said, "it is draining, or something that it needs is not there");
        }
        Err(why) => checks.bad("ready", why, "look at its log"),
    }
}

fn version(health: &Health, checks: &mut Checks) {
    let own = env!("CARGO_PKG_VERSION");
    if health.version == own {
        checks.good("version", own);
    } else {
        let found = format!("it runs {}, this is {own}", health.version);
        checks.odd("version", found, "restart it where the new one was installed");
    }
}

fn in_force(health: &Health, runtime: Option<&Runtime>, checks: &mut Checks) {
    let Some(runtime) = runtime else { return };
    if runtime.hash == health.config_hash {
        checks.good("in force", format!("the file, {}", runtime.hash));
        return;
    }
    let found = format!("{} runs, the file is {}", health.config_hash, runtime.hash);
    checks.odd("in force", found, "POST /admin/v1/reload, or is it another file? A reload that fails is in its log");
}

fn prices(health: &Health, now: SystemTime, checks: &mut Checks) {
    let date = health.prices_version.get(..10).unwrap_or_default();
    let Ok(day) = Day::parse(date) else {
        checks.unknown("prices", format!("version {}", health.prices_version));
        return;
    };
    let age = now.duration_since(day.moment()).unwrap_or_default();
    let found = format!("the table is of {date}, {} days old", age.as_secs() / 86_400);
    if age > OLD_PRICES {
        checks.odd("prices", found, "a newer Weir has newer prices; `prices.file` overrides them");
    } else {
        checks.good("prices", found);
    }
}

fn files(health: &Health, checks: &mut Checks) {
    let (Some(open), Some(limit)) = (health.open_files, health.open_files_limit) else { return };
    let found = format!("{open} of {limit} open");
    match () {
        () if open.saturating_mul(10) > limit.saturating_mul(8) => {
            checks.bad("open files", found, "raise its limit: `LimitNOFILE=65536` (systemd), `ulimit -n 65536`");
        }
        () if limit < 4_096 => {
            checks.odd(
                "open files",
                found,
                "each client takes one or two: raise it (`LimitNOFILE=65536`, `ulimit -n`)",
            );
        }
        () => checks.good("open files", found),
    }
}

fn endpoints(provider: &Provider, checks: &mut Checks) {
    let name = format!("provider {}", provider.name);
    let is_bad = |state: &str| matches!(state, "credential_refused" | "check_failed");
    let is_odd = |state: &str| matches!(state, "broken" | "probing" | "cooling" | "drained");
    let shown = |is: &dyn Fn(&str) -> bool| {
        let those = provider.endpoints.iter().filter(|endpoint| is(&endpoint.state));
        those.map(|endpoint| format!("{} is {}", endpoint.id, endpoint.state)).collect::<Vec<_>>().join(", ")
    };
    let all_out = provider.endpoints.iter().all(|endpoint| is_bad(&endpoint.state) || is_odd(&endpoint.state));
    let help = |states: &str| match () {
        () if states.contains("credential_refused") => "its api_key is refused: a new one takes effect with a reload",
        () if states.contains("check_failed") => "ask the server itself: its check gets no good answer",
        () if states.contains("drained") => "POST /admin/v1/endpoints/{id}/undrain puts it back",
        () => "GET /admin/v1/providers says until when; its requests fail or are limited",
    };
    let (bad, odd) = (shown(&is_bad), shown(&is_odd));
    if !bad.is_empty() {
        checks.bad(&name, bad.clone(), help(&bad));
    } else if !odd.is_empty() && all_out {
        checks.bad(&name, format!("all of it is out: {odd}"), help(&odd));
    } else if !odd.is_empty() {
        checks.odd(&name, odd.clone(), help(&odd));
    } else {
        checks.good(&name, format!("{} endpoints", provider.endpoints.len()));
    }
}

/// What was told of and is not over. The newest come first.
fn goes_on(alerts: &[Alert], checks: &mut Checks) {
    let mut seen = BTreeSet::new();
    let mut found = false;
    for alert in alerts {
        let kind = match alert.kind.as_str() {
            "store_up" => "store_down",
            "database_up" => "database_down",
            kind => kind,
        };
        if !seen.insert((kind, alert.subject.as_str())) || alert.state == "resolved" {
            continue;
        }
        let help = match kind {
            "ledger_full" => "make room on the disk of `state.dir`, or have the database answer",
            "ledger_lag" => "the database is slow or away: rows wait in the log and are not lost",
            "store_down" => "limits hold as `on_store_loss` says until it answers",
            "database_down" => "requests go on; keys made elsewhere and usage come late",
            "config_reload_failed" => "`weir check` shows all errors; the old configuration is in force",
            // Endpoints and credentials have checks of their own, the others are no states.
            _ => continue,
        };
        found = true;
        match kind {
            "config_reload_failed" | "ledger_lag" => checks.odd(kind, alert.text.as_str(), help),
            _ => checks.bad(kind, alert.text.as_str(), help),
        }
    }
    if !found {
        checks.good("alerts", "nothing that goes on");
    }
}

/// What has been counted since it began.
fn counted(metrics: Metrics<'_>, checks: &mut Checks) {
    let unpriced = metrics.values("weir_unpriced_requests_total", "model");
    if unpriced.is_empty() {
        checks.good("priced", "every model that was used has a price");
    } else {
        let found = format!("used without a price: {}", unpriced.join(", "));
        checks.odd("priced", found, "give them a `price`, or budgets in USD do not see them");
    }
    if let Some(lag) = metrics.sum("weir_ledger_lag_seconds") {
        let found = format!("rows reach the database within {:.1} s", lag.max(0.2));
        match lag > OLD_ROWS_SECONDS {
            true => checks.odd("ledger", found, "the database is slow or away: rows wait in the log and are not lost"),
            false => checks.good("ledger", found),
        }
    }
    let all = [
        (
            "budgets and limits on disk",
            "weir_budget_save_failures_total",
            "what was spent or counted could not be kept: is `state.dir` writable?",
        ),
        ("access log", "weir_access_log_dropped_total", "lines were lost: its disk or pipe is too slow"),
        ("credentials", "weir_credential_refresh_failures_total", "some could not be fetched: GET /admin/v1/alerts"),
        ("ledger writes", "weir_ledger_write_errors_total", "its disk refused writes: is there room on it?"),
        ("ledger rows", "weir_ledger_lost_total", "rows were lost: `weir ledger verify`"),
        ("ledger log", "weir_ledger_damaged_bytes_total", "a part of its log cannot be read: `weir ledger verify`"),
        ("ledger refusals", "weir_ledger_refused_total", "requests were refused because nothing could be recorded"),
        ("alerts dropped", "weir_alerts_dropped_total", "there were too many: GET /admin/v1/alerts has the last"),
    ];
    for (name, metric, help) in all {
        match metrics.sum(metric) {
            Some(count) if count > 0.0 => checks.odd(name, format!("{count} since it began"), help),
            _ => {}
        }
    }
    let failed = metrics.sum_with("weir_alert_deliveries_total", "result=\"failed\"");
    if failed > 0.0 {
        let hooks = metrics.values("weir_alert_deliveries_total", "webhook").join(", ");
        let found = format!("{failed} alerts could not be delivered ({hooks})");
        checks.odd("webhooks", found, "does the URL take them? The log says how it answers");
    }
}

/// Of the directory that everything is kept in.
fn disk(instance: &Instance, runtime: &Runtime, checks: &mut Checks) {
    let dir = runtime.state.dir.display().to_string();
    if !instance.is_here() {
        checks.unknown("disk", "it runs on another machine");
        return;
    }
    let output = Command::new("df").arg("-Pk").arg(&runtime.state.dir).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let text = text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let Some((free_mib, percent)) = free(&text) else {
        checks.unknown("disk", format!("`df {dir}` says nothing"));
        return;
    };
    let found = format!("{free_mib} MiB free for {dir} ({percent}% used)");
    match free_mib {
        0..256 => checks.bad("disk", found, "a ledger that cannot grow refuses requests: make room"),
        256..2_048 => checks.odd("disk", found, "the ledger needs some 1 KB a request"),
        _ => checks.good("disk", found),
    }
}

/// MiB that are free and percent that are used, from what `df -Pk` says.
fn free(text: &str) -> Option<(u64, u64)> {
    let mut columns = text.lines().nth(1)?.split_whitespace().skip(3);
    let free_kib: u64 = columns.next()?.parse().ok()?;
    let percent = columns.next()?.trim_end_matches('%').parse().ok()?;
    Some((free_kib * 1024 / MIB, percent))
}

/// The time here against that of the first provider that tells it.
async fn clock(instance: &Instance, runtime: &Runtime, checks: &mut Checks) {
    for deployment in runtime.deployments.iter().take(3) {
        let base = &deployment.base;
        let scheme = if base.tls { "https" } else { "http" };
        let Ok(reply) = instance.get_elsewhere(&format!("{scheme}://{}/", base.authority)).await else { continue };
        let Some(theirs) = reply.date.as_deref().and_then(|date| httpdate::parse_http_date(date).ok()) else {
            continue;
        };
        skew(&deployment.name, theirs, SystemTime::now(), checks);
        return;
    }
    checks.unknown("clock", "no provider told the time");
}

fn skew(provider: &str, theirs: SystemTime, ours: SystemTime, checks: &mut Checks) {
    let (apart, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let found = format!("{} s {word} {provider}", apart.as_secs());
    let help = "set this machine's clock (NTP): signatures, tokens and periods of budgets go by it";
    match () {
        () if apart > BAD_SKEW => checks.bad("clock", found, help),
        () if apart > SKEW => checks.odd("clock", found, help),
        () => checks.good("clock", format!("within {} s of {provider}", apart.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::found::Outcome;
    use super::*;

    fn outcomes(look: impl FnOnce(&mut Checks)) -> Vec<(String, Outcome)> {
        let mut checks = Checks::default();
        look(&mut checks);
        checks.0.into_iter().map(|check| (check.name, check.outcome)).collect()
    }

    fn one(look: impl FnOnce(&mut Checks)) -> Outcome {
        outcomes(look)[0].1
    }

    #[test]
    fn df_is_read() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 102400 51200 2097152 96% /\n";
        assert_eq!(free(text), Some((2_048, 96)));
        assert_eq!(free("Filesystem\n"), None);
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let at = |s: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + s);
        let all = [(30, 0), (0, 30), (90, 0), (0, 90), (900, 0), (0, 900)];
        let found = all.map(|(ours, theirs)| one(|checks| skew("p", at(theirs), at(ours), checks)));
        assert_eq!(found, [Outcome::Ok, Outcome::Ok, Outcome::Warn, Outcome::Warn, Outcome::Fail, Outcome::Fail]);
    }

    #[test]
    fn a_provider_is_as_good_as_its_endpoints() {
        let of = |states: &[&str]| {
            let endpoint = |state: &&str| Endpoint { id: "p#1".into(), state: (*state).to_owned() };
            let provider = Provider { name: "p".into(), endpoints: states.iter().map(endpoint).collect() };
            one(|checks| endpoints(&provider, checks))
        };
        assert_eq!(of(&["good", "low_quota", "full"]), Outcome::Ok);
        assert_eq!(of(&["good", "broken"]), Outcome::Warn);
        assert_eq!(of(&["broken", "drained"]), Outcome::Fail);
        assert_eq!(of(&["good", "credential_refused"]), Outcome::Fail);
    }

    #[test]
    fn only_what_goes_on_is_told() {
        let alert = |kind: &str, state: &str| Alert {
            kind: kind.into(),
            state: state.into(),
            subject: "s".into(),
            text: "t".into(),
        };
        let newest_first = [
            alert("store_up", "resolved"),
            alert("store_down", "raised"),
            alert("ledger_full", "raised"),
            alert("budget_threshold", "raised"),
        ];
        assert_eq!(outcomes(|c| goes_on(&newest_first, c)), [("ledger_full".to_owned(), Outcome::Fail)]);
        let over = [alert("ledger_full", "resolved"), alert("ledger_full", "raised")];
        assert_eq!(outcomes(|c| goes_on(&over, c)), [("alerts".to_owned(), Outcome::Ok)]);
    }

    #[test]
    fn old_prices_and_few_files_are_odd() {
        let health = |limit| Health {
            version: String::new(),
            config_hash: String::new(),
            prices_version: "2026-11-22+3".into(),
            open_files: Some(900),
            open_files_limit: Some(limit),
        };
        let day = Day::parse("2026-11-22").unwrap().moment();
        let after = |days: u64| one(|checks| prices(&health(1), day + Duration::from_secs(days * 86_400), checks));
        assert_eq!([after(59), after(61)], [Outcome::Ok, Outcome::Warn]);
        let of = |limit| one(|checks| files(&health(limit), checks));
        assert_eq!([of(1_000_000), of(2_048), of(1_024)], [Outcome::Ok, Outcome::Warn, Outcome::Fail]);
    }
}
