//! Attributes and builder say the same, with every option in use.

use std::{sync::Arc, time::Duration};

use moleculer_core::{
    Action, BrokerBuilder, BulkheadOptions, Cache, CacheLock, CircuitBreakerOptions, Context,
    Error, Event, IntoService, Middleware, Object, Params, Plugins, Result, RetryPolicy, Service,
    ServiceBroker, ServiceHandle, Visibility,
};
use moleculer_macros::service;
use serde_json::{Value, json};

#[derive(Default)]
struct Shop;

const fn is_busy(_: &Error) -> bool {
    true
}

fn is_cacheable(ctx: &Context) -> bool {
    ctx.level() == 1
}

/// Brings what the shop takes over.
fn countable() -> Service {
    async fn nothing() -> Result<()> {
        Ok(())
    }
    Service::mixin()
        .action(Action::new("count", nothing))
        .action(Action::new("remove", nothing))
        .event(Event::new("shops.opened", nothing))
        .build()
}

#[service(
    name = "shop",
    version = "beta",
    settings(rate = 0.25, key = "secret", "$secureSettings" = ["key"], nested(open = true)),
    metadata = Object::from([("region", "eu")]),
    mixins(countable()),
    without("remove"),
    actions(count(timeout = "5s", visibility = "public", cache = false)),
    events("shops.opened"(group = "openers")),
    crate = moleculer_core
)]
impl Shop {
    /// Buys something.
    ///
    /// It has to be there.
    #[action(
        name = "buyOne",
        timeout = "2s",
        visibility = "protected",
        detached,
        retry(retries = 3, delay = "20ms", max_delay = "1s", factor = 1.5, budget = 0.2, check = is_busy),
        strategy = "Random",
        cache(keys("id", "#user.id"), ttl = "30s", lock(ttl = "2s", stale_time = "5s"), enabled = is_cacheable),
        bulkhead(concurrency = 10, max_queue_size = 100),
        circuit_breaker(
            threshold = 0.5, min_request_count = 20, window_time = "60s", half_open_time = "10s",
            check = |error| error.code() >= 500
        ),
        fallback = sold_out,
        rest(method = "POST", path = "/buy/:id"),
        params(id = "number|positive", tags = ["string", "boolean"], "$$strict" = true, owner(name = "string")),
        tracing(span_name = "buy", tags(params = ["id"]), safety_tags = true),
        extra(cost = 2, weight = -0.5)
    )]
    async fn buy(&self, id: u64) -> Result<u64> {
        Ok(id)
    }

    async fn sold_out(&self, _error: Error) -> Result<u64> {
        Ok(0)
    }

    #[action(
        retry = false,
        cache,
        bulkhead = false,
        circuit_breaker = false,
        tracing = false,
        rest = "GET /"
    )]
    async fn list(&self) -> Result<()> {
        Ok(())
    }

    #[action(retry, cache(lock), bulkhead, circuit_breaker, tracing, visibility = "private")]
    async fn hidden(&self) -> Result<()> {
        Ok(())
    }

    #[event(
        "goods.*",
        group = "buyers",
        strategy = "Random",
        debounce = "1s",
        throttle = "500ms",
        bulkhead(concurrency = 1),
        params(id = "number"),
        tracing = false,
        extra(tag = "new")
    )]
    async fn arrived(&self, id: u64) -> Result<()> {
        let _ = id;
        Ok(())
    }
}

