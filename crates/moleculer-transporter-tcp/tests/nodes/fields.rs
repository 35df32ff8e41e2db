//! Packets of every kind with a member that is missing or of another type.

use bytes::BytesMut;
use moleculer_core::protocol::{PacketKind, tcp::put_frame};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Log, Node, Peer, Port, eventually, quiet};

fn packets(peer: &Peer) -> Vec<(PacketKind, Value)> {
    let mut news = peer.news(2);
    let info = &mut news["online"]["peer"][0];
    info["client"] = json!({"type": "x", "version": "1", "langVersion": "1"});
    info["config"] = json!({});
    info["metadata"] = json!({"region": "eu"});
    let service = &mut info["services"][0];
    service["version"] = json!(2);
    service["fullName"] = json!("v2.peer");
    service["settings"] = json!({"a": 1});
    service["events"] = json!({"n": {"name": "n", "group": "g"}});
    news["offline"] = json!({"gone": 3});
    let context = json!({
        "meta": {"m": 1}, "headers": {"h": 1}, "level": 1, "tracing": null, "parentID": null,
        "requestID": "r", "caller": "x",
    });
    let with = |more: Value| {
        let mut packet = context.clone();
        packet.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        packet
    };
    let request = json!({"id": "q", "action": "a.echo", "params": [1], "timeout": 50});
    let part = json!({
        "id": "s", "action": "a.echo", "params": null, "timeout": 50, "stream": true, "seq": 0,
    });
    let response = json!({"id": "unknown", "success": true, "data": 1, "meta": {}, "headers": {}});
    let error = json!({"name": "E", "message": "m", "code": 500, "type": "T", "data": {"a": 1}});
    let failed = json!({"id": "unknown", "success": false, "data": null, "error": error});
    let last = json!({"id": "unknown", "success": true, "data": "x", "stream": true, "seq": 1});
    vec![
        (
            PacketKind::Event,
            with(
                json!({"id": "e", "event": "n", "data": 1, "groups": ["g"], "broadcast": true, "needAck": null}),
            ),
        ),
        (PacketKind::Request, with(request)),
        (PacketKind::Request, with(part)),
        (PacketKind::Response, response),
        (PacketKind::Response, failed),
        (PacketKind::Response, last),
        (PacketKind::Ping, json!({"time": 1, "id": "p"})),
        (PacketKind::Pong, json!({"time": 1, "id": "p", "arrived": 2})),
        (PacketKind::GossipHello, json!({"host": "127.0.0.1", "port": peer.port})),
        (
            PacketKind::GossipRequest,
            json!({"online": {"peer": [1, 1, 5], "a": [1, 1, 5]}, "offline": {"gone": 3}}),
        ),
        (PacketKind::GossipResponse, news),
    ]
}

/// Pointers to all members and items.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut visit = |key: &str, value: &Value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        found.push(at.clone());
        places(value, &at, found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| visit(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| visit(&at.to_string(), value));
        }
        _ => {}
    }
}

fn without(packet: &Value, place: &str) -> Value {
    let mut packet = packet.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    match packet.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(&key.replace("~1", "/"))),
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        _ => unreachable!("only these have members"),
    }
    packet
}

fn variants(packet: &Value) -> Vec<Value> {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": {}}),
    ];
    let mut found = Vec::new();
    places(packet, "", &mut found);
    let mut all = Vec::new();
    for place in found {
        all.push(without(packet, &place));
        for other in &others {
            let mut changed = packet.clone();
            *changed.pointer_mut(&place).unwrap() = other.clone();
            all.push(changed);
        }
    }
    all
}

#[tokio::test]
async fn none_of_them_does_harm() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let (port, peer) = (Port::new(), Peer::new("peer"));
    let a = Node::start("a", quiet().port(port.number)).await;
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    a.knows("b").await;
    let tasks = a.broker.running_tasks();
    let mut to_node = peer.join(port.number, 1).await;
    a.knows("peer").await;
    peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1})).await;
    let mut from_node = peer.accept().await;
    let mut sent = 0;
    for (kind, mut packet) in packets(&peer) {
        packet["ver"] = json!("5");
        packet["sender"] = json!("peer");
        for variant in variants(&packet) {
            let mut frame = BytesMut::new();
            put_frame(kind, variant.to_string().as_bytes(), &mut frame).unwrap();
            to_node.write_all(&frame).await.unwrap();
            sent += 1;
        }
        // The connection lives, and what came before is handled.
        peer.send(&mut to_node, PacketKind::Ping, json!({"time": 1, "id": kind.as_str()})).await;
        while from_node.until(PacketKind::Pong).await["id"] != kind.as_str() {}
        assert_eq!(b.echo("a", "x").await.unwrap(), "x", "after {kind}");
        assert_eq!(a.echo("b", "y").await.unwrap(), "y", "after {kind}");
    }
    assert!(sent > 1000, "{sent} packets");
    drop((to_node, from_node, peer));
    a.hears("disconnected peer").await;
    eventually("nothing is left of it", || {
        a.broker.running_tasks() == tasks
            && a.broker.incoming_streams() == 0
            && a.broker.pending_requests() == 0
    })
    .await;
    // Senders that were made up are known as met, no more.
    let nodes = a.broker.call::<Value>("$node.list", ()).await.unwrap();
    let nodes = nodes.as_array().unwrap();
    assert!(nodes.len() < 10, "{nodes:?}");
    let available = nodes.iter().filter(|node| node["available"] == true).count();
    assert_eq!(available, 2, "{nodes:?}");
    // One line a second for each kind of trouble.
    let lines = log.text().lines().count();
    assert!(lines < 100, "{lines} lines for {sent} packets:\n{}", log.text());
    for node in [&a, &b] {
        node.stop().await;
    }
}
