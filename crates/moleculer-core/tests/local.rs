//! One broker without a transporter.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, ActionFn, ActionSite, Chain, Context, Error, ErrorKind, Event, Meta, Middleware,
    Object, Params, Result, Service, ServiceBroker, ServiceHandle, SharedParams, State, Value,
    Visibility,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::support::local;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

async fn add(Params(p): Params<Add>) -> Result<i64> {
    Ok(p.a + p.b)
}

async fn start(service: impl moleculer_core::IntoService) -> ServiceBroker {
    local().service(service).start().await.expect("starts")
}

#[tokio::test]
async fn typed_dynamic_and_foreign_params_reach_the_handler() {
    #[derive(Serialize)]
    struct Other {
        b: u8,
        a: f64,
    }
    let broker = start(Service::builder("math").action(Action::new("add", add))).await;
    assert_eq!(broker.call::<i64>("math.add", Add { a: 1, b: 2 }).await.unwrap(), 3);
    assert_eq!(broker.call::<f64>("math.add", json!({"a": 1, "b": 2})).await.unwrap(), 3.0);
    assert_eq!(
        broker.call::<Value>("math.add", Other { a: 1.0, b: 2 }).await.unwrap(),
        Value::Int(3)
    );
    let error = broker.call::<i64>("math.add", json!({"a": "x"})).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (&ErrorKind::Validation, 422));
    let error = broker.call::<String>("math.add", Add { a: 1, b: 2 }).await.unwrap_err();
    assert!(error.message().contains("the type that the caller expects"), "{error}");
}

#[tokio::test]
async fn unknown_and_vanished_actions_are_different_errors() {
    let broker = start(Service::builder("math").version(2).action(Action::new("add", add))).await;
    let kind = async |name| broker.call::<Value>(name, ()).await.unwrap_err().kind().clone();
    assert_eq!(kind("math.add").await, ErrorKind::ServiceNotFound);
    let at_node = broker.call::<Value>("v2.math.add", ()).node("elsewhere").await.unwrap_err();
    assert_eq!(at_node.message(), "Service 'v2.math.add' is not found on 'elsewhere' node.");
    broker.destroy_service("v2.math").await.unwrap();
    assert_eq!(kind("v2.math.add").await, ErrorKind::ServiceNotAvailable);
    assert!(broker.destroy_service("v2.math").await.is_err());
    broker
        .create_service(Service::builder("math").version(2).action(Action::new("add", add)))
        .await
        .unwrap();
    assert_eq!(broker.call::<i64>("v2.math.add", Add { a: 1, b: 1 }).await.unwrap(), 2);
}

