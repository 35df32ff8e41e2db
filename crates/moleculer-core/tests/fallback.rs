//! What answers a call that fails.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, CallOptions, Context, Error, ErrorKind, Fallback, InProcessNetwork, Params, Result,
    RetryPolicy, Service, ServiceBroker, State, Value,
};
use serde_json::json;

use self::support::{local, node};

#[derive(Clone, Default)]
struct Calls {
    handler: Arc<AtomicU32>,
    fallback: Arc<AtomicU32>,
}

impl Calls {
    fn take(&self) -> [u32; 2] {
        [&self.handler, &self.fallback].map(|calls| calls.swap(0, Ordering::Relaxed))
    }
}

async fn busy(Params(_): Params<u32>, State(calls): State<Calls>) -> Result<String> {
    calls.handler.fetch_add(1, Ordering::Relaxed);
    Err(Error::server(503, "BUSY", "busy"))
}

async fn instead(
    ctx: Context,
    Params(n): Params<u32>,
    State(calls): State<Calls>,
    error: Error,
) -> Result<String> {
    calls.fallback.fetch_add(1, Ordering::Relaxed);
    assert!(ctx.fallback_result());
    match n {
        0 => Err(Error::client(400, "NONE", "no fallback either")),
        n => Ok(format!("{n} instead of {}", error.r#type().unwrap_or_default())),
    }
}

fn shop(calls: &Calls) -> Service {
    Service::builder("shop")
        .with_state(calls.clone())
        .action(Action::new("bare", busy))
        .action(Action::new("safe", busy).fallback(instead))
        .build()
}

async fn answers(broker: &ServiceBroker, action: &str, n: u32) -> Result<String, Value> {
    let answer = broker.call::<String>(action, n).await;
    answer.map_err(|error| error.r#type().into())
}

#[tokio::test]
async fn an_actions_fallback_answers_with_the_error_and_the_params() {
    let calls = Calls::default();
    let broker = local().service(shop(&calls)).start().await.expect("starts");
    assert_eq!(answers(&broker, "shop.safe", 7).await, Ok("7 instead of BUSY".to_owned()));
    assert_eq!(calls.take(), [1, 1]);
    assert_eq!(answers(&broker, "shop.bare", 7).await, Err("BUSY".into()));
    // A fallback may fail: its error is the result.
    assert_eq!(answers(&broker, "shop.safe", 0).await, Err("NONE".into()));
    // Params that do not fit are an error as any other; so is the fallback's own need of them.
    let misfit = broker.call::<String>("shop.safe", "text").await.expect_err("no number");
    assert_eq!(misfit.kind(), &ErrorKind::Validation);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_calls_fallback_goes_before_the_actions() {
    let calls = Calls::default();
    let broker = local().service(shop(&calls)).start().await.expect("starts");
    for action in ["shop.bare", "shop.safe"] {
        let value: String = broker.call(action, 1).fallback_response("none").await.expect("value");
        assert_eq!(value, "none");
        let call =
            broker.call::<String>(action, 2).fallback(|ctx: Context, error: Error| async move {
                Ok::<_, Error>(format!(
                    "{} {}: {}",
                    ctx.action(),
                    ctx.fallback_result(),
                    error.code()
                ))
            });
        assert_eq!(call.await.expect("function"), format!("{action} true: 503"));
        let failing = |error: Error| async move { Err::<(), _>(error.with_type("STILL")) };
        let error = broker.call::<String>(action, 3).fallback(failing).await.expect_err("fails");
        assert_eq!(error.r#type(), Some("STILL"));
    }
    assert_eq!(calls.take(), [6, 0]);
    // What succeeds needs none.
    let fine: Value = broker.call("$node.list", ()).fallback_response(5).await.expect("fine");
    assert!(fine.as_array().is_some());
    // Options for several calls carry it as well.
    let mut options = CallOptions::default();
    options.fallback = Some(Fallback::response("options"));
    let value: String = broker.call("shop.bare", 1).options(options).await.expect("value");
    assert_eq!(value, "options");
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_action_that_nobody_offers_has_no_fallback() {
    let broker = local().start().await.expect("starts");
    let call = broker.call::<u32>("no.such", ()).fallback_response(5);
    assert_eq!(call.await.expect_err("missing").kind(), &ErrorKind::ServiceNotFound);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_once_after_all_retries_and_after_a_timeout() {
    let calls = Calls::default();
    let fast = RetryPolicy::new().retries(3).delay(Duration::from_millis(1));
    let slow = async || {
        std::future::pending::<()>().await;
        Ok::<_, Error>(1)
    };
    let broker = local()
        .retry(fast)
        .service(shop(&calls))
        .service(Service::builder("slow").action(Action::new("work", slow)))
        .start()
        .await
        .expect("starts");
    assert_eq!(answers(&broker, "shop.safe", 7).await, Ok("7 instead of BUSY".to_owned()));
    assert_eq!(calls.take(), [4, 1]);
    // One that fails is not asked again by the attempts before.
    assert_eq!(answers(&broker, "shop.safe", 0).await, Err("NONE".into()));
    assert_eq!(calls.take(), [4, 1]);
    let call = broker.call::<u32>("slow.work", ()).timeout(Duration::from_millis(5)).retries(0);
    assert_eq!(call.fallback_response(9).await.expect("fallback"), 9);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn between_nodes_each_side_has_its_own() {
    let (network, calls) = (InProcessNetwork::default(), Calls::default());
    let near = node(&network, "near").start().await.expect("starts");
    let far = node(&network, "far").service(shop(&calls)).start().await.expect("starts");
    near.wait_for_services(["shop"], Duration::from_secs(5)).await.expect("found");
    // The action's is asked where it runs, and only there.
    assert_eq!(answers(&near, "shop.safe", 7).await, Ok("7 instead of BUSY".to_owned()));
    assert_eq!(calls.take(), [1, 1]);
    let value: String = near.call("shop.bare", 1).fallback_response("here").await.expect("value");
    assert_eq!(value, "here");
    // It is not published.
    let actions: Value =
        near.call("$node.actions", json!({"skipInternal": true})).await.expect("list");
    let actions = actions.as_array().expect("a list");
    assert_eq!(actions.len(), 2);
    for action in actions {
        let published =
            action.as_object().and_then(|row| row.get("action")?.as_object()).expect("published");
        assert!(!published.contains_key("fallback"), "{published:?}");
    }
    near.stop().await.expect("stops");
    far.stop().await.expect("stops");
}
