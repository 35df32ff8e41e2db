//! Strategies that draw a few endpoints and take the best of them.

use std::{sync::Arc, time::Duration};

use moleculer_protocol::{Object, Value};
use serde::Deserialize;

use super::{Endpoint, Selection, Strategy, StrategyHost, simple::any};
use crate::{RandomSource, Seconds};

/// Draws some endpoints and takes the one whose node has the least CPU load.
///
/// The first one drawn whose load is low enough is taken at once; when no
/// load is known, any endpoint.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CpuUsage {
    sample_count: i64,
    low_cpu_usage: f64,
    #[serde(skip)]
    random: RandomSource,
}

impl CpuUsage {
    /// Sets how many endpoints are drawn; 0 for all. Default: 3.
    #[must_use]
    pub fn with_sample_count(self, sample_count: u32) -> Self {
        Self { sample_count: sample_count.into(), ..self }
    }

    /// Sets which load, in percent, is low enough. Default: 10.
    #[must_use]
    pub fn with_low_cpu_usage(self, low_cpu_usage: f64) -> Self {
        Self { low_cpu_usage, ..self }
    }
}

impl Default for CpuUsage {
    fn default() -> Self {
        Self { sample_count: 3, low_cpu_usage: 10.0, random: RandomSource::default() }
    }
}

impl Strategy for CpuUsage {
    fn name(&self) -> &str {
        "CpuUsage"
    }

    fn options(&self) -> Object {
        [
            ("sampleCount", Value::from(self.sample_count)),
            ("lowCpuUsage", self.low_cpu_usage.into()),
        ]
        .into()
    }

    fn for_list(&self, host: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(Self { random: host.random(), ..*self })
    }

    fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        best(endpoints, self.sample_count, self.low_cpu_usage, &self.random, Endpoint::cpu)
    }
}

/// Draws some endpoints and takes the one whose host answers pings fastest.
///
/// The first one drawn whose latency is low enough is taken at once; when no
/// latency is known, any endpoint.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Latency {
    sample_count: i64,
    low_latency: f64,
    collect_count: usize,
    ping_interval: Seconds,
    #[serde(skip)]
    random: RandomSource,
}

impl Latency {
    /// Sets how many endpoints are drawn; 0 for all. Default: 5.
    #[must_use]
    pub fn with_sample_count(self, sample_count: u32) -> Self {
        Self { sample_count: sample_count.into(), ..self }
    }

    /// Sets which latency is low enough. Default: 10 ms.
    #[must_use]
    pub fn with_low_latency(self, low_latency: Duration) -> Self {
        Self { low_latency: low_latency.as_secs_f64() * 1e3, ..self }
    }

    /// Sets how many answers are averaged. Default: 5.
    #[must_use]
    pub fn with_collect_count(self, collect_count: usize) -> Self {
        Self { collect_count, ..self }
    }

    /// Sets the time between pings. Default: 10 s.
    #[must_use]
    pub fn with_ping_interval(self, ping_interval: Duration) -> Self {
        Self { ping_interval: Seconds(ping_interval), ..self }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            sample_count: 5,
            low_latency: 10.0,
            collect_count: 5,
            ping_interval: Seconds(Duration::from_secs(10)),
            random: RandomSource::default(),
        }
    }
}

impl Strategy for Latency {
    fn name(&self) -> &str {
        "Latency"
    }

    fn options(&self) -> Object {
        [
            ("sampleCount", Value::from(self.sample_count)),
            ("lowLatency", self.low_latency.into()),
            ("collectCount", self.collect_count.into()),
            ("pingInterval", self.ping_interval.as_secs_f64().into()),
        ]
        .into()
    }

    fn for_list(&self, host: &StrategyHost) -> Arc<dyn Strategy> {
        host.measure_latency(self.collect_count, *self.ping_interval);
        Arc::new(Self { random: host.random(), ..*self })
    }

    fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        best(endpoints, self.sample_count, self.low_latency, &self.random, Endpoint::latency)
    }
}

