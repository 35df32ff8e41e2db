//! Circuits that open, let one call through, and close.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, CircuitBreakerOptions, Context, Error, ErrorKind, Event,
    InProcessNetwork, Params, Result, RetryPolicy, Service, ServiceBroker, Subscription, Value,
    Visibility,
};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use self::support::{eventually, local, node};

const HALF_OPEN: Duration = Duration::from_millis(200);
/// When the circuit's timer has certainly had its turn.
const LATER: Duration = Duration::from_millis(202);

fn breaker() -> CircuitBreakerOptions {
    CircuitBreakerOptions::new().threshold(0.5).min_request_count(4).half_open_time(HALF_OPEN)
}

/// Fails with the code that it is asked for; 0 succeeds, 1 never ends, 2
/// takes its time.
async fn answer(Params(code): Params<i64>) -> Result<i64> {
    match code {
        0 => Ok(0),
        1 => std::future::pending().await,
        2 => {
            sleep(LATER * 2).await;
            Ok(2)
        }
        code => Err(Error::server(code, "ASKED", "as asked")),
    }
}

fn shop(options: impl FnOnce(Action) -> Action) -> Service {
    Service::builder("shop").action(options(Action::new("answer", answer))).build()
}

async fn start(builder: BrokerBuilder) -> ServiceBroker {
    builder.start().await.expect("starts")
}

/// Waits until so many other nodes are known.
async fn others(broker: &ServiceBroker, number: usize) {
    while broker.ping_all().await.len() != number {
        sleep(Duration::from_millis(1)).await;
    }
}

/// The code of the error, 0 for none.
async fn call(broker: &ServiceBroker, code: i64) -> i64 {
    let called = broker.call::<i64>("shop.answer", code).await;
    called.map_or_else(|error| error.code(), |_| 0)
}

async fn calls<const N: usize>(broker: &ServiceBroker, codes: [i64; N]) -> Vec<i64> {
    let mut answers = Vec::new();
    for code in codes {
        answers.push(call(broker, code).await);
    }
    answers
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Json>>>);

impl Told {
    fn of(broker: &ServiceBroker) -> (Self, Subscription) {
        let told = Self::default();
        let here = told.clone();
        let listening = broker.on("$circuit-breaker.*", move |event, data| {
            let name = event.rsplit('.').next().unwrap_or_default();
            let data = data.to_value().expect("a value");
            let data: Json = data.into_type().expect("JSON");
            here.0.lock().expect("no panic").push(json!([name, data]));
        });
        (told, listening)
    }