#[tokio::test]
async fn nested_calls_inherit_and_merge_meta() {
    async fn outer(ctx: Context) -> Result<Value> {
        let inner: Value = ctx.call("deep.inner", ()).meta([("own", 1)]).await?;
        ctx.set_meta("after", true);
        Ok(inner)
    }
    async fn inner(ctx: Context, Meta(meta): Meta<Object>) -> Result<Value> {
        ctx.set_meta("inner", "set");
        Ok(Object::from([
            ("level", Value::from(ctx.level())),
            ("caller", ctx.caller().as_deref().into()),
            ("same_request", (ctx.request_id() != ctx.id()).into()),
            ("meta", meta.into()),
        ])
        .into())
    }
    let service = Service::builder("deep")
        .action(Action::new("outer", outer))
        .action(Action::new("inner", inner));
    let broker = start(service).await;
    let call = broker.call::<Value>("deep.outer", ()).meta([("user", 5)]);
    let response = call.with_response().await.unwrap();
    let expected = json!({
        "level": 2, "caller": "deep", "same_request": true, "meta": {"user": 5, "own": 1}
    });
    assert_eq!(response.value, expected.into());
    let meta = json!({"user": 5, "own": 1, "inner": "set", "after": true});
    assert_eq!(Value::from(response.meta), meta.into());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_drops_the_handler() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    async fn hang(State(dropped): State<Arc<AtomicUsize>>) -> Result<()> {
        let _guard = Dropped(dropped);
        std::future::pending().await
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let service = Service::builder("slow")
        .with_state(dropped.clone())
        .action(Action::new("hang", hang))
        .action(Action::new("limited", hang).timeout(Duration::from_millis(50)));
    let broker = start(service).await;
    let call = broker.call::<()>("slow.hang", ()).timeout(Duration::from_millis(100));
    let error = call.await.unwrap_err();
    assert_eq!(
        error.message(),
        "Request is timed out when call 'slow.hang' action on 'local' node."
    );
    assert!(error.retryable());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    let error = broker.call::<()>("slow.limited", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RequestTimeout);
    // Zero switches the action's own timeout off.
    let unlimited = broker.call::<()>("slow.limited", ()).timeout(Duration::ZERO).into_future();
    assert!(tokio::time::timeout(Duration::from_secs(60), unlimited).await.is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn nested_calls_get_what_time_is_left() {
    async fn outer(ctx: Context) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let started = tokio::time::Instant::now();
        let error = ctx.call::<()>("t.hang", ()).await.unwrap_err();
        assert_eq!(started.elapsed().as_millis(), 40);
        assert_eq!(error.kind(), &ErrorKind::RequestTimeout);
        Err(ctx.call::<()>("t.hang", ()).await.unwrap_err())
    }
    async fn hang() -> Result<()> {
        std::future::pending().await
    }
    async fn caller(ctx: Context) -> Result<String> {
        // Ends at the same instant as the inner call, whose error comes first.
        let error =
            ctx.call::<()>("t.outer", ()).timeout(Duration::from_millis(100)).await.unwrap_err();
        Ok(error.name().to_owned())
    }
    let service = Service::builder("t")
        .action(Action::new("outer", outer))
        .action(Action::new("hang", hang))
        .action(Action::new("caller", caller));
    let broker = start(service).await;
    let name: String = broker.call("t.caller", ()).await.unwrap();
    assert_eq!(name, "RequestSkippedError");
}

#[tokio::test]
async fn a_detached_handler_outlives_its_caller() {
    async fn work(State(done): State<Arc<tokio::sync::Notify>>) -> Result<()> {
        tokio::task::yield_now().await;
        done.notify_one();
        Ok(())
    }
    let done = Arc::new(tokio::sync::Notify::new());
    let service =
        Service::builder("d").with_state(done.clone()).action(Action::new("work", work).detached());
    let broker = start(service).await;
    let mut call = Box::pin(broker.call::<()>("d.work", ()).into_future());
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    done.notified().await;
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_node_lives_on() {
    async fn panics() -> Result<()> {
        panic!("out of cheese")
    }
    async fn extracted(_: Explodes) -> Result<()> {
        Ok(())
    }
    struct Explodes;
    impl<S> moleculer_core::FromContext<S> for Explodes {
        fn from_context(_: &Context, _: &S) -> Result<Self> {
            panic!("{} exploded", "extraction")
        }
    }
    let service = Service::builder("p")
        .action(Action::new("panics", panics))
        .action(Action::new("extracted", extracted))
        .action(Action::new("add", add));
    let broker = start(service).await;
    let error = broker.call::<()>("p.panics", ()).await.unwrap_err();
    assert_eq!(
        (error.name(), error.code(), error.message()),
        ("MoleculerError", 500, "out of cheese")
    );
    let error = broker.call::<()>("p.extracted", ()).await.unwrap_err();
    assert_eq!(error.message(), "extraction exploded");
    assert_eq!(broker.call::<i64>("p.add", Add { a: 1, b: 1 }).await.unwrap(), 2);
}

#[tokio::test]
async fn emit_reaches_each_group_and_pattern_once_and_broadcast_everybody() {
    type Log = Arc<Mutex<Vec<String>>>;
    async fn note(
        ctx: Context,
        State(log): State<Log>,
        SharedParams(data): SharedParams<i64>,
    ) -> Result<()> {
        let kind = ctx.event_kind().unwrap().as_str();
        log.lock().unwrap().push(format!(
            "{}/{}:{kind}:{data}",
            ctx.service_name(),
            ctx.listener_group()
        ));
        Ok(())
    }
    let log = Log::default();
    let listener = |name: &'static str, pattern: &str| {
        Service::builder(name).with_state(log.clone()).event(Event::new(pattern, note))
    };
    let broker = local()
        .service(listener("a", "user.created").event(Event::new("user.*", note)))
        .service(
            Service::builder("b")
                .with_state(log.clone())
                .event(Event::new("user.created", note).group("a")),
        )
        .service(listener("c", "user.**"))
        .service(listener("d", "other"))
        .start()
        .await
        .unwrap();
    let taken = || {
        let mut taken = std::mem::take(&mut *log.lock().unwrap());
        taken.sort();
        taken
    };
    broker.emit("user.created", 7).await.unwrap();
    // Group `a` has listeners in two services; they take turns.
    assert_eq!(taken(), ["a/a:emit:7", "a/a:emit:7", "c/c:emit:7"]);
    broker.emit("user.created", 8).await.unwrap();
    assert_eq!(taken(), ["a/a:emit:8", "b/a:emit:8", "c/c:emit:8"]);
    broker.emit("user.created", 9).groups(["c"]).await.unwrap();
    assert_eq!(taken(), ["c/c:emit:9"]);
    broker.broadcast("user.created", 1).await.unwrap();
    assert_eq!(taken().len(), 4);
    broker.broadcast_local("other", 2).await.unwrap();
    assert_eq!(taken(), ["d/d:broadcastLocal:2"]);
}

#[tokio::test]
async fn an_event_survives_its_emitter() {
    async fn slow(State(done): State<Arc<tokio::sync::Notify>>) -> Result<()> {
        tokio::task::yield_now().await;
        done.notify_one();
        Ok(())
    }
    let done = Arc::new(tokio::sync::Notify::new());
    let broker =
        start(Service::builder("s").with_state(done.clone()).event(Event::new("go", slow))).await;
    let mut emit = Box::pin(broker.emit("go", ()).into_future());
    assert!(futures_util::poll!(&mut emit).is_pending());
    drop(emit);
    done.notified().await;
}

#[tokio::test]
async fn middlewares_wrap_from_the_inside_out() {
    #[derive(Debug)]
    struct Mark(&'static str);
    impl Middleware for Mark {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.action.name.starts_with('$') {
                return next;
            }
            let mark = self.0;
            let full = site.chain == Chain::Full;
            Arc::new(move |ctx| {
                let seen =
                    ctx.meta().get("seen").and_then(Value::as_str).unwrap_or_default().to_owned();
                ctx.set_meta("seen", format!("{seen}{mark}{}", if full { "!" } else { "" }));
                next(ctx)
            })
        }
    }
    async fn seen(Meta(meta): Meta<Object>) -> Result<Value> {
        Ok(meta.get("seen").cloned().unwrap_or_default())
    }
    let broker = local()
        .middleware(Mark("inner"))
        .middleware(Mark("outer"))
        .service(Service::builder("m").action(Action::new("seen", seen)))
        .start()
        .await
        .unwrap();
    assert_eq!(broker.call::<String>("m.seen", ()).await.unwrap(), "outerinner");
    let limited = broker.call::<String>("m.seen", ()).timeout(Duration::from_secs(1));
    assert_eq!(limited.await.unwrap(), "outer!inner!");
}

#[tokio::test]
async fn lifecycle_order_and_failures() {
    type Log = Arc<Mutex<Vec<&'static str>>>;
    let log = Log::default();
    let push = |entry: &'static str| {
        move |_: ServiceHandle, log: Log| {
            log.lock().unwrap().push(entry);
            async { Ok::<_, Error>(()) }
        }
    };
    let service = Service::builder("x")
        .with_state(log.clone())
        .started(push("started 1"))
        .started(push("started 2"))
        .stopped(push("stopped 1"))
        .stopped(push("stopped 2"));
    let broker = start(service).await;
    broker.stop().await.unwrap();
    broker.stop().await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["started 1", "started 2", "stopped 2", "stopped 1"]);
    assert_eq!(broker.running_tasks(), 0);

    let failing = Service::builder("x")
        .with_state(())
        .started(|_, ()| async { Err(Error::internal("no database")) });
    let error = local().service(failing).start().await.unwrap_err();
    assert_eq!(error.message(), "no database");
}

