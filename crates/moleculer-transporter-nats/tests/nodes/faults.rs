//! Servers and links that fail under load; after each, all is as before.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_core::{Action, BrokerOptions, Event, Params, Result, Service, ServiceBroker, State};
use moleculer_testkit::relay::Relay;
use moleculer_transporter_nats::NatsTransporter;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::support::{Node, Server, Setup, eventually, logged};

/// Calls that are under way at once.
const CALLERS: usize = 16;
/// Calls that follow each fault, in each direction.
const CALLS: u64 = 50;

/// How often each number came.
#[derive(Default)]
struct Ledger(Mutex<HashMap<u64, u32>>);

impl Ledger {
    fn enter(&self, number: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
    }

    fn has(&self, number: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&number)
    }

    fn twice(&self) -> Vec<u64> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect()
    }
}

/// Takes down the numbers of calls and of events.
#[derive(Clone, Default)]
struct Ledgers {
    calls: Arc<Ledger>,
    events: Arc<Ledger>,
}

fn ledger(ledgers: &Ledgers) -> Service {
    async fn run(Params(number): Params<u64>, State(ledgers): State<Ledgers>) -> Result<u64> {
        ledgers.calls.enter(number);
        Ok(number)
    }
    async fn hear(Params(number): Params<u64>, State(ledgers): State<Ledgers>) -> Result<()> {
        ledgers.events.enter(number);
        Ok(())
    }
    let service = Service::builder("ledger").with_state(ledgers.clone());
    service.action(Action::new("run", run)).event(Event::new("told", hear)).build()
}

/// Calls and events of many callers at once, each with a number of its own.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    answers: AtomicU64,
    failures: AtomicU64,
    most_pending: AtomicUsize,
    ends: AtomicBool,
}

impl Load {
    async fn call(&self, broker: &ServiceBroker, ledgers: &Ledgers) {
        while !self.ends.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let call = broker.call::<u64>("ledger.run", number).timeout(Duration::from_secs(1));
            match call.await {
                Ok(answer) => {
                    assert!(answer == number && ledgers.calls.has(number));
                    self.answers.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    assert!(error.retryable(), "{error}");
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(1)).await;
                }
            }
            broker.emit("told", number).await.ok();
            self.most_pending.fetch_max(broker.pending_requests(), Ordering::Relaxed);
        }
    }

    /// Some more calls succeed.
    async fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        let enough = || self.answers.load(Ordering::Relaxed) > before + 10 * CALLERS as u64;
        eventually("calls that succeed", enough).await;
    }
}

/// Two nodes, each with a link of its own to one server; `a` calls `b`.
struct Cluster {
    server: Server,
    a: Node,
    b: Node,
    /// Those of `a` and `b`.
    links: [Relay; 2],
    ledgers: Ledgers,
    load: Arc<Load>,
    callers: JoinSet<()>,
    subscriptions: Vec<(String, Vec<String>)>,
}

impl Cluster {
    async fn start() -> Self {
        let server = Server::start::<&str>([]);
        let setup = Setup::new(&server.url());
        let (ledgers, address) = (Ledgers::default(), ([127, 0, 0, 1], server.port()).into());
        let links = [Relay::start(address).await.unwrap(), Relay::start(address).await.unwrap()];
        let a = node(&setup, "a", &links[0], None).await;
        let b = node(&setup, "b", &links[1], Some(ledger(&ledgers))).await;
        a.knows("ledger").await;
        b.knows("a").await;
        let load = Arc::new(Load::default());
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (load, broker, ledgers) = (load.clone(), a.broker.clone(), ledgers.clone());
            callers.spawn(async move { load.call(&broker, &ledgers).await });
        }
        load.goes_on().await;
        let subscriptions = server.subscriptions();
        assert_eq!(names(&subscriptions), ["a", "b"]);
        logged();
        Self { server, a, b, links, ledgers, load, callers, subscriptions }
    }

    /// All is as before the fault, without a restart.
    async fn is_whole_again(&mut self) {
        self.a.knows("ledger").await;
        self.b.knows("a").await;
        self.load.goes_on().await;
        // What the server heard of a link that was frozen comes late.
        eventually("each subscription once", || self.server.subscriptions() == self.subscriptions)
            .await;
        for node in [&self.a, &self.b] {
            assert_eq!(node.available().await, ["a", "b"]);
        }
    }

    /// Stops, and counts; gives back what was logged, and the calls that failed.
    async fn stop(mut self) -> (Vec<String>, u64) {
        let lines = logged();
        self.load.ends.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller.unwrap();
        }
        for (kind, ledger) in [("calls", &self.ledgers.calls), ("events", &self.ledgers.events)] {
            assert_eq!(ledger.twice(), Vec::<u64>::new(), "{kind} that came twice");
        }
        let most = self.load.most_pending.load(Ordering::Relaxed);
        assert!(most <= CALLERS, "{most} requests waited");
        let before = (self.a.runs(), self.b.runs());
        for n in 0..CALLS {
            let text = n.to_string();
            assert_eq!(self.a.echo("b", &text).await.unwrap(), text);
            assert_eq!(self.b.echo("a", &text).await.unwrap(), text);
        }
        assert_eq!((self.a.runs() - before.0, self.b.runs() - before.1), (CALLS, CALLS));
        for node in [&self.a, &self.b] {
            assert_eq!(node.broker.pending_requests(), 0);
            node.stop().await;
        }
        (lines, self.load.failures.load(Ordering::Relaxed))
    }
}

