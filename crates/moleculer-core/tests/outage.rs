//! What a node makes of a medium that is lost, and of packets that nobody
//! follows up: on a medium where the test alone speaks.

mod support;

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{
    Action, BrokerOptions, ByteStream, Delivery, Error, ErrorKind, Flow, Host, Object, Result,
    Service, ServiceBroker, State, Transporter, TransporterCapabilities,
    protocol::{PacketKind, Topic},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::support::local;

/// A medium of one node.
#[derive(Clone, Debug, Default)]
struct Ether {
    host: Arc<OnceLock<Host>>,
    published: Arc<Mutex<Vec<PacketKind>>>,
}

impl Transporter for Ether {
    fn name(&self) -> &'static str {
        "Ether"
    }
    fn capabilities(&self) -> TransporterCapabilities {
        TransporterCapabilities::default()
    }
    async fn connect(&self, host: Host) -> Result<()> {
        self.host.set(host).map_err(|_| Error::internal("connected twice"))
    }
    async fn subscribe(&self, _: Vec<Topic>) -> Result<()> {
        Ok(())
    }
    async fn publish(&self, topic: &Topic, _: Bytes) -> Result<()> {
        self.published.lock().expect("no panic").push(topic.kind);
        Ok(())
    }
    async fn disconnect(&self) -> Result<()> {
        Ok(())
    }
}

impl Ether {
    fn host(&self) -> &Host {
        self.host.get().expect("it is connected")
    }

    /// A packet of a node named `peer`.
    fn say(&self, kind: PacketKind, mut packet: Value) {
        packet["sender"] = "peer".into();
        if packet["ver"].is_null() {
            packet["ver"] = "5".into();
        }
        let bytes = packet.to_string().into();
        assert_eq!(self.host().deliver(Delivery::new(kind, bytes)), Flow::Go);
    }

    fn lose(&self) {
        self.host().disconnected(&Error::from_data(ErrorKind::BrokerDisconnected, Object::new()));
    }

    /// How many of them were published since it was last asked.
    fn published(&self, kind: PacketKind) -> usize {
        let published = std::mem::take(&mut *self.published.lock().expect("no panic"));
        published.into_iter().filter(|published| *published == kind).count()
    }
}

async fn start(ether: &Ether, service: Option<Service>) -> ServiceBroker {
    let options = json!({"heartbeatInterval": 5, "requestTimeout": 1000});
    let options = BrokerOptions::from_value(options).expect("valid");
    let builder = local().options(options).transporter(ether.clone());
    let builder = service.into_iter().fold(builder, |builder, service| builder.service(service));
    builder.start().await.expect("starts")
}

fn info() -> Value {
    json!({
        "services": [{
            "name": "far", "fullName": "far", "settings": {}, "metadata": {},
            "actions": {"far.away": {"name": "far.away", "rawName": "away"}},
            "events": {"told": {"name": "told"}},
        }],
        "ipList": [], "hostname": "h", "client": {}, "config": {}, "instanceID": "i",
        "metadata": {}, "seq": 1,
    })
}

#[tokio::test(start_paused = true)]
async fn no_heart_beats_while_the_medium_is_lost() {
    let ether = Ether::default();
    let node = start(&ether, None).await;
    sleep(Duration::from_secs(60)).await;
    assert!(ether.published(PacketKind::Heartbeat) > 8);
    ether.lose();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(ether.published(PacketKind::Heartbeat), 0);
    ether.host().reconnected();
    sleep(Duration::from_secs(60)).await;
    assert!(ether.published(PacketKind::Heartbeat) > 8);
    // The goodbye is sent though.
    node.stop().await.expect("stops");
    assert_eq!(ether.published(PacketKind::Disconnect), 1);
}

/// Silence counts only while this node can hear.
#[tokio::test(start_paused = true)]
async fn a_lost_medium_makes_no_node_silent() {
    let ether = Ether::default();
    let node = start(&ether, None).await;
    ether.say(PacketKind::Info, info());
    let known = || node.has_event_listener("told");
    sleep(Duration::from_secs(25)).await;
    ether.say(PacketKind::Heartbeat, json!({"cpu": 1}));
    sleep(Duration::from_secs(25)).await;
    ether.lose();
    sleep(Duration::from_secs(300)).await;
    assert!(known(), "it may well be there");
    ether.host().reconnected();
    sleep(Duration::from_secs(25)).await;
    assert!(known(), "it has had no time to show life");
    ether.say(PacketKind::Heartbeat, json!({"cpu": 1}));
    sleep(Duration::from_secs(25)).await;
    assert!(known());
    sleep(Duration::from_secs(40)).await;
    assert!(!known(), "it is silent indeed");
    node.stop().await.expect("stops");
}

