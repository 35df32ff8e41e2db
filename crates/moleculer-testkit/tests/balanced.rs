//! Brokers that leave the choice of nodes to the medium.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{future::join_all, stream};
use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, ByteStream, Context, Error, ErrorKind, Event,
    InProcessNetwork, Plugins, Result, Service, ServiceBroker, State, Visibility,
};
use moleculer_testkit::network::SimNetwork;
use serde_json::json;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(10);

/// Who did what, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn builder(network: &SimNetwork, id: &str) -> BrokerBuilder {
    let options = json!({"nodeID": id, "disableBalancer": true, "requestTimeout": "20s"});
    BrokerBuilder::new(Plugins::core())
        .options(BrokerOptions::from_value(options).unwrap())
        .seed(7)
        .transporter(network.transporter())
}

async fn who(ctx: Context) -> Result<String> {
    sleep(Duration::from_millis(3)).await;
    Ok(ctx.broker()?.node_id().to_string())
}

async fn length(ctx: Context, body: ByteStream) -> Result<(String, usize)> {
    let node = ctx.broker()?.node_id().to_string();
    Ok((node, body.collect_up_to(1 << 20).await?.len()))
}

async fn hear(ctx: Context, State(log): State<Log>) -> Result<()> {
    let node = ctx.broker()?.node_id().to_string();
    let line = format!("{node} {} {:?}", ctx.service_name(), ctx.event_groups());
    log.lock().unwrap().push(line);
    Ok(())
}

fn worker(log: &Log) -> Service {
    Service::builder("work")
        .with_state(log.clone())
        .action(Action::new("who", who))
        .action(Action::new("length", length))
        .action(Action::new("inner", who).visibility(Visibility::Protected))
        .event(Event::new("user.created", hear))
        .build()
}

async fn start(network: &SimNetwork, id: &str, log: &Log) -> ServiceBroker {
    builder(network, id).service(worker(log)).start().await.unwrap()
}

/// Waits until a node knows that an action is offered by so many nodes.
async fn knows(broker: &ServiceBroker, nodes: usize) {
    let started = Instant::now();
    loop {
        let list: Vec<serde_json::Value> =
            broker.call("$node.list", json!({"onlyAvailable": true})).await.unwrap();
        if list.len() == nodes {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{list:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn shares(broker: &ServiceBroker, calls: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for answer in
        join_all((0..calls).map(|_| broker.call::<String>("work.who", ()).into_future())).await
    {
        *shares.entry(answer.unwrap()).or_default() += 1;
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn workers_share_calls_while_they_come_and_go() {
    let (network, log) = (SimNetwork::new(1), Log::default());
    let (one, two) = (start(&network, "w1", &log).await, start(&network, "w2", &log).await);
    let caller = builder(&network, "caller").start().await.unwrap();
    knows(&caller, 3).await;
    let found = shares(&caller, 60).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["w1", "w2"]);
    assert!(found.values().all(|share| *share > 10), "{found:?}");

    // One goes under load, and comes back.
    let load = tokio::spawn({
        let caller = caller.clone();
        async move {
            let started = Instant::now();
            let mut all = BTreeMap::new();
            while started.elapsed() < Duration::from_secs(6) {
                for (node, share) in shares(&caller, 20).await {
                    *all.entry(node).or_insert(0) += share;
                }
            }
            all
        }
    });
    sleep(Duration::from_secs(1)).await;
    one.stop().await.unwrap();
    assert_eq!(shares(&caller, 20).await, BTreeMap::from([("w2".into(), 20)]));
    let three = start(&network, "w3", &log).await;
    let all = load.await.expect("no call fails");
    assert_eq!(caller.pending_requests(), 0);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["w1", "w2", "w3"], "{all:?}");

    // Nobody is there any more, which is known here.
    two.stop().await.unwrap();
    three.stop().await.unwrap();
    let error = caller.call::<String>("work.who", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    let error = caller.call::<String>("work.never", ()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    caller.stop().await.unwrap();
}

/// Unlike with the broker's balancer, which prefers what is here.
#[tokio::test(start_paused = true)]
async fn a_node_that_offers_an_action_takes_no_more_than_its_share() {
    let (network, log) = (SimNetwork::new(2), Log::default());
    let one = start(&network, "w1", &log).await;
    // Alone it needs no medium: the subscription comes later than the service.
    assert_eq!(shares(&one, 3).await, BTreeMap::from([("w1".into(), 3)]));
    let two = start(&network, "w2", &log).await;
    knows(&one, 2).await;
    let found = shares(&one, 60).await;
    assert!(found["w1"] > 10 && found["w2"] > 10, "{found:?}");
    // What is no other node's business stays here.
    assert_eq!(one.call::<String>("work.inner", ()).await.unwrap(), "w1");
    // A call to a certain node goes to that one.
    for node in ["w1", "w2"] {
        for _ in 0..10 {
            assert_eq!(one.call::<String>("work.who", ()).node(node).await.unwrap(), node);
        }
    }
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_packets_of_a_stream_reach_one_node() {
    let (network, log) = (SimNetwork::new(3), Log::default());
    let (one, two) = (start(&network, "w1", &log).await, start(&network, "w2", &log).await);
    let caller = builder(&network, "caller").start().await.unwrap();
    knows(&caller, 3).await;
    for _ in 0..10 {
        let chunks = stream::iter((0..20).map(|_| Ok::<_, Error>(vec![1; 100])));
        let call = caller.call::<(String, usize)>("work.length", ());
        assert_eq!(call.stream(ByteStream::new(chunks)).await.unwrap().1, 2000);
    }
    for broker in [one, two, caller] {
        broker.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn events_reach_one_of_each_group() {
    let (network, log) = (SimNetwork::new(4), Log::default());
    let own = Log::default();
    let (one, two) = (start(&network, "w1", &log).await, start(&network, "w2", &log).await);
    let mail = Service::builder("mail").with_state(own.clone());
    let sender = builder(&network, "sender")
        .service(mail.event(Event::new("user.*", hear)))
        .start()
        .await
        .unwrap();
    knows(&sender, 3).await;
    for _ in 0..40 {
        sender.emit("user.created", 1).await.unwrap();
    }
    assert_eq!(own.lock().unwrap().len(), 40, "nobody else is of this group");
    sleep(Duration::from_secs(1)).await;
    let heard = std::mem::take(&mut *log.lock().unwrap());
    assert_eq!(heard.len(), 40);
    let of = |node: &str| heard.iter().filter(|line| line.starts_with(node)).count();
    assert!(of("w1") > 5 && of("w2") > 5, "{heard:?}");

    own.lock().unwrap().clear();
    sender.broadcast("user.created", 1).await.unwrap();
    sender.emit("user.created", 1).groups(["nobody"]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((own.lock().unwrap().len(), log.lock().unwrap().len()), (1, 2));
    for broker in [one, two, sender] {
        broker.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_cannot_balance_leaves_it_to_the_broker() {
    let network = InProcessNetwork::default();
    for builder in [
        BrokerBuilder::new(Plugins::core()).transporter(network.transporter()),
        BrokerBuilder::new(Plugins::core()),
    ] {
        let options = json!({"disableBalancer": true, "nodeID": "a"});
        let options = BrokerOptions::from_value(options).unwrap();
        let broker = builder.options(options).service(worker(&Log::default()));
        let broker = broker.start().await.unwrap();
        assert!(!broker.options().disable_balancer);
        assert_eq!(broker.call::<String>("work.who", ()).await.unwrap(), "a");
        broker.stop().await.unwrap();
    }
}
