//! Every hook of a middleware, and the order of all of them.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use moleculer_core::{
    Action, ActionFn, ActionSite, Body, BytesFn, CallFn, Chain, Context, EmitFn, Error, Event,
    EventFn, EventSite, InProcessNetwork, MessageFn, Middleware, Params, PublishFn, Result,
    RetryPolicy, Service, ServiceBroker, ServiceHandle, State, Value, protocol::PacketKind,
};
use serde_json::json;
use tokio::time::Instant;

use self::support::{eventually, local, node};

/// Notes what passes through it.
#[derive(Clone, Debug, Default)]
struct Recorder {
    name: &'static str,
    log: Log,
    /// Whether it wraps calls, events, packets and bytes too.
    outer: bool,
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, entry: impl Into<String>) {
        self.0.lock().expect("no panic").push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    /// Takes those that `prefix` begins.
    fn take_only(&self, prefix: &str) -> Vec<String> {
        self.take().into_iter().filter(|entry| entry.starts_with(prefix)).collect()
    }
}

impl Recorder {
    fn hook<T: ?Sized>(&self, next: Arc<T>, wrap: impl FnOnce(Self, Arc<T>) -> Arc<T>) -> Arc<T> {
        if self.outer { wrap(self.clone(), next) } else { next }
    }

    fn note(&self, hook: &str, what: &str) {
        self.log.note(format!("{hook} {} {what}", self.name));
    }

    fn later<'a>(&'a self, hook: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.note(hook, "");
            Ok(())
        })
    }
}

fn is_busy(kind: PacketKind) -> bool {
    matches!(kind, PacketKind::Request | PacketKind::Response | PacketKind::Event)
}

impl Middleware for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("local", &format!("{}@{service}", ctx.action()));
            next(ctx)
        })
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("remote", &format!("{}@{service}", ctx.action()));
            next(ctx)
        })
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let (this, service) = (self.clone(), site.service.to_owned());
        Arc::new(move |ctx| {
            this.note("event", &format!("{}@{service}", ctx.event()));
            next(ctx)
        })
    }

    fn call(&self, next: CallFn) -> CallFn {
        self.hook(next, |this, next| {
            Arc::new(move |request| {
                this.note("call", &request.action);
                next(request)
            })
        })
    }

    fn emit(&self, next: EmitFn) -> EmitFn {
        self.hook(next, |this, next| {
            Arc::new(move |request| {
                this.note(request.kind.as_str(), &request.event);
                next(request)
            })
        })
    }

    fn transit_publish(&self, next: PublishFn) -> PublishFn {
        self.hook(next, |this, next| {
            Arc::new(move |topic, packet| {
                if is_busy(packet.kind()) {
                    this.note("publish", &topic.name(""));
                }
                next(topic, packet)
            })
        })
    }

    fn transit_message_handler(&self, next: MessageFn) -> MessageFn {
        self.hook(next, |this, next| {
            Arc::new(move |packet, delivery| {
                if is_busy(packet.kind()) {
                    this.note("message", &format!("{} {}", packet.kind(), packet.sender));
                }
                next(packet, delivery);
            })
        })
    }

    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        self.hook(next, |this, next| {
            Arc::new(move |kind, bytes| {
                if is_busy(kind) {
                    this.note("send", kind.as_str());
                }
                // Each layer adds a byte, so that the other side must undo it in order.
                let marked = [this.name.as_bytes(), &bytes].concat();
                next(kind, marked.into())
            })
        })
    }

    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        self.hook(next, |this, next| {
            Arc::new(move |kind, bytes| {
                if is_busy(kind) {
                    this.note("receive", kind.as_str());
                }
                match bytes.strip_prefix(this.name.as_bytes()) {
                    Some(rest) => next(kind, bytes.slice_ref(rest)),
                    None => Err(Error::internal("not marked")),
                }
            })
        })
    }

    fn created(&self, broker: &ServiceBroker) {
        self.note("created", broker.node_id());
    }

    fn service_creating(&self, _: &ServiceBroker, service: &mut Service) {
        service.metadata_mut().insert("by", self.name);
        self.note("service creating", service.name());
    }

    fn service_created(&self, service: &ServiceHandle) {
        self.note("service created", service.full_name());
    }

    fn service_starting<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service starting")
    }

    fn service_started<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service started")
    }

    fn service_stopping<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service stopping")
    }

    fn service_stopped<'a>(&'a self, _: &'a ServiceHandle) -> BoxFuture<'a, Result<()>> {
        self.later("service stopped")
    }

    fn starting<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("starting")
    }

    fn started<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("started")
    }

    fn stopping<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("stopping")
    }

    fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        self.later("stopped")
    }
}

async fn double(Params(n): Params<i64>) -> Result<i64> {
    Ok(2 * n)
}

async fn nothing() -> Result<()> {
    Ok(())
}

fn math() -> impl moleculer_core::IntoService {
    Service::builder("math")
        .action(Action::new("double", double))
        .event(Event::new("math.done", nothing))
}

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