/// Streams of somebody who never told of himself: one that a handler reads,
/// one whose first packet is missing, and one that nobody reads.
#[tokio::test(start_paused = true)]
async fn streams_of_strangers_end_when_they_fall_silent() {
    type Ends = Arc<Mutex<Vec<String>>>;
    async fn read(body: ByteStream, State(ends): State<Ends>) -> Result<()> {
        let ended = body.collect_up_to(1000).await.expect_err("it never ends well");
        ends.lock().expect("no panic").push(ended.message().to_owned());
        Ok(())
    }
    let ends = Ends::default();
    let service = Service::builder("s").with_state(ends.clone()).action(Action::new("read", read));
    let ether = Ether::default();
    let node = start(&ether, Some(service.build())).await;
    let request = |id: &str, action: &str, seq: u64| {
        json!({
            "id": id, "action": action, "params": null, "meta": {}, "headers": {}, "level": 1,
            "timeout": 0, "stream": true, "seq": seq,
        })
    };
    ether.say(PacketKind::Request, request("1", "s.read", 0));
    ether.say(PacketKind::Request, request("2", "s.read", 1));
    ether.say(PacketKind::Request, request("3", "s.unknown", 0));
    sleep(Duration::from_secs(55)).await;
    assert_eq!((node.incoming_streams(), ends.lock().expect("no panic").len()), (3, 0));
    sleep(Duration::from_secs(36)).await;
    let ended = ends.lock().expect("no panic").clone();
    assert!(ended.len() == 1 && ended[0].contains("the node is not there"), "{ended:?}");
    sleep(Duration::from_secs(90)).await;
    assert_eq!(node.incoming_streams(), 0);

    // A node that is known may be silent.
    ether.say(PacketKind::Info, info());
    ether.say(PacketKind::Request, request("4", "s.read", 0));
    for _ in 0..60 {
        sleep(Duration::from_secs(5)).await;
        ether.say(PacketKind::Heartbeat, json!({"cpu": 1}));
    }
    assert_eq!(node.incoming_streams(), 1);
    ether.say(PacketKind::Disconnect, json!({}));
    assert_eq!(node.incoming_streams(), 0);
    node.stop().await.expect("stops");
    assert_eq!(node.running_tasks(), 0);
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Those with this text since it was last asked.
    fn with(&self, text: &str) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let lines = String::from_utf8(bytes).expect("text");
        lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_a_thousand_times_is_told_in_a_few_lines() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let ether = Ether::default();
    let node = start(&ether, None).await;
    ether.say(PacketKind::Info, info());

    let calls = (0..1000).map(|_| node.call::<()>("far.away", ()).into_future());
    for call in futures_util::future::join_all(calls).await {
        assert_eq!(call.expect_err("nobody answers").kind(), &ErrorKind::RequestTimeout);
    }
    assert_eq!(lines.with("is timed out").len(), 1);
    sleep(Duration::from_secs(1)).await;
    node.call::<()>("far.away", ()).await.expect_err("nobody answers");
    let told = lines.with("is timed out");
    assert!(told.len() == 1 && told[0].contains("untold=999"), "{told:?}");

    for _ in 0..1000 {
        ether.say(PacketKind::Heartbeat, json!({"ver": "3", "cpu": 1}));
    }
    assert_eq!(lines.with("version mismatch").len(), 1);

    ether.lose();
    for _ in 0..1000 {
        let error = node.emit("told", ()).throw_error().await.expect_err("it is lost");
        assert_eq!(error.kind(), &ErrorKind::BrokerDisconnected);
        sleep(Duration::from_millis(30)).await;
    }
    let told = lines.with("an event was not sent");
    assert_eq!(told.len(), 5, "half a minute: {told:?}");
    node.stop().await.expect("stops");
}
