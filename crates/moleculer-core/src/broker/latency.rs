//! Measuring how far other hosts are, for the strategy `Latency`.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use moleculer_protocol::NodeId;

use super::{Phase, ServiceBroker, WeakBroker, lock};

/// Nothing is measured until somebody asks for it.
#[derive(Default)]
pub(crate) struct LatencyMonitor {
    asked: OnceLock<Asked>,
    running: OnceLock<()>,
    /// By host, the last answers in ms.
    hosts: Mutex<HashMap<String, VecDeque<f64>>>,
}

struct Asked {
    samples: usize,
    interval: Duration,
}

impl ServiceBroker {
    /// The first one who asks decides how.
    pub(crate) fn measure_latency(&self, samples: usize, interval: Duration) {
        let asked = Asked { samples: samples.max(1), interval };
        self.0.latency.asked.get_or_init(|| asked);
        if self.0.phase() == Phase::Started {
            self.start_latency_monitor();
        }
    }

    /// Begins to measure if somebody asked for it.
    pub(super) fn start_latency_monitor(&self) {
        let monitor = &self.0.latency;
        let (Some(asked), Some(_)) = (monitor.asked.get(), self.transit()) else { return };
        if monitor.running.set(()).is_ok() {
            self.0.tasks.spawn(run(self.downgrade(), asked.interval));
        }
    }

    /// Pings these nodes and remembers what their hosts took.
    async fn measure(&self, nodes: Vec<(String, NodeId)>) {
        let pings = nodes.into_iter().map(async |(host, node)| (host, self.ping(node).await));
        for (host, pong) in join_all(pings).await {
            let Some(pong) = pong else { continue };
            self.0.latency.add(&host, pong.elapsed);
        }
        self.share();
    }

    /// Gives each node the average of its host.
    fn share(&self) {
        let mut hosts = lock(&self.0.latency.hosts);
        let nodes = self.0.registry.nodes();
        let mut alive = HashSet::new();
        for node in nodes.iter().filter(|node| !node.local && node.available()) {
            let host = node.host();
            node.latency.set(hosts.get(&host).map(average));
            alive.insert(host);
        }
        hosts.retain(|host, _| alive.contains(host));
    }
}

impl LatencyMonitor {
    fn add(&self, host: &str, elapsed: Duration) {
        let samples = self.asked.get().map_or(1, |asked| asked.samples);
        let mut hosts = lock(&self.hosts);
        let last = hosts.entry(host.to_owned()).or_default();
        last.push_back(elapsed.as_secs_f64() * 1e3);
        let more = last.len().saturating_sub(samples);
        last.drain(..more);
    }
}

fn average(last: &VecDeque<f64>) -> f64 {
    last.iter().sum::<f64>() / last.len() as f64
}

/// First all nodes, then one of each host in every round.
async fn run(broker: WeakBroker, interval: Duration) {
    let mut first = true;
    loop {
        let Some(broker) = broker.upgrade() else { return };
        let nodes = nodes_by_host(&broker);
        let nodes = if first { nodes } else { one_of_each(&broker, &nodes) };
        first = false;
        broker.measure(nodes).await;
        drop(broker);
        tokio::time::sleep(interval.max(Duration::from_millis(1))).await;
    }
}

fn nodes_by_host(broker: &ServiceBroker) -> Vec<(String, NodeId)> {
    let nodes = broker.0.registry.nodes().into_iter();
    let others = nodes.filter(|node| !node.local && node.available());
    let mut nodes: Vec<_> = others.map(|node| (node.host(), node.id.clone())).collect();
    nodes.sort();
    nodes
}

fn one_of_each(broker: &ServiceBroker, nodes: &[(String, NodeId)]) -> Vec<(String, NodeId)> {
    let hosts = nodes.chunk_by(|one, other| one.0 == other.0);
    hosts.map(|nodes| nodes[broker.0.random.below(nodes.len())].clone()).collect()
}
