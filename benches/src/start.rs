//! From the start of a process to its first calls, and what it holds when idle.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use moleculer::prelude::*;
use tokio::time::Instant;

use crate::{
    measure::{Flavor, Result, emit},
    ours,
    peer::{JS_014, JS_015, Peer},
};

/// An idle node has freed by then what only its start needed.
const SETTLED: Duration = Duration::from_millis(500);

pub(crate) fn peers() -> Vec<Peer> {
    vec![
        Peer::rust("ours [mt]", None, &["start"]),
        Peer::js(JS_014, None, &["start.mjs", "0.14"]),
        Peer::js(JS_015, None, &["start.mjs", "0.15"]),
    ]
}

/// Starts fresh nodes as processes, and calls them.
pub(crate) fn drive() -> Result<()> {
    let started = Instant::now();
    let _alone = Node::start(&["first-call"])?.ready()?;
    emit("start/first-local-call", "ms", started.elapsed().as_secs_f64() * 1e3)?;

    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let started = Instant::now();
    let node = Node::start(&["serve", "ours", "mt", &port.to_string()])?;
    Flavor::TwoWorkers.build()?.block_on(async {
        let broker = ours::remote::over_tcp("cli", port).start().await?;
        broker.wait_for_services(["echo"], Duration::from_secs(10)).await?;
        ours::remote::first_call(&broker).await?;
        emit("start/first-remote-call-tcp", "ms", started.elapsed().as_secs_f64() * 1e3)?;
        tokio::time::sleep(SETTLED).await;
        for (metric, line) in [("MiB", "VmRSS:"), ("MiB without the program's file", "RssAnon:")] {
            if let Some(memory) = node.memory(line) {
                emit("start/idle-memory-tcp", metric, memory)?;
            }
        }
        broker.stop().await?;
        Ok(())
    })
}

/// What a process does that only makes one local call.
pub(crate) fn first_call() -> Result<()> {
    Flavor::TwoWorkers.build()?.block_on(async {
        let double = |Params(n): Params<u32>| async move { Ok::<_, Error>(n * 2) };
        let math = Service::builder("math").action(Action::new("double", double));
        let broker = ServiceBroker::builder().node_id("alone").service(math).start().await?;
        let answer: u32 = broker.call("math.double", 4).await?;
        println!("{answer}");
        io::copy(&mut io::stdin(), &mut io::sink())?;
        Ok(())
    })
}

/// A process that ends with this value.
struct Node(Child);

impl Node {
    fn start(args: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Waits for its first line.
    fn ready(mut self) -> Result<Self> {
        let stdout = self.0.stdout.take().ok_or("the node has no output")?;
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(self)
    }

    /// A line of its memory in MiB, where there is `/proc`.
    fn memory(&self, line: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let size = status.lines().find_map(|own| own.strip_prefix(line))?;
        let kib: f64 = size.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
