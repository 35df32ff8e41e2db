//! Calls and events inside one process.

use std::{hint::black_box, sync::Arc, time::Duration};

use moleculer::{
    ActionFn, ActionSite, BrokerBuilder, BulkheadOptions, Cache, CircuitBreakerOptions,
    IntoService, Middleware, RetryPolicy, prelude::*,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    local::{
        self, ALL, BREAKER, BULKHEAD, CACHE_HIT, CONVERSION, EMIT, FAILING, FALLBACK, MIDDLEWARES,
        NESTED, NO_PARAMS, RETRY, TIMEOUT, TOLERANT, TYPED_PARAMS, VALIDATION, VALIDATION_VALUE,
        VALUE_PARAMS, event_data,
    },
    measure::{Flavor, Result},
};

/// Reports every local workload.
pub(crate) fn drive() -> Result<()> {
    let runtime = Flavor::CurrentThread.build()?;
    let plain = runtime.block_on(start(ServiceBroker::builder()))?;
    runtime.block_on(async {
        calls(plain).await?;
        layers(plain).await?;
        validation(plain).await?;
        cache(plain).await?;
        everything(plain).await?;
        events().await
    })?;
    local::callers(move || empty(plain))
}

async fn calls(broker: &'static ServiceBroker) -> Result<()> {
    local::calls(NO_PARAMS, || empty(broker)).await?;
    local::calls(TYPED_PARAMS, || async {
        broker.call::<i64>("math.add", Pair { a: black_box(4), b: 2 }).await.is_ok()
    })
    .await?;
    local::calls(VALUE_PARAMS, || async {
        let params = Value::from(json!({"a": black_box(4), "b": 2}));
        broker.call::<i64>("math.add", params).await.is_ok()
    })
    .await?;
    local::calls(NESTED, || async { broker.call::<i64>("users.nested", ()).await.is_ok() }).await?;
    local::calls(FAILING, || async { broker.call::<()>("users.fail", ()).await.is_err() }).await
}

/// What stands around a call: the same call with more of it.
async fn layers(plain: &'static ServiceBroker) -> Result<()> {
    let passing = ServiceBroker::builder().middleware(Pass).middleware(Pass).middleware(Pass);
    let limited = ServiceBroker::builder().request_timeout(Duration::from_secs(10));
    let retried = ServiceBroker::builder().retry(RetryPolicy::new());
    let broken = ServiceBroker::builder().circuit_breaker(CircuitBreakerOptions::new());
    let queued = ServiceBroker::builder().bulkhead(BulkheadOptions::new());
    for (workload, builder) in [
        (MIDDLEWARES, passing),
        (TIMEOUT, limited),
        (RETRY, retried),
        (BREAKER, broken),
        (BULKHEAD, queued),
    ] {
        let broker = start(builder).await?;
        local::calls(workload, || empty(broker)).await?;
        local::compared(workload, || empty(broker), || empty(plain)).await?;
    }
    local::calls(FALLBACK, || safe(plain)).await?;
    local::compared(FALLBACK, || safe(plain), || empty(plain)).await?;
    let tolerant = start(tolerant()).await?;
    local::calls(TOLERANT, || safe(tolerant)).await?;
    local::compared(TOLERANT, || safe(tolerant), || empty(plain)).await
}

/// Rules that check, and rules that convert.
async fn validation(broker: &'static ServiceBroker) -> Result<()> {
    local::calls(VALIDATION, || sum(broker, "checked.add")).await?;
    local::compared(VALIDATION, || sum(broker, "checked.add"), || sum(broker, "math.add")).await?;
    let value = |action| async move {
        let params = Value::from(json!({"a": black_box(4), "b": 2}));
        broker.call::<i64>(action, params).await.is_ok()
    };
    local::calls(VALIDATION_VALUE, || value("checked.add")).await?;
    local::compared(VALIDATION_VALUE, || value("checked.add"), || value("math.add")).await?;
    local::calls(CONVERSION, || async {
        let params = Value::from(json!({"a": black_box("4"), "b": "2"}));
        broker.call::<i64>("checked.convert", params).await.is_ok()
    })
    .await
}

/// A result that is kept in memory.
async fn cache(plain: &'static ServiceBroker) -> Result<()> {
    let broker = start(ServiceBroker::builder().cacher("Memory").service(cached())).await?;
    let hit = || sum(broker, "cached.add");
    hit().await;
    local::calls(CACHE_HIT, hit).await?;
    local::compared(CACHE_HIT, hit, || sum(plain, "math.add")).await
}

