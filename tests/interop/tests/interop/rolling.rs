//! Every node of a cluster is restarted in turn, and no call fails.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use moleculer::prelude::*;
use serde_json::{Value as Json, json};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    cluster::{self, Medium, until},
    process::NatsServer,
};

/// Rust nodes alone.
pub(crate) const CASE: &str = "no call fails while each node is restarted in turn";

/// Who is restarted.
const NODES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Who calls all the time.
const CLIENT: &str = "client";
const CALLERS: u64 = 12;
/// Calls that a node has to serve before the next one is restarted.
const SHARE: u64 = 50;
/// How long that may take.
const SERVED_WITHIN: Duration = Duration::from_secs(20);
/// What running calls get when their node stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(medium: Medium) -> Result<()> {
    let server = match medium {
        Medium::Tcp => None,
        Medium::Nats => Some(NatsServer::start().await?),
    };
    let transporter = match &server {
        None => cluster::tcp(&[CLIENT, "one", "two", "three", "four", "five"])?,
        Some(server) => json!({ "type": "NATS", "options": { "url": server.url } }),
    };
    let mut cluster = Cluster { namespace: cluster::namespace(), transporter, nodes: Vec::new() };
    for id in NODES {
        let node = cluster.start(id).await?;
        cluster.nodes.push(node);
    }
    let client = cluster.broker(CLIENT).start().await?;
    cluster.everybody_knows_all(&client).await?;

    let load = Load::start(&client);
    for index in 0..NODES.len() {
        cluster.restart(index).await?;
        cluster.serves(index, &load).await?;
    }
    let (calls, failures) = load.end().await;
    for node in &cluster.nodes {
        node.broker.stop().await?;
    }
    client.stop().await?;
    if !failures.is_empty() {
        return Err(Error::internal(format!(
            "{} of {calls} calls failed:\n    {}",
            failures.len(),
            failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n    ")
        )));
    }
    Ok(())
}

struct Cluster {
    namespace: String,
    transporter: Json,
    nodes: Vec<Node>,
}

struct Node {
    broker: ServiceBroker,
    served: watch::Receiver<u64>,
}

impl Cluster {
    /// Calls that run are waited for; everything else is the default, so that
    /// nothing is tried again.
    fn broker(&self, id: &str) -> moleculer::BrokerBuilder {
        ServiceBroker::builder()
            .node_id(id)
            .namespace(&self.namespace)
            .transporter(Value::from(self.transporter.clone()))
            .prefer_local(false)
            .tracking(Some(SHUTDOWN_TIMEOUT))
    }

    async fn start(&self, id: &str) -> Result<Node> {
        let (serving, served) = watch::channel(0);
        let serving = Arc::new(serving);
        let front = Service::builder("front").action(Action::new("work", front));
        let back = Service::builder("back").with_state(serving).action(Action::new("work", back));
        let broker = self.broker(id).service(front).service(back).start().await?;
        Ok(Node { broker, served })
    }

    /// As an operator does it: the old one ends, the new one starts.
    async fn restart(&mut self, index: usize) -> Result<()> {
        let stopping = Instant::now();
        self.nodes[index].broker.stop().await?;
        if stopping.elapsed() > SHUTDOWN_TIMEOUT {
            let took = stopping.elapsed();
            return Err(Error::internal(format!("the stop of {} took {took:?}", NODES[index])));
        }
        self.nodes[index] = self.start(NODES[index]).await?;
        Ok(())
    }

    async fn everybody_knows_all(&self, client: &ServiceBroker) -> Result<()> {
        let brokers = self.nodes.iter().map(|node| &node.broker).chain([client]);
        for broker in brokers {
            until("every node knows all services", async || {
                let nodes = broker.call::<Value>("$node.actions", json!({ "withEndpoints": true }));
                let actions = Json::from(nodes.node(broker.node_id().clone()).await?);
                let work = actions.as_array().into_iter().flatten();
                let work = work.filter(|action| action["name"] == "back.work");
                Ok(work
                    .map(|action| action["endpoints"].as_array().map_or(0, Vec::len))
                    .sum::<usize>()
                    == NODES.len())
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until calls come to the new node again.
    async fn serves(&self, index: usize, load: &Load) -> Result<()> {
        let mut served = self.nodes[index].served.clone();
        let enough = async {
            tokio::select! {
                enough = served.wait_for(|calls| *calls >= SHARE) => enough.is_ok(),
                // What follows tells of it.
                () = load.failed.notified() => true,
            }
        };
        if timeout(SERVED_WITHIN, enough).await == Ok(true) {
            return Ok(());
        }
        Err(Error::internal(format!("{} serves no calls", NODES[index])))
    }
}

/// Calls the other service, on any node, before and after it waits.
async fn front(ctx: Context, Params(ms): Params<u64>) -> Result<u64> {
    let first: u64 = ctx.call("back.work", 0).await?;
    let second: u64 = ctx.call("back.work", ms).await?;
    Ok(first + second)
}

async fn back(
    Params(ms): Params<u64>,
    State(served): State<Arc<watch::Sender<u64>>>,
) -> Result<u64> {
    served.send_modify(|calls| *calls += 1);
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    Ok(ms)
}

/// Callers that never rest.
struct Load {
    ended: Arc<AtomicBool>,
    failures: Arc<Mutex<Vec<String>>>,
    /// Told of the first failure.
    failed: Arc<Notify>,
    callers: JoinSet<u64>,
}

impl Load {
    fn start(client: &ServiceBroker) -> Self {
        let (ended, failures) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let failed = Arc::<Notify>::default();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            // Some calls are short, some last longer than others need to hear
            // that a node is leaving.
            let ms = [0, 0, 3, 250][(caller % 4) as usize];
            let (client, ended, failures) = (client.clone(), ended.clone(), failures.clone());
            let failed = failed.clone();
            callers.spawn(async move {
                let mut calls = 0;
                while !ended.load(Ordering::Relaxed) {
                    let call = client.call::<u64>("front.work", ms);
                    match call.timeout(Duration::from_secs(10)).await {
                        Ok(answer) if answer == ms => {}
                        other => {
                            lock(&failures).push(format!("{ms} ms: {other:?}"));
                            failed.notify_one();
                        }
                    }
                    calls += 1;
                }
                calls
            });
        }
        Self { ended, failures, failed, callers }
    }

    async fn end(self) -> (u64, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        let calls = self.callers.join_all().await.into_iter().sum();
        let failures = std::mem::take(&mut *lock(&self.failures));
        (calls, failures)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