fn by_hand() -> Service {
    async fn buy() -> Result<u64> {
        Ok(1)
    }
    async fn sold_out(_: Error) -> Result<u64> {
        Ok(0)
    }
    async fn nothing() -> Result<()> {
        Ok(())
    }
    let settings = json!({
        "rate": 0.25, "key": "secret", "$secureSettings": ["key"], "nested": {"open": true}
    });
    let rules = json!({
        "id": "number|positive", "tags": ["string", "boolean"], "$$strict": true,
        "owner": {"name": "string"}
    });
    let id = json!({"type": "integer", "format": "uint64", "minimum": 0});
    let schema = json!({"type": "object", "properties": {"id": id}, "required": ["id"]});
    let tracing = json!({"spanName": "buy", "tags": {"params": ["id"]}, "safetyTags": true});
    let lock = CacheLock::new().ttl(Duration::from_secs(2)).stale_time(Duration::from_secs(5));
    let breaker = CircuitBreakerOptions::new()
        .threshold(0.5)
        .min_request_count(20)
        .window_time(Duration::from_secs(60))
        .half_open_time(Duration::from_secs(10))
        .check(|error| error.code() >= 500);
    let retry = RetryPolicy::new()
        .retries(3)
        .delay(Duration::from_millis(20))
        .max_delay(Duration::from_secs(1))
        .factor(1.5)
        .budget(0.2)
        .check(is_busy);
    let buy = Action::new("buyOne", buy)
        .timeout(Duration::from_secs(2))
        .visibility(Visibility::Protected)
        .detached()
        .retry(retry)
        .strategy("Random")
        .cache(
            Cache::keys(["id", "#user.id"])
                .ttl(Duration::from_secs(30))
                .lock(lock)
                .enabled_if(is_cacheable),
        )
        .bulkhead(BulkheadOptions::new().concurrency(10).max_queue_size(100))
        .circuit_breaker(breaker)
        .fallback(sold_out)
        .extra("rest", object(json!({"method": "POST", "path": "/buy/:id"})))
        .params(object(rules))
        .extra("paramsSchema", object(schema))
        .result_schema::<u64>()
        .tracing(object(tracing))
        .extra("description", "Buys something.")
        .extra("cost", 2)
        .extra("weight", -0.5);
    let list = Action::new("list", nothing)
        .retry(RetryPolicy::off())
        .cache(Cache::new())
        .bulkhead(BulkheadOptions::off())
        .circuit_breaker(CircuitBreakerOptions::off())
        .tracing(false)
        .result_schema::<()>()
        .extra("rest", "GET /");
    let hidden = Action::new("hidden", nothing)
        .retry(RetryPolicy::new())
        .cache(Cache::new().lock(CacheLock::new()))
        .bulkhead(BulkheadOptions::new())
        .circuit_breaker(CircuitBreakerOptions::new())
        .tracing(true)
        .visibility(Visibility::Private);
    let arrived = Event::new("goods.*", nothing)
        .group("buyers")
        .strategy("Random")
        .debounce(Duration::from_secs(1))
        .throttle(Duration::from_millis(500))
        .bulkhead(BulkheadOptions::new().concurrency(1))
        .params(Object::from([("id", "number")]))
        .tracing(false)
        .extra("tag", "new");
    let count = Action::inherited("count")
        .timeout(Duration::from_secs(5))
        .visibility(Visibility::Public)
        .cache(Cache::off());
    Service::builder("shop")
        .version("beta")
        .settings(object(settings))
        .metadata([("region", "eu")])
        .mixin(countable())
        .without_action("remove")
        .action(buy)
        .action(list)
        .action(hidden)
        .event(arrived)
        .action(count)
        .event(Event::inherited("shops.opened").group("openers"))
        .build()
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(members) => members.into_iter().collect(),
        other => panic!("{other} is no object"),
    }
}

#[tokio::test]
async fn attributes_and_builder_give_one_schema() -> Result<()> {
    let of_attributes = schema(Shop).await?;
    assert_eq!(of_attributes, schema(by_hand()).await?);
    let buy = &of_attributes["actions"]["beta.shop.buyOne"];
    for (option, value) in [
        ("timeout", json!(2000)),
        (
            "cache",
            json!({"keys": ["id", "#user.id"], "ttl": 30, "lock": {"ttl": 2000, "staleTime": 5}}),
        ),
        ("rest", json!({"method": "POST", "path": "/buy/:id"})),
        ("description", json!("Buys something.")),
        ("weight", json!(-0.5)),
    ] {
        assert_eq!(buy[option], value, "{option}");
    }
    assert_eq!(of_attributes["settings"], json!({"rate": 0.25, "nested": {"open": true}}));
    assert!(of_attributes["actions"]["beta.shop.remove"].is_null());
    assert_eq!(of_attributes["events"]["shops.opened"]["group"], "openers");
    Ok(())
}

/// Knows definitions, also those that are not published.
#[derive(Clone, Debug, Default)]
struct Definitions(Arc<std::sync::Mutex<Vec<String>>>);

impl Middleware for Definitions {
    fn handles(&self) -> &[&'static str] {
        &["cache", "params", "tracing"]
    }

