//! Which targets a request may go to, and in which order.

use http::HeaderValue;

use super::*;
use crate::config::env::Table;
use crate::config::load::from_text;
use crate::config::runtime::Runtime;
use crate::route::cause::Failure;
use crate::stage::accept::Endpoint;
use crate::stage::parse::parse;
use crate::stage::route::route;

const NOW_MS: u64 = 70_000;
/// 2026-11-28.
const DAY: i64 = 20_785;

/// A configuration and what is known under it.
pub(in crate::stage) struct World {
    pub(in crate::stage) runtime: Runtime,
    pub(in crate::stage) board: Board,
    pub(in crate::stage) tags: Vec<String>,
    pub(in crate::stage) prefer: Option<Prefer>,
    headers: HeaderMap,
    chance: u64,
}

impl World {
    pub(in crate::stage) fn new(providers: &str, tenant: &str, routes: &str) -> Self {
        let text = format!(
            "providers:\n{providers}\ntenants: {{t: {{keys: [{{id: k, secret: \"${{KEY}}\"}}]{tenant}}}}}\nroutes: {{{routes}}}\n"
        );
        let runtime = from_text(&text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")]));
        let runtime = runtime.unwrap_or_else(|report| panic!("{report}"));
        let board = Board::new(&runtime);
        Self { runtime, board, tags: Vec::new(), prefer: None, headers: HeaderMap::new(), chance: 1 }
    }

    /// What is asked of [`choose`] for a body, and the plan it is about.
    pub(in crate::stage) fn with<T>(&self, body: &str, then: impl FnOnce(&mut Plan, &Asked<'_>) -> T) -> T {
        let parsed = parse(Endpoint::Chat, "/v1/chat/completions", None, body.as_bytes()).unwrap();
        let key = self.runtime.keys.values().next().unwrap();
        let asked = Asked {
            key,
            board: &self.board,
            prices: &self.runtime.prices,
            parsed: &parsed,
            body: body.as_bytes(),
            dialect: Some(Dialect::OpenAiChat),
            headers: &self.headers,
            tags: &self.tags,
            prefer: self.prefer,
            now_ms: NOW_MS,
            chance: self.chance,
            day: DAY,
        };
        then(&mut route(&parsed.model, key, &self.runtime).unwrap(), &asked)
    }

    /// The endpoints in the order to try them.
    fn order(&self, body: &str) -> Result<Vec<String>> {
        self.with(body, |plan, asked| {
            choose(plan, asked)?;
            assert_eq!(plan.targets.len(), plan.vitals.len());
            for (target, vital) in plan.targets.iter().zip(&plan.vitals) {
                assert_eq!(target.deployment.id, vital.endpoint.id, "each with what is known of it");
            }
            Ok(plan.targets.iter().map(|target| format!("{}/{}", target.deployment.id, target.model)).collect())
        })
    }

    pub(in crate::stage) fn breaks(&self, endpoint: &str, model: &str) {
        let failure = Failure::of(&Error::new(Kind::UpstreamBroken, "no"));
        let vital = self.board.endpoint(endpoint).unwrap().vital(model);
        (0..5).for_each(|_| vital.begin(NOW_MS).failed(&failure, NOW_MS));
    }
}

pub(in crate::stage) fn chat(model: &str, words: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{words}"}}]}}"#)
}

const SERVERS: &str = "  a: {kind: openai-compatible, base_url: \"http://a.test\", region: eu-1, labels: [no_training]}
  b: {kind: openai-compatible, base_url: \"http://b.test\", region: us-1, labels: [no_training, zero_retention]}
  c: {kind: openai-compatible, base_url: \"http://c.test\"}
  p: {kind: openai-compatible, endpoints: [{id: one, base_url: \"http://1.test\", region: eu-1}, {id: two, base_url: \"http://2.test\", region: us-1}, {id: three, base_url: \"http://3.test\", region: eu-2}]}";

const LIST: &str = "r: {targets: [{model: a/m}, {model: b/m}, {model: c/m}]}";

#[test]
fn a_list_is_in_its_order_and_what_is_out_comes_last() {
    let world = World::new(SERVERS, "", LIST);
    assert_eq!(world.order(&chat("r", "hi")).unwrap(), ["a/m", "b/m", "c/m"]);
    world.breaks("a", "m");
    assert_eq!(world.order(&chat("r", "hi")).unwrap(), ["b/m", "c/m", "a/m"]);
    assert_eq!(world.order(&chat("a/m", "hi")).unwrap(), ["a/m"], "nobody else was asked for");
}

#[test]
fn a_tenants_policy_leaves_out_whom_it_does_not_allow() {
    for (policy, left) in [
        (", regions: [\"eu-*\"]", &["a/m"] as &[&str]),
        (", require: [no_training]", &["a/m", "b/m"]),
        (", require: [zero_retention]", &["b/m"]),
        (", providers: [c, b]", &["b/m", "c/m"]),
        (", providers: [c], require: [no_training]", &[]),
    ] {
        let world = World::new(SERVERS, policy, LIST);
        let order = world.order(&chat("r", "hi"));
        match left.is_empty() {
            false => assert_eq!(order.unwrap(), left, "{policy}"),
            true => assert_eq!(order.unwrap_err().kind(), Kind::ModelNotAllowed, "{policy}"),
        }
    }
    let single = World::new(SERVERS, ", providers: [a]", LIST);
    assert_eq!(single.order(&chat("c/m", "hi")).unwrap_err().status(), 403);
}

#[test]
fn of_a_pool_each_endpoint_is_a_target_of_its_own() {
    let world = World::new(SERVERS, "", "r: {targets: [{model: p/m}, {model: a/m}]}");
    let mut order = world.order(&chat("p/m", "hi")).unwrap();
    order.sort();
    assert_eq!(order, ["p#one/m", "p#three/m", "p#two/m"]);
    assert_eq!(world.order(&chat("r", "hi")).unwrap()[3], "a/m", "the whole pool before what comes after it");
    let europe = World::new(SERVERS, ", regions: [\"eu-*\"]", LIST);
    let mut order = europe.order(&chat("p/m", "hi")).unwrap();
    order.sort();
    assert_eq!(order, ["p#one/m", "p#three/m"]);
    let nowhere = World::new(SERVERS, ", regions: [\"cn-*\"]", LIST);
    assert_eq!(nowhere.order(&chat("p/m", "hi")).unwrap_err().kind(), Kind::ModelNotAllowed);
}

/// Amazon's prices differ between its regions.
#[test]
fn an_endpoint_of_a_pool_has_the_prices_of_its_region() {
    let keys = "access_key_id: AKIDEXAMPLE, secret_access_key: wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
    let regions = "endpoints: [{id: west, region: us-west-2}, {id: tokyo, region: ap-northeast-1}]";
    let providers = format!(
        "  plain: {{kind: bedrock, {keys}, {regions}}}\n  named: {{kind: bedrock, {keys}, {regions}, models: {{short: deepseek.v3.2}}}}\n  own: {{kind: bedrock, {keys}, {regions}, models: {{deepseek.v3.2: {{price: {{input: 7, output: 7}}}}}}}}"
    );
    let world = World::new(&providers, "", "r: {targets: [{model: plain/deepseek.v3.2}]}");
    let prices = |model: &str| {
        world.with(&chat(model, "hi"), |plan, asked| {
            choose(plan, asked).unwrap();
            let of = |target: &Target| {
                let price = target.info.as_ref().unwrap().price_on(DAY).unwrap();
                (target.deployment.id.clone(), price.standard.rates.input.unwrap())
            };
            let mut prices: Vec<_> = plan.targets.iter().map(of).collect();
            prices.sort();
            prices.into_iter().map(|(_, input)| input).collect::<Vec<_>>()
        })
    };
    for model in ["plain/deepseek.v3.2", "r", "named/short"] {
        assert_eq!(prices(model), [740_000, 620_000], "{model}: in Tokyo, and in the west");
    }
    assert_eq!(prices("own/deepseek.v3.2"), [7_000_000, 7_000_000], "the operator's holds everywhere");
}

#[test]
fn a_conversation_stays_in_a_pool_and_others_spread() {
    let mut world = World::new(SERVERS, "", LIST);
    let mut firsts = std::collections::BTreeMap::<String, u32>::new();
    for n in 0..60 {
        let body = chat("p/m", &format!("conversation {n}"));
        let order = world.order(&body).unwrap();
        for chance in [0, 99, u64::MAX] {
            world.chance = chance;
            assert_eq!(world.order(&body).unwrap(), order);
        }
        *firsts.entry(order[0].clone()).or_default() += 1;
    }
    assert!(firsts.len() == 3 && firsts.values().all(|count| *count >= 8), "{firsts:?}");
    // A header says it too, and another tenant's is another's.
    world.headers.insert("x-session-affinity", HeaderValue::from_static("s"));
    let named = world.order(&chat("p/m", "one")).unwrap();
    assert_eq!(world.order(&chat("p/m", "another")).unwrap(), named);
}

#[test]
fn affinity_among_targets_is_for_those_of_one_model_unless_it_is_said() {
    let routes = "same: {strategy: weighted, targets: [{model: a/m}, {model: b/m}]}, differ: {strategy: weighted, targets: [{model: a/m}, {model: b/n}]}, on: {strategy: weighted, affinity: true, targets: [{model: a/m}, {model: b/n}]}, off: {strategy: weighted, affinity: false, targets: [{model: a/m}, {model: b/m}]}";
    let mut world = World::new(SERVERS, "", routes);
    for (route, stays) in [("same", true), ("differ", false), ("on", true), ("off", false)] {
        let mut orders = std::collections::BTreeSet::new();
        for chance in 0..20 {
            world.chance = chance;
            orders.insert(world.order(&chat(route, "hi")).unwrap());
        }
        assert_eq!(orders.len() == 1, stays, "{route}: {orders:?}");
    }
}

#[test]
fn costs_are_those_of_the_request_and_its_day() {
    let providers =
        "  a: {kind: openai-compatible, base_url: \"http://a.test\", models: {m: {price: {input: 9, output: 1}}}}
  b: {kind: openai-compatible, base_url: \"http://b.test\", models: {m: {price: {input: 1, output: 9}}}}
  c: {kind: openai-compatible, base_url: \"http://c.test\"}";
    let world =
        World::new(providers, "", "r: {strategy: cost, targets: [{model: c/unknown}, {model: a/m}, {model: b/m}]}");
    assert_eq!(world.order(&chat("r", "a short question")).unwrap(), ["a/m", "b/m", "c/unknown"]);
    assert_eq!(world.order(&chat("r", &"a long text ".repeat(4_000))).unwrap(), ["b/m", "a/m", "c/unknown"]);
}

#[test]
fn a_rule_narrows_any_strategy() {
    let mut world = World::new(
        SERVERS,
        "",
        "r: {targets: [{model: a/m}, {model: b/m}, {model: c/m}], rules: [{when: {tags: [night]}, to: [c/m, b/m]}]}",
    );
    assert_eq!(world.order(&chat("r", "hi")).unwrap(), ["a/m", "b/m", "c/m"]);
    world.tags = vec!["night".to_owned(), "x".to_owned()];
    assert_eq!(world.order(&chat("r", "hi")).unwrap(), ["b/m", "c/m"]);
}

#[test]
fn auto_says_why_also_where_there_is_only_one() {
    let world = World::new(SERVERS, "", "one: {strategy: auto, targets: [{model: a/m}]}");
    let reason = world.with(&chat("one", "hi"), |plan, asked| {
        choose(plan, asked).unwrap();
        plan.reason.clone().unwrap()
    });
    assert!(reason.starts_with("auto: prefer=balanced; a/m scored"), "{reason}");
    world.breaks("a", "m");
    assert_eq!(world.order(&chat("one", "hi")).unwrap(), ["a/m"], "out for now, and still the only one that fits");
}

#[test]
fn state_sealed_by_one_goes_back_to_it_while_it_is_well() {
    let world = World::new(SERVERS, "", LIST);
    let maker = &world.runtime.deployments.iter().find(|d| d.name == "c").unwrap().seal;
    let id = maker.close_id("call_1", b"state");
    let body = format!(
        r#"{{"model":"r","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":"{id}"}}]}}"#
    );
    assert_eq!(world.order(&body).unwrap(), ["c/m", "a/m", "b/m"]);
    world.breaks("c", "m");
    assert_eq!(world.order(&body).unwrap(), ["a/m", "b/m", "c/m"]);
}
