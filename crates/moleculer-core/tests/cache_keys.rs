//! Cache keys are those of the reference, byte by byte, whatever form the
//! params have.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moleculer_core::{
    Object, Payload, ProtocolVersion, Value,
    cacher::{KeyParts, KeyRules},
    protocol::{Date, Format},
};
use serde::Serialize;
use serde_json::json;

use ProtocolVersion::{V4, V5};

/// What a key is made from.
#[derive(Default)]
struct Call {
    params: Payload,
    meta: Object,
    headers: Object,
    keys: Option<Vec<Arc<str>>>,
    max: Option<usize>,
}

fn params(params: impl Into<Value>) -> Call {
    Call { params: Payload::from(params.into()), ..Call::default() }
}

impl Call {
    fn keys<const N: usize>(self, keys: [&str; N]) -> Self {
        Self { keys: Some(keys.into_iter().map(Arc::from).collect()), ..self }
    }

    fn max(self, max: usize) -> Self {
        Self { max: Some(max), ..self }
    }

    fn meta(self, meta: serde_json::Value) -> Self {
        Self { meta: object(meta), ..self }
    }

    fn headers(self, headers: serde_json::Value) -> Self {
        Self { headers: object(headers), ..self }
    }

    fn key(&self, action: &str, dialect: ProtocolVersion) -> String {
        let rules = KeyRules::new(dialect, self.max);
        let Self { params, meta, headers, .. } = self;
        rules.key(&KeyParts { action, params, meta, headers }, self.keys.as_deref()).expect("a key")
    }

    /// Checks the keys of 0.14 and 0.15, without what all of them begin with.
    #[track_caller]
    fn check(&self, v14: &str, v15: &str) {
        let begin = "posts.list";
        assert_eq!(self.key(begin, V4).strip_prefix(begin), Some(v14));
        assert_eq!(self.key(begin, V5).strip_prefix(begin), Some(v15));
    }

    #[track_caller]
    fn same(&self, both: &str) {
        self.check(both, both);
    }
}

fn object(value: serde_json::Value) -> Object {
    Value::from(value).as_object().cloned().unwrap_or_default()
}

