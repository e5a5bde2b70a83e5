//! `weir tail`: requests as they end, one line each.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::instance::{Instance, Which};
use super::{USAGE, print, run};
use crate::provider::sign::call::encoded;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(500);
/// The last that ended: as many as come in half a second as a rule, and as many as can be asked for.
const FEW: usize = 200;
const ALL: usize = 1_000;
/// Ids that are remembered.
const MOST_SEEN: usize = 10 * ALL;

#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with Ctrl-C. Where the gateway goes away, it says so and waits for it.\n\
    Exit code: 0 ended by hand, 1 the gateway does not let us look, 2 used wrongly.")]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only with the key of this id
    #[arg(long)]
    key: Option<String>,
    /// Only of this model, as the client wrote it
    #[arg(long)]
    model: Option<String>,
    /// Only those that ended with this status
    #[arg(long)]
    status: Option<u16>,
    /// Begin with that many of the last ones
    #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT")]
    last: usize,
    /// The records themselves, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A page of the admin API.
#[derive(Debug, Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    data: Vec<&'p RawValue>,
}

/// What of a record is shown.
#[derive(Debug, Deserialize)]
struct Shown<'l> {
    request_id: Cow<'l, str>,
    started_at: Cow<'l, str>,
    tenant: Option<Cow<'l, str>>,
    model: Option<Cow<'l, str>>,
    provider: Option<Cow<'l, str>>,
    upstream_model: Option<Cow<'l, str>>,
    status: u16,
    #[serde(default)]
    outcome: Cow<'l, str>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    usage_source: Option<Cow<'l, str>>,
    #[serde(borrow)]
    cost_usd: Option<&'l RawValue>,
    #[serde(borrow)]
    duration_ms: Option<&'l RawValue>,
    error: Option<Cow<'l, str>>,
}

/// Why it ends.
enum Over {
    /// The reader of what is printed has gone.
    Unread,
    /// The gateway does not let us look.
    Refused(String),
}

pub(super) fn tail(args: &Args) -> ExitCode {
    let runtime = match args.which.runtime() {
        Some(Ok(runtime)) => Some(runtime),
        Some(Err(report)) => {
            run::refused(&report);
            // What is wrong may be no more than a variable that only the gateway has.
            if args.which.listen(None).is_none() {
                return ExitCode::from(USAGE);
            }
            None
        }
        None => None,
    };
    let instance = args.which.instance(runtime.as_ref());
    let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(tokio) => tokio,
        Err(error) => return run::failed(&error.to_string()),
    };
    let over = tokio.block_on(async {
        tokio::select! {
            over = follow(args, &instance) => over,
            _ = tokio::signal::ctrl_c() => Over::Unread,
        }
    });
    match over {
        Over::Unread => ExitCode::SUCCESS,
        Over::Refused(why) => run::failed(&why),
    }
}

async fn follow(args: &Args, instance: &Instance) -> Over {
    let mut seen = Seen::default();
    let mut is_gone = false;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match new_ones(args, instance, &mut seen).await {
            Ok(lines) => {
                if std::mem::take(&mut is_gone) {
                    print::note(&format!("weir: {} answers again", instance.url));
                }
                for line in lines {
                    if !show(&line, args.json) {
                        return Over::Unread;
                    }
                }
            }
            Err(Asked::Refused(why)) => return Over::Refused(why),
            Err(Asked::Gone(why)) => {
                if !std::mem::replace(&mut is_gone, true) {
                    print::note(&format!("weir: {} does not answer ({why}): waiting for it", instance.url));
                }
            }
        }
    }
}

/// Why there is no page.
enum Asked {
    Gone(String),
    Refused(String),
}

/// Ids that were shown, and whether anything was asked yet.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
    began: bool,
}

