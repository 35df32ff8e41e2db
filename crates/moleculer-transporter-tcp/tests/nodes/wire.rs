//! What another implementation sees on its sockets, and what it may say.

use std::time::Duration;

use moleculer_core::{BrokerBuilder, BrokerOptions, Plugins, protocol::PacketKind};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::support::{DEADLINE, Log, Node, Peer, Port, echo, eventually, is_silent, quiet};

#[tokio::test]
async fn first_contact() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let start = Node::start("a", quiet().port(port.number).urls([peer.url()]));
    let meet = async {
        // HELLO first, then what the node offers, then what it knows.
        let mut from_node = peer.accept().await;
        let hello = from_node.expect(PacketKind::GossipHello).await;
        assert_eq!(hello["port"], port.number);
        assert_eq!((&hello["sender"], &hello["ver"]), (&json!("a"), &json!("5")));
        assert!(!hello["host"].as_str().unwrap().is_empty());
        let news = from_node.expect(PacketKind::GossipResponse).await;
        let info = &news["online"]["a"][0];
        assert_eq!(info["port"], port.number);
        for member in ["seq", "instanceID", "ipList", "hostname", "client", "services"] {
            assert!(!info[member].is_null(), "{member} in {info}");
        }
        let request = from_node.expect(PacketKind::GossipRequest).await;
        let rows = request["online"].as_object().unwrap();
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a"], "the peer is known by its address only");
        assert_eq!(rows["a"].as_array().unwrap().len(), 3);
        assert_eq!(request.get("offline"), None);
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
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let request = json!({"online": {"peer": [1, 1, 5]}});
    peer.send(&mut to_node, PacketKind::GossipRequest, request).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    let news = from_node.expect(PacketKind::GossipResponse).await;
    assert_eq!(news["online"]["a"].as_array().unwrap().len(), 3);
    // The node knows the peer by its address only, so it asks in turn.
    from_node.expect(PacketKind::GossipRequest).await;
    peer.send(&mut to_node, PacketKind::GossipResponse, peer.news(1)).await;
    node.knows("peer").await;
    peer.send(&mut to_node, PacketKind::GossipRequest, json!({})).await;
    from_node.expect(PacketKind::GossipResponse).await;
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1})).await;
    from_node.expect(PacketKind::Pong).await;
    node.stop().await;
}

/// It is known only when it has told of itself, which may take it a while.
#[tokio::test]
async fn whoever_was_told_of_a_node_is_told_of_its_changes() {
    let (port, listed, asking) = (Port::new(), Peer::new("listed"), Peer::new("asking"));
    let transporter = quiet().port(port.number).urls([listed.url()]);
    let a = Node::with("a", transporter, |builder| {
        let options = json!({"nodeID": "a", "transit": {"serviceChangedDebounceTime": 0}});
        builder.options(BrokerOptions::from_value(options).unwrap())
    });
    let a = a.await.unwrap();
    let mut to_node = asking.connect(port.number).await;
    asking.send(&mut to_node, PacketKind::GossipRequest, json!({})).await;
    let (mut first, mut second) = (listed.accept().await, asking.accept().await);
    for from_node in [&mut first, &mut second] {
        from_node.until(PacketKind::GossipResponse).await;
    }
    a.broker.create_service(echo("late")).await.unwrap();
    for from_node in [&mut first, &mut second] {
        let told = async {
            while !from_node.until(PacketKind::GossipResponse).await.to_string().contains("late") {}
        };
        timeout(DEADLINE, told).await.expect("the change is not told");
    }
    a.stop().await;
}

#[tokio::test]
async fn the_host_in_a_hello_follows_the_option() {
    let mut hosts = Vec::new();
    for use_hostname in [true, false] {
        let peer = Peer::new("peer");
        let start = Node::start("a", quiet().use_hostname(use_hostname).urls([peer.url()]));
        let meet = async {
            let mut from_node = peer.accept().await;
            let host = from_node.expect(PacketKind::GossipHello).await["host"].clone();
            let news = from_node.until(PacketKind::GossipResponse).await;
            let info = &news["online"]["a"][0];
            assert_eq!(
                host,
                if use_hostname { &info["hostname"] } else { &info["ipList"][0] }.clone()
            );
            host
        };
        let (node, host) = tokio::join!(start, meet);
        hosts.push(host);
        node.stop().await;
    }
    assert_ne!(hosts[0], hosts[1]);
}

