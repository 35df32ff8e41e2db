//! Timing loops, CPU accounting and the lines in which a peer reports what it measured.

use std::{
    env,
    error::Error,
    fs,
    future::Future,
    hint::black_box,
    io,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

use crate::allocations;

pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const WARM_UP: Duration = Duration::from_millis(150);
const WINDOW: Duration = Duration::from_millis(100);
const WINDOWS: usize = 5;
/// Operations between two looks at the clock, so that the clock does not count.
const BATCH: u64 = 256;

/// The runtime of a process under test.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flavor {
    CurrentThread,
    TwoWorkers,
}

impl Flavor {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CurrentThread => "ct",
            Self::TwoWorkers => "mt",
        }
    }

    pub(crate) fn build(self) -> io::Result<Runtime> {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::TwoWorkers => Builder::new_multi_thread(),
        };
        if matches!(self, Self::TwoWorkers) {
            builder.worker_threads(2);
        }
        builder.enable_all().build()
    }
}

impl FromStr for Flavor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "ct" => Ok(Self::CurrentThread),
            "mt" => Ok(Self::TwoWorkers),
            _ => Err(format!("unknown runtime `{name}`: `ct` or `mt`")),
        }
    }
}

/// Whether a workload is to be measured: all, unless a profile is wanted of those with a certain text in their name.
pub(crate) fn is_wanted(workload: &str) -> bool {
    env::var("BENCHES_ONLY").map_or(true, |part| workload.contains(&part))
}

/// One measured value, as a peer prints it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) workload: String,
    pub(crate) metric: String,
    pub(crate) value: f64,
}

/// Reports one value to the process that compares.
pub(crate) fn emit(workload: &str, metric: &str, value: f64) -> Result<()> {
    let sample = Sample { workload: workload.to_owned(), metric: metric.to_owned(), value };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// What one operation costs when the next one starts after it.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) ns: f64,
    pub(crate) allocations: f64,
}

/// Awaits one operation after the other: the median over five windows, after a warm-up.
pub(crate) async fn sequential<F: Future>(mut operation: impl FnMut() -> F) -> Cost {
    count_until(Instant::now() + WARM_UP, &mut operation).await;
    let mut windows = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        windows.push(window(&mut operation).await);
    }
    allocations::start();
    for _ in 0..BATCH {
        black_box(operation().await);
    }
    let allocations = allocations::stop() as f64 / BATCH as f64;
    Cost { ns: median(&mut windows), allocations }
}

/// How many times as long as `other` an operation takes: the median over windows of both in turn.
pub(crate) async fn ratio<F: Future, G: Future>(
    mut operation: impl FnMut() -> F,
    mut other: impl FnMut() -> G,
) -> f64 {
    let mut ratios = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        ratios.push(window(&mut operation).await / window(&mut other).await);
    }
    median(&mut ratios)
}

/// Nanoseconds of one operation in one window.
async fn window<F: Future>(operation: impl FnMut() -> F) -> f64 {
    let start = Instant::now();
    let count = count_until(start + WINDOW, operation).await;
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Awaits one operation after the other until `deadline`, and returns how many.
pub(crate) async fn count_until<F: Future>(
    deadline: Instant,
    mut operation: impl FnMut() -> F,
) -> u64 {
    let mut count = 0;
    while Instant::now() < deadline {
        for _ in 0..BATCH {
            black_box(operation().await);
        }
        count += BATCH;
    }
    count
}

/// What a closed loop reached.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// Microseconds of each request, in no order.
    pub(crate) latencies: Vec<f64>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Keeps `outstanding` requests under way for `window`.
pub(crate) async fn closed_loop<C, F>(
    call: &C,
    outstanding: usize,
    window: Duration,
) -> Result<Load>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<usize>> + Send + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let callers: Vec<_> = (0..outstanding)
        .map(|_| tokio::spawn(request_until(Arc::clone(&stop), call.clone())))
        .collect();
    sleep(window).await;
    stop.store(true, Relaxed);
    let mut load = Load { requests: 0, elapsed: Duration::ZERO, latencies: Vec::new() };
    for caller in callers {
        let (requests, latencies) = caller.await??;
        load.requests += requests;
        load.latencies.extend(latencies);
    }
    load.elapsed = start.elapsed();
    Ok(load)
}

async fn request_until<C, F>(stop: Arc<AtomicBool>, call: C) -> Result<(u64, Vec<f64>)>
where
    C: Fn() -> F,
    F: Future<Output = Result<usize>>,
{
    let mut latencies = Vec::new();
    while !stop.load(Relaxed) {
        let start = Instant::now();
        black_box(call().await?);
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok((latencies.len() as u64, latencies))
}

/// CPU time that a process has used, user and system, to 10 ms; `None` where there is no `/proc`.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name stands in parentheses and may contain anything, so fields are counted from the last one.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The middle value, or the mean of the two in the middle. Not a number when there is none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The smallest value that so many in a hundred do not exceed. Not a number when there is none.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values() {
        let mut values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 99.9), 999.0);
        assert_eq!(percentile(&mut [5.0], 99.9), 5.0);
        assert!(percentile(&mut [], 99.9).is_nan());
    }

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn allocations_of_an_operation_are_counted() {
        let runtime = Flavor::CurrentThread.build().unwrap();
        let cost = runtime.block_on(sequential(|| async { black_box((Box::new(1), Box::new(2))) }));
        // Tests beside this one allocate as well.
        assert!(cost.allocations >= 2.0, "{cost:?}");
    }

    #[test]
    fn a_ratio_divides_by_the_other_operation() {
        let runtime = Flavor::CurrentThread.build().unwrap();
        let sum = |to: u64| async move { (0..to).map(black_box).sum::<u64>() };
        let ratio = runtime.block_on(ratio(|| sum(1000), || sum(10)));
        assert!(ratio > 5.0, "{ratio}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn cpu_time_grows_with_work() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while cpu_time(pid).unwrap() < before + Duration::from_millis(30) {
            assert!(Instant::now() < deadline, "no CPU time was accounted");
        }
    }

    #[tokio::test]
    async fn closed_loop_reports_failures_and_latencies() {
        let window = Duration::from_millis(20);
        let call = || async {
            tokio::task::yield_now().await;
            Ok(1)
        };
        let load = closed_loop(&call, 2, window).await.unwrap();
        assert_eq!(load.requests as usize, load.latencies.len());
        assert!(load.requests > 0 && load.elapsed >= window);
        let failed = closed_loop(&|| async { Err("refused".into()) }, 4, window).await;
        assert_eq!(failed.unwrap_err().to_string(), "refused");
    }
}
