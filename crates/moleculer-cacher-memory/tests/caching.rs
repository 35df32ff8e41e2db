//! Caching as callers see it: brokers with a cacher.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use moleculer_cacher_memory::MemoryCacher;
use moleculer_core::{
    Action, Body, BrokerBuilder, BrokerOptions, ByteStream, Cache, CacheLock, Context, Error,
    InProcessNetwork, Millis, Object, Params, Payload, Plugins, ProtocolVersion, Result, Service,
    ServiceBroker, State, Value,
    cacher::{CacheOptions, Cached, Cacher, CacherCapabilities, CacherHost, IntoCacher, KeyLock},
};
use serde_json::json;
use tokio::time::{advance, sleep};

/// How often handlers ran.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// The number of the run, so that a cached result shows.
async fn counts(State(runs): State<Runs>) -> Result<usize> {
    let run = runs.next();
    sleep(Duration::from_millis(10)).await;
    Ok(run)
}

async fn fails(State(runs): State<Runs>) -> Result<usize> {
    Err(Error::client(418, "TEAPOT", runs.next().to_string()))
}

async fn nothing(State(runs): State<Runs>) -> Result<()> {
    runs.next();
    Ok(())
}

async fn null(State(runs): State<Runs>) -> Result<Value> {
    runs.next();
    Ok(Value::Null)
}

async fn streams(State(runs): State<Runs>) -> Result<ByteStream> {
    runs.next();
    Ok(ByteStream::from_reader(&b"data"[..]))
}

async fn echo(State(runs): State<Runs>, Params(params): Params<Value>) -> Result<Value> {
    runs.next();
    Ok(params)
}

fn actions(cache: Cache) -> (Service, Runs) {
    let runs = Runs::default();
    let service = Service::builder("s")
        .with_state(runs.clone())
        .action(Action::new("counts", counts).cache(cache.clone()))
        .action(Action::new("fails", fails).cache(cache.clone()))
        .action(Action::new("nothing", nothing).cache(cache.clone()))
        .action(Action::new("null", null).cache(cache.clone()))
        .action(Action::new("streams", streams).cache(cache.clone()))
        .action(Action::new("echo", echo).cache(cache))
        .action(Action::new("plain", counts));
    (service.build(), runs)
}

async fn broker(cacher: impl IntoCacher + Send + 'static, cache: Cache) -> (ServiceBroker, Runs) {
    let (service, runs) = actions(cache);
    let mut options = BrokerOptions::default();
    options.registry.stop_delay = Millis(Duration::ZERO);
    let builder = BrokerBuilder::new(Plugins::core()).options(options).cacher(cacher);
    (builder.service(service).start().await.expect("it starts"), runs)
}

fn memory() -> MemoryCacher {
    MemoryCacher::builder().build()
}