#[tokio::test]
async fn gossip_is_logged_on_demand() {
    for debug in [true, false] {
        let log = Log::default();
        let _log = log.keep(tracing::Level::DEBUG);
        let (port, peer) = (Port::new(), Peer::new("peer"));
        let node = Node::start("a", quiet().port(port.number).debug(debug)).await;
        let _to_node = peer.join(port.number, 1).await;
        node.knows("peer").await;
        assert_eq!(log.text().contains("received GOSSIP_RES"), debug, "{}", log.text());
        node.stop().await;
    }
}

#[tokio::test]
async fn a_goodbye_is_said_and_flushed() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let stop = async {
        let started = Instant::now();
        node.stop().await;
        assert!(started.elapsed() < Duration::from_millis(800), "{:?}", started.elapsed());
    };
    let listen = async {
        let mut from_node = peer.accept().await;
        from_node.expect(PacketKind::GossipHello).await;
        let empty = from_node.expect(PacketKind::GossipResponse).await;
        assert_eq!(empty["online"]["a"][0]["services"], json!([]));
        let seq = empty["online"]["a"][0]["seq"].as_u64().unwrap();
        let ping = from_node.expect(PacketKind::Ping).await;
        let pong = json!({"id": ping["id"], "time": ping["time"], "arrived": ping["time"]});
        peer.send(&mut to_node, PacketKind::Pong, pong).await;
        let goodbye = from_node.expect(PacketKind::GossipResponse).await;
        assert!(goodbye["offline"]["a"].as_u64().unwrap() > seq, "{goodbye}");
        assert_eq!(goodbye.get("online"), None);
        assert_eq!(from_node.next().await, None, "nothing follows the goodbye");
    };
    tokio::join!(stop, listen);
    assert!(is_closed(&mut to_node).await);
}

#[tokio::test]
async fn a_goodbye_is_news_even_if_no_service_went() {
    let peer = Peer::new("peer");
    let options = json!({"nodeID": "a", "internalServices": false});
    let start = BrokerBuilder::new(Plugins::core())
        .options(BrokerOptions::from_value(options).unwrap())
        .transporter(quiet().urls([peer.url()]))
        .start();
    let meet = async {
        let mut from_node = peer.accept().await;
        let hello = from_node.expect(PacketKind::GossipHello).await;
        let to_node = peer.join(hello["port"].as_u64().unwrap() as u16, 1).await;
        (from_node, to_node)
    };
    let (broker, (mut from_node, _to_node)) = tokio::join!(start, meet);
    let listen = async {
        let mut seq = 0;
        loop {
            let told = from_node.until(PacketKind::GossipResponse).await;
            match told["offline"]["a"].as_u64() {
                Some(gone) => return assert!(gone > seq, "{gone} after {seq}"),
                None => seq = told["online"]["a"][0]["seq"].as_u64().unwrap(),
            }
        }
    };
    let broker = broker.unwrap();
    let (stopped, ()) = tokio::join!(broker.stop(), listen);
    stopped.unwrap();
}

#[tokio::test]
async fn a_peer_is_reached_where_it_came_from() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = tokio::net::TcpStream::connect(("127.0.0.1", port.number)).await.unwrap();
    let hello = json!({"host": "nowhere.invalid", "port": peer.port});
    peer.send(&mut to_node, PacketKind::GossipHello, hello).await;
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1, "id": "p"})).await;
    peer.accept().await.until(PacketKind::Pong).await;
    node.stop().await;
}

/// Whoever says HELLO under the id of a node that is there does not get what
/// is meant for that one.
#[tokio::test]
async fn a_node_that_is_there_is_not_moved_by_a_hello() {
    let (port, first, other) = (Port::new(), Peer::new("first"), Peer::new("other"));
    let impostor = Peer::new("first");
    let node = Node::start("a", quiet().port(port.number).max_connections(1)).await;
    let mut connections = Vec::new();
    for (round, peer) in [&first, &other, &first].into_iter().enumerate() {
        // Each call closes the connection to the other one.
        let mut to_node = peer.join(port.number, 1).await;
        node.knows(&peer.id).await;
        let serve = async {
            let mut from_node = peer.accept().await;
            let request = from_node.until(PacketKind::Request).await;
            peer.answer(&mut to_node, &request).await;
            from_node
        };
        let (answer, from_node) = tokio::join!(node.echo(&peer.id, "x"), serve);
        assert_eq!(answer.unwrap(), "x", "round {round}");
        let hello = impostor.connect(port.number).await;
        connections.push((to_node, from_node, hello));
    }
    node.stop().await;
}

