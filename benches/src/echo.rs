//! An echo between two processes: the answering one as a child, and what is measured of a way to call it.

use std::{
    future::Future,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    measure::{Flavor, Result, closed_loop, cpu_time, emit, is_wanted, median, percentile},
    system_calls,
};

/// Requests under way at once when throughput is measured.
const OUTSTANDING: usize = 64;
/// Events that may be under way.
const EVENTS_AHEAD: u64 = 4096;
/// Events between two looks at the clock.
const EVENT_BATCH: u64 = 256;
const WARM_UP: Duration = Duration::from_millis(400);
const WINDOW: Duration = Duration::from_millis(800);

/// The answering node, as a child process that ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// `medium` tells the node how it is to be reached.
    pub(crate) fn start(peer: &str, flavor: Flavor, medium: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", peer, flavor.as_str(), medium])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut server = Self { child, port: 0 };
        server.port =
            line.trim().parse().map_err(|_| "the server ended before it printed its port")?;
        Ok(server)
    }

    fn cpu_time(&self) -> Option<Duration> {
        Some(cpu_time(std::process::id())? + cpu_time(self.child.id())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ends this process when its driver ends: the driver holds the other end of standard input.
pub(crate) fn end_with_driver() {
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        std::process::exit(0);
    });
}

/// Tells the driver that this node listens on `port`.
pub(crate) fn announce(port: u16) {
    println!("{port}");
}

/// Reports latency with one request outstanding, then throughput, CPU time and the slowest requests with many, then
/// what many make the system do.
pub(crate) async fn calls<C, F>(workload: &str, server: &Server, call: C) -> Result<()>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<usize>> + Send + 'static,
{
    if !is_wanted(workload) {
        return Ok(());
    }
    closed_loop(&call, OUTSTANDING, WARM_UP).await?;
    let mut one = closed_loop(&call, 1, WINDOW).await?;
    emit(workload, "p50 us", median(&mut one.latencies))?;

    let before = server.cpu_time();
    let mut many = closed_loop(&call, OUTSTANDING, WINDOW).await?;
    let after = server.cpu_time();
    emit(workload, "req/s", many.per_second())?;
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.saturating_sub(before);
        emit(workload, "CPU us/req", cpu.as_secs_f64() * 1e6 / many.requests as f64)?;
    }
    emit(workload, "p99.9 us of 64", percentile(&mut many.latencies, 99.9))?;

    // Apart from the others, since counting takes time.
    let counting = system_calls::count([std::process::id(), server.child.id()]);
    let many = closed_loop(&call, OUTSTANDING, WINDOW).await?;
    if let Some(counted) = counting.and_then(system_calls::Counting::per_second) {
        emit(workload, "system calls/req", counted.all / many.per_second())?;
        emit(workload, "socket writes/req", counted.writes / many.per_second())?;
    }
    Ok(())
}

/// Reports how many events a second arrive. `send` sends one; `count` says how many have arrived.
pub(crate) async fn events<S, C>(
    workload: &str,
    server: &Server,
    mut send: impl FnMut() -> S,
    count: impl Fn() -> C,
) -> Result<()>
where
    S: Future<Output = Result<()>>,
    C: Future<Output = Result<u64>>,
{
    if !is_wanted(workload) {
        return Ok(());
    }
    let first = count().await?;
    let (cpu, start) = (server.cpu_time(), tokio::time::Instant::now());
    let mut sent = 0;
    while start.elapsed() < WINDOW {
        for _ in 0..EVENT_BATCH {
            send().await?;
        }
        sent += EVENT_BATCH;
        while count().await? - first + EVENTS_AHEAD < sent {
            tokio::task::yield_now().await;
        }
    }
    while count().await? - first < sent {
        tokio::task::yield_now().await;
    }
    emit(workload, "events/s", sent as f64 / start.elapsed().as_secs_f64())?;
    if let (Some(before), Some(after)) = (cpu, server.cpu_time()) {
        let cpu = after.saturating_sub(before);
        emit(workload, "CPU us/event", cpu.as_secs_f64() * 1e6 / sent as f64)?;
    }
    Ok(())
}
