//! Brokers that share a cache.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use moleculer_cacher_redis::RedisCacher;
use moleculer_core::{
    Action, BrokerBuilder, Cache, CacheLock, Plugins, Result, Service, ServiceBroker, State,
    cacher::IntoCacher,
};
use moleculer_testkit::relay::Relay;
use tokio::time::{Instant, sleep};

use crate::support::{DEADLINE, Server, eventually};

type Runs = Arc<AtomicUsize>;

async fn counts(State(runs): State<Runs>) -> Result<usize> {
    let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
    sleep(Duration::from_millis(50)).await;
    Ok(run)
}

async fn node(
    namespace: &str,
    cacher: impl IntoCacher + Send + 'static,
    cache: Cache,
    runs: &Runs,
) -> ServiceBroker {
    let service = Service::builder("s").with_state(runs.clone());
    let service = service.action(Action::new("counts", counts).cache(cache));
    let broker = BrokerBuilder::new(Plugins::core()).namespace(namespace).cacher(cacher);
    broker.service(service).start().await.expect("it starts")
}

async fn storm(broker: &ServiceBroker, calls: usize) -> Vec<usize> {
    let calls = (0..calls).map(|_| broker.call::<usize>("s.counts", 1).into_future());
    join_all(calls).await.into_iter().map(|result| result.expect("a count")).collect()
}

pub(crate) async fn a_lock_lets_one_of_a_thousand_run(url: String) {
    let runs = Runs::default();
    let namespace = format!("storm-{}", std::process::id());
    let cache = || Cache::new().ttl(Duration::from_secs(60)).lock(CacheLock::new());
    let cacher = || RedisCacher::builder().url(&url).command_timeout(DEADLINE);
    let one = node(&namespace, cacher(), cache(), &runs).await;
    let two = node(&namespace, cacher(), cache(), &runs).await;
    let (first, second) = futures_util::future::join(storm(&one, 500), storm(&two, 500)).await;
    assert_eq!((first, second), (vec![1; 500], vec![1; 500]));
    assert_eq!(runs.load(Ordering::SeqCst), 1, "once in the cluster");
    // The other one's services clean for all.
    let cacher = two.cacher().expect("there is one");
    cacher.clean(&["s.*"]).await.expect("cleaned");
    assert_eq!(storm(&one, 3).await, [2, 2, 2]);
    for broker in [one, two] {
        broker.stop().await.expect("a clean stop");
        assert_eq!(broker.running_tasks(), 0);
    }
}

/// One that is slow is used all the same, unless it is too slow.
pub(crate) async fn calls_go_on_with_a_slow_server() {
    let server = Server::start(&[]).await;
    let address = server.address().parse().expect("an address");
    let relay = Relay::start(address).await.expect("a relay");
    let (runs, limit) = (Runs::default(), Duration::from_secs(2));
    let url = format!("redis://{}", relay.address());
    let cacher = RedisCacher::builder().url(url).command_timeout(limit);
    let broker = node("slow", cacher, Cache::new(), &runs).await;
    relay.delay(Duration::from_millis(100));
    assert_eq!(storm(&broker, 1).await, [1]);
    let cacher = broker.cacher().expect("there is one");
    eventually("it is kept", || async { !cacher.keys().await.expect("keys").is_empty() }).await;
    assert_eq!(storm(&broker, 50).await, [1; 50], "all wait for what is kept");
    // No answer comes within the test's time.
    relay.delay(Duration::from_secs(600));
    assert_eq!(storm(&broker, 50).await.len(), 50);
    assert!(!cacher.connected());
    assert_eq!(runs.load(Ordering::SeqCst), 51, "each has run its handler");
    broker.stop().await.expect("a clean stop");
    assert_eq!(broker.running_tasks(), 0);
}

pub(crate) async fn calls_go_on_without_a_server() {
    let server = Server::prepare(&[]);
    let (runs, limit) = (Runs::default(), Duration::from_secs(1));
    let cacher = RedisCacher::builder().url(server.url()).command_timeout(limit);
    let cache = Cache::new().lock(CacheLock::new());
    let broker = node("outage", cacher, cache, &runs).await;
    // Down at the start: as if nothing were cached.
    assert_eq!((storm(&broker, 1).await, storm(&broker, 1).await), (vec![1], vec![2]));
    server.launch().await;
    let cacher = broker.cacher().expect("there is one");
    eventually("it is used", || async { cacher.connected() }).await;
    assert_eq!((storm(&broker, 1).await, storm(&broker, 1).await), (vec![3], vec![3]));
    // It hangs: the calls under way wait for the limit, later ones not at all.
    let frozen = server.freeze();
    let since = Instant::now();
    storm(&broker, 100).await;
    assert!(since.elapsed() < limit * 10, "one after the other: {:?}", since.elapsed());
    let since = Instant::now();
    for _ in 0..30 {
        storm(&broker, 1).await;
    }
    assert!(since.elapsed() < limit * 15, "each has waited: {:?}", since.elapsed());
    drop(frozen);
    eventually("it is back", || async { cacher.connected() }).await;
    assert_eq!(storm(&broker, 1).await, [3], "what was kept is still there");
    // It dies under way.
    server.kill();
    assert_eq!(storm(&broker, 100).await.len(), 100);
    let since = Instant::now();
    broker.stop().await.expect("a clean stop");
    assert!(since.elapsed() < Duration::from_secs(5), "the stop took {:?}", since.elapsed());
    assert_eq!(broker.running_tasks(), 0);
}