#[test]
fn all_params() {
    params(json!({})).same(":");
    Call::default().same(":");
    params(Value::Null).same(":null");
    params(json!({"id": 2})).same(":id|2");
    params(json!({"id": "2"})).check(":id|2", r#":id|"2""#);
    params(Object::from([("b", Value::from("x")), ("a", 5.into())]))
        .check(":b|x|a|5", r#":b|"x"|a|5"#);
    params(Object::from([("d", Value::Date(Date(1_577_934_245_678.0)))])).same(":d|1577934245678");
    params(json!(["a", {"b": 1}, [2]])).check(":[a|b|1|[2]]", r#":["a"|b|1|[2]]"#);
    params("hello").check(":hello", r#":"hello""#);
    params(json!({"a": {}, "b": []})).same(":a||b|[]");
    params(json!([{}, {}, [[]]])).same(":[||[[]]]");
}

/// Members of every kind, among them undefined ones.
fn nested() -> Object {
    let author = Object::from([("id", 12)]);
    let tags = vec!["a".into(), 1.into(), true.into(), Value::Null, Value::Undefined];
    Object::from([
        ("id", 2.into()),
        ("title", "New post".into()),
        ("filter", Object::from([("author", author.into()), ("tags", Value::Array(tags))]).into()),
        ("limit", Value::Null),
        ("off", Value::Undefined),
    ])
}

#[test]
fn nested_params() {
    params(nested()).check(
        ":id|2|title|New post|filter|author|id|12|tags|[a|1|true|null|null]|limit|null|off|null",
        r#":id|2|title|"New post"|filter|author|id|12|tags|["a"|1|true|null|undefined]|limit|null|off|undefined"#,
    );
}

#[test]
fn numbers_are_those_of_javascript() {
    for (number, text) in [
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (5.0, "5"),
        (-0.0, "0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
        (123_456_789_012_345_680_000.0, "123456789012345680000"),
    ] {
        params(number).same(&format!(":{text}"));
        params(Object::from([("n", number)])).keys(["n"]).same(&format!(":{text}"));
    }
    // JavaScript has no such integers; taking two of them for one would be wrong.
    params(9_007_199_254_740_993_i64).same(":9007199254740993");
    params(u64::MAX).same(":18446744073709551615");
    params(i64::MIN).same(":-9223372036854775808");
}

#[test]
fn named_members() {
    params(json!({"id": 2})).keys([]).same("");
    params(json!({"id": 2})).keys(["id"]).same(":2");
    params(json!({"id": "abc"})).keys(["id"]).check(":abc", r#":"abc""#);
    params(json!({})).keys(["id"]).same(":undefined");
    params(Value::Null).keys(["id"]).same(":undefined");
    Call::default().keys(["id"]).same(":undefined");
    params(json!({"id": null})).keys(["id"]).same(":null");
    params(json!({"id": "null"})).keys(["id"]).check(":null", r#":"null""#);
    params(json!({"a": {"b": [1, {"c": true}]}})).keys(["a.b.1.c", "a.x"]).same(":true|undefined");
    params(json!({"id": 1}))
        .keys(["id", "#user.id"])
        .meta(json!({"user": {"id": "u7"}}))
        .check(":1|u7", r#":1|"u7""#);
    params(json!({"id": 1})).keys(["#user", "#"]).meta(json!({"user": 5})).same(":5|undefined");
    params(json!({"filter": {"a": "x", "b": [1, 2]}, "id": 1}))
        .keys(["filter", "id"])
        .check(":a|x|b|[1|2]|1", r#":a|"x"|b|[1|2]|1"#);
    params(json!({"tags": ["a", "b"]})).keys(["tags"]).check(":[a|b]", r#":["a"|"b"]"#);
    params(json!({"id": 1}))
        .keys(["id", "@tenant"])
        .headers(json!({"tenant": "t1"}))
        .check(":1|undefined", r#":1|"t1""#);
    // Within a list null and undefined differ in 0.15 alone.
    let list = Value::Array(vec![Value::Undefined, Value::Null]);
    params(Object::from([("l", list)])).keys(["l"]).check(":[null|null]", ":[undefined|null]");
}

#[test]
fn long_keys_end_in_a_hash() {
    params(nested()).max(44).check(
        ":FFPxjyqXjWNbZ6Xc5T7nbv/jylavc+cJU+5eTm0jD0I=",
        ":2sn3/Klap2hqanMJF9KprUOUSpfblaicsZ1HJQgJVZE=",
    );
    params(nested()).max(60).check(
        ":id|2|title|New pFFPxjyqXjWNbZ6Xc5T7nbv/jylavc+cJU+5eTm0jD0I=",
        r#":id|2|title|"New 2sn3/Klap2hqanMJF9KprUOUSpfblaicsZ1HJQgJVZE="#,
    );
    let tags = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"];
    let find = || {
        let filter = Object::from([
            ("author", Object::from([("id", 12)]).into()),
            ("tags", Value::from(tags.to_vec())),
        ]);
        params(Object::from([
            ("id", 2.into()),
            ("title", "New post".into()),
            ("filter", Value::from(filter)),
        ]))
    };
    find().keys(["filter"]).max(20).check(
        ":author|id|12|tags|[alpha|beta|gamma|delta|epsilon|zeta|eta]",
        r#":author|id|12|tags|["alpha"|"beta"|"gamma"|"delta"|"epsilon"|"zeta"|"eta"]"#,
    );
    find().max(44).check(
        ":NjRNBApllAnLAXxrKC/OvX75mkraXjf4uppR0wEOt08=",
        ":LHp9XPXjBmU8QQpQoaGeHnfkb8Ossa5OqRe9hBWeUwI=",
    );
    find().keys(["filter"]).max(44).check(
        ":hjgk3H2GiMLqyokIqVVmDcGq+eBaSqQ+txoAU3c5grg=",
        ":fMzSGzJoGTX2u38Tx0ZTH69hBX1h79qOtmwssCSE/no=",
    );
    find().keys(["id", "filter"]).max(44).check(
        ":YBQVXsEfWGR363DXjEbBLE7sO3WC13gYwzf7Pv5DRto=",
        ":3cxQkwbpnwX3QXXEMh4v2QWuIlFneNVGH4Cpr83ujXk=",
    );
    find().keys(["id", "filter"]).max(50).check(
        ":2|auth4tx/eOjGPY4rTiR6tlNBIJldBtGOkabeKgTrtFGp5pI=",
        ":2|authUp3ws26HfSSnFTMI2e3Q5+VCDpVVQyRuUsEhrk29dxc=",
    );
    find().max(60).check(
        ":id|2|title|New pNjRNBApllAnLAXxrKC/OvX75mkraXjf4uppR0wEOt08=",
        r#":id|2|title|"New LHp9XPXjBmU8QQpQoaGeHnfkb8Ossa5OqRe9hBWeUwI="#,
    );
}

/// Lengths are those of JavaScript strings: a character above U+FFFF is two.
#[test]
fn lengths_count_utf16_units() {
    let full = "é".repeat(44);
    params(&*full)
        .max(44)
        .check(&format!(":{full}"), ":WWGAwz2jiTnOSTlql7Thp8gGLbNv3YYdxLt89XBheqE=");
    let pairs = "😀".repeat(23);
    let cut = params(&*pairs).max(45).key("a", V4);
    let hash = "an9OudtiHK78HVewCgXnRtivssorJysjveiqriHwkYA=";
    assert_eq!(cut, format!("a:\u{fffd}{hash}"));
}

#[derive(Serialize)]
struct Query {
    id: u64,
    title: Option<&'static str>,
    range: (i8, f64),
    tags: Vec<Tag>,
    data: Bytes,
}

#[derive(Serialize)]
struct Tag {
    name: &'static str,
}

#[test]
fn every_form_of_params_makes_the_same_key() {
    let query = || Query {
        id: 5,
        title: None,
        range: (-1, 2.5),
        tags: vec![Tag { name: "a\"|é" }, Tag { name: "" }],
        data: Bytes::from_static(&[1, 255]),
    };
    let typed = Payload::new(query());
    let mut json = BytesMut::new();
    typed.encode(&Format::Json, &mut json).expect("it has a JSON form");
    let value = Payload::from(Value::from_serialize(&query()).expect("a value"));
    let forms = [typed, value, Payload::encoded(json.freeze(), Format::Json)];
    for params in forms {
        let call = Call { params, ..Call::default() };
        call.check(
            ":id|5|title|null|range|[-1|2.5]|tags|[name|a\"|é|name|]|data|type|Buffer|data|[1|255]",
            r#":id|5|title|null|range|[-1|2.5]|tags|[name|"a"|é"|name|""]|data|type|"Buffer"|data|[1|255]"#,
        );
        let call = call.keys(["tags.0.name", "range", "title", "data"]);
        call.check(
            ":a\"|é|[-1|2.5]|null|type|Buffer|data|[1|255]",
            r#":"a"|é"|[-1|2.5]|null|type|"Buffer"|data|[1|255]"#,
        );
    }
}

#[test]
fn malformed_params_make_no_key() {
    let params = Payload::encoded(Bytes::from_static(b"{\"a\":1,"), Format::Json);
    let (meta, headers) = (Object::new(), Object::new());
    let parts = KeyParts { action: "a", params: &params, meta: &meta, headers: &headers };
    let rules = KeyRules::new(V5, None);
    assert!(rules.key(&parts, None).is_err());
    assert!(rules.key(&parts, Some(&["b".into()])).is_err());
}
