//! The balancing of the server itself: `disableBalancer`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use moleculer_core::{BrokerOptions, ErrorKind, Event, Result, Service, State};
use moleculer_testkit::relay::Relay;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{DEADLINE, Node, Setup, counting, eventually};

type Count = Arc<AtomicU64>;

async fn node(setup: &Setup, id: &str, service: Option<Service>) -> Node {
    let options = json!({
        "nodeID": id, "namespace": setup.namespace(), "disableBalancer": true,
        "heartbeatInterval": 1, "heartbeatTimeout": 5, "requestTimeout": "5s",
    });
    let options = BrokerOptions::from_value(options).unwrap();
    let node = setup.node_with(id, setup.transporter(), |builder| {
        let builder = builder.options(options);
        service.into_iter().fold(builder, |builder, service| builder.service(service))
    });
    node.await.unwrap()
}

async fn stop(nodes: &[Node]) {
    for node in nodes {
        node.stop().await;
    }
}

fn sums(counts: &[Count]) -> Vec<u64> {
    counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

pub(crate) async fn each_request_goes_to_one_of_the_group(setup: Setup) {
    const CALLS: u64 = 200;
    let counts = [Count::default(), Count::default()];
    let mut nodes = Vec::new();
    for (id, count) in ["a", "b"].into_iter().zip(&counts) {
        nodes.push(node(&setup, id, Some(counting("worker", Arc::clone(count)))).await);
    }
    let caller = node(&setup, "caller", None).await;
    caller.knows("a").await;
    caller.knows("b").await;
    for n in 0..CALLS {
        assert_eq!(caller.broker.call::<u64>("worker.echo", n).await.unwrap(), n);
    }
    let ran = sums(&counts);
    assert_eq!(ran.iter().sum::<u64>(), CALLS);
    assert!(ran.iter().all(|&count| count > CALLS / 10), "{ran:?}");
    nodes.push(caller);
    stop(&nodes).await;
}

/// Under load, over a long way; then the last one goes as well.
pub(crate) async fn no_request_is_lost_when_a_worker_goes(setup: Setup) {
    const CALLS: u64 = 50;
    let counts = [Count::default(), Count::default()];
    let relay = Relay::start(setup.address()).await.unwrap();
    let far = setup.over(relay.address());
    let a = node(&far, "a", Some(counting("worker", Arc::clone(&counts[0])))).await;
    let b = node(&setup, "b", Some(counting("worker", Arc::clone(&counts[1])))).await;
    let caller = Arc::new(node(&setup, "caller", None).await);
    caller.knows("a").await;
    caller.knows("b").await;
    let gone = AtomicBool::new(false);
    let caller_of = async |n| {
        let mut calls = 0;
        while !gone.load(Ordering::Relaxed) {
            let answer = caller.broker.call::<u64>("worker.echo", n).await;
            assert_eq!(answer.expect("no call fails"), n);
            calls += 1;
        }
        calls
    };
    let (calls, ()) = tokio::join!(join_all((0..CALLS).map(caller_of)), async {
        eventually("some calls", || sums(&counts)[0] > CALLS).await;
        // The server goes on choosing it until it has heard.
        relay.delay(Duration::from_millis(20));
        a.stop().await;
        gone.store(true, Ordering::Relaxed);
    });
    let calls = calls.iter().sum::<u64>();
    let before = sums(&counts);
    assert_eq!(before.iter().sum::<u64>(), calls, "each ran once");
    for n in 0..CALLS {
        assert_eq!(caller.broker.call::<u64>("worker.echo", n).await.unwrap(), n);
    }
    assert_eq!(sums(&counts), [before[0], before[1] + CALLS]);
    b.stop().await;
    caller.hears("node.disconnected b").await;
    let error = caller.broker.call::<u64>("worker.echo", 1).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    caller.stop().await;
}

/// Its node stays, and would answer that there is no such action.
pub(crate) async fn nothing_is_asked_of_a_service_that_was_destroyed(setup: Setup) {
    const CALLS: usize = 100;
    let worker = || Some(counting("worker", Count::default()));
    let (a, b) = (node(&setup, "a", worker()).await, node(&setup, "b", worker()).await);
    let caller = node(&setup, "caller", None).await;
    caller.knows("a").await;
    caller.knows("b").await;
    a.broker.destroy_service("worker").await.unwrap();
    // Until the server has heard of it as well, one may go astray.
    let settled = async {
        let mut in_a_row = 0;
        while in_a_row < CALLS {
            let answer = caller.broker.call::<u64>("worker.echo", 1).await;
            in_a_row = if answer.is_ok() { in_a_row + 1 } else { 0 };
        }
    };
    timeout(DEADLINE, settled).await.expect("all are answered");
    stop(&[a, b, caller]).await;
}

pub(crate) async fn each_event_goes_to_one_of_the_group(setup: Setup) {
    const EVENTS: u64 = 200;
    async fn hear(State(count): State<Count>) -> Result<()> {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    let counts = [Count::default(), Count::default()];
    let mut nodes = Vec::new();
    for (id, count) in ["a", "b"].into_iter().zip(&counts) {
        let service = Service::builder("mail").with_state(Arc::clone(count));
        let service = service.event(Event::new("user.**", hear)).build();
        nodes.push(node(&setup, id, Some(service)).await);
    }
    let sender = node(&setup, "sender", None).await;
    sender.knows("a").await;
    sender.knows("b").await;
    for _ in 0..EVENTS {
        sender.broker.emit("user.created.now", ()).await.unwrap();
    }
    eventually("each event once", || sums(&counts).iter().sum::<u64>() == EVENTS).await;
    assert!(sums(&counts).iter().all(|&count| count > EVENTS / 10), "{:?}", sums(&counts));
    sender.broker.broadcast("user.created.now", ()).await.unwrap();
    eventually("one for each", || sums(&counts).iter().sum::<u64>() == EVENTS + 2).await;
    nodes.push(sender);
    stop(&nodes).await;
    assert_eq!(sums(&counts).iter().sum::<u64>(), EVENTS + 2);
}
