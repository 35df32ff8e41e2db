//! Calls that are made again, and how often.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BulkheadOptions, Context, Error, InProcessNetwork, IntoService, Params,
    Result, RetryPolicy, Service, ServiceBroker, State, Value, Visibility,
};
use serde_json::json;
use tokio::{sync::Semaphore, time::Instant};

use self::support::{eventually, local, node};

/// Fails until it was called often enough, and notes each call.
#[derive(Clone, Default)]
struct Flaky {
    calls: Arc<AtomicU32>,
    failures: u32,
    seen: Arc<Mutex<Seen>>,
}

/// The context and the params of each call.
type Seen = Vec<(Context, Vec<String>)>;

impl Flaky {
    fn failing(failures: u32) -> Self {
        Self { failures, ..Self::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

async fn work(
    ctx: Context,
    Params(params): Params<Vec<String>>,
    State(flaky): State<Flaky>,
) -> Result<u32> {
    let call = flaky.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let tries = ctx.meta().get("tries").and_then(Value::as_i64).unwrap_or_default() + 1;
    ctx.set_meta("tries", tries);
    flaky.seen.lock().expect("no panic").push((ctx, params));
    if call <= flaky.failures {
        return Err(Error::server(503, "BUSY", "busy"));
    }
    Ok(call)
}

fn flaky(state: &Flaky, options: impl FnOnce(Action<Flaky>) -> Action<Flaky>) -> impl IntoService {
    Service::builder("flaky").with_state(state.clone()).action(options(Action::new("work", work)))
}

fn fast() -> RetryPolicy {
    RetryPolicy::new().delay(Duration::from_millis(20)).max_delay(Duration::from_millis(100))
}

fn params() -> Vec<String> {
    vec!["a".to_owned()]
}

async fn start(builder: BrokerBuilder) -> ServiceBroker {
    builder.start().await.expect("starts")
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_made_again_with_growing_waits() {
    let state = Flaky::failing(5);
    let broker = start(local().retry(fast()).service(flaky(&state, |action| action))).await;
    let started = Instant::now();
    let call = broker.call::<u32>("flaky.work", params()).meta([("user", 7)]);
    let response = call.with_response().await.expect("the sixth succeeds");
    assert_eq!(response.value, 6);
    assert_eq!(started.elapsed().as_millis(), 20 + 40 + 80 + 100 + 100);
    // What the attempts left in the metadata reaches the caller.
    assert_eq!(Value::from(response.meta), json!({"user": 7, "tries": 6}).into());
    let seen = state.seen.lock().expect("no panic");
    let first = &seen[0].0;
    for (attempt, (ctx, taken)) in seen.iter().enumerate() {
        assert_eq!(*taken, params());
        assert_eq!(ctx.request_id(), first.request_id());
        assert_eq!((ctx.level(), ctx.attempt()), (1, attempt as u32));
        assert_eq!(attempt == 0, ctx.id() == first.id());
    }
}

#[tokio::test(start_paused = true)]
async fn options_of_the_broker_the_action_and_the_call() {
    let state = Flaky::failing(u32::MAX);
    let check = async |builder: BrokerBuilder, action: Option<RetryPolicy>, expected| {
        let options = |def: Action<Flaky>| match action {
            Some(policy) => def.retry(policy),
            None => def,
        };
        let broker = start(builder.service(flaky(&state, options))).await;
        let error = broker.call::<u32>("flaky.work", params()).await.expect_err("always fails");
        assert_eq!((error.r#type(), state.calls()), (Some("BUSY"), expected));
        broker
    };
    check(local(), None, 1).await;
    check(local().retry(fast()), None, 6).await;
    check(local().retry(RetryPolicy::default().retries(2)), None, 1).await;
    check(local().retry(fast().retries(2)), None, 3).await;
    check(local().retry(fast().retries(2)), Some(RetryPolicy::off()), 1).await;
    check(local().retry(fast().retries(2)), Some(RetryPolicy::default().retries(1)), 2).await;
    check(local(), Some(fast().retries(4)), 5).await;
    check(local().retry(fast().check(|error| error.code() == 1)), None, 1).await;
    let broker = check(local().retry(fast().check(|error| error.code() == 503)), None, 6).await;
    let call = broker.call::<u32>("flaky.work", params()).retries(1);
    call.await.expect_err("always fails");
    assert_eq!(state.calls(), 2);
    broker.call::<u32>("flaky.work", params()).retries(0).await.expect_err("always fails");
    assert_eq!(state.calls(), 1);
    let options = json!({"retryPolicy": {"enabled": true, "retries": 3, "delay": 0}});
    let options = moleculer_core::BrokerOptions::from_value(options).expect("valid");
    check(local().options(options), None, 4).await;
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_time_but_not_more_than_its_caller() {
    async fn slow(State(calls): State<Flaky>) -> Result<()> {
        calls.calls.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
    async fn outer(ctx: Context) -> Result<Value> {
        let started = Instant::now();
        let call = ctx.call::<()>("t.slow", ()).timeout(Duration::from_millis(40));
        let error = call.await.expect_err("times out");
        Ok(json!({"ms": started.elapsed().as_millis() as u64, "error": error.name()}).into())
    }
    let state = Flaky::default();
    let service = Service::builder("t")
        .with_state(state.clone())
        .action(Action::new("slow", slow))
        .action(Action::new("outer", outer));
    let policy = RetryPolicy::new().retries(2).delay(Duration::ZERO);
    let broker = start(local().retry(policy).service(service)).await;
    let started = Instant::now();
    let call = broker.call::<()>("t.slow", ()).timeout(Duration::from_millis(40));
    assert_eq!(call.await.expect_err("times out").name(), "RequestTimeoutError");
    assert_eq!((state.calls(), started.elapsed().as_millis()), (3, 120));
    // 100 ms are left: 40, 40, and 20 for the last attempt.
    let call = broker.call::<Value>("t.outer", ()).timeout(Duration::from_millis(101));
    let outer = call.await.expect("answers");
    assert_eq!(outer, json!({"ms": 101, "error": "RequestTimeoutError"}).into());
    assert_eq!(state.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_its_retries() {
    let state = Flaky::failing(u32::MAX);
    let broker = start(local().retry(fast()).service(flaky(&state, |action| action))).await;
    let call = broker.call::<u32>("flaky.work", params()).into_future();
    tokio::time::timeout(Duration::from_millis(30), call).await.expect_err("still waits");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(state.calls(), 2);
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test]
async fn the_caller_retries_by_the_published_policy_and_the_callee_does_not() {
    let network = InProcessNetwork::default();
    let states = [Flaky::failing(u32::MAX), Flaky::failing(u32::MAX)];
    let policy = RetryPolicy::new().retries(3).delay(Duration::from_millis(1));
    let caller = start(node(&network, "a")).await;
    let mut callees = Vec::new();
    for (id, state) in ["b", "c"].into_iter().zip(&states) {
        let service = flaky(state, |action| action.retry(policy.clone()));
        callees.push(start(node(&network, id).service(service)).await);
    }
    caller.wait_for_services(["flaky"], Duration::from_secs(5)).await.expect("found");
    offered_by(&caller, 2).await;
    caller.call::<u32>("flaky.work", params()).await.expect_err("always fails");
    // Four in all, and the balancer goes to both nodes.
    assert_eq!(states.each_ref().map(Flaky::calls), [2, 2]);
    let to_one = caller.call::<u32>("flaky.work", params()).node("c");
    to_one.await.expect_err("always fails");
    assert_eq!(states.each_ref().map(Flaky::calls), [0, 4]);
    // On its own node the action's policy counts as well.
    callees[0].call::<u32>("flaky.work", params()).await.expect_err("always fails");
    assert_eq!(states.each_ref().map(Flaky::calls), [4, 0]);
    for broker in callees.iter().chain([&caller]) {
        broker.stop().await.expect("stops");
    }
}

/// Time limit, queue and policy of one action, which another node publishes.
#[tokio::test(start_paused = true)]
async fn attempts_that_time_out_in_a_queue_leave_it_and_keep_their_request_id() {
    type Runs = Arc<Mutex<Vec<(String, String)>>>;
    async fn work(
        ctx: Context,
        Params(who): Params<String>,
        State((gate, runs)): State<(Arc<Semaphore>, Runs)>,
    ) -> Result<String> {
        let request_id = ctx.request_id().to_string();
        runs.lock().expect("no panic").push((who.clone(), request_id));
        if who == "first" {
            gate.acquire().await.expect("never closed").forget();
        }
        Ok(who)
    }
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Runs::default());
    let action = Action::new("work", work)
        .timeout(Duration::from_millis(40))
        .retry(RetryPolicy::new().retries(2).delay(Duration::ZERO))
        .bulkhead(BulkheadOptions::new().concurrency(1).max_queue_size(1));
    let service = Service::builder("t").with_state((gate.clone(), runs.clone())).action(action);
    let network = InProcessNetwork::default();
    let caller = start(node(&network, "a")).await;
    let callee = start(node(&network, "b").service(service)).await;
    caller.wait_for_services(["t"], Duration::from_secs(5)).await.expect("found");

    let first = caller.call::<String>("t.work", "first").timeout(Duration::from_secs(10));
    let first = tokio::spawn(first.into_future());
    eventually("the first runs", || runs.lock().expect("no panic").len() == 1).await;
    let started = Instant::now();
    let second = caller.call::<String>("t.work", "second").request_id("second-request");
    let second = tokio::spawn(second.into_future());
    // Two attempts have waited for nothing. Had they stayed in the queue, it
    // would be full for the third.
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.add_permits(1);
    assert_eq!(second.await.expect("no panic").expect("the third runs"), "second");
    assert_eq!(started.elapsed().as_millis(), 100);
    assert_eq!(first.await.expect("no panic").expect("it had the time"), "first");
    let runs = runs.lock().expect("no panic").clone();
    let second = ("second".to_owned(), "second-request".to_owned());
    assert_eq!(runs[1..], [second], "of three attempts one reached the handler");
    for broker in [&caller, &callee] {
        broker.stop().await.expect("stops");
    }
}

/// Waits until so many nodes offer the action.
async fn offered_by(broker: &ServiceBroker, nodes: u64) {
    let count = async || -> Option<u64> {
        let params = json!({"skipInternal": true});
        let actions: Vec<Value> = broker.call("$node.actions", params).await.expect("answers");
        actions.first()?.pointer("count")?.as_u64()
    };
    while count().await != Some(nodes) {
        tokio::task::yield_now().await;
    }
}

/// Three layers, each with the same policy; the bottom always fails.
fn layer(
    name: &'static str,
    below: Option<&'static str>,
    calls: &Arc<AtomicU32>,
) -> impl IntoService {
    async fn pass(
        ctx: Context,
        State((below, calls)): State<(Option<&'static str>, Arc<AtomicU32>)>,
    ) -> Result<()> {
        match below {
            Some(below) => ctx.call(below, ()).await,
            None => {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(Error::server(503, "DOWN", "down"))
            }
        }
    }
    Service::builder(name).with_state((below, calls.clone())).action(Action::new("do", pass))
}

/// Makes 10 000 calls in ten seconds and tells how many reached the bottom,
/// for each.
async fn amplification(broker: &ServiceBroker, calls: &AtomicU32) -> f64 {
    const CALLS: u32 = 10_000;
    calls.store(0, Ordering::Relaxed);
    let mut running = Vec::new();
    for _ in 0..CALLS / 10 {
        for _ in 0..10 {
            running.push(tokio::spawn(broker.call::<()>("top.do", ()).into_future()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for call in running {
        let error = call.await.expect("no panic").expect_err("always fails");
        assert_eq!(error.r#type(), Some("DOWN"));
    }
    f64::from(calls.load(Ordering::Relaxed)) / f64::from(CALLS)
}

#[tokio::test(start_paused = true)]
async fn three_failing_layers_do_not_multiply() {
    let calls = Arc::new(AtomicU32::new(0));
    let broker = local()
        .retry(RetryPolicy::new())
        .service(layer("top", Some("middle.do"), &calls))
        .service(layer("middle", Some("bottom.do"), &calls))
        .service(layer("bottom", None, &calls));
    let broker = start(broker).await;
    let times = amplification(&broker, &calls).await;
    assert!((1.05..=1.2).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn three_failing_nodes_do_not_multiply() {
    let network = InProcessNetwork::default();
    let calls = Arc::new(AtomicU32::new(0));
    let with_retry = |id| node(&network, id).retry(RetryPolicy::new());
    let mut brokers = vec![start(with_retry("client")).await];
    let layers = [("top", Some("middle.do")), ("middle", Some("bottom.do")), ("bottom", None)];
    for (name, below) in layers {
        brokers.push(start(with_retry(name).service(layer(name, below, &calls))).await);
    }
    for broker in &brokers {
        let all = ["top", "middle", "bottom"];
        broker.wait_for_services(all, Duration::from_secs(5)).await.expect("found");
    }
    let times = amplification(&brokers[0], &calls).await;
    assert!((1.05..=1.2).contains(&times), "{times}");
    for broker in brokers {
        broker.stop().await.expect("stops");
        assert_eq!(broker.pending_requests(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_protected_action_is_called_again_too() {
    let state = Flaky::failing(1);
    let service = flaky(&state, |action| action.visibility(Visibility::Protected));
    let broker = start(local().retry(fast()).service(service)).await;
    assert_eq!(broker.call::<u32>("flaky.work", params()).await.expect("works"), 2);
}
