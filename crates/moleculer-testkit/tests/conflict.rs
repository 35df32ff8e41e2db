//! Nodes that are taken for another one: two with the same id, and one whose
//! last words come late.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Event, Plugins, Result, Service, ServiceBroker,
    State, Value,
};
use moleculer_testkit::network::{Faults, SimNetwork};
use serde_json::json;
use tokio::time::{sleep, timeout};

const HEARTBEAT: Duration = Duration::from_secs(1);
const TAKEN: &str = "another node uses the node id 'a'";

type Log = Arc<Mutex<Vec<String>>>;

struct Node {
    broker: ServiceBroker,
    /// What it heard of other nodes.
    log: Log,
}

impl Node {
    /// A node with the service `service`.
    fn new(network: &SimNetwork, id: &str, service: &str, seed: u64) -> Self {
        let options = json!({
            "nodeID": id, "requestTimeout": "2s",
            "heartbeatInterval": HEARTBEAT.as_secs(), "heartbeatTimeout": 10,
            "transit": {"serviceChangedDebounceTime": 0},
        });
        let log = Log::default();
        let broker = BrokerBuilder::new(Plugins::core())
            .options(BrokerOptions::from_value(options).unwrap())
            .seed(seed)
            .transporter(network.transporter())
            .service(named(service))
            .service(listener(&log))
            .build();
        Self { broker: broker.unwrap(), log }
    }

    async fn start(network: &SimNetwork, id: &str, service: &str, seed: u64) -> Self {
        let node = Self::new(network, id, service, seed);
        node.broker.start().await.unwrap();
        node
    }

    async fn calls(&self, service: &str) -> Result<String> {
        self.broker.call(&format!("{service}.who"), ()).await
    }

    fn heard(&self, news: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line == news)
    }
}

fn named(name: &str) -> Service {
    async fn who(ctx: Context) -> Result<String> {
        Ok(ctx.service_name().to_string())
    }
    Service::builder(name).action(Action::new("who", who)).build()
}

fn listener(log: &Log) -> Service {
    async fn hear(ctx: Context, State(log): State<Log>) -> Result<()> {
        let data = ctx.payload().to_value()?;
        let node = data.pointer("node.id").and_then(Value::as_str).unwrap_or_default();
        log.lock().unwrap().push(format!("{} {node}", ctx.event()));
        Ok(())
    }
    Service::builder("$listener").with_state(log.clone()).event(Event::new("$node.*", hear)).build()
}

#[tokio::test(start_paused = true)]
async fn a_node_with_an_id_that_is_taken_does_not_start() {
    let network = SimNetwork::new(1);
    let a = Node::start(&network, "a", "first", 1).await;
    let b = Node::start(&network, "b", "other", 2).await;
    b.calls("first").await.unwrap();
    for seed in 3..13 {
        let second = Node::new(&network, "a", "second", seed);
        let error = second.broker.start().await.unwrap_err();
        assert!(error.message().starts_with(TAKEN), "{error}");
        assert_eq!(second.broker.running_tasks(), 0);
        assert_eq!(b.calls("first").await.unwrap(), "first");
    }
    sleep(3 * HEARTBEAT).await;
    assert!(!b.heard("$node.disconnected a"), "{:?}", b.log);
    assert_eq!(b.calls("first").await.unwrap(), "first");
    assert_eq!(a.calls("other").await.unwrap(), "other");
    b.calls("second").await.unwrap_err();
    a.broker.stop().await.unwrap();
    assert!(b.heard("$node.disconnected a"), "its own goodbye is said");
    b.broker.stop().await.unwrap();
}

/// Which of the two nodes has stopped; only one has.
async fn one_gives_way(first: &Node, second: &Node) -> bool {
    let end = |node: &Node| {
        let broker = node.broker.clone();
        async move { broker.run_until_signal().await }
    };
    let (error, first_went) = tokio::select! {
        ended = end(first) => (ended.unwrap_err(), true),
        ended = end(second) => (ended.unwrap_err(), false),
        () = sleep(Duration::from_secs(60)) => panic!("both go on"),
    };
    assert!(error.message().starts_with(TAKEN), "{error}");
    let stays = end(if first_went { second } else { first });
    assert!(timeout(5 * HEARTBEAT, stays).await.is_err(), "both have stopped");
    first_went
}

#[tokio::test(start_paused = true)]
async fn of_two_that_start_together_one_stays() {
    for seed in 0..20 {
        let network = SimNetwork::new(seed);
        let b = Node::start(&network, "b", "other", seed).await;
        let delay = Duration::from_millis(1)..Duration::from_millis(50);
        network.set_faults(Faults::new().delay(delay));
        let first = Node::new(&network, "a", "first", 1000 + seed);
        let second = Node::new(&network, "a", "second", 2000 + seed);
        let starts = tokio::join!(first.broker.start(), second.broker.start());
        let stays = match starts {
            (Ok(()), Ok(())) if one_gives_way(&first, &second).await => "second",
            (Ok(()), Ok(()) | Err(_)) => "first",
            (Err(_), Ok(())) => "second",
            (Err(first), Err(second)) => panic!("seed {seed}: neither starts: {first}, {second}"),
        };
        // What the other told of itself is corrected by a heartbeat.
        sleep(3 * HEARTBEAT).await;
        assert_eq!(b.calls(stays).await.unwrap(), stays, "seed {seed}");
        let gone = if stays == "first" { "second" } else { "first" };
        b.calls(gone).await.unwrap_err();
        assert!(!b.heard("$node.disconnected a"), "seed {seed}: {:?}", b.log);
        for node in [&first, &second, &b] {
            node.broker.stop().await.ok();
            assert_eq!(node.broker.running_tasks(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_did_not_hear_each_other_do_so_by_their_heartbeats() {
    let network = SimNetwork::new(5);
    network.set_way("a", "a", Faults::new().loss(1.0));
    let first = Node::start(&network, "a", "first", 1).await;
    let second = Node::start(&network, "a", "second", 2).await;
    sleep(3 * HEARTBEAT).await;
    network.heal();
    one_gives_way(&first, &second).await;
    for node in [&first, &second] {
        node.broker.stop().await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_said_goodbye_does_not_come_back_by_a_late_info() {
    let network = SimNetwork::new(1);
    let a = Node::start(&network, "a", "first", 1).await;
    let b = Node::start(&network, "b", "other", 2).await;
    b.calls("first").await.unwrap();
    // What it tells of a new service takes longer than its goodbye.
    let late = Duration::from_secs(5);
    network.set_way("a", "b", Faults::new().delay(late..late).reorders());
    a.broker.create_service(named("late")).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    network.set_way("a", "b", Faults::new().reorders());
    a.broker.stop().await.unwrap();
    assert!(b.heard("$node.disconnected a"), "{:?}", b.log);
    b.log.lock().unwrap().clear();
    assert!(network.under_way() > 0, "the info is on its way");
    sleep(2 * late).await;
    assert_eq!(network.under_way(), 0);
    assert_eq!(*b.log.lock().unwrap(), [""; 0], "the node was taken for alive");
    let error = b.calls("late").await.unwrap_err();
    assert_eq!(error.code(), 404, "{error}");
    // A new one of its id is welcome.
    let a = Node::start(&network, "a", "first", 3).await;
    b.broker.wait_for_services(["first"], HEARTBEAT).await.unwrap();
    assert_eq!(b.calls("first").await.unwrap(), "first");
    a.broker.stop().await.unwrap();
    b.broker.stop().await.unwrap();
}