async fn node(setup: &Setup, id: &str, link: &Relay, service: Option<Service>) -> Node {
    let options = json!({
        "nodeID": id, "namespace": setup.namespace(), "heartbeatInterval": 0.5,
        "heartbeatTimeout": 3,
    });
    let options = BrokerOptions::from_value(options).unwrap();
    let transporter = NatsTransporter::builder()
        .url(format!("nats://{}", link.address()))
        .ping_interval(Duration::from_millis(500))
        .timeout(Duration::from_secs(1))
        .reconnect_time_wait(Duration::from_millis(500));
    let node = setup.node_with(id, transporter, |builder| {
        let builder = builder.options(options);
        service.into_iter().fold(builder, |builder, service| builder.service(service))
    });
    node.await.unwrap()
}

fn names(subscriptions: &[(String, Vec<String>)]) -> Vec<&str> {
    subscriptions.iter().map(|(name, _)| name.as_str()).collect()
}

/// Few lines tell of a fault, however much fails meanwhile.
fn tells_briefly(lines: &[String], lost: usize, failures: u64) {
    assert!(lines.len() <= 40, "{} lines:\n{}", lines.len(), lines.join("\n"));
    assert!(failures >= CALLERS as u64, "only {failures} calls failed");
    let told = lines.iter().filter(|line| line.contains("the connection is lost")).count();
    assert_eq!(told, lost, "{lines:#?}");
}

pub(crate) async fn a_server_that_is_killed() {
    let mut cluster = Cluster::start().await;
    cluster.server.kill();
    for node in [&cluster.a, &cluster.b] {
        node.hears("transporter.disconnected").await;
    }
    // Attempts to connect fail meanwhile.
    sleep(Duration::from_secs(2)).await;
    cluster.server.start_again();
    for node in [&cluster.a, &cluster.b] {
        node.hears("transporter.connected wasReconnect").await;
    }
    cluster.is_whole_again().await;
    let (lines, failures) = cluster.stop().await;
    tells_briefly(&lines, 2, failures);
}

pub(crate) async fn a_server_that_freezes() {
    let mut cluster = Cluster::start().await;
    cluster.server.freeze(true);
    for node in [&cluster.a, &cluster.b] {
        node.hears("transporter.disconnected").await;
    }
    cluster.server.freeze(false);
    for node in [&cluster.a, &cluster.b] {
        node.hears("transporter.connected wasReconnect").await;
    }
    cluster.is_whole_again().await;
    let (lines, failures) = cluster.stop().await;
    tells_briefly(&lines, 2, failures);
}

/// That of one node: the other one has to notice.
pub(crate) async fn a_link_that_freezes() {
    let mut cluster = Cluster::start().await;
    cluster.links[1].freeze();
    cluster.b.hears("transporter.disconnected").await;
    cluster.a.hears("node.disconnected b unexpected").await;
    cluster.links[1].open();
    cluster.b.hears("transporter.connected wasReconnect").await;
    cluster.a.hears("node.connected b reconnected").await;
    cluster.is_whole_again().await;
    let (lines, failures) = cluster.stop().await;
    tells_briefly(&lines, 1, failures);
}

pub(crate) async fn a_link_that_is_cut_for_half_a_minute() {
    let mut cluster = Cluster::start().await;
    cluster.links[1].cut();
    cluster.b.hears("transporter.disconnected").await;
    cluster.a.hears("node.disconnected b unexpected").await;
    sleep(Duration::from_secs(30)).await;
    cluster.links[1].open();
    cluster.b.hears("transporter.connected wasReconnect").await;
    cluster.a.hears("node.connected b reconnected").await;
    cluster.is_whole_again().await;
    let (lines, failures) = cluster.stop().await;
    tells_briefly(&lines, 1, failures);
}
