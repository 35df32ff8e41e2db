//! Links that freeze and break, and nodes that are killed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use moleculer_core::{
    Action, BrokerBuilder, BytesFn, Context, ErrorKind, Middleware, Params, Result, Service, State,
};
use moleculer_testkit::relay::Relay;
use moleculer_transporter_tcp::TcpTransporterBuilder;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::support::{DEADLINE, Log, Node, Port, eventually, quiet};

/// How often each request was handled.
type Runs = Arc<Mutex<BTreeMap<u64, u32>>>;

fn counting(name: &str, runs: &Runs) -> Service {
    async fn run(_: Context, Params(n): Params<u64>, State(runs): State<Runs>) -> Result<u64> {
        *runs.lock().unwrap().entry(n).or_default() += 1;
        Ok(n)
    }
    Service::builder(format!("{name}-count"))
        .with_state(runs.clone())
        .action(Action::new("run", run))
        .build()
}

async fn never(_: Context) -> Result<()> {
    std::future::pending().await
}

/// Tells other nodes to connect to a relay instead of to this node.
#[derive(Debug)]
struct Behind {
    port: u16,
    relay: u16,
}

impl Middleware for Behind {
    fn name(&self) -> &'static str {
        "Behind"
    }

    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        let (port, relay) = (format!("\"port\":{}", self.port), format!("\"port\":{}", self.relay));
        Arc::new(move |kind, bytes| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            next(kind, Bytes::from(text.replace(&port, &relay)))
        })
    }
}

/// Two nodes with a relay before each of them.
struct Pair {
    a: Arc<Node>,
    b: Arc<Node>,
    relays: [Relay; 2],
    runs: Runs,
}

