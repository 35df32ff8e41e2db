//! What another implementation sees on its sockets, and what it may say.

use moleculer_core::protocol::PacketKind;
use serde_json::json;

use crate::support::{Node, Peer, Port, is_silent, quiet};

#[tokio::test]
async fn first_contact() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let start = Node::start("a", quiet().port(port.number).urls([peer.url()]));
    let meet = async {
        // HELLO first, then what the node knows, then what it offers.
        let mut from_node = peer.accept().await;
        let hello = from_node.expect(PacketKind::GossipHello).await;
        assert_eq!(hello["port"], port.number);
        assert_eq!((&hello["sender"], &hello["ver"]), (&json!("a"), &json!("5")));
        assert!(!hello["host"].as_str().unwrap().is_empty());
        let request = from_node.expect(PacketKind::GossipRequest).await;
        let rows = request["online"].as_object().unwrap();
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a"], "the peer is known by its address only");
        assert_eq!(rows["a"].as_array().unwrap().len(), 3);
        assert_eq!(request.get("offline"), None);
        let news = from_node.expect(PacketKind::GossipResponse).await;
        let info = &news["online"]["a"][0];
        assert_eq!(info["port"], port.number);
        for member in ["seq", "instanceID", "ipList", "hostname", "client", "services"] {
            assert!(!info[member].is_null(), "{member} in {info}");
        }
        // The answer comes over the peer's own connection.
        let mut to_node = peer.join(port.number, 1).await;
        (from_node, is_silent(&mut to_node).await, to_node)
    };
    let (node, (mut from_node, silent, mut to_node)) = tokio::join!(start, meet);
    assert!(silent, "nothing is written on an accepted socket");
    node.knows("peer").await;

    let call = node.echo("peer", "x");
    let serve = async {
        let request = from_node.until(PacketKind::Request).await;
        assert_eq!((&request["action"], &request["params"]), (&json!("peer.echo"), &json!("x")));
        peer.answer(&mut to_node, &request).await;
    };
    let (answer, ()) = tokio::join!(call, serve);
    assert_eq!(answer.unwrap(), "x");

    let request = json!({"id": "1", "action": "a.echo", "params": [5], "level": 1});
    peer.send(&mut to_node, PacketKind::Request, request).await;
    let response = from_node.until(PacketKind::Response).await;
    assert_eq!((&response["id"], &response["data"]), (&json!("1"), &json!([5])));
    let ping = json!({"time": 1, "id": "p"});
    peer.send(&mut to_node, PacketKind::Ping, ping).await;
    assert_eq!(from_node.until(PacketKind::Pong).await["id"], "p");
    assert!(is_silent(&mut to_node).await, "nothing is written on an accepted socket");
    node.stop().await;
}

#[tokio::test]
async fn a_peer_that_comes_by_itself() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let request = json!({"online": {"peer": [1, 1, 5]}});
    peer.send(&mut to_node, PacketKind::GossipRequest, request).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    let news = from_node.expect(PacketKind::GossipResponse).await;
    assert_eq!(news["online"]["a"].as_array().unwrap().len(), 3);
    // As the peer is known by its address only, it is asked in a round; here
    // it tells by itself.
    peer.send(&mut to_node, PacketKind::GossipResponse, peer.news(1)).await;
    node.knows("peer").await;
    node.stop().await;
}

#[tokio::test]
async fn a_goodbye_is_said_and_flushed() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let stop = node.stop();
    let listen = async {
        let mut from_node = peer.accept().await;
        from_node.expect(PacketKind::GossipHello).await;
        let empty = from_node.expect(PacketKind::GossipResponse).await;
        assert_eq!(empty["online"]["a"][0]["services"], json!([]));
        let seq = empty["online"]["a"][0]["seq"].as_u64().unwrap();
        let goodbye = from_node.expect(PacketKind::GossipResponse).await;
        assert!(goodbye["offline"]["a"].as_u64().unwrap() > seq, "{goodbye}");
        assert_eq!(goodbye.get("online"), None);
        assert_eq!(from_node.next().await, None, "nothing follows the goodbye");
    };
    tokio::join!(stop, listen);
    assert!(is_closed(&mut to_node).await);
}

async fn is_closed(stream: &mut tokio::net::TcpStream) -> bool {
    use tokio::io::AsyncReadExt;
    stream.read(&mut [0]).await.is_ok_and(|read| read == 0)
}

#[tokio::test]
async fn a_node_that_is_said_to_be_gone_insists() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let request = json!({"online": {"peer": [1, 1, 5]}, "offline": {"a": 41}});
    peer.send(&mut to_node, PacketKind::GossipRequest, request).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    let news = from_node.expect(PacketKind::GossipResponse).await;
    assert_eq!(news["online"]["a"][0]["seq"], 42);
    assert_eq!(news.get("offline"), None);
    node.stop().await;
}

#[tokio::test]
async fn gossip_of_another_version_is_ignored() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let mut news = peer.news(1);
    news["ver"] = json!("4");
    peer.send(&mut to_node, PacketKind::GossipResponse, news).await;
    let request = json!({"ver": "4", "online": {"peer": [1, 1, 5]}});
    peer.send(&mut to_node, PacketKind::GossipRequest, request).await;
    // Packets of one connection are handled in order, so the answer to this
    // one shows that the others led to nothing.
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1, "id": "p"})).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    from_node.expect(PacketKind::Pong).await;
    assert_eq!(node.news().await, Vec::<String>::new());
    node.stop().await;
}

#[tokio::test]
async fn a_round_asks_who_is_online() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let transporter = quiet().gossip_period(std::time::Duration::from_secs(1));
    let node = Node::start("a", transporter.port(port.number)).await;
    let _to_node = peer.join(port.number, 7).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    let request = from_node.until(PacketKind::GossipRequest).await;
    assert_eq!(request["online"]["peer"], json!([7, 1, 5]));
    node.stop().await;
}

#[tokio::test]
async fn packets_keep_their_order() {
    let (port, peer) = (Port::new(), Peer::new("peer").await);
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let mut news = peer.news(1);
    news["online"]["peer"][0]["services"][0]["events"] = json!({"n": {"name": "n"}});
    peer.send(&mut to_node, PacketKind::GossipResponse, news).await;
    node.knows("peer").await;
    // From the first one, for which the connection is opened, through single
    // ones to bursts, large and small.
    let count = 600_u32;
    let send = async {
        for n in 0..count {
            let size = if n % 50 == 49 { 300_000 } else { 10 };
            let sent = node.broker.emit("n", (n, "x".repeat(size)));
            if n < 100 {
                sent.await.unwrap();
                tokio::task::yield_now().await;
            } else {
                // The packet is published before the future is first polled
                // or in its first poll.
                tokio::spawn(sent.into_future());
            }
        }
    };
    let receive = async {
        let mut from_node = peer.accept().await;
        from_node.expect(PacketKind::GossipHello).await;
        for n in 0..count {
            let event = from_node.until(PacketKind::Event).await;
            assert_eq!(event["data"][0], n);
            assert_eq!(event["data"][1].as_str().unwrap().len() > 10, n % 50 == 49);
        }
    };
    tokio::join!(send, receive);
    node.stop().await;
}