/// Its machine failed and came back elsewhere, before anybody missed it.
#[tokio::test]
async fn a_node_that_was_not_missed_is_found_where_it_came_back() {
    let (port, before, after) = (Port::new(), Peer::new("peer"), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = before.join(port.number, 1).await;
    node.knows("peer").await;
    before.send(&mut to_node, PacketKind::Ping, json!({"time": 1})).await;
    let mut from_node = before.accept().await;
    from_node.until(PacketKind::Pong).await;

    let mut to_node = after.connect(port.number).await;
    // What is told now goes to where the node was.
    after.send(&mut to_node, PacketKind::Ping, json!({"time": 2})).await;
    assert_eq!(from_node.until(PacketKind::Pong).await["time"], 2);
    drop((from_node, before));
    node.hears("disconnected peer").await;
    let request = json!({"online": {"peer": [1, 1, 5]}});
    after.send(&mut to_node, PacketKind::GossipRequest, request).await;
    after.accept().await.until(PacketKind::GossipResponse).await;
    node.stop().await;
}

/// What belongs to another protocol version is not handled.
#[tokio::test]
async fn packets_of_another_version_are_dropped() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    for ver in [json!("4"), json!("6"), json!(""), json!(5), json!(null)] {
        for id in 0..50 {
            let request = json!({"ver": ver, "id": id.to_string(), "action": "a.echo"});
            peer.send(&mut to_node, PacketKind::Request, request).await;
        }
        let ping = json!({"ver": ver, "time": 1, "id": "old"});
        peer.send(&mut to_node, PacketKind::Ping, ping).await;
    }
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1, "id": "p"})).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    assert_eq!(from_node.expect(PacketKind::Pong).await["id"], "p", "nothing before was answered");
    // At once or at most one line a second, and there are two kinds.
    let lines = log.text().lines().count();
    assert!((1..20).contains(&lines), "{}", log.text());
    node.stop().await;
}

/// Its sender is nowhere, so there is no answer; nothing is kept for it.
#[tokio::test]
async fn a_request_of_an_unknown_sender_leaves_nothing_behind() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let _to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let tasks = node.broker.running_tasks();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port.number)).await.unwrap();
    for n in 0..100 {
        let sender = format!("unknown-{n}");
        let request = json!({"sender": sender, "id": "q", "action": "a.echo", "params": n});
        peer.send(&mut stream, PacketKind::Request, request).await;
        peer.send(&mut stream, PacketKind::Ping, json!({"sender": sender, "time": 1})).await;
        let response = json!({"sender": sender, "id": "q", "success": true, "data": n});
        peer.send(&mut stream, PacketKind::Response, response).await;
    }
    peer.send(&mut stream, PacketKind::Ping, json!({"time": 1, "id": "p"})).await;
    let mut from_node = peer.accept().await;
    from_node.until(PacketKind::Pong).await;
    drop(stream);
    // One task less by the stranger's connection, one more by that to the peer.
    eventually("no task is left", || node.broker.running_tasks() <= tasks + 1).await;
    let nodes = node.broker.call::<serde_json::Value>("$node.list", ()).await.unwrap();
    assert_eq!(nodes.as_array().unwrap().len(), 2, "{nodes}");
    assert_eq!(node.broker.pending_requests(), 0);
    node.stop().await;
}

async fn is_closed(stream: &mut tokio::net::TcpStream) -> bool {
    use tokio::io::AsyncReadExt;
    stream.read(&mut [0]).await.is_ok_and(|read| read == 0)
}

#[tokio::test]
async fn a_node_that_is_said_to_be_gone_insists() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
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
async fn a_node_outdoes_its_earlier_run() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    peer.send(&mut to_node, PacketKind::GossipResponse, json!({"offline": {"a": 41}})).await;
    let mut from_node = peer.accept().await;
    from_node.expect(PacketKind::GossipHello).await;
    let news = from_node.expect(PacketKind::GossipResponse).await;
    assert_eq!(news["online"]["a"][0]["seq"], 42);
    // The earlier run died unnoticed; what this one told itself changes nothing.
    let instance = news["online"]["a"][0]["instanceID"].clone();
    for (instance, seq) in [(instance, 60), (json!("i-0"), 40), (json!("i-0"), 50)] {
        let row = json!([{"seq": seq, "instanceID": instance}, 1, 5]);
        let stale = json!({"online": {"a": row}});
        peer.send(&mut to_node, PacketKind::GossipResponse, stale).await;
    }
    let news = from_node.expect(PacketKind::GossipResponse).await;
    assert_eq!(news["online"]["a"][0]["seq"], 51);
    node.stop().await;
}

#[tokio::test]
async fn gossip_of_another_version_is_ignored() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
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
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let transporter = quiet().gossip_period(Duration::from_secs(1));
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
    let (port, peer) = (Port::new(), Peer::new("peer"));
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