impl Seen {
    fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// False where it was there already.
    fn add(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > MOST_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// What has ended since the last time, the oldest first.
async fn new_ones(args: &Args, instance: &Instance, seen: &mut Seen) -> Result<Vec<String>, Asked> {
    if !seen.began {
        let ended = ask(args, instance, "ended", ALL).await?;
        // What an earlier process, or another one, has served is shown too.
        let before = ask(args, instance, "started", args.last.clamp(1, ALL)).await?;
        ended.iter().chain(&before).for_each(|(id, _)| _ = seen.add(id));
        seen.began = true;
        let last = before.into_iter().take(args.last).map(|(_, line)| line);
        return Ok(last.collect::<Vec<_>>().into_iter().rev().collect());
    }
    let few = ask(args, instance, "ended", FEW).await?;
    let is_all_new = few.len() == FEW && !few.iter().any(|(id, _)| seen.has(id));
    let lines = if is_all_new { ask(args, instance, "ended", ALL).await? } else { few };
    let count = lines.len();
    let mut new: Vec<String> = lines.into_iter().filter_map(|(id, line)| seen.add(&id).then_some(line)).collect();
    if new.len() == ALL && count == ALL {
        print::note("weir: more requests than can be shown, some are left out");
    }
    new.reverse();
    Ok(new)
}

async fn ask(args: &Args, instance: &Instance, order: &str, most: usize) -> Result<Vec<(String, String)>, Asked> {
    let status = args.status.map(|status| status.to_string());
    let wanted = [
        ("tenant", args.tenant.as_deref()),
        ("key", args.key.as_deref()),
        ("model", args.model.as_deref()),
        ("status", status.as_deref()),
    ];
    let mut path = format!("/admin/v1/requests?order={order}&limit={most}");
    for (name, value) in wanted {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let reply = instance.get(&path).await.map_err(Asked::Gone)?;
    match reply.status {
        200 => {}
        401 | 403 => {
            return Err(Asked::Refused("the admin token is not taken: set WEIR_ADMIN_TOKEN (or --token)".to_owned()));
        }
        400..=499 => return Err(Asked::Refused(format!("{} answers with {}", instance.url, reply.status))),
        status => return Err(Asked::Gone(format!("status {status}"))),
    }
    let page: Page<'_> =
        serde_json::from_slice(&reply.body).map_err(|error| Asked::Refused(format!("no list of requests: {error}")))?;
    let id_of =
        |line: &RawValue| serde_json::from_str::<Shown<'_>>(line.get()).ok().map(|row| row.request_id.into_owned());
    let lines = page.data.iter().filter_map(|line| Some((id_of(line)?, line.get().to_owned())));
    Ok(lines.collect())
}

/// Prints a record; false where nobody reads any more.
fn show(line: &str, json: bool) -> bool {
    let text = if json {
        line.to_owned()
    } else {
        serde_json::from_str(line).map_or_else(|_| line.to_owned(), |row| text(&row))
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_ok()
}

/// `22:54:00  acme          fast -> openai/gpt-5-mini           200      512 in     99 out  $0.001200     640 ms`
fn text(row: &Shown<'_>) -> String {
    let time = row.started_at.get(11..19).unwrap_or_default();
    let tenant = row.tenant.as_deref().unwrap_or("-");
    let asked = row.model.as_deref().unwrap_or("-");
    let served = match (&row.provider, &row.upstream_model) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        (Some(provider), None) => provider.to_string(),
        _ => "-".to_owned(),
    };
    let way = if asked == served { served } else { format!("{asked} -> {served}") };
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let about = if row.usage_source.as_deref().is_some_and(|source| source != "reported") { "~" } else { "" };
    let cost = row.cost_usd.map_or_else(|| "-".to_owned(), |cost| usd(cost.get()));
    let ms = row.duration_ms.and_then(|ms| ms.get().split('.').next()).unwrap_or("-");
    let rest = match (&*row.outcome, row.error.as_deref()) {
        ("finished" | "", _) => String::new(),
        (outcome, None) => outcome.to_owned(),
        (outcome, Some(error)) => format!("{outcome} ({error})"),
    };
    let (input, output) = (count(row.input_tokens), format!("{about}{}", count(row.output_tokens)));
    let line = format!(
        "{time}  {tenant:<14}  {way:<44}  {}  {input:>7} in  {output:>7} out  {cost:>11}  {ms:>6} ms  {rest}",
        row.status
    );
    print::plain(line.trim_end()).into_owned()
}

/// An exact decimal, to six digits behind the point.
fn usd(text: &str) -> String {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let shown: String = decimals.chars().chain(std::iter::repeat('0')).take(6).collect();
    format!("${whole}.{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_aligned_line() {
        let line = r#"{"request_id":"1","started_at":"2026-11-28T22:54:00.120Z","tenant":"acme","model":"fast","provider":"openai","upstream_model":"gpt-5-mini","status":200,"outcome":"finished","input_tokens":512,"output_tokens":99,"usage_source":"reported","cost_usd":0.0012345678,"duration_ms":640.120,"error":null}"#;
        let row: Shown<'_> = serde_json::from_str(line).unwrap();
        assert_eq!(
            text(&row),
            "22:54:00  acme            fast -> openai/gpt-5-mini                     200      512 in       99 out    $0.001234     640 ms"
        );
        let hostile = line.replace("fast", "\\u001b]52;c;eA==\\u0007\\u009b2J");
        let shown = text(&serde_json::from_str(&hostile).unwrap());
        assert!(shown.contains(r"\u{1b}]52;c;eA==\u{7}\u{9b}2J -> openai"), "{shown}");
        let failed = r#"{"request_id":"1","started_at":"2026-11-28T22:54:00.120Z","tenant":null,"model":"a/b","provider":"a","upstream_model":"b","status":502,"outcome":"client_cut","input_tokens":5,"output_tokens":7,"usage_source":"estimated","cost_usd":null,"duration_ms":1.000,"error":"client_closed"}"#;
        let row: Shown<'_> = serde_json::from_str(failed).unwrap();
        let shown = text(&row);
        assert!(shown.contains("-               a/b   ") && shown.contains("~7 out"), "{shown}");
        assert!(shown.ends_with("1 ms  client_cut (client_closed)"), "{shown}");
    }

    #[test]
    fn what_was_shown_is_not_shown_again() {
        let mut seen = Seen::default();
        assert!(seen.add("a") && seen.add("b") && !seen.add("a"));
        for n in 0..MOST_SEEN {
            seen.add(&n.to_string());
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (MOST_SEEN, MOST_SEEN));
        assert!(seen.add("a"), "long ago");
    }
}