    fn take(&self) -> Vec<Json> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    fn names(&self) -> Vec<String> {
        self.take().iter().map(|told| told[0].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeline_of_a_circuit() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    let (told, _listening) = Told::of(&broker);
    // A client's error is not counted, so these are 2 failures of 4 calls.
    assert_eq!(calls(&broker, [0, 400, 500, 0]).await, [0, 400, 500, 0]);
    assert_eq!(told.take(), Vec::<Json>::new());
    assert_eq!(call(&broker, 500).await, 500);
    let endpoint = json!({"nodeID": "local", "service": "shop", "action": "shop.answer"});
    let mut opened = endpoint.clone();
    opened["failures"] = 2.into();
    opened["count"] = 4.into();
    opened["rate"] = 0.5.into();
    assert_eq!(told.take(), [json!(["opened", opened])]);

    let refused = broker.call::<i64>("shop.answer", 0).await.expect_err("open");
    assert_eq!(refused.kind(), &ErrorKind::ServiceNotAvailable);
    let refused = broker.call::<i64>("shop.answer", 0).node("local").await.expect_err("open");
    assert_eq!(refused.kind(), &ErrorKind::ServiceNotFound);

    sleep(LATER).await;
    assert_eq!(told.take(), [json!(["half-opened", endpoint])]);
    assert_eq!(call(&broker, 0).await, 0);
    assert_eq!(told.take(), [json!(["closed", endpoint])]);
    // Counting begins anew.
    assert_eq!(calls(&broker, [500, 500, 500, 0]).await, [500, 500, 500, 0]);
    assert_eq!(call(&broker, 0).await, 404);
    broker.stop().await.expect("stops");
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_tries_a_half_open_circuit() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    let (told, _listening) = Told::of(&broker);
    calls(&broker, [500; 4]).await;
    sleep(LATER).await;
    // Found while it was half open, but started after the probe.
    let probe = broker.call::<i64>("shop.answer", 500).into_future();
    assert_eq!(call(&broker, 0).await, 404);
    assert_eq!(probe.await.expect_err("as asked").code(), 500);
    eventually("half open again", || told.0.lock().expect("no panic").len() == 4).await;
    assert_eq!(told.names(), ["opened", "half-opened", "opened", "half-opened"]);
    // A probe that says nothing leaves it waiting until the time is up.
    assert_eq!(calls(&broker, [400, 0]).await, [400, 404]);
    sleep(LATER).await;
    assert_eq!(call(&broker, 0).await, 0);
    assert_eq!(told.names(), ["half-opened", "closed"]);
    broker.stop().await.expect("stops");
}

/// What began before the circuit opened is no news when it ends.
#[tokio::test(start_paused = true)]
async fn a_late_failure_leaves_a_half_open_circuit_as_it_is() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    let (told, _listening) = Told::of(&broker);
    let late = broker.call::<i64>("shop.answer", 1).timeout(LATER * 2).into_future();
    let late = tokio::spawn(late);
    calls(&broker, [500; 4]).await;
    sleep(LATER).await;
    assert_eq!(told.names(), ["opened", "half-opened"]);
    assert_eq!(late.await.expect("no panic").expect_err("times out").code(), 504);
    assert_eq!(told.take(), Vec::<Json>::new());
    assert_eq!(call(&broker, 0).await, 0, "the next one is the probe");
    assert_eq!(told.names(), ["closed"]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_taken_for_lost_still_closes_the_circuit() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    let (told, _listening) = Told::of(&broker);
    calls(&broker, [500; 4]).await;
    sleep(LATER).await;
    assert_eq!(call(&broker, 2).await, 0);
    assert_eq!(told.names(), ["opened", "half-opened", "half-opened", "closed"]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_does_not_keep_the_circuit() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    calls(&broker, [500; 4]).await;
    for _ in 0..3 {
        sleep(LATER).await;
        drop(broker.call::<i64>("shop.answer", 0).into_future());
        assert_eq!(call(&broker, 0).await, 404);
    }
    sleep(LATER).await;
    assert_eq!(call(&broker, 0).await, 0);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn calls_that_run_out_of_time_are_failures_and_those_given_up_are_not() {
    let broker = start(local().circuit_breaker(breaker()).service(shop(|action| action))).await;
    let hanging = || broker.call::<i64>("shop.answer", 1);
    for _ in 0..10 {
        let given_up = tokio::time::timeout(Duration::from_millis(5), hanging().into_future());
        given_up.await.expect_err("it hangs");
    }
    for _ in 0..4 {
        let late = hanging().timeout(Duration::from_millis(10)).await.expect_err("it hangs");
        assert_eq!(late.kind(), &ErrorKind::RequestTimeout);
    }
    assert_eq!(call(&broker, 0).await, 404);
    // A probe that hangs opens it again.
    sleep(LATER).await;
    hanging().timeout(Duration::from_millis(10)).await.expect_err("it hangs");
    sleep(HALF_OPEN - Duration::from_millis(10)).await;
    assert_eq!(call(&broker, 0).await, 404);
    sleep(Duration::from_millis(20)).await;
    assert_eq!(call(&broker, 0).await, 0);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_window_ends_for_the_breaker_of_one_action_too() {
    let second = Duration::from_secs(1);
    let own = breaker().window_time(second);
    let broker = start(local().service(shop(|action| action.circuit_breaker(own)))).await;
    for _ in 0..5 {
        assert_eq!(calls(&broker, [500; 3]).await, [500; 3]);
        sleep(second + Duration::from_millis(2)).await;
    }
    assert_eq!(broker.running_tasks(), 0);
    assert_eq!(calls(&broker, [500, 500, 500, 500, 0]).await, [500, 500, 500, 500, 404]);
    broker.stop().await.expect("stops");
    let endless = breaker().window_time(Duration::ZERO);
    let broker = start(local().service(shop(|action| action.circuit_breaker(endless)))).await;
    assert_eq!(calls(&broker, [500; 3]).await, [500; 3]);
    sleep(24 * 3600 * second).await;
    assert_eq!(calls(&broker, [500, 0]).await, [500, 404]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn options_of_the_broker_and_of_the_action() {
    let check = async |builder: BrokerBuilder, action: Option<CircuitBreakerOptions>, opens| {
        let options = |def: Action| match action {
            Some(options) => def.circuit_breaker(options),
            None => def,
        };
        let broker = start(builder.service(shop(options))).await;
        calls(&broker, [500, 0, 500]).await;
        assert_eq!(call(&broker, 0).await == 404, opens);
        broker.stop().await.expect("stops");
    };
    let three = || breaker().min_request_count(3);
    check(local(), None, false).await;
    check(local().circuit_breaker(three()), None, true).await;
    check(local().circuit_breaker(three().threshold(0.7)), None, false).await;
    check(local().circuit_breaker(three().check(|error| error.code() == 503)), None, false).await;
    check(local().circuit_breaker(three()), Some(CircuitBreakerOptions::off()), false).await;
    let own = CircuitBreakerOptions::default().min_request_count(3);
    check(local().circuit_breaker(breaker()), Some(own.clone()), true).await;
    check(local(), Some(own), false).await;
    check(local(), Some(three()), true).await;
    let read = |options: Json| BrokerOptions::from_value(options).expect("options");
    let options = json!({"internalMiddlewares": false});
    let bare = local().options(read(options));
    check(bare.circuit_breaker(three()), None, false).await;
    let options = json!({"circuitBreaker": {
        "enabled": true, "threshold": 0.5, "minRequestCount": 3, "halfOpenTime": 100, "windowTime": 30
    }});
    check(local().options(read(options)), None, true).await;
    check(local().options(read(json!({"circuitBreaker": null}))), None, false).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_else_is_asked_for_an_internal_action_whose_circuit_is_open() {
    let network = InProcessNetwork::default();
    let all = breaker().check(|_| true);
    let near = start(node(&network, "near").circuit_breaker(all)).await;
    let far = start(node(&network, "far")).await;
    others(&near, 1).await;
    let kind = async |node: Option<&str>| {
        let call = near.call::<Value>("$node.list", json!({"onlyAvailable": "perhaps"}));
        let call = match node {
            Some(node) => call.node(node),
            None => call,
        };
        call.await.map_err(|error| error.kind().clone()).expect_err("wrong params")
    };
    for _ in 0..4 {
        assert_eq!(kind(None).await, ErrorKind::Validation);
    }
    assert_eq!(kind(None).await, ErrorKind::ServiceNotAvailable);
    assert_eq!(kind(Some("near")).await, ErrorKind::ServiceNotFound);
    assert_eq!(kind(Some("far")).await, ErrorKind::Validation);
    near.stop().await.expect("stops");
    far.stop().await.expect("stops");
}

/// Which node answered; the one called `bad` fails.
fn whoami() -> Service {
    async fn name(ctx: Context) -> Result<String> {
        let node = ctx.broker()?.node_id().to_string();
        if node == "bad" { Err(Error::server(500, "BAD", "bad")) } else { Ok(node) }
    }
    Service::builder("who").action(Action::new("ami", name)).build()
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_has_a_circuit_of_its_own() {
    let network = InProcessNetwork::default();
    let heard = Arc::new(AtomicU32::new(0));
    let count = heard.clone();
    let listen = move |ctx: Context| {
        let count = count.clone();
        async move {
            assert_eq!(ctx.node_id(), "caller");
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>(())
        }
    };
    let watcher = Service::builder("watcher").event(Event::new("$circuit-breaker.*", listen));
    let caller = start(node(&network, "caller").circuit_breaker(breaker())).await;
    let good = start(node(&network, "good").service(whoami()).service(watcher)).await;
    let bad = start(node(&network, "bad").service(whoami())).await;
    others(&caller, 2).await;
    caller.wait_for_services(["who"], Duration::from_secs(5)).await.expect("found");
    let (told, _listening) = Told::of(&caller);
    let ask = async || caller.call::<String>("who.ami", ()).await;
    let mut failures = 0;
    while told.0.lock().expect("no panic").is_empty() {
        failures += u32::from(ask().await.is_err());
    }
    assert_eq!(failures, 4);
    let opened = json!({
        "nodeID": "bad", "service": "who", "action": "who.ami", "failures": 4, "count": 4, "rate": 1.0,
    });
    assert_eq!(told.take(), [json!(["opened", opened])]);
    for _ in 0..20 {
        assert_eq!(ask().await.expect("the good one"), "good");
    }
    // Other nodes hear of it, in the name of the node that saw it.
    eventually("the watcher heard", || heard.load(Ordering::Relaxed) == 1).await;

    // What the node tells anew changes nothing.
    bad.create_service(Service::builder("more")).await.expect("created");
    caller.wait_for_services(["more"], Duration::from_secs(5)).await.expect("told");
    assert_eq!(told.names().first().map(String::as_str), Some("half-opened"));
    ask().await.and(ask().await).expect_err("the probe");
    assert_eq!(told.names(), ["opened"]);
    bad.create_service(Service::builder("most")).await.expect("created");
    // A node that comes back begins anew.
    bad.stop().await.expect("stops");
    let bad = start(node(&network, "bad").service(whoami())).await;
    others(&caller, 2).await;
    let mut answers = vec![ask().await.is_ok(), ask().await.is_ok()];
    answers.sort_unstable();
    assert_eq!(answers, [false, true]);
    for broker in [caller, good, bad] {
        broker.stop().await.expect("stops");
        assert_eq!(broker.running_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn published_options_count_for_callers_and_another_nodes_errors_do_not() {
    let network = InProcessNetwork::default();
    let caller = start(node(&network, "caller")).await;
    async fn relay(ctx: Context, Params(code): Params<i64>) -> Result<i64> {
        match code {
            503 => Err(Error::server(code, "OWN", "my own")),
            code => ctx.call("shop.answer", code).await,
        }
    }
    let middle =
        Service::builder("middle").action(Action::new("relay", relay).circuit_breaker(breaker()));
    let near = start(node(&network, "near").service(middle)).await;
    let far = start(node(&network, "far").service(shop(|action| action))).await;
    near.wait_for_services(["shop"], Duration::from_secs(5)).await.expect("found");
    caller.wait_for_services(["middle"], Duration::from_secs(5)).await.expect("found");
    let (told, _listening) = Told::of(&caller);
    let relayed = async |code: i64| {
        let called = caller.call::<i64>("middle.relay", code).await;
        called.expect_err("as asked").code()
    };
    for _ in 0..10 {
        assert_eq!(relayed(500).await, 500);
    }
    assert_eq!(told.take(), Vec::<Json>::new());
    far.stop().await.expect("stops");
    // Now the error is the middle's own.
    for _ in 0..4 {
        assert_eq!(relayed(503).await, 503);
    }
    assert_eq!(told.names(), ["opened"]);
    assert_eq!(relayed(503).await, 404);
    for broker in [caller, near] {
        broker.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_calls_itself_meets_the_same_circuit() {
    let own = |action: Action| action.circuit_breaker(breaker()).visibility(Visibility::Private);
    let broker = start(local().service(shop(own))).await;
    let (told, _listening) = Told::of(&broker);
    let shop = broker.local_service("shop").expect("here");
    let ask = async |code: i64| {
        shop.call::<i64>("answer", code).await.map_or_else(|error| error.code(), |_| 0)
    };
    for _ in 0..4 {
        assert_eq!(ask(500).await, 500);
    }
    assert_eq!(ask(0).await, 404);
    sleep(LATER).await;
    assert_eq!(ask(0).await, 0);
    assert_eq!(told.names(), ["opened", "half-opened", "closed"]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_another_node_once_the_circuit_is_open() {
    let network = InProcessNetwork::default();
    let retry = RetryPolicy::new().retries(1).delay(Duration::from_millis(1)).budget(10.0);
    let options = breaker().min_request_count(1);
    let caller = start(node(&network, "caller").retry(retry).circuit_breaker(options)).await;
    let good = start(node(&network, "good").service(whoami())).await;
    let bad = start(node(&network, "bad").service(whoami())).await;
    others(&caller, 2).await;
    for _ in 0..10 {
        let name: String =
            caller.call("who.ami", ()).fallback_response("nobody").await.expect("ok");
        assert_eq!(name, "good");
    }
    good.stop().await.expect("stops");
    others(&caller, 1).await;
    // The first call tries the circuit, its retry finds nobody, and the
    // fallback answers; the second finds nobody at all.
    sleep(LATER).await;
    let ask = || caller.call::<String>("who.ami", ()).fallback_response("nobody");
    assert_eq!(ask().await.expect("a fallback"), "nobody");
    assert_eq!(ask().await.expect_err("nobody").kind(), &ErrorKind::ServiceNotAvailable);
    for broker in [caller, bad] {
        broker.stop().await.expect("stops");
    }
}
