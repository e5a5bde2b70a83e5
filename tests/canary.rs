//! Row 42 of the known failures: what is secret and what is private appears nowhere it does not belong.
//!
//! Each class has a canary of its own, made up for this run. The real binary serves, fails and reloads at
//! its most talkative log level; then everything it left behind is searched, for each canary as it is, in
//! base64 (at all three alignments, in both alphabets), hexadecimal, percent-encoded, and by its first and
//! last twelve bytes.
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "requests and answers are of any shape")]

#[cfg(test)]
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use other parts of it")]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use serde_json::{Value, json};

    use super::support::gateway::{Gateway, new_dir};
    use super::support::upstream::{Conn, Request, Upstream};
    use super::support::wait::until;

    /// What a canary is a case of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Class {
        ClientKey,
        UnknownKey,
        QueryKey,
        ForwardedKey,
        AdminToken,
        ProviderKey,
        ProviderHeader,
        AnswerHeader,
        StateSecret,
        DatabasePassword,
        StorePassword,
        WebhookPath,
        WebhookSecret,
        CollectorHeader,
        BadReload,
        Prompt,
        Answer,
        ToolArguments,
        ToolResult,
        Image,
    }

    use Class::{
        AdminToken, Answer, AnswerHeader, BadReload, ClientKey, CollectorHeader, DatabasePassword, ForwardedKey, Image,
        Prompt, ProviderHeader, ProviderKey, QueryKey, StateSecret, StorePassword, ToolArguments, ToolResult,
        UnknownKey, WebhookPath, WebhookSecret,
    };

    const ALL: [Class; 20] = [
        ClientKey,
        UnknownKey,
        QueryKey,
        ForwardedKey,
        AdminToken,
        ProviderKey,
        ProviderHeader,
        AnswerHeader,
        StateSecret,
        DatabasePassword,
        StorePassword,
        WebhookPath,
        WebhookSecret,
        CollectorHeader,
        BadReload,
        Prompt,
        Answer,
        ToolArguments,
        ToolResult,
        Image,
    ];

    /// A canary for each class, new in each run.
    struct Canaries(BTreeMap<Class, String>);

    impl Canaries {
        fn new() -> Self {
            let one = |class| {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes).unwrap();
                (class, hex::encode(bytes))
            };
            Self(ALL.into_iter().map(one).collect())
        }

        fn of(&self, class: Class) -> &str {
            &self.0[&class]
        }
    }

    /// Every spelling that is searched for.
    fn spellings(canary: &str) -> Vec<(&'static str, Vec<u8>)> {
        let bytes = canary.as_bytes();
        let mut all = vec![
            ("raw", bytes.to_vec()),
            ("its first bytes", bytes[..12].to_vec()),
            ("its last bytes", bytes[bytes.len() - 12..].to_vec()),
            ("hexadecimal", hex::encode(bytes).into_bytes()),
            ("hexadecimal", hex::encode_upper(bytes).into_bytes()),
        ];
        let mut percent = String::new();
        bytes.iter().for_each(|b| write!(percent, "%{b:02X}").unwrap());
        all.push(("percent-encoded", percent.to_lowercase().into_bytes()));
        all.push(("percent-encoded", percent.into_bytes()));
        for before in 0..3 {
            let padded = [&b"   "[..before], bytes].concat();
            for engine in [STANDARD, URL_SAFE] {
                // Only what these bytes alone decide: neither what stands before them nor after.
                let text = engine.encode(&padded);
                let from = [0, 2, 3][before];
                let whole = (padded.len() * 8 / 6).saturating_sub(1);
                all.push(("base64", text.as_bytes()[from..whole].to_vec()));
            }
        }
        all
    }

    /// What the process left, by where it was found.
    type Left = Vec<(String, Vec<u8>)>;

    fn files(directory: &Path, left: &mut Left) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, left);
            } else {
                left.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
            }
        }
    }

    fn search(canaries: &Canaries, left: &Left) -> Vec<String> {
        let mut hits = Vec::new();
        for (class, canary) in &canaries.0 {
            for (spelling, text) in spellings(canary) {
                for (place, bytes) in left {
                    if let Some(at) = memchr::memmem::find(bytes, &text) {
                        let around = bytes.get(at.saturating_sub(120)..(at + 40).min(bytes.len())).unwrap();
                        let around = String::from_utf8_lossy(around);
                        hits.push(format!("{class:?} ({spelling}) in {place}: ...{around}..."));
                    }
                }
            }
        }
        hits
    }

    #[test]
    fn the_search_finds_what_is_there() {
        let canaries = Canaries::new();
        let canary = canaries.of(Prompt);
        for (text, spelling) in [
            (format!("a{canary}b"), "raw"),
            (STANDARD.encode(format!("{{\"k\":\"{canary}\"}}")), "base64"),
            (STANDARD.encode(format!("{{\"key\":\"{canary}\"}}")), "base64"),
            (URL_SAFE.encode(format!("{{\"ke\":\"{canary}\"}}")), "base64"),
            (hex::encode(canary), "hexadecimal"),
            (canary.chars().take(12).collect(), "its first bytes"),
        ] {
            let hits = search(&canaries, &vec![("here".to_owned(), text.into_bytes())]);
            assert!(hits.iter().any(|hit| hit.contains(spelling) && hit.contains("Prompt")), "{spelling}: {hits:?}");
        }
        assert!(search(&canaries, &vec![("here".to_owned(), b"nothing".to_vec())]).is_empty());
    }

    /// The provider: its answers hold canaries, and its errors throw back whatever they were sent.
    fn provider(request: &Request, conn: &mut Conn, answer: &str, arguments: &str, header: &str) {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let secret = [("x-internal-token", header), ("set-cookie", header)];
        let key = request.header("authorization").or_else(|| request.header("x-api-key")).unwrap_or_default();
        let thrown =
            json!({"error": {"message": format!("bad {key} with {body}"), "type": "server_error", "code": "x"}});
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": json!({"q": arguments}).to_string()}});
        if body.contains("do:400") {
            return conn.json_with(400, &secret, &thrown.to_string());
        }
        if body.contains("do:401") {
            return conn.json_with(401, &secret, &thrown.to_string());
        }
        if body.contains("do:500") {
            return conn.json_with(500, &secret, &thrown.to_string());
        }
        if body.contains("do:nonsense") {
            return conn.json_with(200, &secret, &format!("{{\"choices\": [{{ {answer}"));
        }
        if body.contains("\"stream\":true") {
            let chunk = |delta: &Value, finish: &Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": answer}), &Value::Null));
            if body.contains("do:cut") {
                return conn.close();
            }
            if body.contains("do:error") {
                conn.data(&thrown);
                return conn.end();
            }
            let call =
                json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call["function"]}]});
            conn.data(chunk(&call, &Value::Null));
            conn.data(chunk(&json!({}), &json!("tool_calls")));
            conn.data("[DONE]");
            return conn.end();
        }
        let whole = json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer, "tool_calls": [call]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        });
        conn.json_with(200, &secret, &whole.to_string());
    }

    fn config(canaries: &Canaries, upstream: &Upstream, hook: &str, database: &str) -> String {
        let at = upstream.address;
        let of = |class| canaries.of(class);
        format!(
            "server: {{listen: \"127.0.0.1:0\", threads: 2, max_body: 64KiB}}\n\
             admin: {{listen: \"127.0.0.1:0\", token: {admin}}}\n\
             state: {{dir: \"@DIR@/data\", secret: {state}{database}}}\n\
             providers:\n  lab: {{kind: openai, base_url: \"http://{at}/v1\", api: chat, api_key: {key}, headers: {{x-team: {header}}}, models: {{m: {{price: {{input: 1, output: 2}}}}}}}}\n\
             \x20 down: {{kind: openai, base_url: \"http://{nobody}/v1\", api_key: {key}}}\n\
             routes: {{r: {{targets: [{{model: down/m}}, {{model: lab/m}}]}}}}\n\
             defaults: {{retries: 1, backoff: 1ms}}\n\
             tenants:\n  acme:\n    budgets: [{{tokens: 20, per: day, soft: true}}]\n    keys: [{{id: dev, secret: {client}}}]\n\
             alerts: {{webhooks: [{{url: \"{hook}\", secret: {signing}}}]}}\n",
            admin = of(AdminToken),
            state = of(StateSecret),
            key = of(ProviderKey),
            header = of(ProviderHeader),
            nobody = Upstream::nobody(),
            client = of(ClientKey),
            signing = of(WebhookSecret),
        )
    }

    /// A collector for everything that can be exported.
    fn telemetry(canaries: &Canaries, collector: &Upstream) -> String {
        if !cfg!(feature = "otlp") {
            return String::new();
        }
        let (at, header) = (collector.address, canaries.of(CollectorHeader));
        format!("telemetry: {{otlp: {{endpoint: \"http://{at}\", headers: {{authorization: {header}}}}}}}\n")
    }

    const CHAT: &str = "/v1/chat/completions";

    /// A request with all that is private in it, for a deed of the provider's.
    fn chat(canaries: &Canaries, model: &str, deed: &str, stream: bool) -> Value {
        let image = format!("data:image/png;base64,{}", STANDARD.encode(canaries.of(Image)));
        json!({
            "model": model, "stream": stream, "max_tokens": 50,
            "messages": [
                {"role": "system", "content": format!("{} {deed}", canaries.of(Prompt))},
                {"role": "user", "content": [{"type": "text", "text": canaries.of(Prompt)}, {"type": "image_url", "image_url": {"url": image}}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "look", "arguments": json!({"q": canaries.of(ToolArguments)}).to_string()}}]},
                {"role": "tool", "tool_call_id": "call_0", "content": canaries.of(ToolResult)},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}],
        })
    }

    fn messages(canaries: &Canaries, model: &str, deed: &str, stream: bool) -> Value {
        json!({
            "model": model, "stream": stream, "max_tokens": 50, "system": format!("{} {deed}", canaries.of(Prompt)),
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": canaries.of(Prompt)}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": STANDARD.encode(canaries.of(Image))}}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_0", "name": "look", "input": {"q": canaries.of(ToolArguments)}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0", "content": canaries.of(ToolResult)}]},
            ],
            "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}],
        })
    }

    /// Whatever answer there is, also where the connection ends early.
    fn ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut client = gateway.client();
        let all = [headers, &[("connection", "close"), ("content-type", "application/json")]].concat();
        client.request("POST", path, &all, body);
        client.until_closed()
    }

    /// Puts the gateway through everything. Answers and errors that clients got, by what they were.
    fn exercise(canaries: &Canaries, gateway: &Gateway) -> Left {
        let mut errors = Left::new();
        let own = [("x-api-key", canaries.of(ClientKey))];
        for deed in ["do:answer", "do:400", "do:401", "do:500", "do:nonsense", "do:cut", "do:error"] {
            for model in ["lab/m", "r", "lab/unknown-price"] {
                for stream in [false, true] {
                    for (path, body) in [
                        (CHAT, chat(canaries, model, deed, stream)),
                        ("/v1/messages", messages(canaries, model, deed, stream)),
                    ] {
                        let said = ask(gateway, path, &own, body.to_string().as_bytes());
                        errors.push((format!("the answer to {path} {deed}"), said));
                    }
                }
            }
        }
        let body = chat(canaries, "lab/m", "do:answer", false).to_string();
        let forwarded = format!("Bearer {}", canaries.of(ForwardedKey));
        let passes = [("x-weir-api-key", canaries.of(ClientKey)), ("authorization", forwarded.as_str())];
        let unknown = [("x-api-key", canaries.of(UnknownKey))];
        let query = format!("{CHAT}?api_key={}", canaries.of(QueryKey));
        let broken = format!("{{\"model\": \"lab/m\", \"prompt\": \"{}", canaries.of(Prompt));
        let large = canaries.of(Prompt).repeat(2_000);
        for (path, headers, body) in [
            (CHAT, &passes[..], body.as_bytes()),
            (CHAT, &unknown[..], body.as_bytes()),
            (query.as_str(), &[][..], body.as_bytes()),
            (CHAT, &own[..], broken.as_bytes()),
            (CHAT, &own[..], large.as_bytes()),
            ("/v1/embeddings", &own[..], body.as_bytes()),
            ("/v1/nothing-here", &own[..], body.as_bytes()),
            ("/v1/count_tokens", &own[..], body.as_bytes()),
        ] {
            errors.push((format!("the answer to {path}"), ask(gateway, path, headers, body)));
        }
        errors
    }

    /// Every GET of the admin API, with the token.
    fn admin(canaries: &Canaries, gateway: &Gateway, left: &mut Left) {
        let bearer = format!("Bearer {}", canaries.of(AdminToken));
        let get = |path: &str| {
            let mut client = super::support::client::Client::connect(gateway.admin);
            client.request("GET", path, &[("authorization", &bearer), ("connection", "close")], b"");
            client.until_closed()
        };
        let described = get("/admin/v1/openapi.json");
        let at = memchr::memmem::find(&described, b"\r\n\r\n").unwrap() + 4;
        let document: Value = serde_json::from_slice(&described[at..]).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 10, "{}", paths.len());
        let ids = gateway.records().into_iter().map(|row| row["request_id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        for (path, methods) in paths {
            // What has no end is followed beside this.
            if methods.get("get").is_none() || path.ends_with("/live") {
                continue;
            }
            let some = if path.contains("{request_id}") { ids.clone() } else { vec!["acme".to_owned()] };
            for id in some {
                let (before, rest) = path.split_once('{').map_or((path.as_str(), None), |(b, r)| (b, Some(r)));
                let whole = rest
                    .map_or_else(|| path.clone(), |rest| format!("{before}{id}{}", rest.split_once('}').unwrap().1));
                let limit = if whole == "/admin/v1/requests" { "?limit=1000" } else { "" };
                left.push((format!("the admin API's {whole}"), get(&format!("{whole}{limit}"))));
            }
        }
    }

    fn run(database: impl Fn(&Canaries) -> String) {
        let canaries = Canaries::new();
        let (answer, arguments, header) =
            [Answer, ToolArguments, AnswerHeader].map(|class| canaries.of(class).to_owned()).into();
        let upstream = Upstream::start(move |request, conn| provider(request, conn, &answer, &arguments, &header));
        let hook = format!("http://{}/services/{}", Upstream::nobody(), canaries.of(WebhookPath));
        let collector = Upstream::start(|_, conn| conn.json(200, ""));
        let text = config(&canaries, &upstream, &hook, &database(&canaries)) + &telemetry(&canaries, &collector);
        let mut gateway = Gateway::start_in(new_dir(), &text, &[("WEIR_LOG", "trace")]);
        let file = std::fs::read(gateway.dir.join("weir.yaml")).unwrap();
        let bearer = format!("Bearer {}", canaries.of(AdminToken));
        let mut live = super::support::client::Client::connect(gateway.admin);
        live.request("GET", "/admin/v1/requests/live", &[("authorization", &bearer)], b"");
        assert_eq!(live.head().status, 200);
        let answers = exercise(&canaries, &gateway);
        // Reloads that fail over a secret: one that is no URL, one that is a mapping, one where nothing is known.
        for bad in [
            text.replace(
                "alerts: {webhooks: [{url: ",
                &format!("alerts: {{webhooks: [{{url: {}}}, {{url: ", canaries.of(BadReload)),
            ),
            text.replace(
                "keys: [{id: dev, secret: ",
                &format!("keys: [{{id: d, secret: {{x: {}}}}}, {{id: dev, secret: ", canaries.of(BadReload)),
            ),
            format!("{text}nonsense: {}\n", canaries.of(BadReload)),
        ] {
            gateway.write_config(&bad);
            gateway.signal("HUP");
        }
        until("the failed reload", || gateway.stderr().contains("configuration not reloaded").then_some(()));
        until("a failed delivery", || {
            let bearer = format!("Bearer {}", canaries.of(AdminToken));
            let mut client = super::support::client::Client::connect(gateway.admin);
            let text = client.request("GET", "/metrics", &[("authorization", &bearer)], b"").answer().text();
            let line = text.lines().find(|l| l.starts_with("weir_alert_deliveries_total") && l.contains("retried"))?;
            (!line.ends_with(" 0")).then_some(())
        });
        let mut left = Left::new();
        admin(&canaries, &gateway, &mut left);
        let process = format!("/proc/{}", gateway.pid());
        left.push(("the process list".to_owned(), std::fs::read(format!("{process}/cmdline")).unwrap()));
        gateway.signal("TERM");
        gateway.wait_exit();
        for request in collector.requests() {
            left.push((format!("the collector's {}", request.path), request.body));
        }
        let sent = left.iter().filter(|(place, _)| place.starts_with("the collector's")).count();
        assert_eq!(sent >= 3, cfg!(feature = "otlp"), "{sent}");
        let followed = live.until_closed();
        assert!(followed.len() > 10_000, "requests were sent as they ended: {}", followed.len());
        left.push(("what was followed".to_owned(), followed));
        left.push(("the log".to_owned(), gateway.stderr().into_bytes()));
        left.push(("the access log".to_owned(), gateway.stdout().into_bytes()));
        // The configuration is where secrets are: all other files are the process's own.
        std::fs::remove_file(gateway.dir.join("weir.yaml")).unwrap();
        let before = left.len();
        files(&gateway.dir, &mut left);
        assert!(left.len() > before, "the process left no files");
        assert!(gateway.records().len() > 80 && gateway.stderr().len() > 10_000, "it was talkative");
        let hits = search(&canaries, &left);
        assert!(
            hits.is_empty(),
            "{} hits:\n{}",
            hits.len(),
            hits.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
        );
        // Clients may see what they sent and what they were answered, and nothing of the operator's.
        let mut operators = Canaries(canaries.0.clone());
        operators.0.retain(|class, _| !matches!(class, Prompt | Answer | ToolArguments | ToolResult | Image));
        let hits = search(&operators, &answers);
        assert!(
            hits.is_empty(),
            "{} hits:\n{}",
            hits.len(),
            hits.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
        );
        // And the search was for what is there: the file has the keys, the answers have the words.
        let known = search(&canaries, &vec![("the file".to_owned(), file)]);
        assert!(
            known.iter().any(|hit| hit.contains("ProviderKey")) && known.iter().any(|hit| hit.contains("WebhookPath"))
        );
        assert!(search(&canaries, &answers).iter().any(|hit| hit.contains("Answer (raw)")));
    }

    #[test]
    fn nothing_secret_or_private_is_left_behind() {
        run(|_| String::new());
    }

    #[test]
    fn nor_where_the_database_and_the_shared_store_are_away() {
        run(|canaries| {
            let nobody = Upstream::nobody();
            let (database, store) = (canaries.of(DatabasePassword), canaries.of(StorePassword));
            format!(
                ", database: \"postgres://weir:{database}@{nobody}/weir?sslmode=disable\", shared: \"redis://weir:{store}@{nobody}/0\", on_store_loss: open"
            )
        });
    }
}
