//! Several brokers in one process.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{
    Action, Context, Error, ErrorKind, Event, Host, InProcessNetwork, Object, Params,
    ProtocolVersion, Result, Service, ServiceBroker, State, Transporter, TransporterCapabilities,
    Value, Visibility, protocol::Topic,
};
use serde_json::json;

use self::support::{eventually, node};

async fn echo(ctx: Context, Params(params): Params<Value>) -> Result<Value> {
    ctx.set_meta("seen", true);
    ctx.set_response_header("x", 1);
    let who = [
        ("node", Value::from(ctx.node_id().as_str())),
        ("level", ctx.level().into()),
        ("headers", ctx.headers().into()),
        ("params", params),
    ];
    Ok(Object::from(who).into())
}

async fn fail() -> Result<()> {
    Err(Error::client(418, "TEA", "short and stout").with_data(json!({"a": 5})))
}

async fn hang() -> Result<()> {
    std::future::pending().await
}

fn probe() -> moleculer_core::ServiceBuilder<()> {
    Service::builder("probe")
        .action(Action::new("echo", echo))
        .action(Action::new("fail", fail))
        .action(Action::new("hang", hang))
        .action(Action::new("guarded", fail).visibility(Visibility::Protected))
}

async fn two() -> (InProcessNetwork, ServiceBroker, ServiceBroker) {
    let network = InProcessNetwork::default();
    let b = node(&network, "b").service(probe()).start().await.expect("starts");
    let a = node(&network, "a").start().await.expect("starts");
    (network, a, b)
}

