//! The built-in strategies by name.

use std::sync::Arc;

use moleculer_protocol::Object;

use super::{CpuUsage, Latency, Random, RoundRobin, Shard};
use crate::{Error, Result, StrategyPlugin, config::strict};

/// What [`Plugins::core`](crate::Plugins::core) begins with.
pub(crate) const STRATEGIES: [StrategyPlugin; 5] = [
    StrategyPlugin {
        name: "RoundRobin",
        build: |options| {
            no_options("the strategy RoundRobin", &options)
                .map(|()| Arc::new(RoundRobin::default()) as _)
        },
    },
    StrategyPlugin {
        name: "Random",
        build: |options| {
            no_options("the strategy Random", &options).map(|()| Arc::new(Random::default()) as _)
        },
    },
    StrategyPlugin {
        name: "CpuUsage",
        build: |options| {
            strict::<CpuUsage>("strategy CpuUsage", options).map(|made| Arc::new(made) as _)
        },
    },
    StrategyPlugin {
        name: "Latency",
        build: |options| {
            strict::<Latency>("strategy Latency", options).map(|made| Arc::new(made) as _)
        },
    },
    StrategyPlugin {
        name: "Shard",
        build: |options| Shard::from_options(options).map(|made| Arc::new(made) as _),
    },
];

fn no_options(name: &str, options: &Object) -> Result<()> {
    match options.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::options(format!("{name} has no options, but got `{key}`"))),
    }
}
