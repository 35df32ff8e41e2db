//! What each hook sees, and what it can do.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use moleculer_core::{
    Action, CallFn, Context, Error, InProcessNetwork, Middleware, Params, PublishFn, Result,
    Service, ServiceBroker, Value, protocol::PacketKind,
};
use serde_json::json;

use crate::{
    Log, math,
    recorder::Recorder,
    support::{eventually, local, node},
};

#[tokio::test]
async fn a_call_and_an_event_pass_from_the_last_registered_to_the_first() {
    let log = Log::default();
    let recorder = |name| Recorder { name, log: log.clone(), outer: true };
    let broker = local()
        .middleware(recorder("1"))
        .middleware(recorder("2"))
        .service(math())
        .start()
        .await
        .expect("starts");
    log.take();
    assert_eq!(broker.call::<i64>("math.double", 4).await.expect("works"), 8);
    let expected = [
        "call 2 math.double",
        "call 1 math.double",
        "local 2 math.double@math",
        "local 1 math.double@math",
    ];
    assert_eq!(log.take(), expected);
    broker.emit("math.done", ()).await.expect("works");
    let expected = [
        "emit 2 math.done",
        "emit 1 math.done",
        "event 2 math.done@math",
        "event 1 math.done@math",
    ];
    assert_eq!(log.take(), expected);
    broker.broadcast("math.done", ()).await.expect("works");
    assert_eq!(log.take()[..2], ["broadcast 2 math.done", "broadcast 1 math.done"]);
    broker.broadcast_local("math.done", ()).await.expect("works");
    assert_eq!(log.take()[..2], ["broadcastLocal 2 math.done", "broadcastLocal 1 math.done"]);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_remote_call_passes_packets_and_bytes_in_order() {
    let network = InProcessNetwork::default();
    let log = Log::default();
    let with = |id: &str, log: &Log| {
        let recorder = |name| Recorder { name, log: log.clone(), outer: true };
        node(&network, id).middleware(recorder("1")).middleware(recorder("2"))
    };
    let callee_log = Log::default();
    let caller = with("a", &log).start().await.expect("starts");
    let callee = with("b", &callee_log).service(math()).start().await.expect("starts");
    caller.wait_for_services(["math"], Duration::from_secs(5)).await.expect("found");
    log.take();
    callee_log.take();
    assert_eq!(caller.call::<i64>("math.double", 4).await.expect("works"), 8);
    let expected = [
        "call 2 math.double",
        "call 1 math.double",
        "remote 2 math.double@math",
        "remote 1 math.double@math",
        "publish 2 MOL.REQ.b",
        "publish 1 MOL.REQ.b",
        "send 2 REQ",
        "send 1 REQ",
        "receive 1 RES",
        "receive 2 RES",
        "message 2 RES b",
        "message 1 RES b",
    ];
    assert_eq!(log.take(), expected);
    let expected = [
        "receive 1 REQ",
        "receive 2 REQ",
        "message 2 REQ a",
        "message 1 REQ a",
        "local 2 math.double@math",
        "local 1 math.double@math",
        "publish 2 MOL.RES.a",
        "publish 1 MOL.RES.a",
        "send 2 RES",
        "send 1 RES",
    ];
    assert_eq!(callee_log.take(), expected);
    caller.emit("math.done", ()).await.expect("works");
    eventually("the event arrives", || {
        callee_log.0.lock().expect("no panic").iter().any(|entry| entry.starts_with("event 1"))
    })
    .await;
    assert_eq!(callee_log.take_only("event")[0], "event 2 math.done@math");
    caller.stop().await.expect("stops");
    callee.stop().await.expect("stops");
}

#[tokio::test]
async fn a_packet_that_a_hook_refuses_is_an_error_of_the_call() {
    #[derive(Debug)]
    struct NoRequests;
    impl Middleware for NoRequests {
        fn transit_publish(&self, next: PublishFn) -> PublishFn {
            Arc::new(move |topic, packet| match packet.kind() {
                PacketKind::Request => Err(Error::client(403, "FORBIDDEN", "no requests")),
                _ => next(topic, packet),
            })
        }
    }
    let network = InProcessNetwork::default();
    let caller = node(&network, "a").middleware(NoRequests).start().await.expect("starts");
    let callee = node(&network, "b").service(math()).start().await.expect("starts");
    caller.wait_for_services(["math"], Duration::from_secs(5)).await.expect("found");
    let error = caller.call::<i64>("math.double", 4).await.expect_err("refused");
    assert_eq!(error.r#type(), Some("FORBIDDEN"));
    assert_eq!(caller.pending_requests(), 0);
    caller.stop().await.expect("stops");
    callee.stop().await.expect("stops");
}

#[tokio::test]
async fn beginnings_run_in_order_and_ends_in_reverse() {
    let log = Log::default();
    let recorder = |name| Recorder { name, log: log.clone(), outer: false };
    let options = json!({"internalServices": false});
    let options = moleculer_core::BrokerOptions::from_value(options).expect("valid");
    let broker = local().options(options).middleware(recorder("1")).middleware(recorder("2"));
    let broker = broker.build().expect("made");
    assert_eq!(log.take(), ["created 1 local", "created 2 local"]);
    broker.start().await.expect("starts");
    assert_eq!(log.take(), ["starting 1 ", "starting 2 ", "started 1 ", "started 2 "]);
    let service = Service::builder("s").version(1).started(|_, ()| async { Ok::<_, Error>(()) });
    let service = broker.create_service(service).await.expect("starts");
    assert_eq!(service.metadata().get("by"), Some(&"2".into()));
    let expected = [
        "service creating 1 s",
        "service creating 2 s",
        "service created 1 v1.s",
        "service created 2 v1.s",
        "service starting 1 ",
        "service starting 2 ",
        "service started 1 ",
        "service started 2 ",
    ];
    assert_eq!(log.take(), expected);
    broker.destroy_service("v1.s").await.expect("is there");
    let expected =
        ["service stopping 2 ", "service stopping 1 ", "service stopped 2 ", "service stopped 1 "];
    assert_eq!(log.take(), expected);
    broker.stop().await.expect("stops");
    assert_eq!(log.take(), ["stopping 2 ", "stopping 1 ", "stopped 2 ", "stopped 1 "]);
}

#[tokio::test]
async fn a_middleware_that_fails_to_start_stops_the_broker() {
    #[derive(Debug)]
    struct Fails(Log);
    impl Middleware for Fails {
        fn starting<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
            Box::pin(async { Err(Error::internal("no licence")) })
        }
        fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
            self.0.note("stopped");
            Box::pin(async { Err(Error::internal("only logged")) })
        }
    }
    let log = Log::default();
    let error = local().middleware(Fails(log.clone())).start().await.expect_err("does not start");
    assert_eq!(error.message(), "no licence");
    assert_eq!(log.take(), ["stopped"]);
}

