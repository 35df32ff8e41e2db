//! What a handler knows of its call.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, ActionFn, ActionSite, Context, Event, InProcessNetwork, Middleware, Result, Service,
    State, Value,
};
use serde_json::json;

use self::support::{local, node};

async fn shown(ctx: Context) -> Result<Value> {
    Ok(serde_json::to_value(&ctx).expect("serializes").into())
}

async fn above(ctx: Context) -> Result<Value> {
    ctx.call("v2.shows.shown", json!({"a": 1})).timeout(Duration::from_secs(1)).retries(2).await
}

fn counting() -> impl Fn() -> String + Send + Sync + 'static {
    let count = AtomicU64::new(0);
    move || format!("id-{}", count.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test]
async fn a_context_shows_the_members_of_the_reference() {
    let service = Service::builder("shows")
        .version(2)
        .action(Action::new("shown", shown))
        .action(Action::new("above", above));
    let broker = local().uid_generator(counting()).service(service).start().await.expect("starts");
    let call = broker.call::<Value>("v2.shows.above", ()).meta([("user", 5)]).caller("me");
    let shown: serde_json::Value = call.request_id("req").await.expect("works").into();
    let expected = json!({
        "id": shown["id"], "nodeID": "local", "action": {"name": "v2.shows.shown"},
        "service": {"name": "shows", "version": 2, "fullName": "v2.shows"},
        "options": {"timeout": 1000.0, "retries": 2}, "parentID": shown["parentID"],
        "caller": "v2.shows", "level": 2, "params": {"a": 1}, "meta": {"user": 5},
        "headers": {}, "responseHeaders": {}, "requestID": "req", "tracing": null,
        "span": null, "needAck": null, "ackID": null, "eventName": null, "eventType": null,
        "eventGroups": null, "cachedResult": false
    });
    assert_eq!(shown, expected);
    assert!(shown["id"].as_str().expect("text").starts_with("id-"), "{shown}");
    assert_ne!(shown["id"], shown["parentID"]);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_event_shows_its_name_and_kind() {
    type Shown = Arc<Mutex<Option<serde_json::Value>>>;
    async fn note(ctx: Context, State(shown): State<Shown>) -> Result<()> {
        *shown.lock().expect("no panic") = Some(serde_json::to_value(&ctx).expect("serializes"));
        Ok(())
    }
    let shown = Shown::default();
    let service =
        Service::builder("listens").with_state(shown.clone()).event(Event::new("user.*", note));
    let broker = local().service(service).start().await.expect("starts");
    broker.emit("user.created", 5).groups(["listens"]).await.expect("works");
    let shown = shown.lock().expect("no panic").take().expect("was called");
    assert_eq!(shown["event"], json!({"name": "user.*"}));
    assert_eq!(
        (&shown["eventName"], &shown["eventType"], &shown["eventGroups"], &shown["params"]),
        (&json!("user.created"), &json!("emit"), &json!(["listens"]), &json!(5))
    );
    assert_eq!(shown.get("action"), None);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn locals_stay_with_their_call() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(u32);
    #[derive(Debug)]
    struct Resolve;
    impl Middleware for Resolve {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.service != "l" || &*site.action.raw_name != "outer" {
                return next;
            }
            Arc::new(move |ctx| {
                ctx.set_local(Tenant(1));
                ctx.set_local(Tenant(7));
                next(ctx)
            })
        }
    }
    async fn outer(ctx: Context) -> Result<bool> {
        assert_eq!(ctx.local::<Tenant>(), Some(Tenant(7)));
        assert_eq!(ctx.local::<u32>(), None);
        ctx.call("l.inner", ()).await
    }
    async fn inner(ctx: Context) -> Result<bool> {
        Ok(ctx.local::<Tenant>().is_none())
    }
    let service = Service::builder("l")
        .action(Action::new("outer", outer))
        .action(Action::new("inner", inner));
    let broker = local().middleware(Resolve).service(service).start().await.expect("starts");
    assert!(broker.call::<bool>("l.outer", ()).await.expect("works"));
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn meta_comes_back_after_success_and_failure_but_not_after_cancellation() {
    async fn marks(ctx: Context) -> Result<()> {
        let fails = ctx.params::<bool>()?;
        ctx.set_meta(if fails { "failed" } else { "worked" }, true);
        if fails { Err(moleculer_core::Error::internal("no")) } else { Ok(()) }
    }
    async fn hangs(ctx: Context) -> Result<()> {
        ctx.set_meta("cancelled", true);
        std::future::pending().await
    }
    async fn outer(ctx: Context) -> Result<Value> {
        ctx.call::<()>("m.marks", false).await.expect("works");
        ctx.call::<()>("m.marks", true).await.expect_err("fails");
        let mut hanging = Box::pin(ctx.call::<()>("m.hangs", ()).into_future());
        assert!(futures_util::poll!(&mut hanging).is_pending());
        drop(hanging);
        Ok(ctx.meta().into())
    }
    let network = InProcessNetwork::default();
    let below = Service::builder("m")
        .action(Action::new("marks", marks))
        .action(Action::new("hangs", hangs));
    let a = node(&network, "a")
        .service(Service::builder("top").action(Action::new("outer", outer)))
        .start()
        .await
        .expect("starts");
    let b = node(&network, "b").service(below).start().await.expect("starts");
    a.wait_for_services(["m"], Duration::from_secs(5)).await.expect("found");
    let meta: Value = a.call("top.outer", ()).await.expect("works");
    assert_eq!(meta, json!({"worked": true, "failed": true}).into());
    assert_eq!(a.pending_requests(), 0);
    a.stop().await.expect("stops");
    b.stop().await.expect("stops");
}
