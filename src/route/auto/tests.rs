//! Cases by hand, and properties.

use proptest::prelude::*;

use super::*;
use crate::config::runtime::{Prefer, Rule, When};
use crate::wire::{Abilities, Thinking};

const NEED: Need = Need {
    images: false,
    audio: false,
    documents: false,
    tools: false,
    parallel_tools: false,
    json_schema: false,
    reasoning: false,
    system: false,
    input_tokens: 2_000,
    output_tokens: 500,
};

const ALL: Abilities = Abilities {
    images: Some(true),
    audio: Some(true),
    documents: Some(true),
    tools: Some(true),
    parallel_tools: Some(true),
    json_schema: Some(true),
    developer_role: Some(true),
    system: Some(true),
};

/// Prices in hundredths of a USD per million tokens, as price lists have them.
fn priced(input: u64, output: u64) -> Option<PricePerToken> {
    Some(PricePerToken { input_pico_usd: input * 10_000, output_pico_usd: output * 10_000 })
}

fn candidate(name: &str) -> Candidate<'_> {
    Candidate {
        name,
        abilities: ALL,
        thinking: Thinking::Adaptive,
        context_tokens: Some(200_000),
        max_output_tokens: Some(64_000),
        price: priced(100, 500),
        quality: None,
        available: true,
        ttft_ms: Some(500),
        error_rate_permille: 0,
    }
}

/// Cheap and fast; good and dear; in between.
fn market() -> [Candidate<'static>; 3] {
    [
        Candidate { price: priced(10, 40), ttft_ms: Some(200), ..candidate("groq/small") },
        Candidate { price: priced(500, 2_500), ttft_ms: Some(900), ..candidate("anthropic/large") },
        Candidate { price: priced(125, 1_000), ttft_ms: Some(600), ..candidate("openai/middle") },
    ]
}

