//! Rules that cannot be used, and params that somebody made to hurt.

use std::time::Duration;

use moleculer_protocol::{Object, Value};
use moleculer_testkit::alloc::{CountingAllocator, peak};
use moleculer_validator_fastest::{
    ErrorItem, FastestBuilder, FastestConfig, FastestValidator, Rules,
};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn compile(rules: serde_json::Value) -> Rules {
    FastestValidator::new().compile_rules(&rules.into()).expect("rules")
}

/// Ends soon: what takes longer has no bound.
fn within_seconds<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(60)).expect("it takes too long")
}

#[test]
fn wrong_rules_are_named() {
    let refused = |validator: FastestBuilder, rules: serde_json::Value| {
        validator.build().compile_rules(&rules.into()).expect_err("refused").to_string()
    };
    let check = |rules: serde_json::Value, expected: &str| {
        let error = refused(FastestValidator::builder(), rules);
        assert!(error.contains(expected), "{error}");
    };
    check(
        json!({"a": {"$$type": "object", "b": "strin[]"}}),
        "Invalid 'strin' type in validator schema. (field `a.b[]`)",
    );
    check(json!({"a": {"b": "string"}}), "needs `$$type: \"object\"`. (field `a`)");
    check(
        json!({"a": "string|min:x"}),
        "rule `string`: the option `min` must be a number, not \"x\" (field `a`)",
    );
    check(json!({"a": "number|max"}), "`max` must be a number, not true");
    check(json!({"a": {"type": "number", "convert": "yes"}}), "`convert` must be true or false");
    check(json!({"a": "string|enum:x"}), "`enum` must be a list");
    check(
        json!({"a": {"type": "object", "strict": "drop"}}),
        "`strict` must be true, false or \"remove\"",
    );
    check(json!({"a": "equal"}), "`value` or `field` is missing");
    check(json!({"a": "multi"}), "`rules` is missing");
    check(json!({"a": {"type": "string", "pattern": "(?=x)"}}), "lookahead");
    check(json!({"a": {"type": "string", "pattern": "(a)\\1"}}), "backtracking");
    check(json!({"a": {"type": "string", "pattern": "x", "patternFlags": "q"}}), "flag `q`");
    check(json!({"a": {"type": "string", "pattern": 5}}), "must be a regular expression");
    check(json!({"a": {"type": "currency", "customRegex": "x"}}), "/^[0-9]+$/");
    check(json!({"a": "class"}), "JavaScript only");
    check(json!({"a": "objectID"}), "string|hex|length:24");
    check(json!({"a": 5}), "text, an object or a list of rules, not 5");
    check(
        json!({"a": {"type": "string", "messages": {"string": 5}}}),
        "message `string` must be text",
    );
    check(
        json!({"a": {"type": "string", "custom": "even"}}),
        "no check `even`; add it with `custom(\"even\", ..)`",
    );
    check(json!("string"), "Invalid schema");
    let alias = FastestValidator::builder()
        .alias("node", json!({"type": "object", "props": {"next": "node", "other": "node"}}));
    let error = refused(alias, json!({"a": "node"}));
    assert!(error.contains("does an alias name itself?"), "{error}");
    let config = Value::from(json!({"haltOnFirstEror": true})).into_type::<FastestConfig>();
    assert!(config.expect_err("a mistyped option").to_string().contains("haltOnFirstEror"));
}

#[test]
fn ten_megabytes_of_nested_lists_end_soon() {
    within_seconds(|| {
        let nested =
            |depth: usize| (0..depth).fold(Value::from("x"), |inner, _| Value::Array(vec![inner]));
        let mut params: Value =
            Object::from([("a", Value::Array(vec![nested(100); 50_000]))]).into();
        for rules in [
            json!({"a": "number[]"}),
            json!({"a": ["number", "string[]", "number[][][]", {"type": "array", "unique": true, "items": "any[]"}]}),
            json!({"a": {"type": "array", "items": {"type": "multi", "rules": ["number", "string"]}}}),
        ] {
            let rules = compile(rules);
            let size = peak(|| params.clone()).1;
            assert!(size > 100 << 20, "{size} bytes in memory");
            let (checked, held) = peak(|| rules.check(&mut params));
            match checked {
                Ok(_) => {}
                Err(items) => assert!(items.len() <= 1000, "{} items", items.len()),
            }
            // Alternatives try what they change on a copy.
            assert!(held <= 2 * size, "{held} bytes for {size}");
        }
    });
}

