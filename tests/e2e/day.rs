//! What an operator types on a usual day: `weir doctor` and `weir tail`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::ask::{CHAT, chat, chat_answer};
use crate::support::gateway::{Gateway, KEY, config, full_config, new_dir};
use crate::support::upstream::Upstream;
use crate::support::wait::{DEADLINE, until};

/// Exit code, and what it printed.
fn weir(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(args).env_clear().env("PATH", "/usr/bin:/bin").output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.admin)
}

/// The checks by name.
fn doctor(args: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let (code, out, err) = weir(&[&["doctor", "--json"], args].concat());
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"));
    assert_eq!(report["healthy"], code == 0, "{out}");
    let word = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    (code, checks.map(|it| (word(it, "name"), word(it, "outcome"), word(it, "found"))).collect())
}

fn outcome<'c>(checks: &'c [(String, String, String)], name: &str) -> &'c str {
    checks.iter().find(|(own, ..)| own == name).map_or("none", |(_, outcome, _)| outcome)
}

#[test]
fn the_doctor_finds_a_healthy_instance_healthy() {
    let upstream = Upstream::start(|_, conn| {
        let now = httpdate::fmt_http_date(std::time::SystemTime::now());
        conn.json_with(200, &[("date", &now)], &chat_answer("hi"));
    });
    let gateway = Gateway::with(upstream.address);
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    gateway.wait_records(1);
    let file = gateway.dir.join("weir.yaml");
    // The file says port 0: the address comes from the command line.
    let (code, checks) = doctor(&["--url", &url(&gateway), "-c", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{checks:?}");
    for name in
        ["configuration", "reachable", "ready", "version", "in force", "provider openai", "alerts", "priced", "clock"]
    {
        assert_eq!(outcome(&checks, name), "ok", "{name}: {checks:?}");
    }
    assert_ne!(outcome(&checks, "disk"), "none");
    assert_ne!(outcome(&checks, "open files"), "none");
    let (code, out, err) = weir(&["doctor", "--url", &url(&gateway)]);
    assert!(code == 0 && out.contains("ok  reachable") && err.contains("0 broken"), "{out}{err}");
}

#[test]
fn the_doctor_names_what_is_broken_and_what_helps() {
    let refuses =
        Upstream::json(401, r#"{"error":{"message":"no","type":"authentication_error","code":"invalid_api_key"}}"#);
    let gateway = Gateway::start(&config(refuses.address, refuses.address, ""));
    gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi"));
    gateway.write_config("nonsense: true\n");
    gateway.admin("POST", "/admin/v1/reload");
    let file = gateway.dir.join("weir.yaml");
    let (code, checks) = doctor(&["--url", &url(&gateway), "-c", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert_eq!(
        [
            outcome(&checks, "configuration"),
            outcome(&checks, "provider openai"),
            outcome(&checks, "config_reload_failed")
        ],
        ["fail", "fail", "warn"],
        "{checks:?}"
    );
    let (_, out, _) = weir(&["doctor", "--url", &url(&gateway)]);
    assert!(out.contains("-> its api_key is refused"), "{out}");
}

#[test]
fn the_doctor_says_when_nobody_answers_or_the_token_is_wrong() {
    let nobody = format!("http://{}", Upstream::nobody());
    let (code, checks) = doctor(&["--url", &nobody]);
    assert_eq!((code, outcome(&checks, "reachable")), (1, "fail"));
    let upstream = Upstream::nobody();
    let text = full_config("", upstream, upstream, "", "").replace("admin:\n", "admin:\n  token: admin-token-canary\n");
    let gateway = Gateway::start(&text);
    let (code, checks) = doctor(&["--url", &url(&gateway), "--token", "wrong"]);
    assert_eq!((code, outcome(&checks, "token")), (1, "fail"));
    let (code, checks) = doctor(&["--url", &url(&gateway), "--token", "admin-token-canary"]);
    assert_eq!((code, outcome(&checks, "ready")), (0, "ok"));
}

/// `weir tail`, its lines as they come.
struct Tail {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

impl Tail {
    fn start(gateway: &Gateway, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["tail", "--url", &url(gateway)]).args(more).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    fn line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("a line")
    }

    fn word(&self) -> String {
        self.err.recv_timeout(DEADLINE).expect("a word")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_shows_requests_as_they_end_each_once_in_their_order() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = Gateway::with(upstream.address);
    for n in 0..3 {
        assert_eq!(gateway.post(CHAT, &chat(&format!("openai/before-{n}"), "hi")).status(), 200);
    }
    gateway.wait_records(3);
    let mut tail = Tail::start(&gateway, &["-n", "2"]);
    let (first, second) = (tail.line(), tail.line());
    assert!(first.contains("openai/before-1 ") && second.contains("openai/before-2 "), "{first}\n{second}");
    for n in 0..30 {
        assert_eq!(gateway.post(CHAT, &chat(&format!("openai/m-{n}"), "hi")).status(), 200);
        // The next one may be another thread's, which may be quicker with its record.
        gateway.wait_records(3 + n + 1);
    }
    for n in 0..30 {
        let line = tail.line();
        assert!(line.contains(&format!("acme            openai/m-{n} ")), "{n}: {line}");
        assert!(line.contains("  200       11 in        7 out  "), "{line}");
    }
    let sent = Command::new("kill").arg("-INT").arg(tail.child.id().to_string()).status().unwrap();
    assert!(sent.success());
    assert_eq!(tail.child.wait().unwrap().code(), Some(0), "it ends cleanly");
}

/// Others begin and end meanwhile, more than a page of them.
#[test]
fn tail_shows_a_slow_request_when_it_ends() {
    let (go, waits) = channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let upstream = Upstream::start(move |request, conn| {
        if request.json()["model"] == "slow" {
            let _ = waits.lock().unwrap().recv_timeout(DEADLINE);
        }
        conn.json(200, &chat_answer("hi"));
    });
    let gateway = Gateway::with(upstream.address);
    let tail = Tail::start(&gateway, &["-n", "1"]);
    assert_eq!(gateway.post(CHAT, &chat("openai/first", "hi")).status(), 200);
    assert!(tail.line().contains("openai/first"));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.post(CHAT, &chat("openai/slow", "hi")).status());
        until("it to be on its way", || {
            upstream.requests().iter().any(|it| it.json()["model"] == "slow").then_some(())
        });
        // Over one connection: the next begins when the one before has ended.
        let (mut client, bearer) = (gateway.client(), format!("Bearer {KEY}"));
        for n in 0..250 {
            let body = chat(&format!("openai/m-{n}"), "hi").to_string();
            client.request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes());
            assert_eq!(client.answer().status(), 200);
        }
        for n in 0..250 {
            let line = tail.line();
            assert!(line.contains(&format!("openai/m-{n} ")), "{n}: {line}");
        }
        go.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), 200);
    });
    let line = tail.line();
    assert!(line.contains("openai/slow"), "{line}");
}

