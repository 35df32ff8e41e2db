//! Peers that die, stall, or never were Moleculer nodes.

use std::time::Duration;

use bytes::BytesMut;
use moleculer_core::{
    ErrorKind,
    protocol::{PacketKind, tcp::put_frame},
};
use moleculer_transporter_tcp::TcpTransporter;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::Instant,
};

use crate::support::{NO_ROUNDS, Node, Peer, Port, eventually, quiet};

#[tokio::test]
async fn a_port_in_use_is_named() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    let error = Node::try_start("b", quiet().port(port.number)).await.err().unwrap();
    let expected = format!("port {} is already in use", port.number);
    assert!(error.message().starts_with(&expected), "{error}");
    a.stop().await;
    // Stopping gave the port back.
    let b = Node::start("b", quiet().port(port.number)).await;
    b.stop().await;
}

#[tokio::test]
async fn a_call_ends_when_the_callee_dies() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let die = async {
        let mut from_node = peer.accept().await;
        from_node.until(PacketKind::Request).await;
        drop((from_node, to_node));
    };
    let started = Instant::now();
    let (answer, ()) = tokio::join!(node.echo("peer", "x"), die);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RequestRejected, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    node.hears("disconnected peer").await;
    node.stop().await;
}

#[tokio::test]
async fn sending_to_a_node_that_is_not_there_fails() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let _to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    drop(peer);
    let error = node.echo("peer", "x").await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    node.hears("disconnected peer unexpected").await;
    node.stop().await;
}

#[tokio::test]
async fn garbage_on_the_port() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    let closed: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // A wrong checksum, a length of 2 GiB - 1, one of 5, and a negative one.
        b"\x0d\0\0\0\x08\x04{}",
        b"\x84\x7f\xff\xff\xff\x04",
        b"\x01\0\0\0\x05\x04",
        b"\x7c\x80\0\0\0\xfc",
    ];
    for bytes in closed {
        let mut stream = TcpStream::connect(("127.0.0.1", port.number)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let end = stream.read(&mut [0; 16]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{bytes:?} must end the connection");
        assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn garbage_in_frames() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    // An unknown type, then bytes that are no packet, of every kind.
    to_node.write_all(b"\x01\0\0\0\x08\x09{}").await.unwrap();
    for body in [&b"\xff\xfe"[..], b"", b"{", b"[]", b"{}", b"null", br#"{"online":5,"ver":"5"}"#] {
        for kind in PacketKind::ALL {
            let mut frame = BytesMut::new();
            if put_frame(kind, body, &mut frame).is_ok() {
                to_node.write_all(&frame).await.unwrap();
            }
        }
    }
    let hostile = json!({"online": {"a": [9, 9, 9], "x": [{"seq": "y"}], "z": []}, "offline": []});
    peer.send(&mut to_node, PacketKind::GossipResponse, hostile).await;
    // The connection still works.
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1, "id": "p"})).await;
    let mut from_node = peer.accept().await;
    assert_eq!(from_node.until(PacketKind::Pong).await["id"], "p");
    node.stop().await;
}

