//! Transporters that break one rule each, and the case that says so.

use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use moleculer_core::{
    Delivery, Error, Flow, Host, HostApi, NodeId, NodeView, PeerAddress, Result as CoreResult,
    Transporter, TransporterCapabilities, TryPublishError,
    protocol::{NodeInfo, PacketBody, PacketKind, Target, Topic},
};
use tokio_util::sync::CancellationToken;

use super::{
    Bench, CASES, Outcome, Subject,
    outage::{Medium, Way},
};
use crate::network::{Faults, SimNetwork, SimTransporter};

/// What a transporter does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    LosesTheFirst,
    ToAll,
    KeepsInfos,
    Truncates,
    IgnoresNamespaces,
    DeclaresDiscovery,
    LosesLargest,
    StopsAtNobody,
    Reorders,
    LosesWhatFindsNoRoom,
    GoodbyesFirst,
    NeverFull,
    NeverPauses,
    OneSlowStopsAll,
    AddsSubscriptions,
    ConnectsOnce,
    TellsTwice,
    KeepsEverythingInAnOutage,
    HoldsTheLast,
    LeavesATask,
    GoesOn,
    StaysConnected,
}

#[derive(Debug)]
struct Broken {
    inner: SimTransporter,
    fault: Fault,
    published: AtomicUsize,
    stuck: AtomicBool,
    held: Mutex<Vec<(Topic, Bytes)>>,
    balanced: Mutex<Vec<Topic>>,
    ended: AtomicBool,
    away: Arc<AtomicBool>,
}

impl Broken {
    /// What is published in place of a packet.
    fn instead(&self, topic: &Topic, bytes: Bytes) -> Vec<(Topic, Bytes)> {
        let n = self.published.fetch_add(1, Ordering::Relaxed);
        let mut topic = topic.clone();
        let hold = |packet: (Topic, Bytes)| {
            let mut held = self.held.lock().unwrap();
            let earlier = mem::take(&mut *held);
            held.push(packet);
            earlier
        };
        match self.fault {
            Fault::LosesTheFirst if n == 0 => Vec::new(),
            Fault::ToAll => {
                topic.target = Target::All;
                vec![(topic, bytes)]
            }
            Fault::KeepsInfos if topic == Topic::all(PacketKind::Info) => Vec::new(),
            Fault::Truncates => {
                let end = bytes.len().min(65_536);
                vec![(topic, bytes.slice(..end))]
            }
            Fault::LosesLargest if bytes.len() == 1000 => Vec::new(),
            Fault::Reorders if n % 10 < 2 => {
                let mut both = hold((topic, bytes));
                if n % 10 == 1 {
                    both.splice(0..0, mem::take(&mut *self.held.lock().unwrap()));
                }
                both
            }
            Fault::HoldsTheLast => hold((topic, bytes)),
            _ => vec![(topic, bytes)],
        }
    }

    fn is_nobody(&self, topic: &Topic) -> bool {
        let nobody = topic.target == Target::Node("nobody".into());
        let stuck = self.fault == Fault::StopsAtNobody && nobody;
        self.stuck.load(Ordering::Relaxed) || stuck && !self.stuck.swap(true, Ordering::Relaxed)
    }
}

