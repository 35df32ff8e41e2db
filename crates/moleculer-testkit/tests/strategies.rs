//! The rules that every strategy keeps: the built-in ones and one of a user.

use std::{process::ExitCode, sync::Arc};

use moleculer_core::strategy::{
    CpuUsage, Endpoint, Latency, Random, RoundRobin, Selection, Shard, Strategy, StrategyHost,
};
use moleculer_testkit::strategy::run;

/// Always takes the node with the smallest id.
#[derive(Clone, Debug)]
struct Smallest;

impl Strategy for Smallest {
    fn name(&self) -> &str {
        "Smallest"
    }
    fn for_list(&self, _: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(self.clone())
    }
    fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        (0..endpoints.len()).min_by_key(|&at| endpoints[at].node_id())
    }
}

fn main() -> ExitCode {
    run([
        Arc::new(RoundRobin::default()) as Arc<dyn Strategy>,
        Arc::new(Random::default()),
        Arc::new(CpuUsage::default()),
        Arc::new(Latency::default()),
        Arc::new(Shard::by("id")),
        Arc::new(Shard::by("#user").with_vnodes(1).with_ring_size(3)),
        Arc::new(Smallest),
    ])
}