#[tokio::test(start_paused = true)]
async fn calls_cross_with_meta_headers_and_errors() {
    let (_, a, _b) = two().await;
    let call = a.call::<Value>("probe.echo", json!([1, null])).meta([("m", 1)]).header("h", 2);
    let response = call.with_response().await.unwrap();
    let expected = json!({"node": "a", "level": 1, "headers": {"h": 2}, "params": [1, null]});
    assert_eq!(response.value, expected.into());
    assert_eq!(Value::from(response.meta), json!({"m": 1, "seen": true}).into());
    assert_eq!(Value::from(response.headers), json!({"x": 1}).into());

    let error = a.call::<()>("probe.fail", ()).await.unwrap_err();
    assert_eq!(
        (error.name(), error.code(), error.r#type()),
        ("MoleculerClientError", 418, Some("TEA"))
    );
    assert_eq!(error.data(), Some(&json!({"a": 5}).into()));
    assert_eq!(error.node_id(), Some(&"b".into()));
    assert_eq!(a.pending_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_protected_action_is_not_for_others() {
    let (_, a, b) = two().await;
    let error = a.call::<()>("probe.guarded", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    assert_eq!(b.call::<()>("probe.guarded", ()).await.unwrap_err().code(), 418);
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_cancellation_leave_nothing_pending() {
    let (_, a, b) = two().await;
    let idle = b.running_tasks();
    let call = a.call::<()>("probe.hang", ()).timeout(Duration::from_secs(1));
    let error = call.await.unwrap_err();
    assert_eq!(error.message(), "Request is timed out when call 'probe.hang' action on 'b' node.");
    eventually("the callee gave up too", || b.running_tasks() == idle).await;
    let mut call = Box::pin(a.call::<()>("probe.hang", ()).into_future());
    assert!(futures_util::poll!(&mut call).is_pending());
    assert_eq!(a.pending_requests(), 1);
    eventually("the request runs", || b.running_tasks() > idle).await;
    drop(call);
    assert_eq!(a.pending_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_rejects_what_waits_for_it() {
    let (_, a, b) = two().await;
    let caller = a.clone();
    let waiting = tokio::spawn(async move { caller.call::<()>("probe.hang", ()).await });
    eventually("the call waits", || a.pending_requests() == 1).await;
    b.stop().await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RequestRejected);
    assert_eq!(b.running_tasks(), 0);
    let error = a.call::<()>("probe.echo", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    a.stop().await.unwrap();
    assert_eq!((a.running_tasks(), a.pending_requests()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_counts_as_gone() {
    let (network, a, b) = two().await;
    network.isolate("b");
    let caller = a.clone();
    let waiting = tokio::spawn(async move { caller.call::<()>("probe.hang", ()).await });
    eventually("the call waits", || a.pending_requests() == 1).await;
    // 30 s of silence, looked at every 30 s.
    let result = tokio::time::timeout(Duration::from_secs(61), waiting).await;
    let error = result.expect("rejected in time").unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RequestRejected);
    let error = a.call::<()>("probe.echo", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);

    // Back again: its heartbeat makes the other ask for its info.
    network.rejoin("b");
    a.wait_for_services(["probe"], Duration::from_secs(30)).await.unwrap();
    a.call::<Value>("probe.echo", ()).await.unwrap();
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn silence_counts_as_the_options_say() {
    let check = async |options: serde_json::Value, expected: ErrorKind| {
        let network = InProcessNetwork::default();
        let options = moleculer_core::BrokerOptions::from_value(options).unwrap();
        let a = node(&network, "a").options(options).start().await.unwrap();
        let _b = node(&network, "b").service(probe()).start().await.unwrap();
        a.wait_for_services(["probe"], Duration::from_secs(5)).await.unwrap();
        network.isolate("b");
        tokio::time::sleep(Duration::from_secs(7)).await;
        let call = a.call::<Value>("probe.echo", ()).timeout(Duration::from_secs(1));
        assert_eq!(call.await.unwrap_err().kind(), &expected);
        a.stop().await.unwrap();
    };
    // 3 s of silence, looked at every 3 s.
    check(json!({"heartbeatTimeout": 3}), ErrorKind::ServiceNotAvailable).await;
    check(json!({}), ErrorKind::RequestTimeout).await;
    // Without heartbeats of its own, a node expects none.
    let none = json!({"heartbeatTimeout": 3, "heartbeatInterval": 0});
    check(none, ErrorKind::RequestTimeout).await;
}

#[tokio::test(start_paused = true)]
async fn events_are_shared_by_groups_across_nodes() {
    type Count = Arc<AtomicUsize>;
    async fn count(State(count): State<Count>) -> Result<()> {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    let network = InProcessNetwork::default();
    let counts: Vec<Count> = (0..3).map(|_| Count::default()).collect();
    let mut brokers = Vec::new();
    for (i, name) in ["mail", "mail", "payment"].into_iter().enumerate() {
        let service = Service::builder(name)
            .with_state(counts[i].clone())
            .event(Event::new("user.created", count));
        brokers.push(
            node(&network, &format!("n{i}"))
                .prefer_local(false)
                .service(service)
                .start()
                .await
                .unwrap(),
        );
    }
    let emitter = node(&network, "emitter").start().await.unwrap();
    let total = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    for _ in 0..6 {
        emitter.emit("user.created", ()).await.unwrap();
    }
    eventually("every group has six", || total() == [3, 3, 6]).await;
    emitter.broadcast("user.created", ()).await.unwrap();
    eventually("everybody has one more", || total() == [4, 4, 7]).await;
    emitter.broadcast_local("user.created", ()).await.unwrap();
    assert_eq!(total(), [4, 4, 7]);
}

#[tokio::test(start_paused = true)]
async fn calls_take_turns_among_nodes() {
    async fn whoami(ctx: Context) -> Result<String> {
        Ok(ctx.broker()?.node_id().to_string())
    }
    let network = InProcessNetwork::default();
    let service = || Service::builder("who").action(Action::new("am", whoami));
    let mut brokers = Vec::new();
    for id in ["x", "y", "z"] {
        brokers
            .push(node(&network, id).prefer_local(false).service(service()).start().await.unwrap());
    }
    let mut seen = Vec::new();
    eventually("x knows all three", || brokers[0].pending_requests() == 0).await;
    brokers[0].wait_for_services(["who"], Duration::from_secs(1)).await.unwrap();
    for _ in 0..9 {
        seen.push(brokers[0].call::<String>("who.am", ()).await.unwrap());
    }
    for id in ["x", "y", "z"] {
        assert_eq!(seen.iter().filter(|seen| *seen == id).count(), 3, "{seen:?}");
    }
    let direct: String = brokers[0].call("who.am", ()).node("z").await.unwrap();
    assert_eq!(direct, "z");
}

#[tokio::test(start_paused = true)]
async fn services_come_and_go_at_run_time() {
    let (_, a, b) = two().await;
    let late = || Service::builder("late").action(Action::new("echo", echo));
    b.create_service(late()).await.unwrap();
    a.wait_for_services(["late"], Duration::from_secs(5)).await.unwrap();
    a.call::<Value>("late.echo", ()).await.unwrap();
    b.destroy_service("late").await.unwrap();
    let caller = a.clone();
    let gone = async move {
        loop {
            let error = caller.call::<Value>("late.echo", ()).await.unwrap_err();
            if error.node_id().is_none() {
                return error; // refused here: the node told that it is gone
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
}

#[tokio::test(start_paused = true)]
async fn another_protocol_version_is_dropped_unless_allowed() {
    let network = InProcessNetwork::default();
    let _four = node(&network, "four")
        .protocol(ProtocolVersion::V4)
        .service(probe())
        .start()
        .await
        .unwrap();
    let five = node(&network, "five").start().await.unwrap();
    let error = five.call::<Value>("probe.echo", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);

    let network = InProcessNetwork::default();
    let lenient = || {
        let options = json!({"transit": {"disableVersionCheck": true}});
        moleculer_core::BrokerOptions::from_value(options).unwrap()
    };
    let _four = node(&network, "four")
        .options(lenient())
        .protocol(ProtocolVersion::V4)
        .service(probe())
        .start()
        .await
        .unwrap();
    let five = node(&network, "five").options(lenient()).start().await.unwrap();
    let result: Value = five.call("probe.echo", 1).await.unwrap();
    assert_eq!(result.pointer("params"), Some(&Value::Int(1)));
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_waiting_requests_has_an_end() {
    let network = InProcessNetwork::default();
    let _b = node(&network, "b").service(probe()).start().await.unwrap();
    let options =
        moleculer_core::BrokerOptions::from_value(json!({"transit": {"maxQueueSize": 2}}));
    let a = node(&network, "a").options(options.unwrap()).start().await.unwrap();
    let mut calls: Vec<_> =
        (0..2).map(|_| Box::pin(a.call::<()>("probe.hang", ()).into_future())).collect();
    for call in &mut calls {
        assert!(futures_util::poll!(call).is_pending());
    }
    let error = a.call::<()>("probe.hang", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::QueueIsFull);
    drop(calls);
    assert_eq!(a.pending_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn running_requests_are_limited_and_none_is_lost() {
    async fn slow(State(running): State<Arc<(AtomicUsize, AtomicUsize)>>) -> Result<()> {
        let now = running.0.fetch_add(1, Ordering::Relaxed) + 1;
        running.1.fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        running.0.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
    let network = InProcessNetwork::default();
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let options =
        moleculer_core::BrokerOptions::from_value(json!({"transit": {"maxRunningRequests": 4}}));
    let service =
        Service::builder("s").with_state(running.clone()).action(Action::new("slow", slow));
    let _b = node(&network, "b").options(options.unwrap()).service(service).start().await.unwrap();
    let a = node(&network, "a").start().await.unwrap();
    let calls = (0..50).map(|_| a.call::<()>("s.slow", ()).into_future());
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(running.1.load(Ordering::Relaxed), 4);
}

/// A medium that can never be reached; counts the attempts.
#[derive(Debug, Default)]
struct Unreachable(Arc<AtomicUsize>);

impl Transporter for Unreachable {
    fn name(&self) -> &'static str {
        "Unreachable"
    }
    fn capabilities(&self) -> TransporterCapabilities {
        TransporterCapabilities::default()
    }
    async fn connect(&self, _: Host) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Retryable, "no route"))
    }
    async fn subscribe(&self, _: Vec<Topic>) -> Result<()> {
        Ok(())
    }
    async fn publish(&self, _: &Topic, _: Bytes) -> Result<()> {
        Ok(())
    }
    async fn disconnect(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_is_retried_unless_that_is_switched_off() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let builder = || support::local().transporter(Unreachable(attempts.clone()));
    let start = tokio::time::timeout(Duration::from_secs(12), builder().start());
    assert!(start.await.is_err());
    assert_eq!(attempts.swap(0, Ordering::Relaxed), 3); // at 0, 5 and 10 s

    let options = json!({"transit": {"disableReconnect": true}});
    let options = moleculer_core::BrokerOptions::from_value(options).unwrap();
    let error = builder().options(options).start().await.unwrap_err();
    assert_eq!((error.message(), attempts.load(Ordering::Relaxed)), ("no route", 1));
}

#[tokio::test]
async fn the_internal_service_can_be_switched_off() {
    let options = moleculer_core::BrokerOptions::from_value(json!({"internalServices": false}));
    let broker = support::local().options(options.unwrap()).start().await.unwrap();
    let error = broker.call::<Value>("$node.list", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
}

/// `b` waits for a service of `a`, which has one more that waits for `b`. Both
/// know each other long before the first one has started.
#[tokio::test(start_paused = true)]
async fn services_are_told_while_others_of_the_node_still_wait() {
    let network = InProcessNetwork::default();
    let named = |name: &str| Service::builder(name).action(Action::new("echo", echo));
    let late = |_, ()| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Error>(())
    };
    let a = node(&network, "a")
        .service(named("tenant").started(late))
        .service(named("location").dependencies(["device"]));
    let b = node(&network, "b").service(named("device").dependencies(["tenant"]));
    let both = async { tokio::join!(a.start(), b.start()) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (a, b) = both.expect("nobody waits for ever");
    let (a, b) = (a.expect("a starts"), b.expect("b starts"));
    b.wait_for_services(["location"], Duration::from_secs(5)).await.expect("it is known");
    for node in [a, b] {
        node.stop().await.expect("stops");
    }
}