impl Transporter for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }

    fn capabilities(&self) -> TransporterCapabilities {
        let mut capabilities = Transporter::capabilities(&self.inner);
        capabilities.own_discovery = self.fault == Fault::DeclaresDiscovery;
        capabilities.max_packet = Some(1000);
        capabilities
    }

    async fn connect(&self, host: Host) -> CoreResult<()> {
        if self.fault == Fault::LeavesATask {
            tokio::spawn(std::future::pending::<()>());
        }
        if self.fault == Fault::ConnectsOnce && self.stuck.swap(true, Ordering::Relaxed) {
            return Err(Error::internal("this transporter connects once"));
        }
        self.inner.connect(Host::new(Odd { host, fault: self.fault })).await
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> CoreResult<()> {
        self.inner.subscribe(topics).await
    }

    async fn subscribe_balanced(&self, mut topics: Vec<Topic>) -> CoreResult<()> {
        if self.fault == Fault::AddsSubscriptions {
            let mut balanced = self.balanced.lock().unwrap();
            balanced.extend(topics);
            topics = balanced.clone();
        }
        self.inner.subscribe_balanced(topics).await
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        let quiet = self.ended.load(Ordering::Relaxed) && self.fault == Fault::GoesOn
            || self.fault == Fault::KeepsEverythingInAnOutage && self.away.load(Ordering::Relaxed);
        if quiet {
            return Ok(());
        }
        if topic.target == Target::All || self.fault == Fault::ToAll || self.is_nobody(topic) {
            return Err(TryPublishError::Full(bytes));
        }
        for (topic, bytes) in self.instead(topic, bytes) {
            match Transporter::try_publish(&self.inner, &topic, bytes) {
                Err(TryPublishError::Full(_)) if self.fault == Fault::NeverFull => {}
                Err(TryPublishError::Full(_)) if self.fault == Fault::LosesWhatFindsNoRoom => {}
                Err(error) => {
                    self.stuck.store(self.fault == Fault::OneSlowStopsAll, Ordering::Relaxed);
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> CoreResult<()> {
        if self.is_nobody(topic) && self.fault != Fault::ConnectsOnce {
            std::future::pending::<()>().await;
        }
        if self.fault == Fault::GoodbyesFirst && topic.kind == PacketKind::Disconnect {
            // Its own way, on which nothing else waits.
            let topic = Topic::node(topic.kind, "b".into());
            return self.inner.publish(&topic, bytes).await;
        }
        for (topic, bytes) in self.instead(topic, bytes) {
            self.inner.publish(&topic, bytes).await?;
        }
        Ok(())
    }

    async fn disconnect(&self) -> CoreResult<()> {
        self.ended.store(true, Ordering::Relaxed);
        if self.fault == Fault::StaysConnected {
            return Ok(());
        }
        self.inner.disconnect().await
    }
}

/// Stands between a transporter and its host.
struct Odd {
    host: Host,
    fault: Fault,
}

impl HostApi for Odd {
    fn node_id(&self) -> &NodeId {
        self.host.node_id()
    }
    fn namespace(&self) -> &str {
        if self.fault == Fault::IgnoresNamespaces { "one" } else { self.host.namespace() }
    }
    fn accepts_any_version(&self) -> bool {
        self.host.accepts_any_version()
    }
    fn deliver(&self, delivery: Delivery) -> Flow {
        let flow = self.host.deliver(delivery);
        if self.fault == Fault::NeverPauses { Flow::Go } else { flow }
    }
    fn ready(&self) -> BoxFuture<'static, ()> {
        self.host.ready()
    }
    fn connected(&self, _: bool) {
        if self.fault == Fault::TellsTwice {
            self.host.reconnected();
        }
        self.host.reconnected();
    }
    fn disconnected(&self, error: &Error) {
        self.host.disconnected(error);
    }
    fn encode(&self, body: PacketBody) -> CoreResult<Bytes> {
        self.host.encode(body)
    }
    fn send(&self, topic: Topic, body: PacketBody) -> BoxFuture<'static, CoreResult<()>> {
        self.host.send(topic, body)
    }
    fn nodes(&self) -> Vec<NodeView> {
        self.host.nodes()
    }
    fn node(&self, id: &NodeId) -> Option<NodeView> {
        self.host.node(id)
    }
    fn raise_local_seq(&self, _: u64) {}
    fn set_local_port(&self, _: u16) {}
    fn refresh_local_cpu(&self) -> BoxFuture<'static, ()> {
        self.host.refresh_local_cpu()
    }
    fn node_info(&self, _: &NodeId, _: Arc<NodeInfo>) {}
    fn node_alive(&self, _: &NodeId, _: Option<f64>, _: Option<u64>) {}
    fn node_offline(&self, _: &NodeId, _: bool) {}
    fn set_node_seq(&self, _: &NodeId, _: u64) {}
    fn peer_seen(&self, _: &NodeId, _: PeerAddress) {}
    fn silent_nodes(&self, limit: Duration) -> Vec<NodeId> {
        self.host.silent_nodes(limit)
    }
    fn forget_offline(&self, _: Duration) {}
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.host.spawn(task);
    }
    fn stopping(&self) -> CancellationToken {
        self.host.stopping()
    }
}

fn subject(fault: Fault, faults: Faults) -> Subject {
    let network = SimNetwork::new(1);
    network.set_faults(faults);
    let away = Arc::new(AtomicBool::new(false));
    let medium = network.clone();
    let nodes_away = Arc::clone(&away);
    let make = move || Broken {
        inner: medium.transporter(),
        fault,
        published: AtomicUsize::new(0),
        stuck: AtomicBool::new(false),
        held: Mutex::default(),
        balanced: Mutex::default(),
        ended: AtomicBool::new(false),
        away: Arc::clone(&nodes_away),
    };
    let subject = Subject::new(make);
    let make = Arc::clone(&subject.make);
    subject.with_medium(Medium::new(move || {
        let (make, network, away) = (Arc::clone(&make), network.clone(), Arc::clone(&away));
        std::future::ready(Ok(Way {
            make,
            cut: Box::new(move |cut| {
                away.store(cut, Ordering::Relaxed);
                for node in ["a", "b"] {
                    network.set_away(node, cut);
                }
            }),
        }))
    }))
}