async fn counted(broker: &ServiceBroker, params: serde_json::Value) -> usize {
    broker.call("s.counts", Value::from(params)).await.expect("a count")
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_its_params() {
    let (broker, runs) = broker(memory(), Cache::new()).await;
    for _ in 0..3 {
        assert_eq!(counted(&broker, json!({"id": 1})).await, 1);
    }
    assert_eq!(counted(&broker, json!({"id": 2})).await, 2);
    assert_eq!(runs.count(), 2);
    let plain: usize = broker.call("s.plain", 1).await.expect("a count");
    let again: usize = broker.call("s.plain", 1).await.expect("a count");
    assert_eq!((plain, again), (3, 4), "an action without `cache` is not cached");
    let mut keys = broker.cacher().expect("there is one").keys().await.expect("keys");
    keys.sort();
    assert_eq!(keys, ["s.counts:id|1", "s.counts:id|2"]);
    broker.stop().await.expect("a clean stop");
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_protocol_chooses_the_form_of_keys() {
    for (protocol, key) in
        [(ProtocolVersion::V4, "s.echo:a"), (ProtocolVersion::V5, "s.echo:\"a\"")]
    {
        let (service, _) = actions(Cache::keys(["id"]));
        let broker = BrokerBuilder::new(Plugins::core()).protocol(protocol).cacher(memory());
        let broker = broker.service(service).start().await.expect("it starts");
        let params = Object::from([("id", "a")]);
        let _: Value = broker.call("s.echo", params).await.expect("an echo");
        assert_eq!(broker.cacher().expect("there is one").keys().await.expect("keys"), [key]);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_may_come_from_meta_and_headers() {
    let (broker, runs) = broker(memory(), Cache::keys(["#user.id", "@tenant"])).await;
    let call = |user: i64, tenant: &'static str| {
        let meta = Object::from([("user", Object::from([("id", user)]))]);
        let call = broker.call::<usize>("s.counts", ()).meta(meta);
        call.header("tenant", tenant)
    };
    for (user, tenant, expected) in
        [(1, "a", 1), (1, "a", 1), (2, "a", 2), (1, "b", 3), (2, "a", 2)]
    {
        assert_eq!(call(user, tenant).await.expect("a count"), expected);
    }
    assert_eq!(runs.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn calls_and_functions_can_go_past_the_cache() {
    let enabled = Cache::new()
        .enabled_if(|ctx| ctx.payload().get("fresh").ok().flatten() != Some(true.into()));
    let (broker, runs) = broker(memory(), enabled).await;
    let params = || Value::from(json!({"id": 1}));
    let off = || Object::from([("$cache", false)]);
    let first: usize = broker.call("s.counts", params()).meta(off()).await.expect("a count");
    let second = counted(&broker, json!({"id": 1})).await;
    let third: usize = broker.call("s.counts", params()).meta(off()).await.expect("a count");
    let fourth = counted(&broker, json!({"id": 1})).await;
    assert_eq!((first, second, third, fourth), (1, 2, 3, 2), "neither read nor written");
    let fresh = json!({"fresh": true});
    assert_ne!(counted(&broker, fresh.clone()).await, counted(&broker, fresh).await);
    assert_eq!(runs.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn errors_streams_and_nothing_are_not_kept() {
    let (broker, runs) = broker(memory(), Cache::new()).await;
    for expected in ["1", "2"] {
        let error = broker.call::<usize>("s.fails", ()).await.expect_err("it fails");
        assert_eq!(error.message(), expected);
    }
    for _ in 0..2 {
        let body: Body = broker.call("s.streams", ()).await.expect("a stream");
        assert!(matches!(body, Body::Stream(_)));
        let () = broker.call("s.nothing", ()).await.expect("nothing");
    }
    assert_eq!(runs.count(), 6);
    for _ in 0..2 {
        let _: Value = broker.call("s.null", ()).await.expect("null");
    }
    assert_eq!(runs.count(), 7, "null is a result");
}

#[tokio::test(start_paused = true)]
async fn what_counts_as_missing_is_not_kept() {
    let cacher = MemoryCacher::builder().missing_response(Value::Null).build();
    let (broker, runs) = broker(cacher, Cache::new()).await;
    for _ in 0..2 {
        let _: Value = broker.call("s.null", ()).await.expect("null");
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn malformed_params_reach_the_handler() {
    let (broker, _) = broker(memory(), Cache::keys(["id"])).await;
    let params = Payload::encoded("{\"id\":".into(), moleculer_core::protocol::Format::Json);
    let error = broker.call::<Value>("s.echo", params).await.expect_err("they are malformed");
    assert_eq!(error.name(), "ValidationError");
}

#[tokio::test(start_paused = true)]
async fn times_are_the_actions_or_the_cachers() {
    let of_cacher = MemoryCacher::builder().ttl(Duration::from_secs(10)).build();
    let (broker_10, _) = broker(of_cacher, Cache::new()).await;
    let of_action = MemoryCacher::builder().ttl(Duration::from_secs(10)).build();
    let (broker_5, _) = broker(of_action, Cache::new().ttl(Duration::from_secs(5))).await;
    let of_action = MemoryCacher::builder().ttl(Duration::from_secs(10)).build();
    let (broker_never, _) = broker(of_action, Cache::new().ttl(Duration::ZERO)).await;
    let brokers = [&broker_10, &broker_5, &broker_never];
    for (seconds, expected) in [(0, [1, 1, 1]), (6, [1, 2, 1]), (5, [2, 3, 1])] {
        advance(Duration::from_secs(seconds)).await;
        for (broker, expected) in brokers.into_iter().zip(expected) {
            assert_eq!(counted(broker, json!({})).await, expected);
        }
    }
}

async fn storm(broker: &ServiceBroker, calls: usize) -> Vec<usize> {
    let calls = (0..calls).map(|_| broker.call::<usize>("s.counts", 1).into_future());
    join_all(calls).await.into_iter().map(|result| result.expect("a count")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lock_lets_one_of_a_thousand_run() {
    let (locked, runs) = broker(memory(), Cache::new().lock(CacheLock::new())).await;
    assert_eq!(storm(&locked, 1000).await, vec![1; 1000]);
    assert_eq!(runs.count(), 1);
    let (free, runs) = broker(memory(), Cache::new()).await;
    storm(&free, 1000).await;
    assert_eq!(runs.count(), 1000, "without a lock all run");
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_or_fails_gives_the_lock_back() {
    let (broker, runs) = broker(memory(), Cache::new().lock(CacheLock::new())).await;
    let call = broker.call::<usize>("s.counts", 1).timeout(Duration::from_millis(5));
    call.await.expect_err("the handler takes 10 ms");
    assert_eq!(counted(&broker, json!(1)).await, 2);
    for _ in 0..2 {
        broker.call::<usize>("s.fails", 1).await.expect_err("it fails");
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_renewed_while_callers_still_get_it() {
    let lock = CacheLock::new().stale_time(Duration::from_secs(2));
    let cache = Cache::new().ttl(Duration::from_secs(10)).lock(lock);
    let (broker, runs) = broker(memory(), cache).await;
    assert_eq!(counted(&broker, json!(1)).await, 1);
    advance(Duration::from_secs(7)).await;
    assert_eq!(storm(&broker, 100).await, vec![1; 100]);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(runs.count(), 1, "it is not stale yet");
    advance(Duration::from_secs(2)).await;
    assert_eq!(storm(&broker, 100).await, vec![1; 100], "the old one, while it is renewed");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(runs.count(), 2);
    assert_eq!(storm(&broker, 100).await, vec![2; 100]);
    broker.stop().await.expect("a clean stop");
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn own_keys_in_place_of_the_rules() {
    let (broker, runs) = broker(memory(), Cache::new().keygen(|ctx| ctx.action().to_owned())).await;
    assert_eq!(counted(&broker, json!(1)).await, counted(&broker, json!(2)).await);
    assert_eq!(runs.count(), 1);
    let (service, runs) = actions(Cache::keys(["id"]));
    let cacher = MemoryCacher::builder().keygen(|ctx| format!("own {}", ctx.level())).build();
    let other = BrokerBuilder::new(Plugins::core()).cacher(cacher).service(service);
    let other = other.start().await.expect("it starts");
    counted(&other, json!({"id": 1})).await;
    counted(&other, json!({"id": 2})).await;
    assert_eq!(runs.count(), 1);
    assert_eq!(other.cacher().expect("there is one").keys().await.expect("keys"), ["own 1"]);

    let (service, _) = actions(Cache::new().keygen(|_| "the action's".to_owned()));
    let cacher = MemoryCacher::builder().keygen(|_| "the cacher's".to_owned()).build();
    let both = BrokerBuilder::new(Plugins::core()).cacher(cacher).service(service);
    let both = both.start().await.expect("it starts");
    counted(&both, json!(1)).await;
    let keys = both.cacher().expect("there is one").keys().await.expect("keys");
    assert_eq!(keys, ["the action's"]);
}

#[tokio::test(start_paused = true)]
async fn services_clean_what_is_out_of_date() {
    let (broker, runs) = broker(memory(), Cache::new()).await;
    counted(&broker, json!(1.5)).await;
    let _: Value = broker.call("s.echo", 1).await.expect("an echo");
    let cacher = broker.cacher().expect("there is one");
    cacher.clean(&["s.counts:**"]).await.expect("cleaned");
    assert_eq!(counted(&broker, json!(1.5)).await, 3);
    let _: Value = broker.call("s.echo", 1).await.expect("an echo");
    assert_eq!(runs.count(), 3);
    cacher.set("own", 5, None).await.expect("kept");
    assert_eq!(cacher.get::<i64>("own").await.expect("a value"), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_context_tells_where_its_result_is_from() {
    let (keep, mut contexts) = tokio::sync::mpsc::unbounded_channel::<Context>();
    let cache = Cache::new().enabled_if(move |ctx| keep.send(ctx.clone()).is_ok());
    let (broker, _) = broker(memory(), cache).await;
    for from_cache in [false, true] {
        counted(&broker, json!(1)).await;
        let ctx = contexts.recv().await.expect("a context");
        assert_eq!(ctx.cached_result(), from_cache);
    }
}

/// Events that should have cleaned may have been missed.
#[tokio::test(start_paused = true)]
async fn a_store_of_one_process_is_cleaned_when_the_transporter_connects() {
    let network = InProcessNetwork::default();
    let cacher = Arc::new(memory());
    let entry = ("old".to_owned(), Payload::new(1));
    cacher.set(&entry.0, entry.1, None).await.expect("kept");
    let shared = Shared(cacher);
    let broker = BrokerBuilder::new(Plugins::core()).cacher(shared);
    let broker = broker.transporter(network.transporter()).start().await.expect("it starts");
    let handle = broker.cacher().expect("there is one");
    while !handle.keys().await.expect("keys").is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    broker.stop().await.expect("a clean stop");
}

/// A cacher that somebody keeps a hold of.
#[derive(Debug)]
struct Shared(Arc<MemoryCacher>);

impl Cacher for Shared {
    fn name(&self) -> &'static str {
        "Shared"
    }
    fn capabilities(&self) -> CacherCapabilities {
        Cacher::capabilities(&*self.0)
    }
    fn options(&self) -> &CacheOptions {
        Cacher::options(&*self.0)
    }
    async fn get(&self, key: &str) -> Result<Option<Payload>> {
        self.0.get(key).await
    }
    async fn get_with_ttl(&self, key: &str) -> Result<Option<Cached>> {
        self.0.get_with_ttl(key).await
    }
    async fn set(&self, key: &str, value: Payload, ttl: Option<Duration>) -> Result<()> {
        self.0.set(key, value, ttl).await
    }
    async fn del(&self, keys: &[&str]) -> Result<()> {
        self.0.del(keys).await
    }
    async fn clean(&self, patterns: &[&str]) -> Result<()> {
        self.0.clean(patterns).await
    }
    async fn keys(&self) -> Result<Vec<String>> {
        self.0.keys().await
    }
    async fn lock(&self, key: &str, ttl: Duration) -> Result<KeyLock> {
        self.0.lock(key, ttl).await
    }
    async fn try_lock(&self, key: &str, ttl: Duration) -> Result<Option<KeyLock>> {
        self.0.try_lock(key, ttl).await
    }
}

/// Slow to keep things, and broken in one way or another.
#[derive(Debug, Clone, Default)]
struct Bad {
    kept: Arc<AtomicUsize>,
    slow: bool,
    fails: bool,
    away: bool,
    options: CacheOptions,
}

impl Bad {
    fn outcome<T>(&self, value: T) -> Result<T> {
        if self.fails { Err(Error::internal("the store fails")) } else { Ok(value) }
    }
}

impl Cacher for Bad {
    fn name(&self) -> &'static str {
        "Bad"
    }
    fn capabilities(&self) -> CacherCapabilities {
        CacherCapabilities::shared()
    }
    fn options(&self) -> &CacheOptions {
        &self.options
    }
    async fn connect(&self, _: CacherHost) -> Result<()> {
        Ok(())
    }
    fn connected(&self) -> bool {
        !self.away
    }
    async fn get(&self, _: &str) -> Result<Option<Payload>> {
        assert!(!self.away, "it was asked while it was away");
        self.outcome(None)
    }
    async fn get_with_ttl(&self, _: &str) -> Result<Option<Cached>> {
        self.outcome(None)
    }
    async fn set(&self, _: &str, _: Payload, _: Option<Duration>) -> Result<()> {
        if self.slow {
            sleep(Duration::from_millis(500)).await;
        }
        self.kept.fetch_add(1, Ordering::SeqCst);
        self.outcome(())
    }
    async fn del(&self, _: &[&str]) -> Result<()> {
        self.outcome(())
    }
    async fn clean(&self, _: &[&str]) -> Result<()> {
        self.outcome(())
    }
    async fn keys(&self) -> Result<Vec<String>> {
        self.outcome(Vec::new())
    }
    async fn lock(&self, _: &str, _: Duration) -> Result<KeyLock> {
        self.outcome(KeyLock::new(|| ()))
    }
    async fn try_lock(&self, _: &str, _: Duration) -> Result<Option<KeyLock>> {
        self.outcome(None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_results_on_their_way() {
    let bad = Bad { slow: true, ..Bad::default() };
    let (broker, _) = broker(bad.clone(), Cache::new()).await;
    let since = tokio::time::Instant::now();
    counted(&broker, json!(1)).await;
    assert!(since.elapsed() < Duration::from_millis(100), "the caller does not wait for the store");
    assert_eq!(bad.kept.load(Ordering::SeqCst), 0);
    broker.stop().await.expect("a clean stop");
    assert_eq!(bad.kept.load(Ordering::SeqCst), 1);
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cacher_that_fails_fails_no_call() {
    for lock in [None, Some(CacheLock::new())] {
        let bad = Bad { fails: true, ..Bad::default() };
        let cache = lock.into_iter().fold(Cache::new(), Cache::lock);
        let (broker, _) = broker(bad, cache).await;
        let (told, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let _listening = broker.on("$cacher.error", move |_, data| {
            told.send(data.to_value().expect("a value")).expect("the test runs");
        });
        assert_eq!(counted(&broker, json!(1)).await, 1);
        assert_eq!(counted(&broker, json!(1)).await, 2);
        let error = errors.recv().await.expect("an event");
        assert_eq!(error.pointer("type"), Some(&"clientError".into()));
        assert_eq!(error.pointer("module"), Some(&"cacher".into()));
        assert_eq!(error.pointer("error.message"), Some(&"the store fails".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cacher_that_is_away_is_left_alone() {
    let bad = Bad { away: true, ..Bad::default() };
    let (broker, _) = broker(bad.clone(), Cache::new().lock(CacheLock::new())).await;
    assert_eq!(counted(&broker, json!(1)).await, 1);
    assert_eq!(counted(&broker, json!(1)).await, 2);
    assert_eq!(bad.kept.load(Ordering::SeqCst), 0);
}

#[test]
fn a_broker_without_a_cacher_refuses_what_wants_one() {
    let build = |builder: BrokerBuilder| builder.service(actions(Cache::new()).0).build();
    let error = build(BrokerBuilder::new(Plugins::core())).expect_err("there is no cacher");
    assert!(error.message().contains("`cache`"), "{error}");
    build(BrokerBuilder::new(Plugins::core()).cacher(false)).expect_err("it is switched off");
    build(BrokerBuilder::new(Plugins::core()).cacher(memory())).expect("it has one");
}

#[test]
fn cachers_by_name() {
    let plugins = || {
        let plugins = Plugins::core().cacher(moleculer_cacher_memory::MEMORY);
        plugins.cacher(moleculer_cacher_memory::MEMORY_LRU)
    };
    let made = |choice: serde_json::Value| {
        let builder = BrokerBuilder::new(plugins()).cacher(Value::from(choice));
        builder.build().map(|broker| broker.cacher().map(|cacher| cacher.name()))
    };
    for (choice, name) in [
        (json!(true), Some("Memory")),
        (json!("memorylru"), Some("MemoryLRU")),
        (json!({"type": "MemoryLRU", "options": {"max": 5}}), Some("MemoryLRU")),
        (json!({"options": {"ttl": 5}}), Some("Memory")),
        (json!({}), Some("Memory")),
        (json!(false), None),
        (json!(null), None),
    ] {
        assert_eq!(made(choice.clone()).expect("a broker"), name, "{choice}");
    }
    for (choice, expected) in [
        (json!("memcached"), "known are Memory, MemoryLRU"),
        (json!("redis://h"), "Invalid cacher type 'redis'"),
        (json!({"type": "Memory", "options": {"tll": 5}}), "did you mean `ttl`?"),
        (json!(5), "the cacher must be a name"),
    ] {
        let error = made(choice.clone()).expect_err("it is wrong");
        assert!(error.message().contains(expected), "{choice}: {error}");
    }
}
