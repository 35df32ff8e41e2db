//! The balancing of the server itself.
//!
//! Brokers do not use it yet, so a transporter between broker and NATS turns
//! their packets into balanced ones.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use moleculer_core::{
    Event, Host, Result, Service, State, Transporter, TransporterCapabilities, TryPublishError,
    protocol::{PacketKind, Target, Topic},
};
use moleculer_transporter_nats::NatsTransporter;

use crate::support::{Node, Setup, counting, eventually};

/// Subscribes to balanced topics as well, and publishes to them.
#[derive(Debug)]
struct Balanced {
    nats: NatsTransporter,
    subscribed: Vec<Topic>,
    published: Mutex<Option<Target>>,
}

impl Balanced {
    fn new(setup: &Setup, subscribed: Vec<Topic>, published: Option<Target>) -> Self {
        let nats = setup.transporter().build().unwrap();
        Self { nats, subscribed, published: Mutex::new(published) }
    }

    fn turn(&self, topic: &Topic) -> Topic {
        let published = self.published.lock().unwrap().clone();
        match (topic.kind, published) {
            (PacketKind::Request | PacketKind::Event, Some(target)) => {
                Topic { kind: topic.kind, target }
            }
            _ => topic.clone(),
        }
    }
}

impl Transporter for Balanced {
    fn name(&self) -> &'static str {
        "Balanced"
    }

    fn capabilities(&self) -> TransporterCapabilities {
        Transporter::capabilities(&self.nats)
    }

    async fn connect(&self, host: Host) -> Result<()> {
        self.nats.connect(host).await
    }

    async fn subscribe(&self, mut topics: Vec<Topic>) -> Result<()> {
        topics.extend(self.subscribed.clone());
        self.nats.subscribe(topics).await
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        Transporter::try_publish(&self.nats, &self.turn(topic), bytes)
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        self.nats.publish(&self.turn(topic), bytes).await
    }

    async fn disconnect(&self) -> Result<()> {
        self.nats.disconnect().await
    }
}

async fn stop(nodes: &[Node]) {
    for node in nodes {
        node.stop().await;
    }
}

pub(crate) async fn each_request_goes_to_one_of_the_group(setup: Setup) {
    const CALLS: u64 = 200;
    let target = Target::Action("worker.echo".into());
    let topic = Topic { kind: PacketKind::Request, target: target.clone() };
    let counts = [Arc::default(), Arc::default()];
    let mut nodes = Vec::new();
    for (id, count) in ["a", "b"].into_iter().zip(&counts) {
        let transporter = Balanced::new(&setup, vec![topic.clone()], None);
        let worker = counting("worker", Arc::clone(count));
        let node = setup.node_with(id, transporter, |builder| builder.service(worker));
        nodes.push(node.await.unwrap());
    }
    let caller = Balanced::new(&setup, Vec::new(), Some(target));
    let caller = setup.node_with("caller", caller, |builder| builder).await.unwrap();
    caller.knows("worker").await;
    for n in 0..CALLS {
        assert_eq!(caller.broker.call::<u64>("worker.echo", n).await.unwrap(), n);
    }
    nodes.push(caller);
    stop(&nodes).await;
    let ran = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!(ran.iter().sum::<u64>(), CALLS);
    assert!(ran.iter().all(|&count| count > CALLS / 10), "{ran:?}");
}

pub(crate) async fn each_event_goes_to_one_of_the_group(setup: Setup) {
    const EVENTS: u64 = 200;
    type Count = Arc<AtomicU64>;
    async fn hear(State(count): State<Count>) -> Result<()> {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    let target = |event: &str| Target::Event { group: "mail".into(), event: event.into() };
    let topic = Topic { kind: PacketKind::Event, target: target("user.**") };
    let counts = [Count::default(), Count::default()];
    let mut nodes = Vec::new();
    for (id, count) in ["a", "b"].into_iter().zip(&counts) {
        let transporter = Balanced::new(&setup, vec![topic.clone()], None);
        let service = Service::builder("mail").with_state(Arc::clone(count));
        let service = service.event(Event::new("user.**", hear));
        let node = setup.node_with(id, transporter, |builder| builder.service(service));
        nodes.push(node.await.unwrap());
    }
    let caller = Balanced::new(&setup, Vec::new(), Some(target("user.created.now")));
    let caller = setup.node_with("caller", caller, |builder| builder).await.unwrap();
    caller.knows("mail").await;
    for _ in 0..EVENTS {
        caller.broker.emit("user.created.now", ()).await.unwrap();
    }
    let heard = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    eventually("each event once", || heard().iter().sum::<u64>() == EVENTS).await;
    nodes.push(caller);
    stop(&nodes).await;
    assert_eq!(heard().iter().sum::<u64>(), EVENTS);
    assert!(heard().iter().all(|&count| count > EVENTS / 10), "{:?}", heard());
}