fn run(case: &str, fault: Fault, faults: Faults) -> Outcome {
    let case = CASES.iter().find(|it| it.name == case).expect("a case of this name");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    let bench = Bench::new(&Arc::new(subject(fault, faults)));
    runtime.block_on((case.run)(bench))
}

#[track_caller]
fn check(case: &str, fault: Fault, message: &str) {
    let error = run(case, fault, Faults::new()).expect_err(case);
    assert!(error.contains(message), "{case} says {error}");
}

#[track_caller]
fn check_faults(case: &str, faults: Faults, message: &str) {
    let error = run(case, Fault::None, faults).expect_err(case);
    assert!(error.contains(message), "{case} says {error}");
}

#[test]
fn what_keeps_the_rules_passes() {
    for case in CASES {
        assert_eq!(run(case.name, Fault::None, Faults::new()), Ok(()), "{}", case.name);
    }
}

#[test]
fn wrong_deliveries_are_found() {
    check("deliver::both_ways_once_subscribed", Fault::LosesTheFirst, "1 packets of REQ: not");
    check("deliver::to_the_node_alone", Fault::ToAll, "the sender got");
    let twice = Faults::new().duplicates(1.0);
    check_faults("deliver::to_the_node_alone", twice, "EVENT: node b got");
    check("deliver::to_every_node", Fault::KeepsInfos, "1 packets of INFO: not within");
    check("deliver::bytes_unchanged", Fault::Truncates, "65537 bytes became 65536 others");
    check("deliver::not_to_another_namespace", Fault::IgnoresNamespaces, "another namespace got");
    let message = "own_discovery is true, but discoverer() gives none";
    check("deliver::discovery_is_as_declared", Fault::DeclaresDiscovery, message);
    check("deliver::up_to_the_declared_size", Fault::LosesLargest, "1 packets of REQ: not");
    check("deliver::nobody_there_does_no_harm", Fault::StopsAtNobody, "publishing to b takes");
}

#[test]
fn wrong_order_is_found() {
    check("order::of_packets_to_one_target", Fault::Reorders, "at 0 came packet Some(1) of a");
    let late = Faults::new().delay(Duration::ZERO..Duration::from_millis(9)).reorders();
    check_faults("order::of_packets_from_several_nodes", late.clone(), "at ");
    let lost = "6000 packets from a: not within";
    check("order::of_packets_that_find_no_room", Fault::LosesWhatFindsNoRoom, lost);
    check_faults("order::goodbyes_come_last", late, "responses came before it");
}

#[test]
fn what_does_not_wait_is_found() {
    let message = "packets of 16384 bytes wait for a node";
    check("waiting::publish_waits_while_the_way_is_full", Fault::NeverFull, message);
    check("waiting::a_paused_reader_gets_nothing", Fault::NeverPauses, "20 packets came before");
    let message = "publishing to quick takes";
    check("waiting::a_slow_node_holds_up_no_other", Fault::OneSlowStopsAll, message);
}

#[test]
fn wrong_balancing_is_found() {
    check("balanced::requests_go_to_one_node", Fault::ToAll, "packets arrived for 300");
    check("balanced::events_go_to_one_node_of_each_group", Fault::ToAll, "arrived for 300");
    let message = "requests came to a node that had unsubscribed";
    check("balanced::subscriptions_replace_each_other", Fault::AddsSubscriptions, message);
}

#[test]
fn wrong_outages_are_found() {
    let message = "connect failed: this transporter connects once";
    check("outage::a_first_connection_can_be_tried_again", Fault::ConnectsOnce, message);
    check("outage::a_cut_is_told_and_mended", Fault::TellsTwice, "were told as");
    let kept = Fault::KeepsEverythingInAnOutage;
    check("outage::what_waits_in_an_outage_is_bounded", kept, "are kept in an outage");
}

#[test]
fn wrong_ends_are_found() {
    let message = "500 packets of EVENT: not within";
    check("end::what_was_published_before_arrives", Fault::HoldsTheLast, message);
    check("end::no_task_is_left", Fault::LeavesATask, "3 tasks are left");
    check("end::publishing_fails_after_it", Fault::GoesOn, "a packet was taken after the end");
    let message = "20 packets came after the end";
    check("end::nothing_is_delivered_after_it", Fault::StaysConnected, message);
}
