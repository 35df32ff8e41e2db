//! Packets that no node of the cluster would send.

use async_nats::Client;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{Node, Setup};

/// Somebody who can reach the server.
struct Stranger {
    client: Client,
    prefix: String,
}

impl Stranger {
    async fn new(setup: &Setup) -> Self {
        let client = async_nats::connect(&setup.url).await.unwrap();
        Self { client, prefix: format!("MOL-{}", setup.namespace()) }
    }

    async fn send(&self, topic: &str, bytes: impl Into<Vec<u8>>) {
        let subject = format!("{}.{topic}", self.prefix);
        self.client.publish(subject, bytes.into().into()).await.unwrap();
    }

    /// When this is over the server has handed on what was sent.
    async fn flush(&self) {
        self.client.flush().await.unwrap();
        self.client.request("nobody", "".into()).await.unwrap_err();
    }
}

async fn works(a: &Node, b: &Node) {
    assert_eq!(a.echo("b", "x").await.unwrap(), "x");
    assert_eq!(b.echo("a", "y").await.unwrap(), "y");
    for node in [a, b] {
        assert_eq!((node.broker.pending_requests(), node.broker.incoming_streams()), (0, 0));
    }
}

async fn known(node: &Node) -> Vec<String> {
    let nodes: Vec<Value> = node.broker.call("$node.list", ()).await.unwrap();
    let mut ids: Vec<_> = nodes.iter().map(|node| node["id"].as_str().unwrap().into()).collect();
    ids.sort();
    ids
}

/// Senders that nobody knows, other versions of the protocol, other namespaces,
/// and responses that nobody waits for.
pub(crate) async fn packets_of_strangers(setup: Setup) {
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.knows("b").await;
    let stranger = Stranger::new(&setup).await;
    let request = |version: &str| {
        let request = json!({
            "ver": version, "sender": "stranger", "id": "q", "action": "a.echo", "params": 7,
            "meta": {}, "level": 1, "timeout": 0, "stream": false,
        });
        request.to_string()
    };
    let subject = format!("{}.RES.stranger", stranger.prefix);
    let mut answers = stranger.client.subscribe(subject).await.unwrap();
    stranger.flush().await;
    // A wrong version is not even answered; a stranger's request is.
    for version in ["4", "6", "", "five"] {
        stranger.send("REQ.a", request(version)).await;
    }
    stranger.send("REQ.a", request("5")).await;
    let answer: Value = serde_json::from_slice(&answers.next().await.unwrap().payload).unwrap();
    assert_eq!((&answer["id"], &answer["data"]), (&json!("q"), &json!(7)));
    assert_eq!(a.runs(), 1);

    for kind in ["HEARTBEAT", "DISCONNECT", "PONG.a", "RES.a"] {
        let packet = json!({
            "ver": "5", "sender": "stranger", "cpu": 1, "id": "never", "success": true,
            "data": 1, "meta": {}, "time": 1, "arrived": 1, "stream": false,
        });
        for _ in 0..100 {
            stranger.send(kind, packet.to_string()).await;
        }
    }
    let elsewhere = Setup::new(&setup.url);
    let other = Stranger::new(&elsewhere).await;
    for kind in ["INFO", "REQ.a", "DISCONNECT"] {
        let packet = json!({
            "ver": "5", "sender": "b", "id": "1", "action": "a.echo", "params": 1, "meta": {},
            "level": 1, "timeout": 0, "stream": false, "services": [], "instanceID": "other",
            "ipList": [], "hostname": "h", "client": {}, "config": {}, "metadata": {}, "seq": 9,
        });
        other.send(kind, packet.to_string()).await;
    }
    for stranger in [&stranger, &other] {
        stranger.flush().await;
    }
    works(&a, &b).await;
    assert_eq!(a.runs(), 2);
    assert_eq!(known(&a).await, ["a", "b"]);
    a.stop().await;
    b.stop().await;
}
