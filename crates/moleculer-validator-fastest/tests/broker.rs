//! The validator in a broker: actions, events, other nodes, the option.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Error, Event, InProcessNetwork, Params, Payload,
    Plugins, Result, Service, ServiceBroker, State, Value,
};
use moleculer_validator_fastest::{ErrorItem, FastestValidator, PLUGIN};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

async fn echo(Params(params): Params<Value>) -> Result<Value> {
    Ok(params)
}

fn posts() -> Service {
    let rules = json!({
        "$$strict": true,
        "title": "string|min:3",
        "tags": {"type": "array", "items": "string", "optional": true},
        "author": {"$$type": "object", "name": "string", "age": "number|integer|convert|default:5"},
    });
    let create = Action::new("create", echo).params(rules);
    Service::builder("posts").action(create).build()
}

fn builder() -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core().validator(PLUGIN)).node_id("n")
}

async fn started(service: Service) -> ServiceBroker {
    builder().service(service).start().await.expect("a broker")
}

fn data(error: &Error) -> Json {
    error.data().cloned().unwrap_or_default().into()
}

/// The worked example of the reference, with its errors.
#[tokio::test]
async fn errors_are_those_of_the_reference() {
    let broker = started(posts()).await;
    let call =
        broker.call::<Value>("posts.create", json!({"title": "ab", "tags": ["x", 5], "extra": 1}));
    let error = call.await.expect_err("it is wrong");
    assert_eq!(error.name(), "ValidationError");
    assert_eq!(error.message(), "Parameters validation error!");
    assert_eq!((error.code(), error.r#type()), (422, Some("VALIDATION_ERROR")));
    assert!(!error.retryable());
    let mut items = data(&error);
    let items = items.as_array_mut().expect("items");
    items.sort_by_key(|item| item["field"].to_string());
    assert_eq!(
        Json::from(items.clone()),
        json!([
            {"type": "required", "message": "The 'author' field is required.",
             "field": "author", "nodeID": "n", "action": "posts.create"},
            {"type": "string", "message": "The 'tags[1]' field must be a string.",
             "field": "tags[1]", "actual": 5, "nodeID": "n", "action": "posts.create"},
            {"type": "stringMin",
             "message": "The 'title' field length must be greater than or equal to 3 characters long.",
             "field": "title", "expected": 3, "actual": 2, "nodeID": "n", "action": "posts.create"},
            {"type": "objectStrict", "message": "The object '' contains forbidden keys: 'extra'.",
             "expected": "author, tags, title", "actual": "extra", "nodeID": "n",
             "action": "posts.create"},
        ])
    );
}

#[tokio::test]
async fn the_handler_gets_converted_params() {
    let broker = started(posts()).await;
    let post: Json = broker
        .call("posts.create", json!({"title": "abc", "author": {"name": "Ann", "age": "7"}}))
        .await
        .expect("it is right");
    assert_eq!(post, json!({"title": "abc", "author": {"name": "Ann", "age": 7}}));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    #[serde(default)]
    y: f64,
}

/// Rules that change nothing leave typed params where they are.
#[tokio::test]
async fn typed_params_are_moved_to_the_handler() {
    async fn address(Params(params): Params<Text>) -> Result<usize> {
        Ok(params.0.as_ptr() as usize)
    }
    let rules = json!({"$$root": true, "type": "string", "min": 2});
    let service = Service::builder("s").action(Action::new("address", address).params(rules));
    let broker = started(service.build()).await;
    let text = Text(String::from("a text"));
    let address = text.0.as_ptr() as usize;
    assert_eq!(broker.call::<usize>("s.address", text).await.expect("right"), address);
    let error = broker.call::<usize>("s.address", Text("a".to_owned())).await;
    assert_eq!(error.expect_err("too short").code(), 422);
}

#[derive(Debug, Serialize, Deserialize)]
struct Text(String);

#[tokio::test]
async fn typed_params_are_converted_where_rules_ask_for_it() {
    async fn sum(Params(point): Params<Point>) -> Result<f64> {
        Ok(point.x + point.y)
    }
    let rules = json!({"x": "number|min:1", "y": {"type": "number", "min": 0, "default": 10}});
    let service = Service::builder("s")
        .action(Action::new("sum", sum).params(rules))
        .action(
            Action::new("null", sum)
                .params(json!({"x": "number|default:1", "y": "number|default:2"})),
        )
        .action(Action::new("clamped", sum).params(json!({"x": "clamp", "y": "number"})));
    let validator = FastestValidator::builder().custom("clamp", |check| {
        let caller = check.context().map(|ctx| ctx.meta().contains_key("max"));
        match check.value().as_f64() {
            Some(n) if n > 5.0 && caller == Some(true) => check.set(5.0),
            Some(_) => {}
            None => check.fail(ErrorItem::new("number")),
        }
    });
    let broker = builder().validator(validator.build()).service(service).start().await.expect("ok");
    assert_eq!(broker.call::<f64>("s.sum", json!({"x": 2})).await.expect("right"), 12.0);
    let wrong = broker.call::<f64>("s.sum", Point { x: 0.0, y: 1.0 }).await;
    assert_eq!(data(&wrong.expect_err("too small"))[0]["field"], "x");
    let call = broker.call::<f64>("s.clamped", Point { x: 9.0, y: 1.0 });
    assert_eq!(call.meta([("max", 5)]).await.expect("right"), 6.0);
    assert_eq!(
        broker.call::<f64>("s.clamped", Point { x: 9.0, y: 1.0 }).await.expect("right"),
        10.0
    );
    // Null counts as `{}`, and its defaults reach the handler.
    assert_eq!(broker.call::<f64>("s.null", Payload::null()).await.expect("right"), 3.0);
}

/// What nobody else holds is converted where it is, and what others hold, for
/// themselves.
#[tokio::test]
async fn dynamic_params_are_converted_in_place() {
    async fn address(Params(params): Params<Value>) -> Result<usize> {
        assert_eq!(params.pointer("id"), Some(&5.into()));
        Ok(address_of(&params))
    }
    fn address_of(params: &Value) -> usize {
        let text = params.pointer("text").and_then(Value::as_str);
        text.map_or(0, |text| text.as_ptr() as usize)
    }
    let rules = json!({"id": "number|convert", "text": "string"});
    let service = Service::builder("s").action(Action::new("address", address).params(rules));
    let broker = started(service.build()).await;
    let params = || Value::from(json!({"id": "5", "text": "a text"}));
    let alone = params();
    let place = address_of(&alone);
    let kept = Payload::from(params());
    let shared = kept.clone();
    assert_eq!(broker.call::<usize>("s.address", alone).await.expect("right"), place);
    let place = kept.as_value().map(address_of);
    let elsewhere = broker.call::<usize>("s.address", shared).await.expect("right");
    assert_ne!(Some(elsewhere), place);
    assert_eq!(kept.as_value(), Some(&params()));
}

#[tokio::test]
async fn events_are_validated() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    async fn on(ctx: Context, State(seen): State<Arc<Mutex<Vec<Value>>>>) -> Result<()> {
        seen.lock().expect("no panic").push(ctx.params()?);
        Ok(())
    }
    let rules = json!({"id": "number|convert"});
    let service = Service::builder("s")
        .with_state(seen.clone())
        .event(Event::new("user.*", on).params(rules));
    let broker = builder().service(service.build()).start().await.expect("a broker");
    broker.broadcast("user.made", json!({"id": "5"})).throw_error().await.expect("right");
    let error = broker.broadcast("user.made", json!({"id": "x"})).throw_error().await;
    assert_eq!(
        data(&error.expect_err("wrong")),
        json!([{"type": "number", "message": "The 'id' field must be a number.", "field": "id",
                "actual": "x", "nodeID": "n", "event": "user.*"}])
    );
    assert_eq!(*seen.lock().expect("no panic"), [json!({"id": 5}).into()]);
}

#[tokio::test]
async fn another_nodes_calls_are_validated_where_the_action_is() {
    let network = InProcessNetwork::default();
    let server = builder().transporter(network.transporter()).service(posts());
    let server = server.start().await.expect("a broker");
    let client =
        BrokerBuilder::new(Plugins::core()).node_id("c").transporter(network.transporter());
    let client = client.start().await.expect("a broker");
    client.wait_for_services(["posts"], Duration::from_secs(10)).await.expect("the service");
    let post = json!({"title": "abc", "author": {"name": "Ann"}});
    let made: Json = client.call("posts.create", post).await.expect("right");
    assert_eq!(made["author"]["age"], 5);
    let error =
        client.call::<Json>("posts.create", json!({"title": 5, "author": {"name": "A"}})).await;
    assert_eq!(
        data(&error.expect_err("wrong")),
        json!([{"type": "string", "message": "The 'title' field must be a string.",
                "field": "title", "actual": 5, "nodeID": "c", "action": "posts.create"}])
    );
    client.stop().await.expect("it stops");
    server.stop().await.expect("it stops");
}

fn with_options(options: Json) -> Result<ServiceBroker> {
    let options = BrokerOptions::from_value(options)?;
    builder().options(options).service(posts()).build()
}

#[test]
fn wrong_rules_refuse_the_service() {
    let check = |service: Service, expected: &str| {
        let error = builder().service(service).build().expect_err("refused");
        assert_eq!(error.message(), expected);
    };
    let rules = json!({"a": {"$$type": "object", "b": "string|min:x"}});
    check(
        Service::builder("s")
            .version(2)
            .action(Action::new("a", echo).params(rules.clone()))
            .build(),
        "the rules `params` of action 'v2.s.a' of service 'v2.s': rule `string`: the option \
         `min` must be a number, not \"x\" (field `a.b`)",
    );
    check(
        Service::builder("s").event(Event::new("x.y", echo).params(rules)).build(),
        "the rules `params` of event 'x.y' of service 's': rule `string`: the option `min` must \
         be a number, not \"x\" (field `a.b`)",
    );
}

#[tokio::test]
async fn the_option_chooses() {
    for options in [
        json!({}),
        json!({"validator": true}),
        json!({"validator": "fastest"}),
        json!({"validator": {"type": "Fastest", "options": {"haltOnFirstError": true}}}),
        json!({"validator": {"options": {"haltOnFirstError": true}}}),
    ] {
        let halts = options.to_string().contains("halt");
        let broker = with_options(options).expect("a broker");
        broker.start().await.expect("it starts");
        let error = broker.call::<Value>("posts.create", json!({})).await.expect_err("wrong");
        assert_eq!(data(&error).as_array().map(Vec::len), Some(if halts { 1 } else { 2 }));
    }
    for options in [json!({"validator": false}), json!({"validator": null})] {
        let broker = with_options(options).expect("a broker");
        broker.start().await.expect("it starts");
        let params: Json = broker.call("posts.create", json!({"x": 5})).await.expect("unchecked");
        assert_eq!(params, json!({"x": 5}));
    }
    for (options, expected) in [
        (json!({"validator": "Joi"}), "Invalid validator type 'Joi'. (known are Fastest)"),
        (json!({"validator": {"options": {"halt": 1}}}), "halt"),
        (json!({"internalMiddlewares": false}), "`params`, which nothing handles"),
    ] {
        let error = with_options(options).expect_err("refused");
        assert!(error.message().contains(expected), "{error}");
    }
    let error = BrokerBuilder::new(Plugins::core()).service(posts()).build().expect_err("none");
    assert!(error.message().contains("give the broker a validator"), "{error}");
}
