//! Params that do not fit: what the caller learns.

mod support;

use std::collections::HashMap;

use bytes::Bytes;
use moleculer_core::{
    Action, Context, Error, ErrorKind, Event, InProcessNetwork, Meta, Params, Payload, Result,
    Service, ServiceBroker, SharedParams, Value, protocol::Format,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use self::support::{local, node};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPost {
    title: String,
    tags: Option<Vec<String>>,
    author: String,
    #[serde(default)]
    details: Details,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Details {
    stars: u8,
    order: i32,
    weight: f64,
    draft: bool,
    kind: Kind,
    place: (u8, u8),
    names: HashMap<String, u8>,
    count: Option<std::num::NonZero<u8>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    #[default]
    Note,
    LongRead,
}

async fn create(Params(_): Params<NewPost>) -> Result<()> {
    Ok(())
}

async fn details(SharedParams(_): SharedParams<Details>) -> Result<()> {
    Ok(())
}

async fn later(ctx: Context) -> Result<()> {
    ctx.params::<NewPost>().map(drop)
}

async fn with_meta(Meta(_): Meta<HashMap<String, u8>>) -> Result<()> {
    Ok(())
}

fn posts() -> Service {
    Service::builder("posts")
        .action(Action::new("create", create))
        .action(Action::new("details", details))
        .action(Action::new("later", later))
        .action(Action::new("meta", with_meta))
        .event(Event::new("posts.*", create))
        .build()
}

/// The items without the members that all have.
fn items(error: &Error, caller: &str, action: &str) -> Json {
    assert_eq!(error.kind(), &ErrorKind::Validation);
    assert_eq!(error.message(), "Parameters validation error!");
    assert_eq!((error.code(), error.r#type()), (422, Some("VALIDATION_ERROR")));
    let mut items: Json = error.data().expect("has items").clone().into();
    for item in items.as_array_mut().expect("is a list") {
        let item = item.as_object_mut().expect("is an object");
        assert_eq!(item.remove("nodeID"), Some(caller.into()));
        assert_eq!(item.remove("action"), Some(action.into()));
    }
    items
}

async fn refused(caller: &ServiceBroker, action: &str, params: Payload) -> Json {
    let error = caller.call::<()>(action, params).await.expect_err("does not fit");
    items(&error, caller.node_id().as_str(), action)
}

fn example() -> (Json, Json) {
    let params = json!({"title": 5, "tags": ["x", 5], "extra": 1});
    let items = json!([
        {"type": "objectStrict", "message": "The object '' contains forbidden keys: 'extra'.",
         "expected": "title, tags, author, details", "actual": "extra"},
        {"type": "string", "message": "The 'tags[1]' field must be a string.",
         "field": "tags[1]", "actual": 5},
        {"type": "string", "message": "The 'title' field must be a string.",
         "field": "title", "actual": 5},
        {"type": "required", "message": "The 'author' field is required.", "field": "author"},
    ]);
    (params, items)
}

/// However the params come.
#[tokio::test]
async fn every_fault_is_an_item() {
    #[derive(Serialize)]
    struct Foreign {
        extra: u8,
        tags: (&'static str, u8),
        title: u8,
    }
    let broker = local().service(posts()).start().await.expect("starts");
    let (params, items) = example();
    let text = Bytes::from(params.to_string());
    for payload in [
        Payload::new(params.clone()),
        Payload::from(Value::from(params)),
        Payload::encoded(text, Format::Json),
        Payload::new(Foreign { extra: 1, tags: ("x", 5), title: 5 }),
    ] {
        assert_eq!(refused(&broker, "posts.create", payload.clone()).await, items, "{payload:?}");
        assert_eq!(refused(&broker, "posts.later", payload).await, items);
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_on_another_node_gets_the_items() {
    let network = InProcessNetwork::default();
    let _b = node(&network, "b").service(posts()).start().await.expect("starts");
    let a = node(&network, "a").start().await.expect("starts");
    let (params, items) = example();
    assert_eq!(refused(&a, "posts.create", Payload::new(params)).await, items);
}

#[tokio::test]
async fn items_are_worded_as_the_reference_words_them() {
    let broker = local().service(posts()).start().await.expect("starts");
    let check = async |key: &str, value: Json, mut expected: Json| {
        expected["field"] = expected.get("field").cloned().unwrap_or_else(|| key.into());
        if expected["type"] != "required" && expected.get("actual").is_none() {
            expected["actual"] = value.clone();
        }
        let params = Payload::new(json!({ key: value }));
        assert_eq!(refused(&broker, "posts.details", params).await, json!([expected]), "{key}");
    };
    let said = |r#type: &str, message: &str| json!({"type": r#type, "message": message});
    let with = |mut item: Json, key: &str, value: Json| {
        item[key] = value;
        item
    };
    check("stars", json!("x"), said("number", "The 'stars' field must be a number.")).await;
    check("stars", json!(1.5), said("numberInteger", "The 'stars' field must be an integer."))
        .await;
    let max = said("numberMax", "The 'stars' field must be less than or equal to 255.");
    check("stars", json!(300), with(max, "expected", json!(255))).await;
    let min = said("numberMin", "The 'stars' field must be greater than or equal to 0.");
    check("stars", json!(-1), with(min, "expected", json!(0))).await;
    check("stars", json!(null), said("required", "The 'stars' field is required.")).await;
    check("order", json!([]), said("number", "The 'order' field must be a number.")).await;
    check("weight", json!("1"), said("number", "The 'weight' field must be a number.")).await;
    check("draft", json!(1), said("boolean", "The 'draft' field must be a boolean.")).await;
    let message =
        "The 'kind' field value 'note, longRead' does not match any of the allowed values.";
    let kind = with(said("enumValue", message), "expected", json!("note, longRead"));
    check("kind", json!("book"), kind).await;
    check("place", json!({}), said("tuple", "The 'place' field must be an array.")).await;
    let count = said("tupleLength", "The 'place' field must contain 2 items.");
    let count = with(with(count, "expected", json!(2)), "actual", json!(1));
    check("place", json!([1]), count).await;
    check("names", json!(5), said("object", "The 'names' must be an Object.")).await;
    let inner =
        with(said("number", "The 'names.a' field must be a number."), "field", json!("names.a"));
    check("names", json!({"a": "b"}), with(inner, "actual", json!("b"))).await;
    // What rules cannot say is said by serde.
    check("count", json!(0), said("custom", "invalid value: integer `0`, expected a nonzero u8"))
        .await;
}

#[tokio::test]
async fn params_as_a_whole_may_be_wrong() {
    let broker = local().service(posts()).start().await.expect("starts");
    let object = json!([{"type": "object", "message": "The '' must be an Object.", "actual": 5}]);
    assert_eq!(refused(&broker, "posts.create", Payload::new(5)).await, object);
    let none = refused(&broker, "posts.create", Payload::nothing()).await;
    assert_eq!((&none[0]["field"], &none[1]["field"]), (&json!("title"), &json!("author")));
    let strict = Payload::new(json!({"details": {"a": 1, "b": 2}, "title": "", "author": ""}));
    let strict = refused(&broker, "posts.create", strict).await;
    assert_eq!(strict[0]["message"], "The object 'details' contains forbidden keys: 'a, b'.");
    assert_eq!(
        (strict[0]["field"].as_str(), strict.as_array().map(Vec::len)),
        (Some("details"), Some(1))
    );
    let malformed = Payload::encoded(Bytes::from_static(b"{\"title\":"), Format::Json);
    let item = &refused(&broker, "posts.create", malformed).await[0];
    assert_eq!(item["type"], "custom");
    assert!(item["message"].as_str().is_some_and(|text| text.contains("EOF")), "{item}");
}

#[tokio::test]
async fn events_and_metadata_are_checked_too() {
    let broker = local().service(posts()).start().await.expect("starts");
    let call = broker.call::<()>("posts.meta", ()).meta([("a", "text")]);
    let found = items(&call.await.expect_err("does not fit"), "local", "posts.meta");
    let message = found[0]["message"].as_str().expect("is text");
    assert!(message.starts_with("meta: invalid type: string"), "{message}");

    let emitted =
        broker.broadcast("posts.created", json!({"title": "", "author": 1})).throw_error();
    let error = emitted.await.expect_err("does not fit");
    let expected = json!([{
        "type": "string", "message": "The 'author' field must be a string.", "field": "author",
        "actual": 1, "nodeID": "local", "event": "posts.*",
    }]);
    assert_eq!(error.data(), Some(&expected.into()));
}