#[test]
fn a_million_wrong_items_make_a_thousand_errors() {
    within_seconds(|| {
        let wrong = vec![Value::from("x"); 1_000_000];
        let list = compile(json!({"a": "number[]", "b": "string"}));
        let enums = compile(json!({"a": {"type": "array", "enum": [1], "unique": true}}));
        let mut params = Object::from([("a", wrong)]).into();
        assert_eq!(list.check(&mut params).expect_err("wrong").len(), 1000);
        assert_eq!(enums.check(&mut params).expect_err("wrong").len(), 1000);
        let record =
            compile(json!({"r": {"type": "record", "key": "string|numeric", "value": "number"}}));
        let members: Object = (0..500_000).map(|n| (format!("k{n}"), "x")).collect();
        let mut params = Object::from([("r", members)]).into();
        assert_eq!(record.check(&mut params).expect_err("wrong").len(), 1000);
        let object = compile(json!({"r": {"$$type": "object|strict:remove", "k1": "string"}}));
        assert_eq!(object.check(&mut params), Ok(true));
        assert_eq!(params, json!({"r": {"k1": "x"}}).into());
    });
}

#[test]
fn patterns_take_linear_time() {
    within_seconds(|| {
        let text = "a".repeat(1_000_000) + "!";
        let rules = compile(
            json!({"a": {"type": "string", "pattern": "^(a+)+$"}, "b": "email|mode:precise"}),
        );
        let address = "a.".repeat(500_000) + "@";
        let mut params = Value::from(json!({"a": text, "b": address}));
        let items = rules.check(&mut params).expect_err("wrong");
        assert_eq!(
            items.iter().map(|item| &*item.kind).collect::<Vec<_>>(),
            ["stringPattern", "email"]
        );
    });
}

#[test]
fn kinds_that_json_lacks_are_no_objects() {
    let rules = compile(json!({"a": "object", "b": "number", "c": "string", "d": "array"}));
    let odd = || Value::from(bytes::Bytes::from_static(b"x"));
    let mut params = Object::from([("a", odd()), ("b", odd()), ("c", odd()), ("d", odd())]).into();
    let items = rules.check(&mut params).expect_err("wrong");
    assert_eq!(
        items.iter().map(|item| &*item.kind).collect::<Vec<_>>(),
        ["object", "number", "string", "array"]
    );
}

/// A rule that does not fit changes nothing, neither does one that fails.
#[test]
fn alternatives_leave_no_trace() {
    let rules = compile(json!({"a": [
        {"type": "object", "props": {"x": "number|convert", "y": "number"}},
        {"type": "object", "props": {"x": "string"}},
    ]}));
    let mut params = json!({"a": {"x": "5"}}).into();
    assert_eq!(rules.check(&mut params), Ok(false));
    assert_eq!(params, json!({"a": {"x": "5"}}).into());
}

#[test]
fn checks_written_in_rust() {
    let validator = FastestValidator::builder()
        .custom("multiple", |check| {
            let of = check.options().get("of").and_then(Value::as_i64).unwrap_or(2);
            match check.value().as_i64() {
                Some(n) if n % of == 0 => check.set(n / of),
                Some(n) => check.fail(ErrorItem::new("multiple").expected(of).actual(n)),
                None => {}
            }
        })
        .custom("sum", |check| {
            let part =
                |name| check.parent().and_then(|all| all.get(name)?.as_i64()).unwrap_or_default();
            let sum = part("a") + part("b");
            if check.value().as_i64() != Some(sum) {
                let text = format!("{:?} must be {sum}", check.field());
                check.fail(ErrorItem::new("sum").message(text));
            }
        })
        .message("multiple", "{field} is no multiple of {expected}")
        .build();
    let rules = json!({
        "a": "multiple",
        "b": {"type": "number", "label": "Bee", "custom": ["multiple|of:3"]},
        "c": {"type": "number", "custom": "sum"},
        "d": {"type": "custom", "check": "sum", "optional": true},
        "l": {"type": "array", "optional": true, "items": "multiple"},
    });
    let rules = validator.compile_rules(&rules.into()).expect("rules");
    let mut params = json!({"a": 4, "b": 9, "c": 5}).into();
    assert_eq!(rules.check(&mut params), Ok(true));
    assert_eq!(params, json!({"a": 2, "b": 3, "c": 5}).into());
    let mut params = json!({"a": 3, "b": 4, "c": 7, "d": 1, "l": [2, 3]}).into();
    let items = rules.check(&mut params).expect_err("wrong");
    let texts: Vec<_> = items.iter().filter_map(|item| item.message.as_deref()).collect();
    assert_eq!(
        texts,
        [
            "a is no multiple of 2",
            "Bee is no multiple of 3",
            "Some(\"d\") must be 7",
            "l[1] is no multiple of 2"
        ]
    );
    assert_eq!(items[1].label.as_deref(), Some("Bee"));
}
