//! Nodes find each other, by every way there is, and lose each other.

use std::time::Duration;

use moleculer_core::{BrokerOptions, ErrorKind};
use moleculer_transporter_tcp::TcpTransporter;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::support::{DEADLINE, NO_ROUNDS, Node, Port, echo, quiet};

#[tokio::test]
async fn by_a_static_list_on_one_side() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    let started = Instant::now();
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    assert_eq!(b.echo("a", "from b").await.unwrap(), "from b", "known when the start is over");
    a.knows("b").await;
    assert!(started.elapsed() < Duration::from_secs(1), "no round of gossip is waited for");
    assert_eq!(a.echo("b", "from a").await.unwrap(), "from a");
    b.stop().await;
    a.stop().await;
}

#[tokio::test]
async fn by_udp() {
    let udp_port = Port::new();
    let udp = |id| {
        let transporter = TcpTransporter::builder().gossip_period(NO_ROUNDS);
        Node::start(id, transporter.udp_port(udp_port.number))
    };
    let (a, b) = (udp("a").await, udp("b").await);
    a.knows("b").await;
    b.knows("a").await;
    assert_eq!(a.echo("b", "x").await.unwrap(), "x");
    assert_eq!(b.echo("a", "y").await.unwrap(), "y");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn nodes_of_another_namespace_are_strangers() {
    let udp_port = Port::new();
    let udp = |id, namespace: &'static str| {
        let transporter = TcpTransporter::builder().gossip_period(NO_ROUNDS);
        let transporter = transporter.udp_port(udp_port.number);
        Node::with(id, transporter, move |builder| builder.namespace(namespace))
    };
    let other = udp("other", "test").await.unwrap();
    let a = udp("a", "dev").await.unwrap();
    let b = udp("b", "dev").await.unwrap();
    a.knows("b").await;
    let error = a.echo("other", "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    for node in [a, b, other] {
        node.stop().await;
    }
}

#[tokio::test]
async fn through_a_third_node() {
    let port = Port::new();
    let seed = Node::start("seed", quiet().port(port.number)).await;
    let a = Node::start("a", quiet().urls([port.url("seed")])).await;
    let b = Node::start("b", quiet().urls([port.url("seed")])).await;
    b.knows("a").await;
    a.knows("b").await;
    assert_eq!(a.echo("b", "x").await.unwrap(), "x");
    for node in [a, b, seed] {
        node.stop().await;
    }
}

#[tokio::test]
async fn by_rounds_of_gossip_once_a_node_appears() {
    let port = Port::new();
    let transporter = TcpTransporter::builder().udp_discovery(false).urls([port.url("b")]);
    let a = Node::start("a", transporter.gossip_period(Duration::from_secs(1))).await;
    let b = Node::start("b", quiet().port(port.number)).await;
    a.knows("b").await;
    b.knows("a").await;
    b.stop().await;
    a.stop().await;
}

#[tokio::test]
async fn later_services_are_told_at_once() {
    let port = Port::new();
    let a = Node::with("a", quiet().port(port.number), |builder| {
        let options = json!({"nodeID": "a", "transit": {"serviceChangedDebounceTime": 0}});
        builder.options(BrokerOptions::from_value(options).unwrap())
    });
    let a = a.await.unwrap();
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    a.broker.create_service(echo("late")).await.unwrap();
    b.knows("late").await;
    assert_eq!(b.broker.call::<String>("late.echo", "x").await.unwrap(), "x");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_is_missed_at_once() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    b.stop().await;
    a.hears("disconnected b").await;
    let error = a.echo("b", "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    a.stop().await;
}

#[tokio::test]
async fn a_node_comes_back_under_its_id() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    for round in 0..3 {
        // Each time on another port.
        let b = Node::start("b", quiet().urls([port.url("a")])).await;
        a.hears(if round == 0 { "connected b" } else { "connected b reconnected" }).await;
        a.knows("b").await;
        assert_eq!(a.echo("b", "x").await.unwrap(), "x");
        assert_eq!(b.echo("a", "y").await.unwrap(), "y");
        b.stop().await;
        a.hears("disconnected b").await;
    }
    a.stop().await;
}

/// It ends before anybody takes it for the first one.
#[tokio::test]
async fn a_node_with_an_id_that_is_taken_does_not_start() {
    let port = Port::new();
    let b = Node::start("b", quiet().port(port.number)).await;
    let a = Node::start("a", quiet().urls([port.url("b")])).await;
    b.knows("a").await;
    b.hears("connected a").await;
    for _ in 0..3 {
        let second = Node::try_start("a", quiet().urls([port.url("b")])).await;
        let error = second.err().expect("a second node has started");
        assert!(error.message().starts_with("another node uses the node id 'a'"), "{error}");
        assert_eq!(b.echo("a", "x").await.unwrap(), "x");
        assert_eq!(a.echo("b", "y").await.unwrap(), "y");
    }
    assert_eq!(b.news().await, Vec::<String>::new());
    a.stop().await;
    b.hears("disconnected a").await;
    b.stop().await;
}

#[tokio::test]
async fn of_two_nodes_with_one_id_that_meet_later_one_stays() {
    let udp_port = Port::new();
    let udp = |id| {
        let transporter = TcpTransporter::builder().gossip_period(NO_ROUNDS);
        let transporter = transporter.udp_period(Duration::from_millis(500));
        Node::start(id, transporter.udp_port(udp_port.number))
    };
    let (a, b) = (udp("a").await, udp("b").await);
    b.knows("a").await;
    a.knows("b").await;
    // It has started before it hears of anybody.
    let second = udp("a").await;
    let stopped = tokio::select! {
        stopped = a.broker.run_until_signal() => stopped,
        stopped = second.broker.run_until_signal() => stopped,
        () = tokio::time::sleep(DEADLINE) => panic!("both go on"),
    };
    let error = stopped.unwrap_err();
    assert!(error.message().starts_with("another node uses the node id 'a'"), "{error}");
    // Whichever stays is known.
    let known = async {
        while b.echo("a", "x").await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, known).await.expect("no node of the id is left");
    for node in [&a, &second, &b] {
        node.broker.stop().await.ok();
        assert_eq!(node.broker.running_tasks(), 0);
    }
}

#[tokio::test]
async fn an_unreachable_node_does_not_hold_up_the_start() {
    let (nobody, port) = (Port::new(), Port::new());
    let a = Node::start("a", quiet().port(port.number)).await;
    let started = Instant::now();
    // The first refuses, the second is an address that leads nowhere.
    let urls = [nobody.url("nobody"), "tcp://192.0.2.1:4000/nowhere".to_owned(), port.url("a")];
    let b = Node::start("b", quiet().urls(urls)).await;
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    let stopping = Instant::now();
    b.stop().await;
    assert!(stopping.elapsed() < DEADLINE / 5, "{:?}", stopping.elapsed());
    a.stop().await;
}

#[tokio::test]
async fn a_listed_node_that_starts_a_little_later() {
    let port = Port::new();
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    // It hears of nobody: only `b` can begin, and no round of gossip comes.
    let a = Node::start("a", quiet().port(port.number)).await;
    b.knows("a").await;
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    a.knows("b").await;
    b.stop().await;
    a.stop().await;
}

#[tokio::test]
async fn the_own_entry_of_a_list_tells_the_port() {
    let (first, second) = (Port::new(), Port::new());
    let urls = [first.url("a"), second.url("b")];
    let a = Node::start("a", quiet().urls(urls.clone())).await;
    let b = Node::start("b", quiet().urls(urls)).await;
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    a.knows("b").await;
    b.stop().await;
    a.stop().await;
}
