use serde_json::json;

use super::*;

fn schema(json: &Value) -> Schema {
    Schema::new(&json.to_string()).unwrap()
}

#[track_caller]
fn check(schema_json: &Value, good: &[Value], bad: &[Value]) {
    let schema = schema(schema_json);
    for value in good {
        assert_eq!(schema.check(&value.to_string()), Fit::Fits, "{value} in {schema_json}");
    }
    for value in bad {
        let fit = schema.check(&value.to_string());
        assert!(matches!(&fit, Fit::Wrong(wrong) if !wrong.is_empty()), "{value} in {schema_json}: {fit:?}");
    }
}

#[test]
fn what_is_said_of_single_values_holds() {
    check(&json!({"type": "integer"}), &[json!(1), json!(1.0), json!(-3)], &[json!(1.5), json!("1"), json!(null)]);
    check(&json!({"type": ["string", "null"]}), &[json!("a"), json!(null)], &[json!(1), json!({})]);
    check(&json!({"const": {"a": [1]}}), &[json!({"a": [1.0]})], &[json!({"a": [2]}), json!({"a": [1], "b": 1})]);
    check(&json!({"enum": ["a", 1, null]}), &[json!("a"), json!(1.0), json!(null)], &[json!("b"), json!(false)]);
    check(&json!({"minimum": 1, "maximum": 3}), &[json!(1), json!(3), json!("4")], &[json!(0.5), json!(3.1)]);
    check(&json!({"exclusiveMinimum": 1, "exclusiveMaximum": 3}), &[json!(2)], &[json!(1), json!(3)]);
    check(&json!({"minimum": 1, "exclusiveMinimum": true}), &[json!(1.5)], &[json!(1)]);
    let large = 9_007_199_254_740_993_u64;
    check(
        &json!({"multipleOf": 2}),
        &[json!(4), json!(-2), json!(large - 1)],
        &[json!(3), json!(large), json!(u64::MAX)],
    );
    check(&json!({"multipleOf": 3.0}), &[json!(9), json!(6.0)], &[json!(i64::MIN)]);
    check(&json!({"multipleOf": 0.01}), &[json!(19.99), json!(0)], &[json!(0.005)]);
    check(&json!({"minLength": 2, "maxLength": 3}), &[json!("äö"), json!("abc")], &[json!("ä"), json!("abcd")]);
    check(&json!({"pattern": "^[a-z]+\\d$"}), &[json!("ab1"), json!(7)], &[json!("ab"), json!("1")]);
    check(&json!({"format": "email"}), &[json!("whatever")], &[]);
    check(&json!(true), &[json!(1)], &[]);
    check(&json!(false), &[], &[json!(1)]);
}

#[test]
fn what_is_said_of_lists_holds() {
    check(&json!({"items": {"type": "string"}}), &[json!([]), json!(["a"])], &[json!(["a", 1])]);
    let tuple = json!({"prefixItems": [{"type": "string"}, {"type": "number"}], "items": false});
    check(&tuple, &[json!(["a", 1]), json!(["a"])], &[json!([1]), json!(["a", 1, 2])]);
    let before = json!({"items": [{"type": "string"}], "additionalItems": {"type": "number"}});
    check(&before, &[json!(["a", 1, 2])], &[json!(["a", "b"])]);
    check(&json!({"minItems": 1, "maxItems": 2}), &[json!([1])], &[json!([]), json!([1, 2, 3])]);
    let twice =
        [json!([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]), json!([3, 3.0]), json!([0, -0.0]), json!([[1e2], [100]])];
    check(&json!({"uniqueItems": true}), &[json!([1, 2, "1", [1], 1.5])], &twice);
    let large = 9_007_199_254_740_993_u64;
    check(&json!({"const": large}), &[json!(large)], &[json!(large - 1)]);
    check(&json!({"contains": {"type": "null"}}), &[json!([1, null])], &[json!([1]), json!([])]);
    let few = json!({"contains": {"type": "null"}, "minContains": 0, "maxContains": 1});
    check(&few, &[json!([1])], &[json!([null, null])]);
}

#[test]
fn what_is_said_of_objects_holds() {
    let person = json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"], "additionalProperties": false});
    check(
        &person,
        &[json!({"name": "a", "age": 3})],
        &[json!({"age": 3}), json!({"name": 1}), json!({"name": "a", "x": 1})],
    );
    let map = json!({"additionalProperties": {"type": "number"}, "patternProperties": {"^s_": {"type": "string"}}});
    check(&map, &[json!({"a": 1, "s_b": "x"})], &[json!({"a": "x"}), json!({"s_b": 1})]);
    check(&json!({"propertyNames": {"maxLength": 2}}), &[json!({"ab": 1})], &[json!({"abc": 1})]);
    check(&json!({"minProperties": 1, "maxProperties": 1}), &[json!({"a": 1})], &[json!({}), json!({"a": 1, "b": 1})]);
    let card = json!({"dependentRequired": {"card": ["name"]}, "dependentSchemas": {"b": {"required": ["c"]}}});
    check(&card, &[json!({"name": 1}), json!({"card": 1, "name": 1})], &[json!({"card": 1}), json!({"b": 1})]);
    check(&json!({"dependencies": {"a": ["b"]}}), &[json!({"a": 1, "b": 1})], &[json!({"a": 1})]);
}

