//! Schemas, their errors, and what is published.

use std::time::Duration;

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Object, Params, Payload, Plugins, Result, Service,
    ServiceBroker, Validator, Value,
};
use moleculer_testkit::alloc::{CountingAllocator, peak};
use moleculer_validator_jsonschema::{JsonSchemaValidator, PLUGIN};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

async fn echo(Params(params): Params<Value>) -> Result<Value> {
    Ok(params)
}

fn builder(schema: Json) -> BrokerBuilder {
    let options = json!({"validator": "jsonschema"});
    let options = BrokerOptions::from_value(options).expect("options");
    let service = Service::builder("s").action(Action::new("a", echo).params(schema));
    let plugins = Plugins::core().validator(PLUGIN);
    BrokerBuilder::new(plugins).options(options).node_id("n").service(service)
}

async fn broker(schema: Json) -> ServiceBroker {
    builder(schema).start().await.expect("a broker")
}

/// The items, without who asked for what.
async fn items(broker: &ServiceBroker, params: impl Into<Value>) -> Vec<Json> {
    let call = broker.call::<Value>("s.a", Payload::from(params.into()));
    let error = call.await.expect_err("it is wrong");
    assert_eq!((error.code(), error.message()), (422, "Parameters validation error!"));
    let Some(Value::Array(items)) = error.data().cloned() else { panic!("{error:?}") };
    let items = items.into_iter().map(|item| {
        let mut item = Json::from(item);
        let members = item.as_object_mut().expect("an object");
        assert_eq!(members.remove("nodeID"), Some("n".into()));
        assert_eq!(members.remove("action"), Some("s.a".into()));
        item
    });
    items.collect()
}

#[tokio::test]
async fn errors_are_in_the_words_of_the_reference() {
    let schema = json!({
        "type": "object",
        "properties": {
            "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
            "n": {"type": "integer", "minimum": 1, "maximum": 5},
            "f": {"type": "number", "exclusiveMinimum": 0},
            "b": {"type": "boolean"},
            "e": {"enum": ["a", 1]},
            "c": {"const": 5},
            "l": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
            "o": {"type": "object", "properties": {"x": {}}, "required": ["x"],
                  "additionalProperties": false, "maxProperties": 1},
            "m": {"format": "email", "type": "string"},
            "any": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 3}]},
            "t": {"type": ["string", "null"]},
        },
    });
    let broker = broker(schema).await;
    for (params, expected) in [
        (
            json!({"s": "añañ"}),
            json!([
            {"type": "stringMax", "message": "The 's' field length must be less than or equal to 3 characters long.", "field": "s", "expected": 3, "actual": 4},
            {"type": "stringPattern", "message": "The 's' field fails to match the required pattern.", "field": "s", "expected": "/^[a-z]+$/", "actual": "añañ"}]),
        ),
        (
            json!({"s": 5}),
            json!([{"type": "string", "message": "The 's' field must be a string.", "field": "s", "actual": 5}]),
        ),
        (
            json!({"n": 9}),
            json!([{"type": "numberMax", "message": "The 'n' field must be less than or equal to 5.", "field": "n", "expected": 5, "actual": 9}]),
        ),
        (
            json!({"n": 1.5}),
            json!([{"type": "numberInteger", "message": "The 'n' field must be an integer.", "field": "n", "actual": 1.5}]),
        ),
        (
            json!({"n": "1"}),
            json!([{"type": "number", "message": "The 'n' field must be a number.", "field": "n", "actual": "1"}]),
        ),
        (
            json!({"f": 0}),
            json!([{"type": "exclusiveMinimum", "message": "value is less than or equal to the minimum of 0", "field": "f", "actual": 0}]),
        ),
        (
            json!({"b": 0}),
            json!([{"type": "boolean", "message": "The 'b' field must be a boolean.", "field": "b", "actual": 0}]),
        ),
        (
            json!({"e": "x"}),
            json!([{"type": "enumValue", "message": "The 'e' field value 'a, 1' does not match any of the allowed values.", "field": "e", "expected": "a, 1", "actual": "x"}]),
        ),
        (
            json!({"c": 6}),
            json!([{"type": "equalValue", "message": "The 'c' field value must be equal to '5'.", "field": "c", "expected": 5, "actual": 6}]),
        ),
        (
            json!({"l": []}),
            json!([{"type": "arrayMin", "message": "The 'l' field must contain at least 1 items.", "field": "l", "expected": 1, "actual": 0}]),
        ),
        (
            json!({"l": ["a", 5]}),
            json!([{"type": "string", "message": "The 'l[1]' field must be a string.", "field": "l[1]", "actual": 5}]),
        ),
        (
            json!({"o": {"y": 1}}),
            json!([
            {"type": "objectStrict", "message": "The object 'o' contains forbidden keys: 'y'.", "field": "o", "actual": "y"},
            {"type": "required", "message": "The 'o.x' field is required.", "field": "o.x"}]),
        ),
        (
            json!({"m": "x"}),
            json!([{"type": "email", "message": "The 'm' field must be a valid e-mail.", "field": "m", "actual": "x"}]),
        ),
        (
            json!({"any": 1}),
            json!([
            {"type": "string", "message": "The 'any' field must be a string.", "field": "any", "actual": 1},
            {"type": "numberMin", "message": "The 'any' field must be greater than or equal to 3.", "field": "any", "expected": 3, "actual": 1}]),
        ),
        (
            json!({"t": 1}),
            json!([{"type": "type", "message": "value is not of types \"null\", \"string\"", "field": "t", "actual": 1}]),
        ),
        (
            json!(5),
            json!([{"type": "object", "message": "The '' must be an Object.", "actual": 5}]),
        ),
    ] {
        let mut found = items(&broker, params.clone()).await;
        found.sort_by_key(|item| item["type"].to_string());
        let mut expected = expected.as_array().cloned().expect("a list");
        expected.sort_by_key(|item| item["type"].to_string());
        assert_eq!(found, expected, "{params}");
    }
    let right = json!({"s": "abc", "n": 1, "l": ["a"], "o": {"x": 1}, "any": "x", "t": null});
    let same: Json = broker.call("s.a", right.clone()).await.expect("it is right");
    assert_eq!(same, right);
    let _: Json = broker.call("s.a", Payload::null()).await.expect("nothing is an empty object");
}

