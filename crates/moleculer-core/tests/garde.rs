//! Params that `garde` checks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use garde::Validate;
use moleculer_core::{
    Action, BrokerBuilder, Event, Object, Payload, Plugins, Result, Service, ServiceBroker, State,
    Valid, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Post {
    #[garde(length(min = 3, max = 5))]
    title: String,
    #[garde(length(max = 1), inner(alphanumeric))]
    tags: Vec<String>,
    #[garde(dive)]
    author: Author,
    #[garde(range(min = 1))]
    rating: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Author {
    #[garde(email)]
    email: String,
    #[garde(range(max = 1.5))]
    weight: f64,
    #[garde(length(min = 1), dive)]
    roles: BTreeMap<String, Role>,
    #[garde(custom(known))]
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Role {
    #[garde(length(min = 2))]
    since: String,
}

fn known(name: &str, _: &()) -> garde::Result {
    if name == "Ann" { Ok(()) } else { Err(garde::Error::new("nobody knows this author")) }
}

fn post() -> Json {
    json!({
        "title": "Hello", "tags": ["a"], "rating": 1,
        "author": {"email": "a@b.c", "weight": 1, "roles": {"admin": {"since": "May"}}, "name": "Ann"},
    })
}

/// With the last member of each path set to something else.
fn changed(changes: &[(&str, Json)]) -> Json {
    let mut post = post();
    for (path, value) in changes {
        *post.pointer_mut(path).expect("a member") = value.clone();
    }
    post
}

async fn create(Valid(post): Valid<Post>) -> Result<Post> {
    Ok(post)
}

async fn broker() -> ServiceBroker {
    let posts = Service::builder("posts").action(Action::new("create", create));
    let builder = BrokerBuilder::new(Plugins::core()).node_id("n");
    builder.service(posts).start().await.expect("a broker")
}

/// The items, without who asked for what.
async fn items(broker: &ServiceBroker, params: Payload) -> Vec<Json> {
    let error = broker.call::<Json>("posts.create", params).await.expect_err("it is wrong");
    assert_eq!((error.code(), error.message()), (422, "Parameters validation error!"));
    assert_eq!(error.name(), "ValidationError");
    let items = Json::from(error.data().cloned().unwrap_or_default());
    let items = items.as_array().expect("a list").iter().map(|item| {
        let mut item = item.clone();
        let members = item.as_object_mut().expect("an object");
        assert_eq!(members.remove("nodeID"), Some("n".into()));
        assert_eq!(members.remove("action"), Some("posts.create".into()));
        item
    });
    items.collect()
}

#[tokio::test]
async fn broken_rules_are_items_of_the_reference() {
    let broker = broker().await;
    for (path, value, expected) in [
        (
            "/title",
            json!("ab"),
            json!({"type": "stringMin", "field": "title", "expected": 3, "actual": 2,
            "message": "The 'title' field length must be greater than or equal to 3 characters long."}),
        ),
        (
            "/title",
            json!("Hällo!"),
            json!({"type": "stringMax", "field": "title", "expected": 5,
            "message": "The 'title' field length must be less than or equal to 5 characters long."}),
        ),
        (
            "/tags",
            json!(["a", "b"]),
            json!({"type": "arrayMax", "field": "tags", "expected": 1, "actual": 2,
            "message": "The 'tags' field must contain less than or equal to 1 items."}),
        ),
        (
            "/tags/0",
            json!("-"),
            json!({"type": "stringAlphanum", "field": "tags[0]", "actual": "-",
            "message": "The 'tags[0]' field must be an alphanumeric string."}),
        ),
        (
            "/rating",
            json!(-5),
            json!({"type": "numberMin", "field": "rating", "expected": 1, "actual": -5,
            "message": "The 'rating' field must be greater than or equal to 1."}),
        ),
        (
            "/author/weight",
            json!(2.5),
            json!({"type": "numberMax", "field": "author.weight",
            "expected": 1.5, "actual": 2.5,
            "message": "The 'author.weight' field must be less than or equal to 1.5."}),
        ),
        (
            "/author/email",
            json!("x"),
            json!({"type": "email", "field": "author.email", "actual": "x",
            "message": "The 'author.email' field must be a valid e-mail."}),
        ),
        (
            "/author/roles",
            json!({}),
            json!({"type": "objectMinProps", "field": "author.roles",
            "expected": 1, "actual": 0,
            "message": "The object 'author.roles' must contain at least 1 properties."}),
        ),
        (
            "/author/roles/admin/since",
            json!("y"),
            json!({"type": "stringMin", "field": "author.roles.admin.since",
            "expected": 2, "actual": 1, "message": "The 'author.roles.admin.since' field length must be \
             greater than or equal to 2 characters long."}),
        ),
        (
            "/author/name",
            json!("Bob"),
            json!({"type": "custom", "field": "author.name",
            "actual": "Bob", "message": "nobody knows this author"}),
        ),
    ] {
        let params = Payload::from(Value::from(changed(&[(path, value)])));
        assert_eq!(items(&broker, params).await, [expected]);
    }
    // A type that does not fit is told as ever, and no rule is looked at.
    let params = changed(&[("/title", json!(5)), ("/rating", json!(0))]);
    let found = items(&broker, Payload::from(Value::from(params))).await;
    assert_eq!(
        found,
        [json!({"type": "string", "field": "title", "actual": 5,
        "message": "The 'title' field must be a string."})]
    );
}

/// Whatever form the params have: typed, dynamic or encoded, alone or shared.
#[tokio::test]
async fn params_of_every_form_are_checked() {
    let broker = broker().await;
    let typed = |json: Json| serde_json::from_value::<Post>(json).expect("a post");
    let encoded = |json: Json| {
        let bytes = json.to_string().into_bytes();
        Payload::encoded(bytes.into(), moleculer_core::protocol::Format::Json)
    };
    let wrong = || changed(&[("/title", json!("ab")), ("/rating", json!(0))]);
    for (right, wrong) in [
        (Payload::new(typed(post())), Payload::new(typed(wrong()))),
        (Value::from(post()).into(), Value::from(wrong()).into()),
        (encoded(post()), encoded(wrong())),
    ] {
        for _ in 0..2 {
            let made: Post = broker.call("posts.create", right.clone()).await.expect("right");
            assert_eq!(made, typed(post()));
            let found = items(&broker, wrong.clone()).await;
            let actual: Vec<_> = found.iter().map(|item| item["actual"].clone()).collect();
            assert_eq!(actual, [json!(0), json!(2)]);
        }
        let alone: Post = broker.call("posts.create", right).await.expect("right");
        assert_eq!(alone, typed(post()));
    }
}

/// Typed params are moved to the handler, as `Params` does.
#[tokio::test]
async fn typed_params_are_not_copied() {
    async fn address(Valid(post): Valid<Post>) -> Result<usize> {
        Ok(post.title.as_ptr() as usize)
    }
    let posts = Service::builder("posts").action(Action::new("address", address));
    let broker = BrokerBuilder::new(Plugins::core()).service(posts).start().await.expect("ok");
    let post: Post = serde_json::from_value(post()).expect("a post");
    let place = post.title.as_ptr() as usize;
    assert_eq!(broker.call::<usize>("posts.address", post).await.expect("right"), place);
}

#[tokio::test]
async fn events_are_checked() {
    type Seen = Arc<Mutex<Vec<String>>>;
    async fn on(Valid(post): Valid<Post>, State(seen): State<Seen>) -> Result<()> {
        seen.lock().expect("no panic").push(post.title);
        Ok(())
    }
    let seen = Seen::default();
    let listener =
        Service::builder("l").with_state(seen.clone()).event(Event::new("post.made", on));
    let broker = BrokerBuilder::new(Plugins::core()).node_id("n").service(listener);
    let broker = broker.start().await.expect("a broker");
    broker.broadcast("post.made", post()).throw_error().await.expect("right");
    let wrong = broker.broadcast("post.made", changed(&[("/title", json!("ab"))]));
    let error = wrong.throw_error().await.expect_err("wrong");
    let item = error.data().and_then(|items| items.pointer("0")).and_then(Value::as_object);
    let event = item.and_then(|item: &Object| item.get("event"));
    assert_eq!(event, Some(&"post.made".into()));
    assert_eq!(*seen.lock().expect("no panic"), ["Hello"]);
}