/// Answers by itself, adds to params, calls twice: whatever a wrapper may do.
#[tokio::test]
async fn a_call_hook_can_change_repeat_and_answer_calls() {
    #[derive(Debug)]
    struct Rewrites;
    impl Middleware for Rewrites {
        fn call(&self, next: CallFn) -> CallFn {
            Arc::new(move |mut request| {
                if &*request.action == "nobody.knows" {
                    return Box::pin(async { Ok(moleculer_core::IntoBody::into_body(7)) });
                }
                request.options.meta.insert("by", "hook");
                let next = next.clone();
                Box::pin(async move {
                    next(request.clone()).await?;
                    next(request).await
                })
            })
        }
    }
    async fn told(ctx: Context, Params(n): Params<i64>) -> Result<Value> {
        let calls = ctx.meta().get("calls").and_then(Value::as_i64).unwrap_or_default() + 1;
        ctx.set_meta("calls", calls);
        Ok(json!({"by": ctx.meta().get("by"), "n": n, "level": ctx.level()}).into())
    }
    async fn outer(ctx: Context) -> Result<Value> {
        let told: Value = ctx.call("m.told", 5).await?;
        ctx.set_meta("outer", true);
        Ok(told)
    }
    let service =
        Service::builder("m").action(Action::new("told", told)).action(Action::new("outer", outer));
    let broker = local().middleware(Rewrites).service(service).start().await.expect("starts");
    assert_eq!(broker.call::<i64>("nobody.knows", ()).await.expect("answered"), 7);
    let response = broker.call::<Value>("m.outer", ()).with_response().await.expect("works");
    assert_eq!(response.value, json!({"by": "hook", "n": 5, "level": 2}).into());
    // The metadata of the first of the two calls is what `seen` keeps.
    assert_eq!(Value::from(response.meta), json!({"by": "hook", "calls": 2, "outer": true}).into());
    broker.stop().await.expect("stops");
}