#[tokio::test]
async fn garbage_in_datagrams() {
    let udp_port = Port::new();
    let udp = || {
        let transporter = TcpTransporter::builder().gossip_period(NO_ROUNDS);
        transporter.udp_port(udp_port.number)
    };
    let a = Node::start("a", udp()).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let huge = [b'|'; 5000];
    for datagram in [&b""[..], b"\xff\xff", b"|x|70000", b"|a|1", b"|||||", b"|x|0", &huge] {
        stranger.send_to(datagram, ("127.0.0.1", udp_port.number)).await.unwrap();
    }
    let b = Node::start("b", udp()).await;
    a.knows("b").await;
    assert_eq!(a.echo("b", "x").await.unwrap(), "x");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_packet_above_the_limit_is_refused() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    let error = b.echo("a", &"x".repeat(1 << 20)).await.unwrap_err();
    assert_eq!(error.r#type(), Some("PACKET_TOO_LARGE"));
    assert!(!error.retryable());
    let almost = "x".repeat((1 << 20) - 2000);
    assert_eq!(b.echo("a", &almost).await.unwrap(), almost);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn the_least_used_connection_is_closed_without_harm() {
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number).max_connections(2)).await;
    let mut peers = Vec::new();
    for id in ["p1", "p2", "p3"] {
        let peer = Peer::new(id);
        let to_node = peer.join(port.number, 1).await;
        a.knows(id).await;
        peers.push((peer, to_node));
    }
    let mut connections = Vec::new();
    for (peer, to_node) in &mut peers {
        let serve = async {
            let mut from_node = peer.accept().await;
            let request = from_node.until(PacketKind::Request).await;
            peer.answer(to_node, &request).await;
            from_node
        };
        let id = peer.id.clone();
        let (answer, from_node) = tokio::join!(a.echo(&id, "x"), serve);
        answer.unwrap();
        connections.push(from_node);
    }
    connections[0].ends().await;
    let news = a.news().await;
    assert!(news.iter().all(|news| news.starts_with("connected")), "{news:?}");
    // It is opened again when it is needed.
    let (peer, to_node) = &mut peers[0];
    let serve = async {
        let mut from_node = peer.accept().await;
        let request = from_node.until(PacketKind::Request).await;
        peer.answer(to_node, &request).await;
    };
    let (answer, ()) = tokio::join!(a.echo("p1", "y"), serve);
    assert_eq!(answer.unwrap(), "y");
    a.stop().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_senders_wait() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let mut news = peer.news(1);
    news["online"]["peer"][0]["services"][0]["events"] = json!({"n": {"name": "n"}});
    peer.send(&mut to_node, PacketKind::GossipResponse, news).await;
    node.knows("peer").await;

    let sent = std::cell::Cell::new(0_u32);
    let text = "x".repeat(100_000);
    let send = async {
        for n in 0..1000 {
            node.broker.emit("n", (n, text.clone())).await.unwrap();
            sent.set(n + 1);
        }
    };
    let receive = async {
        let mut from_node = peer.accept().await;
        // Nothing is read until the sender has not got on for a while.
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if sent.get() > 0 && sent.get() == last {
                break;
            }
            last = sent.get();
        }
        assert!(sent.get() < 500, "{} large events are held for one peer", sent.get());
        for n in 0..1000 {
            assert_eq!(from_node.until(PacketKind::Event).await["data"][0], n);
        }
    };
    tokio::join!(send, receive);
    assert_eq!(sent.get(), 1000);
    node.stop().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_does_not_hold_up_the_stop() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.connect(port.number).await;
    let mut news = peer.news(1);
    news["online"]["peer"][0]["services"][0]["events"] = json!({"n": {"name": "n"}});
    peer.send(&mut to_node, PacketKind::GossipResponse, news).await;
    node.knows("peer").await;
    let from_node = async {
        let from_node = peer.accept().await;
        from_node.stream.readable().await.unwrap();
        from_node
    };
    let (first, _from_node) = tokio::join!(node.broker.emit("n", 0).into_future(), from_node);
    first.unwrap();
    for _ in 0..200 {
        tokio::spawn(node.broker.emit("n", "x".repeat(100_000)).into_future());
    }
    let started = Instant::now();
    node.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn bytes_on_a_connection_of_ours_do_not_hide_its_end() {
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let node = Node::start("a", quiet().port(port.number)).await;
    let mut to_node = peer.join(port.number, 1).await;
    node.knows("peer").await;
    let serve = async {
        let mut from_node = peer.accept().await;
        let request = from_node.until(PacketKind::Request).await;
        peer.answer(&mut to_node, &request).await;
        from_node
    };
    let (answer, mut from_node) = tokio::join!(node.echo("peer", "x"), serve);
    answer.unwrap();
    from_node.stream.write_all(&[7; 10_000]).await.unwrap();
    drop(from_node);
    node.hears("disconnected peer").await;
    node.stop().await;
}

#[tokio::test]
async fn many_strangers_cost_nothing_for_long() {
    let port = Port::new();
    let node = Node::start("a", quiet().port(port.number)).await;
    let tasks = node.broker.running_tasks();
    let mut strangers = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", port.number)).await.unwrap();
        stream.write_all(b"\x0c\0\0\0").await.unwrap();
        strangers.push(stream);
    }
    eventually("one task for each", || node.broker.running_tasks() == tasks + 50).await;
    drop(strangers);
    eventually("no task more", || node.broker.running_tasks() == tasks).await;
    node.stop().await;
}
