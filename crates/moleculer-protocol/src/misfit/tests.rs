use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read from values alone")]
struct Post {
    title: String,
    tags: Option<Vec<String>>,
    author: Author,
    kind: Kind,
    stars: BTreeMap<u8, u8>,
    #[serde(default)]
    place: (f64, f64),
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read from values alone")]
struct Author {
    #[serde(rename = "full-name")]
    name: String,
    age: u8,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read from values alone")]
enum Kind {
    Note,
    Link { url: String },
}

/// What does not fit, as `field: message`.
fn check<T: DeserializeOwned>(value: serde_json::Value, expected: &[&str]) {
    let misfits = find::<T>(&value.into());
    let found: Vec<_> = misfits.iter().map(|m| format!("{}: {}", m.field(), m.message)).collect();
    assert_eq!(found, expected);
}

fn good() -> serde_json::Value {
    json!({"title": "t", "author": {"full-name": "n", "age": 9}, "kind": "Note", "stars": {"1": 2}})
}

fn changed(key: &str, value: serde_json::Value) -> serde_json::Value {
    let mut post = good();
    post[key] = value;
    post
}

#[test]
fn each_place_is_told() {
    check::<Post>(good(), &[]);
    check::<Post>(
        changed("tags", json!(["a", 5, "b", null])),
        &[
            "tags[1]: invalid type: integer `5`, expected a string",
            "tags[3]: invalid type: unit value, expected a string",
        ],
    );
    check::<Post>(
        changed("author", json!({"full-name": 1, "age": 300})),
        &[
            "author.age: invalid value: integer `300`, expected u8",
            "author['full-name']: invalid type: integer `1`, expected a string",
        ],
    );
    check::<Post>(
        changed("kind", json!("Book")),
        &["kind: unknown variant `Book`; known are Note, Link"],
    );
    check::<Post>(
        changed("kind", json!({"Link": {"url": 5}})),
        &["kind.Link.url: invalid type: integer `5`, expected a string"],
    );
    check::<Post>(
        changed("stars", json!({"1": 2, "2": "x"})),
        &["stars['2']: invalid type: string \"x\", expected u8"],
    );
    check::<Post>(
        changed("place", json!([1.5])),
        &["place: invalid length 1, expected a tuple of size 2"],
    );
    check::<Vec<u8>>(json!(["a"]), &["[0]: invalid type: string \"a\", expected u8"]);
    check::<u8>(json!("a"), &[": invalid type: string \"a\", expected u8"]);
}

#[test]
fn all_members_are_told_at_once() {
    check::<Post>(
        json!({"titel": 1, "author": {}, "tags": 5, "extra": {}}),
        &[
            "author['full-name']: missing field `full-name`",
            "author.age: missing field `age`",
            ": unknown key `extra`; known are title, tags, author, kind, stars, place",
            "tags: invalid type: integer `5`, expected a sequence",
            ": unknown key `titel`; did you mean `title`?",
            "title: missing field `title`",
            "kind: missing field `kind`",
            "stars: missing field `stars`",
        ],
    );
}

/// What a hole gives is not the caller's.
#[test]
fn nothing_is_told_that_follows_from_a_hole() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Range")]
    struct Checked;
    #[derive(Deserialize)]
    struct Range {
        from: u8,
        to: u8,
    }
    impl TryFrom<Range> for Checked {
        type Error = &'static str;
        fn try_from(range: Range) -> Result<Self, Self::Error> {
            if range.from < range.to { Ok(Self) } else { Err("from is before to") }
        }
    }
    check::<Checked>(
        json!({"from": "x"}),
        &["from: invalid type: string \"x\", expected u8", "to: missing field `to`"],
    );
    check::<Checked>(json!({"from": 3, "to": 2}), &[": from is before to"]);
    check::<std::num::NonZero<u8>>(
        json!(0),
        &[": invalid value: integer `0`, expected a nonzero u8"],
    );
}

#[test]
fn values_come_along_if_they_are_small() {
    let actual = |value: Value| find::<bool>(&value)[0].actual.clone();
    assert_eq!(actual(5.into()), Some(5.into()));
    assert_eq!(actual(Value::from(json!({"a": [1]}))), Some(json!({"a": [1]}).into()));
    assert_eq!(actual(vec![1; 100].into()), None);
    let Some(Value::String(text)) = actual("ü".repeat(1000).into()) else { panic!("is text") };
    assert_eq!(text.chars().count(), 256 + 3);
}

#[test]
fn hostile_values_cost_little() {
    // Long keys, deep.
    let mut value = json!("x");
    for _ in 0..100 {
        value = json!({ "k".repeat(1000): value });
    }
    #[derive(Debug)]
    struct Deep;
    impl<'de> Deserialize<'de> for Deep {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct V;
            impl<'de> serde::de::Visitor<'de> for V {
                type Value = Deep;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("objects in objects")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Deep, A::Error> {
                    while map.next_entry::<String, Deep>()?.is_some() {}
                    Ok(Deep)
                }
            }
            deserializer.deserialize_any(V)
        }
    }
    let misfits = find::<Deep>(&value.into());
    let field = misfits[0].field();
    assert!(field.len() < 600 && field.ends_with("..."), "{} bytes", field.len());
    // Many faults: so many are told, and one of a large value.
    assert_eq!(find::<Vec<u8>>(&vec!["x"; 1000].into()).len(), MOST_MISFITS);
    assert_eq!(find::<Vec<u8>>(&vec!["x"; 100_000].into()).len(), 1);
    let long = "x".repeat(1 << 20);
    assert!(find::<Kind>(&Value::from(long))[0].message.len() < 2000);
}