#[test]
fn keys_of_a_running_gateway_are_listed_page_by_page() {
    let row = |id: &str| format!(r#"{{"id":"{id}","tenant":"acme","source":"stored","state":"active","balances":[]}}"#);
    let admin = Upstream::start(move |request, conn| match request.path.as_str() {
        "/admin/v1/keys?limit=1000&tenant=acme" => {
            conn.json(200, &format!(r#"{{"data":[{},{}],"next_cursor":"b c"}}"#, row("a"), row("b c")));
        }
        "/admin/v1/keys?limit=1000&tenant=acme&cursor=b%20c" => {
            conn.json(200, &format!(r#"{{"data":[{}],"next_cursor":null}}"#, row("d")));
        }
        other => conn.json(404, &format!(r#"{{"error":{{"message":"{other}"}}}}"#)),
    });
    let (code, out, err) = weir(&["keys", "list", "--url", &format!("http://{}", admin.address), "--tenant", "acme"]);
    let ids: Vec<_> = out.lines().skip(1).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!((code, ids), (0, vec!["a", "b c", "d"]), "{out} {err}");
}

#[test]
fn tail_filters_and_gives_the_records_themselves() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let gateway = Gateway::with(upstream.address);
    let tail = Tail::start(&gateway, &["--json", "--model", "openai/wanted", "--status", "200"]);
    for model in ["openai/other", "openai/wanted", "openai/other"] {
        assert_eq!(gateway.post(CHAT, &chat(model, "hi")).status(), 200);
    }
    let row: Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!((&row["model"], &row["input_tokens"]), (&"openai/wanted".into(), &11.into()));
    assert!(row["timeline"].is_array());
}

#[test]
fn tail_waits_for_a_gateway_that_went_away() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = config(upstream.address, upstream.address, "")
        .replace("admin:\n  listen: 127.0.0.1:0", &format!("admin:\n  listen: {port}"));
    let gateway = Gateway::start(&text);
    let tail = Tail::start(&gateway, &[]);
    assert_eq!(gateway.post(CHAT, &chat("openai/first", "hi")).status(), 200);
    assert!(tail.line().contains("openai/first"));
    drop(gateway);
    let word = tail.word();
    assert!(word.contains("does not answer"), "{word}");
    let again = Gateway::start_in(new_dir(), &text, &[]);
    let word = tail.word();
    assert!(word.contains("answers again"), "{word}");
    assert_eq!(again.post(CHAT, &chat("openai/second", "hi")).status(), 200);
    // Another process counts anew, and yet nothing is shown twice or left out.
    assert!(tail.line().contains("openai/second"));
}

#[test]
fn tail_ends_where_it_may_not_look() {
    let upstream = Upstream::nobody();
    let text = full_config("", upstream, upstream, "", "").replace("admin:\n", "admin:\n  token: admin-token-canary\n");
    let gateway = Gateway::start(&text);
    let (code, _, err) = weir(&["tail", "--url", &url(&gateway), "--token", "wrong"]);
    assert!(code == 1 && err.contains("the admin token is not taken"), "{code}: {err}");
}

/// An export of OpenAI's for one day: one model.
fn openai_usage(day: &str, model: &str, requests: u64, input: u64, output: u64) -> String {
    let date: jiff::civil::Date = day.parse().unwrap();
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    format!(
        r#"{{"object":"page","data":[{{"object":"bucket","start_time":{start},"end_time":{},"results":[{{"object":"organization.usage.completions.result","input_tokens":{input},"output_tokens":{output},"input_cached_tokens":0,"num_model_requests":{requests},"model":"{model}"}}]}}],"has_more":false,"next_page":null}}"#,
        start + 86_400
    )
}

#[test]
fn audit_holds_the_ledger_against_an_export() {
    let upstream = Upstream::json(200, chat_answer("hi"));
    let mut gateway = Gateway::with(upstream.address);
    for _ in 0..4 {
        assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    }
    let rows = gateway.wait_records(4);
    gateway.signal("TERM");
    gateway.wait_exit();
    // Two days, where midnight was between them: the last of them is the one that is counted wrongly below.
    let mut days: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        *days.entry(row["started_at"].as_str().unwrap().get(..10).unwrap()).or_default() += 1;
    }
    let (last, _) = days.last_key_value().unwrap();
    let export = |more: u64| {
        let page = |(day, count): (&&str, &u64)| {
            let count = count + if day == last { more } else { 0 };
            let output = 7 * days[day];
            openai_usage(day, "gpt-4o-mini-2024-07-18", count, 11 * count, output)
        };
        days.iter().map(page).collect::<Vec<_>>().join("\n")
    };
    let write = |name: &str, text: &str| {
        let path = gateway.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let state = gateway.dir.join("data").display().to_string();
    let same = write("same.json", &export(0));
    let (code, out, err) = weir(&["audit", "--state", &state, "--openai-usage", &same]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.contains(&format!("{} counts are the same, 0 differ", 4 * days.len())), "{err}");
    let other = write("other.json", &export(1));
    let (code, out, _) = weir(&["audit", "--state", &state, "--openai-usage", &other, "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["within"]), (1, &false.into()));
    let line = &report["sections"][0]["lines"][days.len() - 1];
    assert_eq!((&line["day"], &line["model"]), (&(*last).into(), &"gpt-4o-mini".into()));
    assert_eq!((&line["counts"][1]["what"], &line["counts"][1]["drift"]), (&"input_tokens".into(), &"-11".into()));
    let (code, _, err) = weir(&["audit", "--state", &state, "--openai-usage", &other, "--tolerance", "50%"]);
    assert_eq!(code, 0, "{err}");
    // The rows of an export are as good.
    let (_, rows, _) = weir(&["ledger", "export", "--state", &state, "--format", "json"]);
    let exported = write("rows.jsonl", &rows);
    let (code, _, err) = weir(&["audit", "--ledger", &exported, "--openai-usage", &same]);
    assert_eq!(code, 0, "{err}");
    let bill = days.iter().map(|(day, count)| {
        let output = 7 * count + if day == last { 2 } else { 0 };
        format!("{day},gpt-4o-mini,{},{output}\n", 11 * count)
    });
    let bill: String = std::iter::once("day,model,input_tokens,output_tokens\n".to_owned()).chain(bill).collect();
    let csv = write("bill.csv", &bill);
    let (code, out, _) = weir(&["audit", "--ledger", &exported, "--csv", &csv]);
    assert!(code == 1 && out.contains("output_tokens"), "{code}: {out}");
    let (code, _, err) = weir(&["audit", "--ledger", &exported]);
    assert!(code == 2 && err.contains("nothing to compare with"), "{code}: {err}");
    let (code, _, _) = weir(&["audit", "--ledger", &exported, "--csv", &exported]);
    assert_eq!(code, 2);
}
