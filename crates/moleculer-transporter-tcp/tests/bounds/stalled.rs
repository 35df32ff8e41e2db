//! A peer that stops reading.

use std::time::Duration;

use moleculer_core::{ErrorKind, protocol::PacketKind};
use moleculer_testkit::alloc::peak;
use serde_json::json;
use tokio::{
    net::TcpStream,
    runtime::Builder,
    time::{Instant, timeout},
};

use crate::support::{Accepted, Node, Peer, Port, eventually, quiet};

/// What may wait for one peer.
const QUEUE: usize = 4 << 20;
const EVENT: usize = 50_000;

/// A peer with the service `peer`, which has got a first request.
async fn meet(node: &Node, peer: &Peer, port: u16) -> (TcpStream, Accepted) {
    let mut to_node = peer.connect(port).await;
    let mut news = peer.news(1);
    news["online"]["peer"][0]["services"][0]["events"] = json!({"n": {"name": "n"}});
    peer.send(&mut to_node, PacketKind::GossipResponse, news).await;
    node.knows("peer").await;
    let serve = async {
        let mut from_node = peer.accept().await;
        let request = from_node.until(PacketKind::Request).await;
        peer.answer(&mut to_node, &request).await;
        from_node
    };
    let (answer, from_node) = tokio::join!(node.echo("peer", "x"), serve);
    assert_eq!(answer.unwrap(), "x");
    (to_node, from_node)
}

/// Emits until there is no room for a while; tells how many were taken.
async fn fill(node: &Node) -> usize {
    let mut taken = 0;
    loop {
        let emit = node.broker.emit("n", "x".repeat(EVENT)).into_future();
        match timeout(Duration::from_millis(200), emit).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => return taken,
        }
        taken += 1;
        assert!(taken < 10_000, "the peer seems to read");
    }
}

#[test]
fn it_costs_a_bounded_queue_and_nobody_else_waits() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (port, peer) = (Port::new(), runtime.block_on(async { Peer::new("peer") }));
    let (a, b, (mut to_node, mut from_node)) = runtime.block_on(async {
        let a = Node::start("a", quiet().port(port.number)).await;
        let b = Node::start("b", quiet().urls([port.url("a")])).await;
        a.knows("b").await;
        a.echo("b", "x").await.unwrap();
        let met = meet(&a, &peer, port.number).await;
        (a, b, met)
    });

    let (taken, bytes) = peak(|| runtime.block_on(fill(&a)));
    println!("{taken} events of {EVENT} bytes were taken, of which {bytes} bytes were held");
    assert!(bytes > QUEUE / 2, "{bytes} bytes are held: the queue is not full");
    // The buffer of a packet may be twice as large as the packet.
    assert!(bytes < 2 * QUEUE + 8 * EVENT, "{bytes} bytes are held for a peer that does not read");

    runtime.block_on(async {
        let call = |limit| {
            let call = a.broker.call::<String>("peer.echo", "late");
            call.timeout(Duration::from_millis(limit)).into_future()
        };
        let waiting: Vec<_> = (0..100).map(|_| tokio::spawn(call(300))).collect();
        let mut slowest = Duration::ZERO;
        while waiting.iter().any(|call| !call.is_finished()) {
            let started = Instant::now();
            assert_eq!(a.echo("b", "x").await.unwrap(), "x");
            assert_eq!(b.echo("a", "y").await.unwrap(), "y");
            slowest = slowest.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(slowest < Duration::from_secs(1), "two calls to others took {slowest:?}");
        for call in waiting {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::RequestTimeout, "{error:?}");
            assert!(error.retryable());
        }
        eventually("no call waits", || a.broker.pending_requests() == 0).await;

        // It reads on: all that was taken comes, of the calls none, and new
        // ones are answered.
        let serve = async {
            for _ in 0..taken {
                assert_eq!(
                    from_node.until(PacketKind::Event).await["data"].as_str().unwrap().len(),
                    EVENT
                );
            }
            loop {
                let request = from_node.until(PacketKind::Request).await;
                peer.answer(&mut to_node, &request).await;
                if request["params"] == "again" {
                    return;
                }
                assert_ne!(request["params"], "late", "a call that has failed was made");
            }
        };
        let (answer, ()) = tokio::join!(a.echo("peer", "again"), serve);
        assert_eq!(answer.unwrap(), "again");
        assert_eq!(a.news().await.iter().filter(|news| news.starts_with("dis")).count(), 0);
        for node in [&a, &b] {
            node.stop().await;
        }
    });
}
