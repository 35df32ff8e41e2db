//! Nodes as processes.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use moleculer::prelude::*;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::cluster::until;

/// Longest wait for a node to be ready or to end.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which implementation a process runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Implementation {
    Rust,
    JavaScript,
}

/// A running node; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

/// Why the JavaScript nodes cannot run here, if they cannot.
pub(crate) fn javascript_missing() -> Option<String> {
    let installed = javascript_folder().join("node_modules/moleculer-0.15").exists();
    (!installed)
        .then(|| "unavailable: run `cargo xtask test`, which installs the JavaScript nodes".into())
}

/// Why nothing can run over NATS here, if it cannot.
pub(crate) fn nats_missing() -> Option<String> {
    let reason = "unavailable: run `cargo xtask test`, which gets a NATS server";
    (variable(NATS_URL).is_none() && variable(NATS_PROGRAM).is_none()).then(|| reason.into())
}

/// A server that runs somewhere.
const NATS_URL: &str = "MOLECULER_TEST_NATS_URL";
/// The program of one.
const NATS_PROGRAM: &str = "MOLECULER_TEST_NATS_SERVER";

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A NATS server; killed when dropped, unless somebody else runs it.
pub(crate) struct NatsServer {
    pub(crate) url: String,
    _child: Option<Child>,
}

impl NatsServer {
    /// Starts one and waits until it takes connections.
    pub(crate) async fn start() -> Result<Self> {
        if let Some(url) = variable(NATS_URL) {
            return Ok(Self { url, _child: None });
        }
        let failed = |error| Error::internal("NATS server").with_source(error);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(failed)?;
        let mut command = Command::new(variable(NATS_PROGRAM).unwrap_or_default());
        command.args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        until("the NATS server listens", async || Ok(TcpStream::connect(address).await.is_ok()))
            .await?;
        Ok(Self { url: format!("nats://{address}"), _child: Some(child) })
    }
}

/// Why nothing can share a cache here, if it cannot.
pub(crate) fn redis_missing() -> Option<String> {
    let reason = "unavailable: run `cargo xtask test`, which gets a Redis server";
    (variable(REDIS_URL).is_none() && variable(REDIS_PROGRAM).is_none()).then(|| reason.into())
}

/// A server that runs somewhere.
const REDIS_URL: &str = "MOLECULER_TEST_REDIS_URL";
/// The program of one.
const REDIS_PROGRAM: &str = "MOLECULER_TEST_REDIS_SERVER";

/// A Redis server; killed when dropped, unless somebody else runs it.
pub(crate) struct RedisServer {
    pub(crate) url: String,
    _child: Option<Child>,
}

impl RedisServer {
    /// Starts one and waits until it takes connections.
    pub(crate) async fn start() -> Result<Self> {
        if let Some(url) = variable(REDIS_URL) {
            return Ok(Self { url, _child: None });
        }
        let failed = |error| Error::internal("Redis server").with_source(error);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(failed)?;
        let mut command = Command::new(variable(REDIS_PROGRAM).unwrap_or_default());
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        until("the Redis server listens", async || Ok(TcpStream::connect(address).await.is_ok()))
            .await?;
        Ok(Self { url: format!("redis://{address}"), _child: Some(child) })
    }
}

/// A program of the JavaScript folder.
pub(crate) fn javascript(program: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(javascript_folder().join(program));
    node
}

fn javascript_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node")
}

impl Process {
    /// Starts a node and waits for its ready line.
    pub(crate) async fn start(
        implementation: Implementation,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let mut command = match implementation {
            Implementation::Rust => Command::new(env!("CARGO_BIN_EXE_interop-node")),
            Implementation::JavaScript => javascript("interop-node.js"),
        };
        // The case with a panic would fill the log otherwise.
        command.env("RUST_BACKTRACE", "0");
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        let mut child =
            command.stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(|error| {
                Error::internal(format!("{implementation:?} node")).with_source(error)
            })?;
        let output = child.stdout.take().ok_or_else(|| Error::internal("no output"))?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await;
        match line {
            Ok(Ok(Some(line))) if line.starts_with("ready ") => Ok(Self { child }),
            other => {
                Err(Error::internal(format!("the {implementation:?} node is not ready: {other:?}")))
            }
        }
    }

    /// Ends it without a goodbye.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.map_err(|error| Error::internal("kill").with_source(error))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> Result<ExitStatus> {
        let id = self.child.id().ok_or_else(|| Error::internal("it has ended already"))?;
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        if !sent.is_ok_and(|status| status.success()) {
            return Err(Error::internal("the signal was not sent"));
        }
        self.ended().await
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        match tokio::time::timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status.map_err(|error| Error::internal("wait").with_source(error)),
            Err(_) => Err(Error::internal("the node did not end")),
        }
    }
}
