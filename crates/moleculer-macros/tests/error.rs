//! Enums as errors of actions: here, and from one node to another.

use std::{collections::BTreeMap, error::Error as _};

use moleculer_core::{
    Action, BrokerBuilder, Error, ErrorKind, InProcessNetwork, Params, Plugins, Service,
    ServiceBroker, Value,
};
use moleculer_macros::ActionError;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Limits {
    max: u8,
}

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum PostError {
    #[action_error(code = 404, type = "POST_NOT_FOUND", message = "post {id} not found")]
    NotFound {
        #[action_error(rename = "postId")]
        id: u64,
        r#in: Option<String>,
    },
    #[action_error(code = 413, type = "POST_TOO_LONG", message = "too long: {0:?}")]
    TooLong(Limits),
    #[action_error(code = 503, type = "POSTS_BUSY", retryable, message = "try {{again}}")]
    Busy,
    #[action_error(code = 500, type = "POSTS_BROKEN", message = "broken")]
    Broken {},
    #[action_error(other)]
    Other(Error),
}

/// What the `n`th call raises.
async fn raise(Params(n): Params<u8>) -> Result<(), PostError> {
    Err(match n {
        0 => PostError::NotFound { id: 5, r#in: Some("blog".into()) },
        1 => PostError::TooLong(Limits { max: 9 }),
        2 => PostError::Busy,
        3 => PostError::Broken {},
        // As a node in another language words it.
        4 => foreign(json!({"postId": 7})).into(),
        5 => PostError::Other(foreign(json!({"postId": "seven"}))),
        6 => PostError::Other(foreign(json!([7]))),
        7 => PostError::Other(Error::client(413, "POST_TOO_LONG", "no data")),
        _ => return Err(Error::internal("none of ours"))?,
    })
}

fn foreign(data: serde_json::Value) -> Error {
    Error::client(410, "POST_NOT_FOUND", "Not here!").with_data(data)
}

fn service() -> Service {
    Service::builder("posts").action(Action::new("raise", raise)).build()
}

async fn check_all(caller: &ServiceBroker) {
    let fails = async |n: u8| {
        let call = caller.call::<()>("posts.raise", n).typed_error::<PostError>();
        call.await.expect_err("always fails")
    };
    let error = fails(0).await;
    assert_eq!(error.to_string(), "post 5 not found");
    assert!(
        matches!(&error, PostError::NotFound { id: 5, r#in: Some(blog) } if blog == "blog"),
        "{error:?}"
    );
    let error = fails(1).await;
    assert_eq!(error.to_string(), "too long: Limits { max: 9 }");
    assert!(matches!(error, PostError::TooLong(Limits { max: 9 })));
    assert!(matches!(fails(2).await, PostError::Busy));
    assert!(matches!(fails(3).await, PostError::Broken {}));
    assert!(matches!(fails(4).await, PostError::NotFound { id: 7, r#in: None }));
    // What does not fit is the error as it came.
    for (n, data) in [(5, json!({"postId": "seven"})), (6, json!([7]))] {
        let PostError::Other(error) = fails(n).await else { panic!("{n} does not fit") };
        assert_eq!((error.code(), error.message()), (410, "Not here!"));
        assert_eq!(error.data(), Some(&data.into()));
    }
    for (n, message) in [(7, "no data"), (8, "none of ours")] {
        let error = fails(n).await;
        assert!(matches!(error, PostError::Other(_)), "{error:?}");
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn variants_come_back_from_a_local_call() {
    let broker = BrokerBuilder::new(Plugins::core()).service(service()).start().await;
    check_all(&broker.expect("starts")).await;
}

#[tokio::test(start_paused = true)]
async fn variants_come_back_from_another_node() {
    let network = InProcessNetwork::default();
    let node = |id: &str| {
        BrokerBuilder::new(Plugins::core()).node_id(id).transporter(network.transporter())
    };
    let callee = node("callee").service(service()).start().await.expect("starts");
    let caller = node("caller").start().await.expect("starts");
    check_all(&caller).await;
    callee.stop().await.expect("stops");
    let call = caller.call::<()>("posts.raise", 0).typed_error::<PostError>();
    match call.await {
        Err(PostError::Other(error)) => {
            assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
        }
        other => panic!("nobody can have raised {other:?}"),
    }
}

/// Names and members are those that a Node.js peer expects.
#[test]
fn a_variant_has_the_class_of_its_code() {
    let check = |error: PostError, expected| {
        assert_eq!(serde_json::to_value(Error::from(error)).expect("serializes"), expected);
    };
    check(
        PostError::NotFound { id: 5, r#in: None },
        json!({"name": "MoleculerClientError", "message": "post 5 not found", "code": 404,
               "type": "POST_NOT_FOUND", "retryable": false, "data": {"postId": 5, "in": null}}),
    );
    check(
        PostError::Busy,
        json!({"name": "MoleculerRetryableError", "message": "try {again}", "code": 503,
               "type": "POSTS_BUSY", "retryable": true}),
    );
    check(
        PostError::Broken {},
        json!({"name": "MoleculerError", "message": "broken", "code": 500,
               "type": "POSTS_BROKEN", "retryable": false}),
    );
    let other = Error::client(418, "TEA", "short").with_source(std::fmt::Error);
    let PostError::Other(kept) = PostError::from(other) else { panic!("not ours") };
    let again = PostError::Other(kept);
    assert!(again.source().is_some_and(|source| source.is::<std::fmt::Error>()));
    assert_eq!(Error::from(again).r#type(), Some("TEA"));
}

/// Beside `thiserror`, which brings `Display` and sources.
#[derive(Debug, thiserror::Error, ActionError)]
#[action_error(crate = moleculer_core)]
enum Shop {
    #[error("{left} of {wanted} left")]
    #[action_error(code = 409, type = "OUT_OF_STOCK")]
    OutOfStock { left: u32, wanted: u32 },
    #[error(transparent)]
    #[action_error(other)]
    Other(Error),
}

#[test]
fn display_may_come_from_elsewhere() {
    let error = Error::from(Shop::OutOfStock { left: 1, wanted: 2 });
    assert_eq!(error.message(), "1 of 2 left");
    assert!(matches!(Shop::from(error), Shop::OutOfStock { left: 1, wanted: 2 }));
}

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum Odd {
    #[action_error(code = 500, type = "ODD", message = "odd")]
    Keys { map: BTreeMap<Vec<u8>, u8> },
    #[action_error(code = 504, type = "REQUEST_TIMEOUT", message = "late")]
    Late,
    #[action_error(other)]
    Other(Error),
}

/// The error still says what went wrong.
#[test]
fn data_that_cannot_be_sent_stays_here() {
    let error = Error::from(Odd::Keys { map: [(vec![1], 1)].into() });
    assert_eq!((error.r#type(), error.data()), (Some("ODD"), None));
    assert!(error.source().is_some_and(|source| source.to_string().starts_with("map: ")));
}

/// A variant may stand for an error of the framework.
#[test]
fn the_type_decides_whatever_the_class() {
    let data = [("action", Value::from("a.b")), ("nodeID", "n".into())];
    let timeout = Error::from_data(ErrorKind::RequestTimeout, data.into());
    assert!(matches!(Odd::from(timeout), Odd::Late));
}