#[test]
fn schemas_within_schemas_hold() {
    check(&json!({"anyOf": [{"type": "string"}, {"minimum": 3}]}), &[json!("a"), json!(3)], &[json!(2)]);
    check(&json!({"oneOf": [{"minimum": 1}, {"minimum": 3}]}), &[json!(2)], &[json!(0), json!(3)]);
    check(&json!({"allOf": [{"minimum": 1}, {"maximum": 3}]}), &[json!(2)], &[json!(0), json!(4)]);
    check(&json!({"not": {"type": "null"}}), &[json!(2)], &[json!(null)]);
    let either = json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}});
    check(&either, &[json!({"a": 1, "b": 1}), json!({"c": 1})], &[json!({"a": 1}), json!({})]);
    let list = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["next"],
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}, "additionalProperties": false}}});
    check(&list, &[json!({"next": {"next": null}})], &[json!({"next": {"next": 1}}), json!({"next": {}})]);
    check(&json!({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}), &[], &[json!({"a": {"a": {}}})]);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_no_more_than_a_little() {
    let schema = schema(&json!({"type": "object", "required": ["total"], "additionalProperties": false,
        "properties": {"items": {"type": "array", "items": {"type": "object",
            "properties": {"a/b": {"type": "integer"}}}}, "kind": {"enum": ["x", "y"]}}}));
    let Fit::Wrong(wrong) = schema.check(r#"{"items":[{"a/b":1},{"a/b":"two"}],"kind":"z","more":1}"#) else {
        panic!()
    };
    assert_eq!(
        wrong,
        [
            "the whole: the member `total` is missing",
            "/items/1/a~1b: expected integer, not string",
            r#"/kind: expected one of "x", "y""#,
            "the whole: the member `more` may not be there",
        ]
    );
    let many = format!("{{\"total\":1,\"items\":[{}]}}", vec!["7"; 99].join(","));
    let Fit::Wrong(wrong) = schema.check(&many) else { panic!() };
    assert_eq!(wrong.len(), 8);
    let Fit::Wrong(wrong) = schema.check("Sure! {}") else { panic!() };
    assert!(wrong[0].starts_with("it is not JSON"), "{wrong:?}");
    let long = Schema::new(&json!({"enum": ["x".repeat(9_999)]}).to_string()).unwrap();
    let Fit::Wrong(wrong) = long.check("1") else { panic!() };
    assert!(wrong[0].len() < 300);
}

#[test]
fn schemas_that_cannot_be_judged_by_are_not_schemas() {
    for (schema, why) in [
        (json!({"unevaluatedProperties": false}), "unevaluatedProperties"),
        (json!({"$dynamicRef": "#x"}), "$dynamicRef"),
        (json!({"$ref": "https://example.com/schema"}), "leads nowhere"),
        (json!({"$ref": "#/$defs/missing"}), "leads nowhere"),
        (json!({"pattern": "(?=a)b"}), "pattern"),
        (json!({"pattern": "(a{999}){999}"}), "pattern"),
        (json!({"allOf": vec![json!({"pattern": "a"}); 65]}), "patterns"),
        (json!({"type": "text"}), "type"),
        (json!({"minLength": -1}), "minLength"),
        (json!([1]), "neither"),
        (json!({"description": "x".repeat(300_000)}), "longer"),
    ] {
        let error = Schema::new(&schema.to_string()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(Schema::new("{").is_err());
}

/// In a stack as small as a worker's: whatever a schema does, the process lives.
#[test]
fn circles_and_multiplying_alternatives_end() {
    let work = || {
        let circle = schema(&json!({"$ref": "#"}));
        assert_eq!(circle.check("1"), Fit::Unjudged);
        let circle = schema(&json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#"}]}}}));
        assert_eq!(circle.check("{}"), Fit::Unjudged);
        let mut defs = serde_json::Map::new();
        for at in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), json!({"anyOf": [{"allOf": [next]}, {"allOf": [next, true]}]}));
        }
        defs.insert("d40".to_owned(), json!({"type": "string"}));
        let doubling = schema(&json!({"$ref": "#/$defs/d0", "$defs": defs}));
        assert_eq!(doubling.check("1"), Fit::Unjudged);
        let tree = schema(&json!({"$defs": {"t": {"anyOf": [
            {"type": "array", "items": {"$ref": "#/$defs/t"}, "minItems": 1},
            {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 1}]}}, "$ref": "#/$defs/t"}));
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(tree.check(&deep), Fit::Unjudged);
        let long: serde_json::Map<String, Value> = (0..5_000)
            .map(|at| (format!("d{at}"), json!({"$ref": format!("#/$defs/d{}", (at + 1) % 5_000)})))
            .collect();
        assert_eq!(schema(&json!({"$ref": "#/$defs/d0", "$defs": long})).check("1"), Fit::Unjudged);
        let nested = format!("{}{}", "[".repeat(9_999), "]".repeat(9_999));
        assert!(matches!(Schema::of_json().check(&nested), Fit::Wrong(_)));
        assert_eq!(Schema::of_json().check(&" ".repeat(MOST_TEXT_BYTES + 1)), Fit::Unjudged);
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn any_json_is_an_object_or_a_list() {
    for (text, fits) in [("{}", true), (" [1]\n", true), ("1", false), ("\"a\"", false), ("", false), ("{} {}", false)]
    {
        assert_eq!(Schema::of_json().check(text) == Fit::Fits, fits, "{text}");
    }
}