#[test]
fn wrong_schemas_refuse_the_service() {
    for (schema, expected) in [
        (json!({"type": "strin"}), "no JSON Schema that can be used"),
        (json!({"properties": {"a": {"minLength": "x"}}}), "`/properties/a/minLength`"),
        (json!({"properties": {"a": {"pattern": "(?=x)y"}}}), "no JSON Schema that can be used"),
        (json!({"$ref": "http://127.0.0.1:1/schema.json"}), "no JSON Schema that can be used"),
        (json!({"$ref": "file:///etc/hostname"}), "no JSON Schema that can be used"),
        (json!({"properties": {"a": {"format": "colour"}}}), "colour"),
        (json!("string"), "a JSON Schema is an object"),
    ] {
        let error = builder(schema.clone()).build().expect_err("refused");
        let message = error.message();
        assert!(
            message.starts_with("the rules `params` of action 's.a' of service 's': "),
            "{message}"
        );
        assert!(message.contains(expected), "{schema}: {message}");
    }
}

/// Ten megabytes each, as JSON or in memory.
#[test]
fn hostile_params_end_soon_and_take_little() {
    let tree = json!({
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    });
    let schema = json!({"properties": {
        "tree": tree["$defs"]["tree"].clone(), "text": {"pattern": "^(a+)+$"},
        "list": {"type": "array", "items": {"type": "number"}, "uniqueItems": true},
    }, "$defs": tree["$defs"].clone()});
    let nested = (0..100).fold(Value::from("x"), |inner, _| Value::Array(vec![inner]));
    let params = [
        Object::from([("tree", Value::Array(vec![nested; 50_000]))]),
        Object::from([("text", "a".repeat(10_000_000) + "!")]),
        Object::from([("list", vec!["x"; 200_000])]),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let broker = runtime.block_on(broker(schema));
    for params in params {
        let (copy, size) = peak(|| params.clone());
        assert!(size >= 6 << 20, "{size} bytes in memory");
        let found = async { timeout(Duration::from_secs(60), items(&broker, params)).await };
        let (found, held) = peak(|| runtime.block_on(found));
        let found = found.expect("it takes too long");
        assert!((1..=1000).contains(&found.len()), "{}", found.len());
        // It finds all that is wrong before it tells a thousand of them.
        assert!(held <= 20 * size, "{held} bytes for {size}");
        drop(copy);
    }
}

#[test]
fn tools_read_what_is_published() {
    let schema = json!({
        "type": "object",
        "properties": {"title": {"type": "string", "minLength": 3}, "n": {"type": "integer"}},
        "required": ["title"],
        "additionalProperties": false,
    });
    let mut definition = Object::new();
    JsonSchemaValidator::new().publish(&schema.clone().into(), &mut definition);
    assert_eq!(
        Json::from(Value::from(definition)),
        json!({
            "params": {"$$strict": true, "title": {"type": "string", "min": 3},
                       "n": {"type": "number", "integer": true, "optional": true}},
            "paramsSchema": schema,
        })
    );
}

#[tokio::test]
async fn other_nodes_are_told_both() {
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]});
    let broker = broker(schema.clone()).await;
    let actions: Vec<Json> = broker.call("$node.actions", json!({})).await.expect("a list");
    let action = actions.iter().find(|action| action["name"] == "s.a").expect("the action");
    assert_eq!(action["action"]["params"], json!({"n": {"type": "number"}}));
    assert_eq!(action["action"]["paramsSchema"], schema);
}