/// The cheapest of `count` endpoints, or the first one below `low_enough`.
/// Fewer endpoints than `count` are all looked at, in order.
fn best(
    endpoints: &[Endpoint],
    count: i64,
    low_enough: f64,
    random: &RandomSource,
    cost: impl Fn(&Endpoint) -> Option<f64>,
) -> Option<usize> {
    let all = endpoints.len();
    let count = usize::try_from(count).ok().filter(|count| (1..all).contains(count)).unwrap_or(all);
    let mut best: Option<(usize, f64)> = None;
    for draw in 0..count {
        let at = if count == all { draw } else { random.below(all) };
        let Some(cost) = cost(&endpoints[at]) else { continue };
        if cost < low_enough {
            return Some(at);
        }
        if best.is_none_or(|(_, least)| cost < least) {
            best = Some((at, cost));
        }
    }
    best.map(|(at, _)| at).or_else(|| any(random, endpoints))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Object, Payload};

    /// How often each of 1000 selections takes which node.
    fn counts(strategy: &dyn Strategy, endpoints: &[Endpoint]) -> BTreeMap<usize, usize> {
        let instance = strategy.for_list(&StrategyHost::from_seed(1));
        let (params, meta) = (Payload::nothing(), Object::new());
        let mut counts = BTreeMap::new();
        for _ in 0..1000 {
            let at = instance.select(endpoints, &Selection::new(&params, &meta)).unwrap();
            *counts.entry(at).or_default() += 1;
        }
        counts
    }

    fn with_cpu(loads: &[Option<f64>]) -> Vec<Endpoint> {
        let endpoint = |(at, load): (usize, &Option<f64>)| {
            let endpoint = Endpoint::new(format!("node-{at}"));
            load.map_or(endpoint.clone(), |load| endpoint.with_cpu(load))
        };
        loads.iter().enumerate().map(endpoint).collect()
    }

    #[test]
    fn all_are_looked_at_when_the_sample_is_as_large() {
        let loads = with_cpu(&[Some(60.0), Some(20.0), Some(40.0)]);
        for count in [0, 3, 7] {
            let strategy = CpuUsage::default().with_sample_count(count);
            assert_eq!(counts(&strategy, &loads), [(1, 1000)].into());
        }
    }

    #[test]
    fn the_first_low_one_wins_over_the_lowest() {
        let loads = with_cpu(&[Some(60.0), Some(9.0), Some(1.0)]);
        assert_eq!(counts(&CpuUsage::default(), &loads), [(1, 1000)].into());
        let strict = CpuUsage::default().with_low_cpu_usage(5.0);
        assert_eq!(counts(&strict, &loads), [(2, 1000)].into());
    }

    #[test]
    fn unknown_loads_are_skipped_and_none_known_means_any() {
        assert_eq!(
            counts(&CpuUsage::default(), &with_cpu(&[None, Some(99.0)])),
            [(1, 1000)].into()
        );
        let counts = counts(&CpuUsage::default(), &with_cpu(&[None; 4]));
        assert!(counts.len() == 4 && counts.values().all(|count| *count > 150), "{counts:?}");
    }

    #[test]
    fn a_sample_of_two_takes_the_busiest_of_three_once_in_nine() {
        let loads = with_cpu(&[Some(90.0), Some(20.0), Some(20.0)]);
        let counts = counts(&CpuUsage::default().with_sample_count(2), &loads);
        assert!((60..170).contains(&counts[&0]), "{counts:?}");
    }

    #[test]
    fn latency_looks_at_latencies() {
        let near = Endpoint::new("near").with_latency(Duration::from_millis(20));
        let far = Endpoint::new("far").with_latency(Duration::from_millis(80)).with_cpu(0.0);
        let endpoints = [far, near, Endpoint::new("unknown")];
        assert_eq!(counts(&Latency::default(), &endpoints), [(1, 1000)].into());
        let generous = Latency::default().with_low_latency(Duration::from_millis(100));
        assert_eq!(counts(&generous, &endpoints), [(0, 1000)].into());
    }
}
