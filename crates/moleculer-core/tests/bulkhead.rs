//! Handlers that run a few times at once, and queue.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, BulkheadOptions, ByteStream, Context, Error, ErrorKind,
    Event, InProcessNetwork, Params, Result, Service, ServiceBroker, State, Value,
};
use serde_json::json;
use tokio::{sync::Semaphore, time::sleep};

use self::support::{eventually, local, node};

/// Runs that end when they are let go, and the order in which they began.
#[derive(Clone)]
struct Runs {
    began: Arc<Mutex<Vec<u32>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
}

impl Default for Runs {
    fn default() -> Self {
        let go = Arc::new(Semaphore::new(0));
        Self { began: Arc::default(), now: Arc::default(), most: Arc::default(), go }
    }
}

/// Counts a run until its end, whatever the end is.
struct Run(Arc<AtomicUsize>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Runs {
    async fn run(&self, n: u32) {
        self.began.lock().expect("no panic").push(n);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _run = Run(self.now.clone());
        self.go.acquire().await.expect("never closed").forget();
    }

    fn began(&self) -> Vec<u32> {
        self.began.lock().expect("no panic").clone()
    }
}

async fn work(Params(n): Params<u32>, State(runs): State<Runs>) -> Result<u32> {
    runs.run(n).await;
    if n == 13 { Err(Error::server(500, "UNLUCKY", "13")) } else { Ok(n) }
}

fn shop(runs: &Runs, options: impl FnOnce(Action<Runs>) -> Action<Runs>) -> Service {
    let action = options(Action::new("work", work));
    Service::builder("s").with_state(runs.clone()).action(action).build()
}

fn two_and_one() -> BulkheadOptions {
    BulkheadOptions::new().concurrency(2).max_queue_size(1)
}

/// The other tasks have their turn.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

async fn start(builder: BrokerBuilder) -> ServiceBroker {
    builder.start().await.expect("starts")
}

#[tokio::test(start_paused = true)]
async fn the_example_of_the_reference() {
    let runs = Runs::default();
    let broker = start(local().service(shop(&runs, |action| action.bulkhead(two_and_one())))).await;
    let call = |n: u32| broker.call::<u32>("s.work", n).into_future();
    let mut calls: Vec<_> = (1..=4).map(|n| tokio::spawn(call(n))).collect();
    let refused = calls.pop().expect("four").await.expect("no panic").expect_err("full");
    assert_eq!(refused.kind(), &ErrorKind::QueueIsFull);
    let message = "Queue is full. Request 's.work' action on 'local' node is rejected.";
    assert_eq!((refused.message(), refused.code(), refused.retryable()), (message, 429, true));
    let data = json!({"action": "s.work", "nodeID": "local"});
    assert_eq!(refused.data(), Some(&data.into()));
    assert_eq!(runs.began(), [1, 2]);
    runs.go.add_permits(1);
    eventually("the third runs", || runs.began() == [1, 2, 3]).await;
    runs.go.add_permits(2);
    let values = join_all(calls).await.into_iter().map(|value| value.expect("no panic").ok());
    assert_eq!(values.collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_who_goes_gives_its_place_up() {
    let runs = Runs::default();
    let one = BulkheadOptions::new().concurrency(1).max_queue_size(3);
    let broker = start(local().service(shop(&runs, |action| action.bulkhead(one)))).await;
    let call = |n: u32| tokio::spawn(broker.call::<u32>("s.work", n).into_future());
    let calls: Vec<_> = [13, 2, 3, 4].map(call).into();
    eventually("one runs", || runs.began() == [13]).await;
    // One that waits is given up, another one takes its place in the queue.
    calls[2].abort();
    eventually("it is gone", || calls[2].is_finished()).await;
    let fifth = call(5);
    sleep(Duration::from_millis(1)).await;
    let full = broker.call::<u32>("s.work", 6).await.expect_err("full");
    assert_eq!(full.kind(), &ErrorKind::QueueIsFull);
    // A failure ends a run as well, and so does who gives up a running call.
    runs.go.add_permits(1);
    eventually("the second runs", || runs.began() == [13, 2]).await;
    calls[1].abort();
    eventually("the fourth runs", || runs.began() == [13, 2, 4]).await;
    runs.go.add_permits(2);
    assert_eq!(fifth.await.expect("no panic").expect("runs"), 5);
    assert_eq!((runs.began(), runs.most.load(Ordering::SeqCst)), (vec![13, 2, 4, 5], 1));
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_a_part_of_the_time_that_a_call_has() {
    let runs = Runs::default();
    let one = BulkheadOptions::new().concurrency(1);
    let broker = start(local().service(shop(&runs, |action| action.bulkhead(one)))).await;
    let call = |n: u32| broker.call::<u32>("s.work", n);
    let running = tokio::spawn(call(1).into_future());
    settle().await;
    let timed = call(2).timeout(Duration::from_millis(20)).await.expect_err("too late");
    assert_eq!(timed.kind(), &ErrorKind::RequestTimeout);
    // Calls with options and calls without share the places.
    let third = tokio::spawn(call(3).timeout(Duration::from_secs(1)).into_future());
    settle().await;
    assert_eq!(runs.began(), [1]);
    runs.go.add_permits(2);
    let [running, third] = [running.await, third.await].map(|value| value.expect("no panic"));
    assert_eq!((running.expect("runs"), third.expect("runs")), (1, 3));
    assert_eq!(runs.began(), [1, 3]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_detached_handler_keeps_its_place_to_its_end() {
    let runs = Runs::default();
    let options = |action: Action<Runs>| {
        action.detached().bulkhead(BulkheadOptions::new().concurrency(1).max_queue_size(1))
    };
    let broker = start(local().service(shop(&runs, options))).await;
    let call = |n: u32| broker.call::<u32>("s.work", n).timeout(Duration::from_millis(5));
    call(1).await.expect_err("too slow");
    call(2).await.expect_err("no place");
    assert_eq!(runs.began(), [1]);
    runs.go.add_permits(1);
    eventually("the first ends", || runs.now.load(Ordering::SeqCst) == 0).await;
    runs.go.add_permits(1);
    assert_eq!(call(3).await.expect("runs"), 3);
    assert_eq!(runs.began(), [1, 3]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn options_of_the_broker_and_of_the_handler() {
    let check = async |builder: BrokerBuilder, action: Option<BulkheadOptions>, at_once| {
        let runs = Runs::default();
        let options = |def: Action<Runs>| match action {
            Some(options) => def.bulkhead(options),
            None => def,
        };
        let broker = start(builder.service(shop(&runs, options))).await;
        let calls = (0..50).map(|n| broker.call::<u32>("s.work", n).into_future());
        let calls = tokio::spawn(join_all(calls));
        settle().await;
        assert_eq!(runs.began().len(), at_once);
        runs.go.add_permits(50);
        let results = calls.await.expect("no panic");
        let failed = results.iter().filter(|result| result.is_err()).count();
        broker.stop().await.expect("stops");
        failed
    };
    let off = json!({"internalMiddlewares": false});
    let read = |options| BrokerOptions::from_value(options).expect("options");
    // The thirteenth fails by itself.
    assert_eq!(check(local(), None, 50).await, 1);
    assert_eq!(check(local().bulkhead(BulkheadOptions::new()), None, 10).await, 1);
    assert_eq!(check(local().bulkhead(two_and_one()), None, 2).await, 47);
    let own = BulkheadOptions::default().concurrency(4);
    assert_eq!(check(local().bulkhead(two_and_one()), Some(own), 4).await, 45);
    assert_eq!(check(local(), Some(own), 50).await, 1);
    assert_eq!(check(local().bulkhead(two_and_one()), Some(BulkheadOptions::off()), 50).await, 1);
    assert_eq!(check(local().options(read(off)).bulkhead(two_and_one()), None, 50).await, 1);
    let options = json!({"bulkhead": {"enabled": true, "concurrency": 2, "maxQueueSize": 1}});
    assert_eq!(check(local().options(read(options)), None, 2).await, 47);
    assert_eq!(check(local().options(read(json!({"bulkhead": null}))), None, 50).await, 1);
    let wrong = BrokerOptions::from_value(json!({"bulkhead": {"concurency": 2}}));
    let error = wrong.expect_err("misspelt");
    assert!(error.message().contains("did you mean `concurrency`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn events_queue_as_well() {
    let runs = Runs::default();
    async fn note(Params(n): Params<u32>, State(runs): State<Runs>) -> Result<()> {
        runs.run(n).await;
        Ok(())
    }
    let listener = Event::new("made.*", note).bulkhead(two_and_one());
    let service = Service::builder("s").with_state(runs.clone()).event(listener);
    let broker = start(local().service(service)).await;
    let emit = |n: u32| broker.broadcast("made.one", n).throw_error().into_future();
    let waiting = tokio::spawn(join_all((1..=3).map(emit)));
    settle().await;
    let refused = emit(4).await.expect_err("full");
    let message = "Queue is full. Event 'made.one' on 'local' node is rejected.";
    assert_eq!((refused.kind(), refused.message()), (&ErrorKind::QueueIsFull, message));
    let data = json!({"event": "made.one", "service": "s", "nodeID": "local"});
    assert_eq!(refused.data(), Some(&data.into()));
    assert_eq!(runs.began(), [1, 2]);
    runs.go.add_permits(3);
    for result in waiting.await.expect("no panic") {
        result.expect("handled");
    }
    assert_eq!(runs.began(), [1, 2, 3]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn requests_of_other_nodes_queue_where_the_handler_is() {
    let (network, runs) = (InProcessNetwork::default(), Runs::default());
    let near = start(node(&network, "near")).await;
    let far = node(&network, "far").service(shop(&runs, |action| action.bulkhead(two_and_one())));
    let far = start(far).await;
    near.wait_for_services(["s"], Duration::from_secs(5)).await.expect("found");
    let calls: Vec<_> = (1..=3).map(|n| near.call::<u32>("s.work", n).into_future()).collect();
    let calls = tokio::spawn(join_all(calls));
    eventually("two run", || runs.began().len() == 2).await;
    let refused = near.call::<u32>("s.work", 4).await.expect_err("full");
    assert_eq!(refused.node_id().map(|node| node.as_str()), Some("far"));
    // As in the reference the data names the caller.
    let data = json!({"action": "s.work", "nodeID": "near"});
    assert_eq!((refused.kind(), refused.data()), (&ErrorKind::QueueIsFull, Some(&data.into())));
    // It is published, but limits nothing here.
    let actions: Value =
        near.call("$node.actions", json!({"skipInternal": true})).await.expect("list");
    let actions = format!("{actions:?}");
    assert!(
        actions.contains(r#""bulkhead": {"enabled": true, "concurrency": 2, "maxQueueSize": 1}"#)
    );
    runs.go.add_permits(3);
    assert!(calls.await.expect("no panic").iter().all(Result::is_ok));
    near.stop().await.expect("stops");
    far.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_with_its_call_and_goes_with_it() {
    async fn count(mut stream: ByteStream, State(runs): State<Runs>) -> Result<usize> {
        runs.run(0).await;
        let mut bytes = 0;
        while let Some(chunk) = stream.next().await {
            bytes += chunk?.len();
        }
        Ok(bytes)
    }
    async fn endless(_: Context) -> Result<ByteStream> {
        Ok(ByteStream::new(futures_util::stream::pending::<Result<&'static [u8]>>()))
    }
    let (runs, one) = (Runs::default(), BulkheadOptions::new().concurrency(1));
    let service = Service::builder("s")
        .with_state(runs.clone())
        .action(Action::new("count", count).bulkhead(one))
        .action(Action::new("endless", endless).bulkhead(one));
    let broker = start(local().service(service)).await;
    let held = Arc::new(());
    let call = || {
        let held = held.clone();
        let chunks = futures_util::stream::iter([&b"abc"[..], b"de"]).map(move |chunk| {
            let _held = &held;
            Ok::<_, Error>(chunk)
        });
        broker.call::<usize>("s.count", ()).stream(ByteStream::new(chunks)).into_future()
    };
    let [running, given_up, waiting] = [call(), call(), call()].map(tokio::spawn);
    settle().await;
    assert_eq!((runs.began().len(), Arc::strong_count(&held)), (1, 4));
    given_up.abort();
    settle().await;
    assert_eq!(Arc::strong_count(&held), 3);
    runs.go.add_permits(2);
    for call in [running, waiting] {
        assert_eq!(call.await.expect("no panic").expect("runs"), 5);
    }
    assert_eq!(Arc::strong_count(&held), 1);
    // A handler has run once it has given its stream.
    let _first: ByteStream = broker.call("s.endless", ()).await.expect("a stream");
    let _second: ByteStream = broker.call("s.endless", ()).await.expect("a stream");
    broker.stop().await.expect("stops");
}