fn choose(prefer: Prefer, need: &Need, candidates: &[Candidate<'_>]) -> Decision {
    Policy { prefer, rules: &[] }.choose(need, &[], candidates)
}

fn excluded(need: &Need, candidate: Candidate<'_>) -> Option<Excluded> {
    match choose(Prefer::Cost, need, &[candidate]).verdicts[0] {
        Verdict::Excluded(reason) => Some(reason),
        Verdict::Scored { .. } => None,
    }
}

fn parts(candidate: Candidate<'_>) -> Parts {
    match choose(Prefer::Balanced, &NEED, &[candidate]).verdicts[0] {
        Verdict::Scored { parts, .. } => parts,
        Verdict::Excluded(reason) => panic!("{reason}"),
    }
}

#[test]
fn each_preference_has_its_own_order() {
    for (prefer, expected) in [
        (Prefer::Cost, [0, 2, 1]),
        (Prefer::Quality, [1, 2, 0]),
        (Prefer::Latency, [0, 2, 1]),
        (Prefer::Balanced, [0, 2, 1]),
    ] {
        assert_eq!(choose(prefer, &NEED, &market()).order, expected, "{prefer:?}");
    }
}

#[test]
fn a_balance_gives_up_a_little_of_one_for_much_of_another() {
    let slow = Candidate { price: priced(10, 40), ttft_ms: Some(3_000), ..candidate("p/slow") };
    let list = [slow, Candidate { price: priced(12, 48), ..candidate("p/usual") }];
    assert_eq!(choose(Prefer::Cost, &NEED, &list).order, [0, 1]);
    assert_eq!(choose(Prefer::Balanced, &NEED, &list).order, [1, 0]);
}

#[test]
fn who_cannot_is_excluded_and_the_reason_is_told() {
    let lacking = |change: fn(&mut Abilities)| {
        let mut abilities = ALL;
        change(&mut abilities);
        Candidate { abilities, ..candidate("p/m") }
    };
    let cases = [
        (Need { images: true, ..NEED }, lacking(|can| can.images = Some(false)), Ability::Images),
        (Need { audio: true, ..NEED }, lacking(|can| can.audio = Some(false)), Ability::Audio),
        (Need { documents: true, ..NEED }, lacking(|can| can.documents = Some(false)), Ability::Documents),
        (Need { tools: true, ..NEED }, lacking(|can| can.tools = Some(false)), Ability::Tools),
        (Need { json_schema: true, ..NEED }, lacking(|can| can.json_schema = Some(false)), Ability::JsonSchema),
        (
            Need { reasoning: true, ..NEED },
            Candidate { thinking: Thinking::None, ..candidate("p/m") },
            Ability::Reasoning,
        ),
    ];
    for (need, candidate, ability) in cases {
        assert_eq!(excluded(&need, candidate.clone()), Some(Excluded::Lacks(ability)));
        assert_eq!(excluded(&NEED, candidate), None, "who does not need it does not care");
    }
    let small = Candidate { context_tokens: Some(2_499), max_output_tokens: Some(499), ..candidate("p/m") };
    assert_eq!(excluded(&NEED, small.clone()), Some(Excluded::Context { most_tokens: 2_499 }));
    let short = Candidate { context_tokens: Some(2_500), ..small };
    assert_eq!(excluded(&NEED, short.clone()), Some(Excluded::Output { most_tokens: 499 }));
    assert_eq!(excluded(&NEED, Candidate { max_output_tokens: Some(500), ..short }), None);
    assert_eq!(excluded(&NEED, Candidate { available: false, ..candidate("p/m") }), Some(Excluded::Unavailable));
    let unknown = Candidate { context_tokens: None, max_output_tokens: None, ..candidate("p/m") };
    assert_eq!(excluded(&Need { input_tokens: u64::MAX, output_tokens: u64::MAX, ..NEED }, unknown), None);
}

#[test]
fn what_is_unknown_or_made_up_for_comes_last() {
    let dear = Candidate { price: priced(9_000, 9_000), ..candidate("p/dear") };
    let unknown = Candidate { abilities: Abilities::UNKNOWN, ..candidate("p/unknown") };
    let without = Candidate { abilities: Abilities { system: Some(false), ..ALL }, ..candidate("p/without") };
    let list = [unknown, without, dear];
    for prefer in [Prefer::Cost, Prefer::Quality, Prefer::Latency, Prefer::Balanced] {
        let need = Need { tools: true, system: true, ..NEED };
        assert_eq!(choose(prefer, &need, &list).order, [2, 0, 1], "{prefer:?}");
    }
    assert_eq!(choose(Prefer::Cost, &NEED, &list).order, [0, 1, 2], "nobody needs them here");
    let serial = Candidate { abilities: Abilities { parallel_tools: Some(false), ..ALL }, ..candidate("p/serial") };
    let need = Need { tools: true, parallel_tools: true, ..NEED };
    assert_eq!(choose(Prefer::Cost, &need, &[serial, list[2].clone()]).order, [1, 0]);
}

#[test]
fn an_unknown_price_is_the_last_choice_of_who_looks_at_costs() {
    let unknown = Candidate { price: None, ttft_ms: Some(1), ..candidate("p/unknown") };
    let failing = Candidate { price: priced(90_000, 90_000), error_rate_permille: 1_000, ..candidate("p/failing") };
    let list = [unknown, failing, candidate("p/usual")];
    assert_eq!(choose(Prefer::Cost, &NEED, &list).order, [2, 1, 0]);
    assert_eq!(choose(Prefer::Latency, &NEED, &list).order, [0, 2, 1]);
}

#[test]
fn the_dearest_are_told_apart_beside_a_free_one() {
    let dear = |name, price| Candidate { price: priced(price, price), ..candidate(name) };
    let list = [dear("p/dearest", 20_000), dear("p/dear", 19_000), dear("p/free", 0)];
    assert_eq!(choose(Prefer::Cost, &NEED, &list).order, [2, 1, 0]);
}

#[test]
fn quality_follows_the_price_where_nobody_says() {
    let quality = |price, quality| parts(Candidate { price, quality, ..candidate("p/m") }).quality / 10_000;
    let told = [10, 50, 100, 200, 1_000, 7_500].map(|output| quality(priced(1, output), None));
    assert_eq!(told, [24, 42, 50, 58, 76, 95]);
    assert_eq!([quality(priced(0, 0), None), quality(priced(1, 1_000_000_000), None)], [5, 95]);
    assert_eq!([quality(None, None), quality(None, Some(7)), quality(priced(1, 100), Some(900))], [50, 7, 100]);
}

#[test]
fn failures_and_waits_count() {
    let failing = Candidate { error_rate_permille: 600, ..market()[0].clone() };
    let list = [failing, Candidate { price: priced(20, 80), ..candidate("p/sound") }];
    assert_eq!(choose(Prefer::Cost, &NEED, &list).order, [1, 0], "half the price, but most of it is for nothing");
    let latency = |ttft_ms| match choose(
        Prefer::Latency,
        &NEED,
        &[Candidate { ttft_ms, ..candidate("p/m") }, Candidate { ttft_ms: Some(150), ..candidate("p/fast") }],
    )
    .verdicts[0]
    {
        Verdict::Scored { parts, .. } => parts.latency,
        Verdict::Excluded(reason) => panic!("{reason}"),
    };
    assert_eq!([Some(150), Some(350), Some(1_950), None].map(latency), [1_000_000, 500_000, 100_000, 500_000]);
}

#[test]
fn equal_candidates_keep_their_order() {
    let list = ["p/a", "p/b", "p/c"].map(candidate);
    for prefer in [Prefer::Cost, Prefer::Quality, Prefer::Latency, Prefer::Balanced] {
        assert_eq!(choose(prefer, &NEED, &list).order, [0, 1, 2]);
    }
}

#[test]
fn the_first_rule_that_matches_narrows_and_prefers() {
    let rule = |when, targets: &[usize], prefer| Rule { when, targets: targets.to_vec(), prefer };
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let policy = Policy {
        prefer: Prefer::Cost,
        rules: &[
            rule(When { tags: tags(&["batch", "night"]), ..When::default() }, &[0], None),
            rule(When { tokens_over: Some(10_000), tools: Some(true), ..When::default() }, &[], Some(Prefer::Quality)),
            rule(When { tokens_over: Some(10_000), ..When::default() }, &[1, 2], None),
            rule(When { tokens_under: Some(100), images: Some(false), ..When::default() }, &[2, 99], None),
        ],
    };
    let long = Need { input_tokens: 10_001, ..NEED };
    type Case<'c> = (Need, &'c [&'c str], Option<usize>, &'c [usize]);
    let cases: [Case<'_>; 8] = [
        (NEED, &[], None, &[0, 2, 1]),
        (NEED, &["night"], None, &[0, 2, 1]),
        (NEED, &["night", "x", "batch"], Some(0), &[0]),
        (Need { tools: true, ..long }, &[], Some(1), &[1, 2, 0]),
        (long, &[], Some(2), &[2, 1]),
        (Need { input_tokens: 10_000, ..long }, &[], None, &[0, 2, 1]),
        (Need { input_tokens: 99, ..NEED }, &[], Some(3), &[2]),
        (Need { input_tokens: 99, images: true, ..NEED }, &[], None, &[0, 2, 1]),
    ];
    for (need, tags, rule, order) in cases {
        let decision = policy.choose(&need, tags, &market());
        assert_eq!((decision.rule, &decision.order[..]), (rule, order), "{need:?} {tags:?}");
    }
    let decision = policy.choose(&long, &[], &market());
    assert_eq!(decision.verdicts[0], Verdict::Excluded(Excluded::Rule));
}

#[test]
fn the_reason_is_one_line() {
    let mut list = market();
    list[1].abilities.images = Some(false);
    list[2].available = false;
    let need = Need { images: true, ..NEED };
    let says = |policy: &Policy<'_>, need: &Need, list: &[Candidate<'_>]| policy.choose(need, &[], list).reason(list);
    let policy = Policy { prefer: Prefer::Cost, rules: &[] };
    assert_eq!(
        says(&policy, &need, &list),
        "auto: prefer=cost; groq/small scored 1000, first of 1; excluded: anthropic/large (no images), openai/middle (unavailable)"
    );
    list[0].context_tokens = Some(10);
    let rules = [Rule { when: When::default(), targets: vec![0, 1], prefer: Some(Prefer::Quality) }];
    let policy = Policy { rules: &rules, ..policy };
    assert_eq!(
        says(&policy, &need, &list),
        "auto: rule 1; prefer=quality; no model fits; excluded: groq/small (context of 10 tokens), anthropic/large (no images), openai/middle (not in the rule)"
    );
    assert_eq!(says(&policy, &need, &[]), "auto: rule 1; prefer=quality; no model fits");
    let name = "p/\u{e9}\r\nx: y".repeat(50);
    let line = says(&policy, &NEED, &[candidate(&name)]);
    assert!(line.len() == 200 && line.ends_with("...") && line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
}

fn any_candidate() -> impl Strategy<Value = Candidate<'static>> {
    let known = || proptest::option::of(any::<bool>());
    let price = proptest::option::of((0_u64..2_000, 0_u64..2_000));
    let measured = (proptest::option::of(0_u64..5_000), 0_u32..1_100, proptest::option::of(0_u32..120));
    let size = proptest::option::of(0_u64..6_000);
    ((known(), known(), known()), price, measured, size, any::<bool>()).prop_map(|(can, price, measured, size, up)| {
        Candidate {
            abilities: Abilities { images: can.0, tools: can.1, system: can.2, ..Abilities::UNKNOWN },
            thinking: Thinking::Unknown,
            context_tokens: size,
            max_output_tokens: size,
            price: price.and_then(|(input, output)| priced(input, output)),
            quality: measured.2,
            available: up,
            ttft_ms: measured.0,
            error_rate_permille: measured.1,
            ..candidate("p/m")
        }
    })
}

