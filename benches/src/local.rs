//! Calls and events inside one process.

use std::{future::Future, hint::black_box, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    floor::{
        actor::Adder,
        in_process::{Broker, Events, Results, boxed_add},
    },
    measure::{Flavor, Result, count_until, emit, is_wanted, ratio, sequential},
    ours,
    peer::{JS_014, JS_015, Peer},
};

pub(crate) const NO_PARAMS: &str = "local/no-params";
pub(crate) const TYPED_PARAMS: &str = "local/typed-params";
pub(crate) const VALUE_PARAMS: &str = "local/value-params";
pub(crate) const NESTED: &str = "local/nested";
pub(crate) const FAILING: &str = "local/failing";
pub(crate) const MIDDLEWARES: &str = "local/three-middlewares";
pub(crate) const TIMEOUT: &str = "local/timeout";
pub(crate) const RETRY: &str = "local/retry";
pub(crate) const BREAKER: &str = "local/circuit-breaker";
pub(crate) const BULKHEAD: &str = "local/bulkhead";
pub(crate) const FALLBACK: &str = "local/fallback";
pub(crate) const TOLERANT: &str = "local/fault-tolerance";
pub(crate) const VALIDATION: &str = "local/validation";
pub(crate) const VALIDATION_VALUE: &str = "local/validation-value";
pub(crate) const CONVERSION: &str = "local/validation-conversion";
pub(crate) const CACHE_HIT: &str = "local/cache-hit";
pub(crate) const ALL: &str = "local/all-features";
pub(crate) const TWO_CALLERS: &str = "local/two-callers";
/// How many listeners there are, and the workload that says so.
pub(crate) const EMIT: [(usize, &str); 2] = [(1, "local/emit-to-1"), (20, "local/emit-to-20")];

const BARE: &str = "bare boxed call";
const MOKA: &str = "moka get, key given";
const FLOOR: &str = "lookup + context + boxed";
const ACTOR: &str = "tokio channels";
const PAIR_WARM_UP: Duration = Duration::from_millis(100);
const PAIR_WINDOW: Duration = Duration::from_millis(400);

pub(crate) fn peers() -> Vec<Peer> {
    vec![
        Peer::rust(BARE, Some(FLOOR), &["local", "bare"]),
        Peer::rust(FLOOR, None, &["local", "floor"]),
        Peer::rust(ACTOR, Some(FLOOR), &["local", "actor"]),
        Peer::rust(MOKA, Some(FLOOR), &["local", "moka"]),
        Peer::rust("ours", Some(FLOOR), &["local", "ours"]),
        Peer::js(JS_014, Some(FLOOR), &["local.mjs", "0.14"]),
        Peer::js(JS_015, Some(FLOOR), &["local.mjs", "0.15"]),
    ]
}

/// Measures one Rust peer in this process.
pub(crate) fn drive(peer: &str) -> Result<()> {
    let one = Flavor::CurrentThread.build()?;
    match peer {
        "bare" => one.block_on(bare()),
        "floor" => {
            one.block_on(floor())?;
            let broker: &Broker = Box::leak(Box::new(Broker::new()));
            callers(move || broker.call("users.empty", Value::Null))
        }
        "actor" => one.block_on(actor()),
        "moka" => one.block_on(moka()),
        "ours" => ours::local::drive(),
        _ => Err(format!("no local peer is called `{peer}`").into()),
    }
}

/// Reports what a call costs when one follows the other.
pub(crate) async fn calls<F: Future>(workload: &str, call: impl FnMut() -> F) -> Result<()> {
    if !is_wanted(workload) {
        return Ok(());
    }
    let cost = sequential(call).await;
    emit(workload, "ns/op", cost.ns)?;
    emit(workload, "allocations/op", cost.allocations)
}

/// Reports how many times as much as the plain call a call costs.
pub(crate) async fn compared<F: Future, G: Future>(
    workload: &str,
    call: impl FnMut() -> F,
    plain: impl FnMut() -> G,
) -> Result<()> {
    if !is_wanted(workload) {
        return Ok(());
    }
    emit(workload, "ns / ns of the plain call", ratio(call, plain).await)
}

/// What every event carries.
pub(crate) fn event_data() -> Value {
    json!(["param1", {"a": black_box(1), "b": "Test"}, 500])
}

/// Reports how much faster two callers on two workers are than one caller.
pub(crate) fn callers<C, F>(call: C) -> Result<()>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future + Send + 'static,
{
    let runtime = Flavor::TwoWorkers.build()?;
    let one = runtime.block_on(ns_per_call(1, call.clone()))?;
    let two = runtime.block_on(ns_per_call(2, call))?;
    emit(TWO_CALLERS, "ns/op, one caller", one)?;
    emit(TWO_CALLERS, "ns/op, two callers", two)?;
    emit(TWO_CALLERS, "throughput of two / of one", one / two)
}

async fn ns_per_call<C, F>(callers: usize, call: C) -> Result<f64>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future + Send + 'static,
{
    let start = Instant::now() + PAIR_WARM_UP;
    let end = start + PAIR_WINDOW;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                count_until(start, call.clone()).await;
                count_until(end, call).await
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await?;
    }
    Ok(PAIR_WINDOW.as_nanos() as f64 / count as f64)
}

async fn bare() -> Result<()> {
    let add = boxed_add();
    calls(NO_PARAMS, || add(black_box(4), 2)).await?;
    calls(TYPED_PARAMS, || add(black_box(4), 2)).await
}

async fn actor() -> Result<()> {
    let adder = Adder::spawn();
    calls(TYPED_PARAMS, || adder.add(black_box(4), 2)).await
}

async fn moka() -> Result<()> {
    let cache = Results::new();
    calls(CACHE_HIT, || async { cache.get(black_box("cached.add:4|2")) }).await
}

/// The floor hands no params to typed calls: what a typed call adds is the framework's.
async fn floor() -> Result<()> {
    let broker = Broker::new();
    let empty = || broker.call("users.empty", Value::Null);
    calls(NO_PARAMS, empty).await?;
    calls(TYPED_PARAMS, empty).await?;
    calls(VALUE_PARAMS, || broker.call("math.add", json!({"a": black_box(4), "b": 2}))).await?;
    calls(TIMEOUT, || timeout(Duration::from_secs(10), empty())).await?;
    let cache = Results::new();
    calls(CACHE_HIT, || async { cache.get_by_params(black_box(4), 2) }).await?;
    let broker = Broker::with_middlewares(3);
    calls(MIDDLEWARES, || broker.call("users.empty", Value::Null)).await?;
    for (listeners, workload) in EMIT {
        let events = Events::new(listeners);
        calls(workload, || events.emit("order.created", event_data())).await?;
    }
    Ok(())
}
