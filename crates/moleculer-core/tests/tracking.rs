//! A stop waits for what still runs.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use moleculer_core::{
    Action, BrokerOptions, Context, Error, Event, InProcessNetwork, ObjectStream, Params, Result,
    Service, ServiceBroker, State, Value,
};
use serde_json::json;
use tokio::time::Instant;

use self::support::{local, node};

type Done = Arc<AtomicU32>;

async fn wait(Params(ms): Params<u64>, State(done): State<Done>) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    done.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn emits(ctx: Context) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    ctx.emit("w.done", 1).await
}

async fn start(options: serde_json::Value, settings: &[(&str, Value)]) -> (ServiceBroker, Done) {
    let done = Done::default();
    let settings: moleculer_core::Object =
        settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let service = Service::builder("w")
        .settings(settings)
        .with_state(done.clone())
        .action(Action::new("wait", wait))
        .action(Action::new("emits", emits))
        .event(Event::new("w.done", wait));
    let options = BrokerOptions::from_value(options).expect("valid");
    (local().options(options).service(service).start().await.expect("starts"), done)
}

/// Starts a call in a task, stops the broker; how long that took, and how many
/// handlers ended by themselves.
async fn stop_during(
    (broker, done): (ServiceBroker, Done),
    ms: u64,
    tracked: Option<bool>,
) -> (u128, u32) {
    let call = broker.call::<()>("w.wait", ms);
    let call = match tracked {
        Some(tracked) => call.tracking(tracked),
        None => call,
    };
    let running = tokio::spawn(call.into_future());
    tokio::task::yield_now().await;
    let started = Instant::now();
    broker.stop().await.expect("stops");
    running.abort();
    (started.elapsed().as_millis(), done.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_if_it_is_asked_to() {
    let on = json!({"tracking": {"enabled": true}});
    let off = json!({"tracking": {"enabled": false}});
    assert_eq!(stop_during(start(on.clone(), &[]).await, 1000, None).await, (1000, 1));
    assert_eq!(stop_during(start(on, &[]).await, 1000, Some(false)).await, (100, 0));
    assert_eq!(stop_during(start(off.clone(), &[]).await, 1000, None).await, (100, 0));
    assert_eq!(stop_during(start(off, &[]).await, 1000, Some(true)).await, (1000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let options = json!({"tracking": {"enabled": true, "shutdownTimeout": 2000}});
    assert_eq!(stop_during(start(options.clone(), &[]).await, 60_000, None).await, (2100, 0));
    let setting = [("$shutdownTimeout", Value::from(500))];
    assert_eq!(stop_during(start(options, &setting).await, 60_000, None).await, (600, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_can_emit_and_events_are_waited_for() {
    let (broker, done) = start(json!({"tracking": {"enabled": true}}), &[]).await;
    let emitting = tokio::spawn(broker.call::<()>("w.emits", ()).into_future());
    drop(broker.emit("w.done", 200).into_future());
    tokio::task::yield_now().await;
    broker.stop().await.expect("stops");
    emitting.await.expect("no panic").expect("the event was sent");
    assert_eq!(done.load(Ordering::Relaxed), 2);
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_destroyed_is_waited_for() {
    let (broker, done) = start(json!({"tracking": {"enabled": true}}), &[]).await;
    let running = tokio::spawn(broker.call::<()>("w.wait", 700).into_future());
    tokio::task::yield_now().await;
    let started = Instant::now();
    broker.destroy_service("w").await.expect("is there");
    assert_eq!((started.elapsed().as_millis(), done.load(Ordering::Relaxed)), (700, 1));
    running.await.expect("no panic").expect("it ended by itself");
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn calls_to_other_nodes_are_waited_for() {
    let network = InProcessNetwork::default();
    let service =
        Service::builder("w").with_state(Done::default()).action(Action::new("wait", wait));
    let callee = node(&network, "b").service(service).start().await.expect("starts");
    let tracking = Some(Duration::from_secs(3));
    let caller = node(&network, "a").tracking(tracking).start().await.expect("starts");
    caller.wait_for_services(["w"], Duration::from_secs(5)).await.expect("found");
    let running = tokio::spawn(caller.call::<()>("w.wait", 900).into_future());
    tokio::task::yield_now().await;
    caller.stop().await.expect("stops");
    running.await.expect("no panic").expect("the answer came");
    callee.stop().await.expect("stops");
}

/// Its handler has ended long before.
#[tokio::test(start_paused = true)]
async fn a_response_is_waited_for_to_its_last_chunk() {
    async fn numbers() -> Result<ObjectStream<u64>> {
        Ok(ObjectStream::new(stream::iter(0..10_u64).then(async |number| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, Error>(number)
        })))
    }
    let network = InProcessNetwork::default();
    let options = json!({"tracking": {"enabled": true}, "registry": {"stopDelay": 0}});
    let service = Service::builder("s").action(Action::new("numbers", numbers));
    let b = node(&network, "b").options(BrokerOptions::from_value(options).expect("valid"));
    let b = b.service(service).start().await.expect("starts");
    let a = node(&network, "a").start().await.expect("starts");
    let mut numbers = a.call::<ObjectStream<u64>>("s.numbers", ()).await.expect("an answer");
    assert_eq!(numbers.next().await.expect("a chunk").expect("a number"), 0);
    let (stopped, rest) = tokio::join!(b.stop(), numbers.try_collect::<Vec<_>>());
    stopped.expect("stops");
    assert_eq!(rest.expect("all of it"), (1..10).collect::<Vec<_>>());
    assert_eq!(b.running_tasks(), 0);
    a.stop().await.expect("stops");
}
