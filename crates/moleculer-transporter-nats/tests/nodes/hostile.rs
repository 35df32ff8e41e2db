//! Packets that no node of the cluster would send.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_nats::Client;
use futures_util::StreamExt;
use moleculer_core::{Action, ByteStream, Result, Service, State};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{DEADLINE, Node, Setup, eventually, logged};

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
        assert_eq!(node.broker.pending_requests(), 0);
        // A goodbye is heard when everything else has been.
        eventually("the end of all streams", || node.broker.incoming_streams() == 0).await;
    }
}

/// Every topic that a node listens to.
const TOPICS: [&str; 12] = [
    "EVENT.a",
    "REQ.a",
    "RES.a",
    "DISCOVER.a",
    "INFO.a",
    "PING.a",
    "PONG.a",
    "DISCOVER",
    "INFO",
    "DISCONNECT",
    "HEARTBEAT",
    "PING",
];

/// A packet of every kind at once, with the members that all of them have.
fn whole() -> Value {
    json!({
        "ver": "5", "sender": "stranger", "id": "1", "action": "a.unknown", "params": 1,
        "meta": {}, "level": 1, "timeout": 0, "stream": false, "event": "e", "data": 1,
        "groups": ["g"], "broadcast": false, "success": true, "error": null, "time": 1,
        "arrived": 1, "seq": 1, "cpu": 1, "instanceID": "i", "hostname": "h", "ipList": [],
        "client": {"type": "t", "version": "1", "langVersion": "1"}, "config": {},
        "services": [{"name": "s", "actions": {"s.a": {"name": "s.a"}}}], "metadata": {},
        "headers": {}, "caller": "c", "requestID": "r", "parentID": "p", "tracing": false,
    })
}

/// The packet without each of its members, and with each of another type.
fn broken(whole: &Value) -> impl Iterator<Item = Value> {
    let wrong = || {
        let wrong =
            [json!(null), json!([[]]), json!({"x": 1}), json!("x"), json!(-1.5), json!(true)];
        wrong.into_iter().map(Some).chain([None])
    };
    let keys = whole.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.flat_map(move |key| wrong().map(move |wrong| (key, wrong))).map(|(key, wrong)| {
        let mut packet = whole.clone();
        match wrong {
            Some(wrong) => packet[key] = wrong,
            None => drop(packet.as_object_mut().and_then(|packet| packet.remove(key))),
        }
        packet
    })
}

/// Those whose sender can be read are gone.
async fn goodbye(stranger: &Stranger) {
    for sender in ["stranger", "x"] {
        let packet = json!({ "ver": "5", "sender": sender });
        stranger.send("DISCONNECT", packet.to_string()).await;
    }
    stranger.flush().await;
}

/// On every topic of a node: garbage, and packets with members that are
/// missing, or of other types, one at a time.
pub(crate) async fn packets_that_are_none(setup: Setup) {
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.knows("b").await;
    b.knows("a").await;
    logged();
    let stranger = Stranger::new(&setup).await;
    let mut sent = 0;
    for topic in TOPICS {
        for garbage in [&b""[..], b"\xff\xfe", b"{", b"[]", b"{}", b"null", b"{\"ver\":5}"] {
            stranger.send(topic, garbage).await;
            sent += 1;
        }
        for packet in broken(&whole()) {
            stranger.send(topic, packet.to_string()).await;
            sent += 1;
        }
    }
    assert!(sent > 2500, "{sent}");
    goodbye(&stranger).await;
    works(&a, &b).await;
    assert_eq!((a.runs(), b.runs()), (1, 1), "nothing else ran");
    for node in [&a, &b] {
        // The goodbyes are heard last.
        let gone = async {
            while node.available().await != ["a", "b"] {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, gone).await.expect("only the two are left");
        let error = node.broker.call::<()>("s.a", ()).await.unwrap_err();
        assert!(error.retryable() && error.code() == 404, "{error}: nobody has it any more");
    }
    let lines = logged();
    assert!(lines.len() < 40, "{} lines for {sent} packets: {lines:#?}", lines.len());
    a.stop().await;
    b.stop().await;
}

/// Streams that open, with or without a reader, and then nothing comes.
pub(crate) async fn streams_that_never_end(setup: Setup) {
    async fn read(body: ByteStream, State(runs): State<Arc<AtomicUsize>>) -> Result<usize> {
        runs.fetch_add(1, Ordering::Relaxed);
        let read = body.collect_up_to(1000).await.map(|bytes| bytes.len());
        runs.fetch_sub(1, Ordering::Relaxed);
        read
    }
    let reads = Arc::new(AtomicUsize::new(0));
    let service = Service::builder("reads").with_state(Arc::clone(&reads));
    let service = service.action(Action::new("all", read));
    let a = setup.node_with("a", setup.transporter(), |builder| builder.service(service));
    let (a, b) = (a.await.unwrap(), setup.node("b").await);
    b.knows("reads").await;
    a.knows("b").await;
    let stranger = Stranger::new(&setup).await;
    let mut id = 0;
    for action in ["a.unknown", "a.echo", "reads.all"] {
        let mut whole = whole();
        (whole["action"], whole["stream"], whole["seq"]) = (json!(action), json!(true), json!(0));
        for mut packet in broken(&whole) {
            if packet["id"] == "1" {
                id += 1;
                packet["id"] = json!(format!("id-{id}"));
            }
            stranger.send("REQ.a", packet.to_string()).await;
        }
    }
    stranger.flush().await;
    eventually("streams that wait", || reads.load(Ordering::Relaxed) > 100).await;
    assert!(a.broker.incoming_streams() > 300, "{}", a.broker.incoming_streams());
    goodbye(&stranger).await;
    eventually("the end of their readers", || reads.load(Ordering::Relaxed) == 0).await;
    let runs = a.runs();
    works(&a, &b).await;
    assert_eq!(a.runs(), runs + 1);
    a.stop().await;
    b.stop().await;
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
    assert_eq!(a.available().await, ["a", "b"]);
    a.stop().await;
    b.stop().await;
}
