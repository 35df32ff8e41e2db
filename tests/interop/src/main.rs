//! A node with fixed services, so that any other implementation can be driven
//! against ours. `node/interop-node.js` is its counterpart.
//!
//! It is configured by environment variables (see `environment.rs`), prints
//! one line `ready <nodeID>`, and stops gracefully on SIGTERM, SIGINT and the
//! broadcast event `$shutdown`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod environment;
mod services;

use std::{convert::Infallible, future::pending, process::ExitCode};

use moleculer::prelude::*;
use tracing_subscriber::EnvFilter;

use self::{
    environment::Environment,
    services::{Shutdown, Steps},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("interop-node: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode> {
    let environment = Environment::read()?;
    let level = EnvFilter::try_new(&environment.log_level)
        .map_err(|error| Error::internal(format!("LOGLEVEL: {error}")))?;
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();

    let shutdown = Shutdown::default();
    let mut builder =
        ServiceBroker::builder().options(environment.options).service(shutdown.service());
    let steps = Steps::default();
    for name in &environment.services {
        builder = services::add(builder, name, &steps)?;
    }
    let broker = builder.start().await?;
    tokio::select! {
        // In this order: signals are listened to before anybody is told.
        biased;
        result = broker.run_until_signal() => result.map(|()| ExitCode::SUCCESS),
        failed = shutdown.asked() => {
            broker.stop().await?;
            Ok(if failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
        }
        never = ready(&broker) => match never {},
    }
}

async fn ready(broker: &ServiceBroker) -> Infallible {
    println!("ready {}", broker.node_id());
    pending().await
}