/// All of it at once: rules, a kept result, a timeout, retries, a breaker, a bulkhead, a fallback.
async fn everything(plain: &'static ServiceBroker) -> Result<()> {
    let broker = start(tolerant().cacher("Memory").service(cached())).await?;
    let call = || async {
        let params = Pair { a: black_box(4), b: 2 };
        broker.call::<i64>("cached.checked", params).fallback_response(1).await.is_ok()
    };
    call().await;
    local::calls(ALL, call).await?;
    local::compared(ALL, call, || sum(plain, "math.add")).await
}

async fn events() -> Result<()> {
    for (listeners, workload) in EMIT {
        let mut builder = ServiceBroker::builder();
        for i in 0..listeners {
            builder = builder.service(listener(i));
        }
        let broker = start(builder).await?;
        local::calls(workload, || async {
            broker.emit("order.created", event_data()).await.is_ok()
        })
        .await?;
    }
    Ok(())
}

/// A user's broker lives as long as the program.
async fn start(builder: BrokerBuilder) -> Result<&'static ServiceBroker> {
    let broker = builder.service(Users).service(Math).service(checked()).start().await?;
    Ok(Box::leak(Box::new(broker)))
}

fn tolerant() -> BrokerBuilder {
    ServiceBroker::builder()
        .request_timeout(Duration::from_secs(10))
        .retry(RetryPolicy::new())
        .circuit_breaker(CircuitBreakerOptions::new())
        .bulkhead(BulkheadOptions::new())
}

async fn sum(broker: &ServiceBroker, action: &str) -> bool {
    broker.call::<i64>(action, Pair { a: black_box(4), b: 2 }).await.is_ok()
}

async fn empty(broker: &ServiceBroker) -> bool {
    broker.call::<Vec<u32>>("users.empty", ()).await.is_ok()
}

/// With a fallback that is not needed.
async fn safe(broker: &ServiceBroker) -> bool {
    broker.call::<Vec<u32>>("users.empty", ()).fallback_response(1).await.is_ok()
}

#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    a: i64,
    b: i64,
}

struct Users;

#[service(name = "users")]
impl Users {
    #[action]
    async fn empty(&self) -> moleculer::Result<Vec<u32>> {
        Ok(Vec::new())
    }

    #[action]
    async fn nested(&self, ctx: Context) -> moleculer::Result<i64> {
        ctx.call("math.add", Pair { a: 4, b: 2 }).await
    }

    #[action]
    async fn fail(&self) -> moleculer::Result<()> {
        Err(Error::internal("x"))
    }
}

struct Math;

#[service(name = "math")]
impl Math {
    #[action]
    async fn add(&self, Params(pair): Params<Pair>) -> moleculer::Result<i64> {
        Ok(pair.a + pair.b)
    }
}

/// The same with rules.
fn checked() -> impl IntoService {
    async fn add(Params(pair): Params<Pair>) -> moleculer::Result<i64> {
        Ok(pair.a + pair.b)
    }
    let rules = json!({"a": "number|min:1", "b": "number"});
    let converting = json!({"a": "number|convert", "b": "number|convert"});
    Service::builder("checked")
        .action(Action::new("add", add).params(rules))
        .action(Action::new("convert", add).params(converting))
}

/// The same with results that are kept, without and with rules.
fn cached() -> impl IntoService {
    async fn add(Params(pair): Params<Pair>) -> moleculer::Result<i64> {
        Ok(pair.a + pair.b)
    }
    let keys = || Cache::keys(["a", "b"]);
    let rules = json!({"a": "number|min:1", "b": "number"});
    Service::builder("cached")
        .action(Action::new("add", add).cache(keys()))
        .action(Action::new("checked", add).cache(keys()).params(rules))
}

/// A service of its own for each listener, so that each gets every event.
fn listener(i: usize) -> impl IntoService {
    Service::builder(format!("listener{i}"))
        .event(Event::new("order.created", async || -> moleculer::Result<()> { Ok(()) }))
}

/// Looks at the result of calls.
#[derive(Debug)]
struct Pass;

impl Middleware for Pass {
    fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        Arc::new(move |ctx| {
            let running = next(ctx);
            Box::pin(async move {
                let result = running.await;
                black_box(&result);
                result
            })
        })
    }
}
