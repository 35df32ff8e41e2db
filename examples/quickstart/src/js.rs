//! What the example needs besides the nodes: free ports, and a Moleculer JS
//! process that joins the same cluster.

use std::{net::TcpListener, path::Path, time::Duration};

use moleculer::prelude::*;
use serde_json::json;
use tokio::process::Command;

/// `tcp://127.0.0.1:port/nodeID` for each node, with a port that is free now.
pub(crate) fn free_addresses(nodes: &[&str]) -> Result<Vec<String>> {
    let failed = |error| Error::internal("no free port").with_source(error);
    // All are held until the last is found, so that they differ.
    let held: Vec<TcpListener> = nodes
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    let addresses = held.iter().zip(nodes).map(|(listener, node)| {
        let address = listener.local_addr().map_err(failed)?;
        Ok(format!("tcp://{address}/{node}"))
    });
    addresses.collect()
}

/// Starts the JavaScript node, calls it, and lets it call us.
pub(crate) async fn join(broker: &ServiceBroker, peers: &[String]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
    if !folder.join("node_modules/moleculer").exists() {
        println!("js       installing Moleculer JS with npm");
        run(Command::new("npm").args(["ci", "--silent"]).current_dir(&folder)).await?;
    }
    let mut node = Command::new("node")
        .arg(folder.join("node.js"))
        .env("PEERS", peers.join(","))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::internal("Node.js is needed for --with-js").with_source(error))?;
    broker.wait_for_services(["greeter"], Duration::from_secs(20)).await?;
    let text: String = broker.call("greeter.hello", json!({ "name": "Rust" })).await?;
    println!("js       alice asked the JavaScript node, which asked alice: {text}");
    node.kill().await.map_err(|error| Error::internal("the JavaScript node goes on").with_source(error))
}

async fn run(command: &mut Command) -> Result<()> {
    match command.status().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::internal(format!("npm ended with {status}"))),
        Err(error) => Err(Error::internal("npm is needed for --with-js").with_source(error)),
    }
}