#[tokio::test(start_paused = true)]
async fn a_service_waits_for_its_dependencies() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let service = |name: &'static str, needs: &[&str]| {
        let order = order.clone();
        Service::builder(name).dependencies(needs.to_vec()).started(move |_, ()| {
            order.lock().unwrap().push(name);
            async { Ok::<_, Error>(()) }
        })
    };
    local()
        .service(service("c", &["b"]))
        .service(service("b", &["a"]))
        .service(service("a", &[]))
        .start()
        .await
        .unwrap();
    assert_eq!(*order.lock().unwrap(), ["a", "b", "c"]);

    let options = json!({"dependencyTimeout": 100});
    let options = moleculer_core::BrokerOptions::from_value(options).unwrap();
    let error =
        local().options(options).service(service("d", &["nowhere"])).start().await.unwrap_err();
    assert_eq!(error.r#type(), Some("WAITFOR_SERVICES"));
}

#[tokio::test]
async fn stopping_ends_a_start_that_waits() {
    let broker = local().service(Service::builder("a").dependencies(["nowhere"])).build().unwrap();
    let mut starting = Box::pin(broker.start());
    assert!(futures_util::poll!(&mut starting).is_pending());
    let (started, stopped, again) = tokio::join!(starting, broker.stop(), broker.stop());
    assert!(started.unwrap_err().message().contains("stopped while it started"));
    stopped.unwrap();
    again.unwrap();
    assert_eq!(broker.running_tasks(), 0);
    assert!(broker.start().await.is_err());
}