fn any_need() -> impl Strategy<Value = Need> {
    (any::<(bool, bool, bool)>(), 0_u64..5_000, 0_u64..3_000).prop_map(|(needs, input_tokens, output_tokens)| Need {
        images: needs.0,
        tools: needs.1,
        system: needs.2,
        input_tokens,
        output_tokens,
        ..NEED
    })
}

fn any_list() -> impl Strategy<Value = Vec<Candidate<'static>>> {
    proptest::collection::vec(any_candidate(), 1..12)
}

const PREFERENCES: [Prefer; 4] = [Prefer::Cost, Prefer::Quality, Prefer::Latency, Prefer::Balanced];

proptest! {
    #[test]
    fn a_decision_is_whole_and_always_the_same(list in any_list(), need in any_need(), which in 0_usize..4) {
        let decision = choose(PREFERENCES[which], &need, &list);
        prop_assert_eq!(&decision, &choose(PREFERENCES[which], &need, &list));
        let mut scored = Vec::new();
        for (place, verdict) in decision.verdicts.iter().enumerate() {
            if let Verdict::Scored { score, parts, .. } = verdict {
                scored.push(place);
                prop_assert!([*score, parts.cost, parts.quality, parts.latency].iter().all(|part| *part <= 1_000_000));
            }
        }
        prop_assert_eq!(decision.verdicts.len(), list.len());
        let mut order = decision.order.clone();
        order.sort_unstable();
        prop_assert_eq!(order, scored, "each that is not excluded, once");
        let reason = decision.reason(&list);
        prop_assert!(reason.len() <= 200 && reason.is_ascii());
    }

    /// Where it stands in the list says nothing, but for ties.
    #[test]
    fn the_place_in_the_list_only_settles_ties(list in any_list(), need in any_need(), which in 0_usize..4) {
        let forward = choose(PREFERENCES[which], &need, &list);
        let reversed: Vec<_> = list.iter().rev().cloned().collect();
        let backward = choose(PREFERENCES[which], &need, &reversed);
        let scores = |decision: &Decision| {
            decision.order.iter().map(|place| decision.verdicts[*place]).collect::<Vec<_>>()
        };
        let ranks = |verdicts: Vec<Verdict>| {
            verdicts.into_iter().map(|verdict| match verdict {
                Verdict::Scored { score, doubtful, .. } => (doubtful, score),
                Verdict::Excluded(_) => (true, 0),
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(ranks(scores(&forward)), ranks(scores(&backward)));
    }

    #[test]
    fn becoming_cheaper_never_hurts_where_cost_is_preferred(
        list in any_list(),
        need in any_need(),
        which in 0_usize..12,
        percent in (0_u64..100, 0_u64..100),
    ) {
        let which = which % list.len();
        let place_of = |list: &[Candidate<'_>]| {
            choose(Prefer::Cost, &need, list).order.iter().position(|place| *place == which)
        };
        let mut cheaper = list.clone();
        if let Some(price) = &mut cheaper[which].price {
            price.input_pico_usd = price.input_pico_usd * percent.0 / 100;
            price.output_pico_usd = price.output_pico_usd * percent.1 / 100;
        }
        let (before, after) = (place_of(&list), place_of(&cheaper));
        prop_assert_eq!(before.is_some(), after.is_some());
        prop_assert!(after <= before, "from place {before:?} to {after:?}");
    }
}