    fn local_action(
        &self,
        next: moleculer_core::ActionFn,
        site: &moleculer_core::ActionSite<'_>,
    ) -> moleculer_core::ActionFn {
        let def = site.action;
        if !def.name.starts_with('$') {
            let seen = format!(
                "{} {} fallback: {} cache: {:?}",
                def.name,
                def.detached,
                def.fallback.is_some(),
                def.cache
            );
            self.0.lock().expect("nobody panicked").push(seen);
        }
        next
    }
}

/// What `$node.services` tells, and what only this node knows.
async fn schema(service: impl IntoService) -> Result<Value> {
    let definitions = Definitions::default();
    let broker = BrokerBuilder::new(Plugins::core())
        .middleware(definitions.clone())
        .service(service)
        .start()
        .await?;
    let options = json!({ "skipInternal": true, "withActions": true, "withEvents": true });
    let services: Value = broker.call("$node.services", options).await?;
    broker.stop().await?;
    let mut schema = services[0].clone();
    let mut known = definitions.0.lock().expect("nobody panicked").clone();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), 3, "{known:?}");
    schema["known"] = json!(known);
    Ok(schema)
}

/// What ran, in order.
#[derive(Default)]
struct Log(std::sync::Mutex<Vec<String>>);

struct Hooked {
    log: Log,
}

impl Hooked {
    fn note(&self, what: &str) {
        self.log.0.lock().expect("nobody panicked").push(what.to_owned());
    }
}

#[service(settings(step = 1), crate = moleculer_core)]
impl Hooked {
    #[action(fallback = rescue)]
    async fn add(&self, n: i64) -> Result<i64> {
        self.note("add");
        if n < 0 { Err(Error::client(422, "NEGATIVE", n.to_string())) } else { Ok(n + 1) }
    }

    #[action]
    async fn fail(&self) -> Result<i64> {
        Err(Error::client(409, "FAILED", "it failed"))
    }

    async fn rescue(&self, error: Error) -> Result<i64> {
        self.note(&format!("rescue {}", error.message()));
        Ok(-1)
    }

    #[before]
    async fn every(&self, ctx: Context) -> Result<()> {
        self.note(&format!("before {}", ctx.action()));
        Ok(())
    }

    #[before("add", "a*")]
    async fn double(&self, ctx: Context, Params(params): Params<HookedAddParams>) -> Result<()> {
        ctx.set_params(HookedAddParams { n: params.n * 2 });
        Ok(())
    }

    #[after("add")]
    async fn negate(&self, result: i64) -> Result<i64> {
        self.note("after");
        Ok(-result)
    }

    #[on_error("fail")]
    async fn rename(&self, ctx: Context, error: Error) -> Result<i64> {
        Err(Error::client(error.code(), "RENAMED", ctx.action().to_owned()))
    }

    #[merged]
    fn step_by_two(&self, service: &mut Service) {
        service.settings_mut().insert("step", 2);
    }

    #[created]
    fn tell(&self, service: ServiceHandle) -> Result<()> {
        let step = service.settings().get("step").and_then(|step| step.as_f64());
        self.note(&format!("created with step {}", step.unwrap_or_default()));
        Ok(())
    }

    #[started]
    async fn open(&self, broker: ServiceBroker, service: ServiceHandle) -> Result<()> {
        self.note(&format!("{} of {} started", service.full_name(), broker.node_id()));
        Ok(())
    }
}

#[tokio::test]
async fn hooks_fallbacks_and_lifecycle_handlers_run() -> Result<()> {
    let hooked = Arc::new(Hooked { log: Log::default() });
    let broker = BrokerBuilder::new(Plugins::core()).node_id("node").service(hooked.clone());
    let broker = broker.start().await?;
    let client = HookedClient::new(&broker);
    // Both patterns of one hook fit, but it is one hook.
    assert_eq!(client.add(5).await?, -11);
    assert_eq!(client.add(-5).await?, -1);
    let error = client.fail().await.expect_err("it fails");
    assert_eq!((error.r#type(), error.message()), (Some("RENAMED"), "hooked.fail"));
    broker.stop().await?;
    let log = hooked.log.0.lock().expect("nobody panicked").clone();
    let expected = [
        "created with step 2",
        "hooked of node started",
        "before hooked.add",
        "add",
        "after",
        "before hooked.add",
        "add",
        "rescue -10",
        "before hooked.fail",
    ];
    assert_eq!(log, expected);
    Ok(())
}