#[tokio::test]
async fn wrong_declarations_are_refused() {
    let message =
        |builder: moleculer_core::BrokerBuilder| builder.build().unwrap_err().message().to_owned();
    let twice = local().service(Service::builder("a")).service(Service::builder("a"));
    assert!(message(twice).contains("service 'a' exists already"));
    assert!(message(local().service(Service::builder(""))).contains("can't be empty"));
    let actions = Service::builder("a").action(Action::new("x", add)).action(Action::new("x", add));
    assert!(message(local().service(actions)).contains("action 'x' is declared twice"));
    assert!(message(local().node_id("a|b")).contains("cannot be used"));
    assert!(message(local().transporter("carrier-pigeon")).contains("Invalid transporter type"));
    assert!(
        message(local().serializer_named("YAML"))
            .contains("Invalid serializer type 'YAML'. (known are JSON)")
    );
}

#[tokio::test]
async fn the_internal_service_lists_what_there_is() {
    let service = Service::builder("math")
        .version(2)
        .settings([
            ("$secureSettings", Value::from(vec!["key"])),
            ("key", "secret".into()),
            ("a", 1.into()),
        ])
        .action(Action::new("add", add).extra("rest", "GET /add"))
        .action(Action::new("inner", add).visibility(Visibility::Private));
    let broker = start(service).await;
    let list = async |action, params: serde_json::Value| -> serde_json::Value {
        broker.call::<Value>(action, params).await.unwrap().into()
    };
    let params = json!({"skipInternal": true, "withActions": true, "withEvents": true});
    let services = list("$node.services", params).await;
    let expected = json!([{
        "name": "math", "version": 2, "fullName": "v2.math", "settings": {"a": 1}, "metadata": {},
        "local": true, "available": true, "nodes": ["local"],
        "actions": {"v2.math.add": {"rest": "GET /add", "rawName": "add", "name": "v2.math.add"}},
        "events": {}
    }]);
    assert_eq!(services, expected);
    let actions = list("$node.actions", json!({"skipInternal": true, "withEndpoints": true})).await;
    assert_eq!(
        actions[0]["endpoints"],
        json!([{"nodeID": "local", "state": true, "available": true}])
    );
    assert_eq!(actions.as_array().unwrap().len(), 1);
    let nodes = list("$node.list", json!({})).await;
    assert_eq!((&nodes[0]["id"], &nodes[0]["local"]), (&json!("local"), &json!(true)));
    assert_eq!(nodes[0]["client"]["type"], "rust");
    assert!(nodes[0]["client"]["langVersion"].as_str().unwrap().starts_with("1."));
    let error = broker.call::<Value>("v2.math.inner", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
}

#[tokio::test]
async fn call_depth_is_limited() {
    async fn again(ctx: Context) -> Result<u32> {
        ctx.call("r.again", ()).await
    }
    let options = moleculer_core::BrokerOptions::from_value(json!({"maxCallLevel": 5})).unwrap();
    let service = Service::builder("r").action(Action::new("again", again));
    let broker = local().options(options).service(service).start().await.unwrap();
    let error = broker.call::<u32>("r.again", ()).await.unwrap_err();
    assert_eq!(error.message(), "Request level is reached the limit (5) on 'local' node.");
}

#[tokio::test]
async fn a_timeout_too_long_for_the_clock_is_no_limit() {
    let service = Service::builder("math").action(Action::new("add", add).timeout(Duration::MAX));
    let broker = start(service).await;
    assert_eq!(broker.call::<i64>("math.add", Add { a: 1, b: 2 }).await.unwrap(), 3);
    let asked = broker.call::<i64>("math.add", Add { a: 1, b: 2 }).timeout(Duration::MAX);
    assert_eq!(asked.await.unwrap(), 3);
}