impl Pair {
    async fn start() -> Self {
        let (port_a, port_b) = (Port::new(), Port::new());
        let runs = Runs::default();
        let mut relays = Vec::new();
        for port in [&port_a, &port_b] {
            relays.push(Relay::start(([127, 0, 0, 1], port.number).into()).await.unwrap());
        }
        let relays: [Relay; 2] = relays.try_into().unwrap();
        let url = format!("tcp://{}/a", relays[0].address());
        let rounds = || quiet().gossip_period(Duration::from_secs(1));
        let node =
            |id: &'static str, transporter: TcpTransporterBuilder, port: &Port, relay: &Relay| {
                let behind = Behind { port: port.number, relay: relay.address().port() };
                let (transporter, counting) = (transporter.port(port.number), counting(id, &runs));
                Node::with(id, transporter, move |builder: BrokerBuilder| {
                    builder.middleware(behind).service(counting)
                })
            };
        let a = node("a", rounds(), &port_a, &relays[0]).await.unwrap();
        let b = node("b", rounds().urls([url]), &port_b, &relays[1]).await.unwrap();
        let pair = Self { a: Arc::new(a), b: Arc::new(b), relays, runs };
        pair.agree().await;
        pair
    }

    /// Both know each other, and calls go through.
    async fn agree(&self) {
        for (node, other) in [(&self.a, "b"), (&self.b, "a")] {
            node.knows(other).await;
            let through = async {
                while node.echo(other, "x").await.is_err() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            timeout(DEADLINE, through).await.expect("calls do not come through again");
        }
        assert!(self.relays.iter().all(|relay| relay.connections() > 0), "they are on the way");
    }

    /// Calls without rest, in both directions, until it is told to end; gives
    /// back which calls were answered.
    fn load(&self) -> (oneshot::Sender<()>, JoinHandle<Vec<u64>>) {
        let (end, mut ended) = oneshot::channel();
        let nodes = [(Arc::clone(&self.a), "b-count.run"), (Arc::clone(&self.b), "a-count.run")];
        let load = tokio::spawn(async move {
            let mut calls = Vec::new();
            let mut n = 0;
            while ended.try_recv().is_err() {
                for (node, action) in &nodes {
                    n += 1;
                    let call = node.broker.call::<u64>(action, n);
                    calls.push((
                        n,
                        tokio::spawn(call.timeout(Duration::from_secs(1)).into_future()),
                    ));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let mut answered = Vec::new();
            for (n, call) in calls {
                let answer = timeout(DEADLINE, call).await.expect("a call hangs").unwrap();
                if answer.is_ok() {
                    answered.push(n);
                }
            }
            answered
        });
        (end, load)
    }

    async fn check(&self, answered: &[u64]) {
        let runs = self.runs.lock().unwrap().clone();
        assert!(runs.values().all(|runs| *runs == 1), "a request ran twice: {runs:?}");
        assert!(answered.iter().all(|n| runs.contains_key(n)), "an answer without a request");
        for node in [&self.a, &self.b] {
            eventually("no call waits", || node.broker.pending_requests() == 0).await;
        }
        // The registry of each holds both, and the services of both once.
        for node in [&self.a, &self.b] {
            let services = node.broker.call::<serde_json::Value>("$node.services", ()).await;
            let services = services.unwrap();
            let names = services.as_array().unwrap().iter().map(|service| {
                let nodes = service["nodes"].as_array().unwrap().len();
                (service["name"].as_str().unwrap().to_owned(), nodes)
            });
            let names: BTreeMap<_, _> = names.collect();
            for id in ["a", "b"] {
                assert_eq!(names.get(id), Some(&1), "{names:?}");
                assert_eq!(names.get(&format!("{id}-count")), Some(&1), "{names:?}");
            }
        }
    }

    async fn stop(&self) {
        for node in [&self.a, &self.b] {
            node.stop().await;
        }
    }
}

/// What is logged beside calls that run out of time, and garbage: a port of
/// these nodes may have been one that another test sends garbage to.
fn other_lines(log: &Log) -> Vec<String> {
    let mut lines = log.lines("");
    lines.retain(|line| {
        !line.contains("is timed out") && !line.contains("an invalid packet is dropped")
    });
    lines
}

#[tokio::test]
async fn a_link_that_freezes_goes_on_where_it_was() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let pair = Pair::start().await;
    let (end, load) = pair.load();
    for relay in &pair.relays {
        relay.freeze();
    }
    // Calls of this time fail by their timeout.
    let error = pair.a.broker.call::<String>("b.echo", "x").timeout(Duration::from_millis(1500));
    assert_eq!(error.await.unwrap_err().kind(), &ErrorKind::RequestTimeout);
    for relay in &pair.relays {
        relay.open();
    }
    pair.agree().await;
    end.send(()).unwrap();
    let answered = load.await.unwrap();
    pair.check(&answered).await;
    // Nobody was away.
    for node in [&pair.a, &pair.b] {
        let news = node.news().await;
        assert!(!news.iter().any(|news| news.starts_with("dis")), "{news:?}");
    }
    let others: Vec<_> = other_lines(&log);
    assert_eq!(others, [""; 0]);
    pair.stop().await;
}

#[tokio::test]
async fn a_link_that_breaks_comes_back() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let pair = Pair::start().await;
    let (end, load) = pair.load();
    for round in 0..2 {
        for relay in &pair.relays {
            relay.cut();
        }
        pair.a.hears("disconnected b").await;
        pair.b.hears("disconnected a").await;
        let error = pair.a.echo("b", "x").await.unwrap_err();
        assert!(error.retryable(), "{error:?}");
        // Some rounds of gossip find no way.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        for relay in &pair.relays {
            relay.open();
        }
        pair.a.hears("connected b reconnected").await;
        pair.b.hears("connected a reconnected").await;
        pair.agree().await;
        let lines = other_lines(&log);
        assert!(lines.len() <= 4 * (round + 1), "{lines:#?}");
    }
    end.send(()).unwrap();
    let answered = load.await.unwrap();
    pair.check(&answered).await;
    pair.stop().await;
}

/// As the system does it: sockets close, and nothing more is said.
#[tokio::test]
async fn a_node_that_is_killed_is_missed_and_welcome_again() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let port = Port::new();
    let a = Node::start("a", quiet().port(port.number)).await;
    for round in 0..3 {
        let (ready, started) = oneshot::channel();
        let url = port.url("a");
        let victim = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let node = runtime.block_on(Node::with("b", quiet().urls([url]), |builder| {
                builder.service(Service::builder("stuck").action(Action::new("never", never)))
            }));
            let (kill, killed) = oneshot::channel::<()>();
            ready.send(kill).unwrap();
            runtime.block_on(async { killed.await.ok() });
            runtime.shutdown_background();
            drop(node);
        });
        let kill = started.await.unwrap();
        a.hears(if round == 0 { "connected b" } else { "connected b reconnected" }).await;
        a.knows("b").await;
        assert_eq!(a.echo("b", "x").await.unwrap(), "x");
        let waiting = tokio::spawn(a.broker.call::<()>("stuck.never", ()).into_future());
        eventually("a call waits", || a.broker.pending_requests() == 1).await;
        kill.send(()).unwrap();
        a.hears("disconnected b").await;
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::RequestRejected, "{error:?}");
        assert_eq!(a.broker.pending_requests(), 0);
        let error = a.echo("b", "x").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
        tokio::task::spawn_blocking(|| victim.join().unwrap()).await.unwrap();
    }
    assert!(log.text().lines().count() <= 3, "{}", log.text());
    a.stop().await;
}