#[tokio::test]
async fn without_internal_middlewares_only_the_users_are_there() {
    let options = json!({"internalMiddlewares": false, "requestTimeout": 1});
    let options = moleculer_core::BrokerOptions::from_value(options).expect("valid");
    let seen = Arc::new(Mutex::new(Vec::new()));
    #[derive(Debug)]
    struct See(Arc<Mutex<Vec<Chain>>>);
    impl Middleware for See {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.service == "slow" {
                self.0.lock().expect("no panic").push(site.chain);
            }
            next
        }
    }
    async fn slow() -> Result<i64> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(1)
    }
    let broker = local()
        .options(options)
        .middleware(See(seen.clone()))
        .service(Service::builder("slow").action(Action::new("one", slow)))
        .start()
        .await
        .expect("starts");
    assert_eq!(broker.call::<i64>("slow.one", ()).await.expect("no timeout"), 1);
    assert_eq!(*seen.lock().expect("no panic"), [Chain::Static, Chain::Full]);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn middlewares_of_the_options_come_before_those_of_the_builder() {
    let plugins = moleculer_core::Plugins::core().middleware(moleculer_core::MiddlewarePlugin {
        name: "First",
        build: |_| Ok(Arc::new(Mark("first"))),
    });
    #[derive(Debug)]
    struct Mark(&'static str);
    impl Middleware for Mark {
        fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
            let mark = self.0;
            Arc::new(move |ctx| {
                let marks = ctx.meta().get("marks").map(|marks| format!("{marks:?}"));
                ctx.set_meta("marks", marks.unwrap_or_default() + mark);
                next(ctx)
            })
        }
    }
    let options = json!({"middlewares": ["first"]});
    let broker = moleculer_core::BrokerBuilder::new(plugins)
        .options(moleculer_core::BrokerOptions::from_value(options).expect("valid"))
        .middleware(Mark("second "))
        .service(math())
        .start()
        .await
        .expect("starts");
    let response = broker.call::<i64>("math.double", 1).with_response().await.expect("works");
    assert_eq!(response.meta.get("marks"), Some(&"\"second \"first".into()));
    broker.stop().await.expect("stops");
}

/// Notes what goes into a handler and what comes out of it.
#[derive(Debug)]
struct Around(Log);

impl Middleware for Around {
    fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        let log = self.0.clone();
        Arc::new(move |ctx| {
            log.note("user in");
            let (log, running) = (log.clone(), next(ctx));
            Box::pin(async move {
                let result = running.await;
                log.note(if result.is_ok() { "user out" } else { "user failed" });
                result
            })
        })
    }
}

/// Hangs, then fails, then answers, and so on.
async fn moody(State((log, calls)): State<(Log, Arc<AtomicU32>)>) -> Result<u32> {
    let call = calls.fetch_add(1, Ordering::Relaxed);
    log.note(format!("call {call}"));
    match call {
        0 => std::future::pending().await,
        1 | 3.. => Err(Error::server(503, "BUSY", "busy")),
        _ => Ok(call),
    }
}

/// A broker with every built-in layer on; `delay` is the wait before a retry.
async fn with_all_layers(log: &Log, delay: Duration) -> ServiceBroker {
    let (before, after, failed, handled) = (log.clone(), log.clone(), log.clone(), log.clone());
    let action = Action::new("moody", moody)
        .before(move || {
            before.note("before");
            ready(Ok::<_, Error>(()))
        })
        .after(move |result: Body| {
            after.note("after");
            ready(Ok::<_, Error>(result))
        })
        .on_error(move |error: Error| {
            failed.note("hook failed");
            ready(Err::<Body, _>(error))
        });
    let policy = RetryPolicy::new().retries(2).delay(delay);
    local()
        .retry(policy)
        .request_timeout(Duration::from_millis(40))
        .tracking(Some(Duration::from_secs(5)))
        .error_handler(move |error, _| {
            handled.note("handler failed");
            Err(error)
        })
        .middleware(Around(log.clone()))
        .service(Service::builder("s").with_state((log.clone(), Arc::default())).action(action))
        .start()
        .await
        .expect("starts")
}

#[tokio::test(start_paused = true)]
async fn the_built_in_layers_act_in_their_order() {
    let log = Log::default();
    let broker = with_all_layers(&log, Duration::from_millis(10)).await;
    let started = Instant::now();
    assert_eq!(broker.call::<u32>("s.moody", ()).await.expect("the third"), 2);
    // The first attempt takes all its 40 ms, the others have time of their own.
    assert_eq!(started.elapsed().as_millis(), 40 + 10 + 20);
    let expected = [
        // The timeout stands around the hooks: they see nothing of it.
        ["before", "user in", "call 0"].as_slice(),
        // The hooks stand around the user's middlewares, the retry around both.
        &["before", "user in", "call 1", "user failed", "hook failed"],
        &["before", "user in", "call 2", "user out", "after"],
    ];
    assert_eq!(log.take(), expected.concat());

    // The error handler stands around the retry: it runs once nothing is left
    // to try, for each attempt.
    broker.call::<u32>("s.moody", ()).await.expect_err("always fails now");
    let attempts = (3..6).flat_map(|call| {
        ["before", "user in", &format!("call {call}"), "user failed", "hook failed"]
            .map(str::to_owned)
    });
    let expected: Vec<_> =
        attempts.chain(std::iter::repeat_n("handler failed".to_owned(), 3)).collect();
    assert_eq!(log.take(), expected);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn the_tracker_stands_within_the_retry() {
    let log = Log::default();
    let broker = with_all_layers(&log, Duration::from_secs(1)).await;
    let call = tokio::spawn(broker.call::<u32>("s.moody", ()).into_future());
    // The first attempt has timed out; the wait before the second keeps no stop.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    broker.stop().await.expect("stops");
    assert_eq!(started.elapsed(), *broker.options().registry.stop_delay);
    call.await.expect("no panic").expect_err("nobody answers any more");
    assert_eq!(log.take_only("call"), ["call 0"]);
}
