//! A node as a process of its own.

use std::process::Stdio;

use moleculer::prelude::*;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

/// What every worker offers.
struct Work;

#[service(name = "work")]
impl Work {
    /// Tells who did it.
    #[action]
    async fn done(&self, ctx: Context) -> Result<String> {
        Ok(ctx.broker()?.node_id().to_string())
    }
}

/// What the process does: it serves until its standard input is closed, so
/// that it never outlives the one that started it.
pub(crate) async fn run(namespace: &str, id: &str) -> Result<()> {
    let broker = ServiceBroker::builder()
        .node_id(id)
        .namespace(namespace)
        .transporter("TCP")
        .service(Work)
        .start()
        .await?;
    let (mut input, mut nothing) = (tokio::io::stdin(), [0]);
    tokio::select! {
        _ = input.read(&mut nothing) => broker.stop().await,
        result = broker.run_until_signal() => result,
    }
}

/// The process as it is seen from outside.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(namespace: &str, id: &str) -> Result<Self> {
        let mut program = Command::new(std::env::current_exe().map_err(failed)?);
        program.args([namespace, id]).stdin(Stdio::piped());
        Ok(Self(program.spawn().map_err(failed)?))
    }

    /// It has no time to say goodbye.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.0.kill().await.map_err(failed)
    }

    /// It takes its leave, and has ended when this returns.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait().await.map_err(failed)?;
        if status.success() { Ok(()) } else { Err(Error::internal(format!("a node: {status}"))) }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("a node process").with_source(error)
}
