//! Two nodes find and call each other over TCP, without any server.
//!
//! `cargo run -p quickstart -- --with-js` adds a Moleculer JS node.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use moleculer::{prelude::*, transporter::tcp::TcpTransporter};
use serde_json::json;
use tokio::{process::Command, time::Instant};

struct Math;

#[service(name = "math")]
impl Math {
    #[action]
    async fn add(&self, ctx: Context, a: i64, b: i64) -> Result<i64> {
        let sum = a + b;
        ctx.emit("math.added", sum).await?;
        Ok(sum)
    }

    #[action]
    async fn divide(&self, a: i64, b: i64) -> Result<i64> {
        let by_zero = || Error::client(422, "DIVISION_BY_ZERO", "nobody divides by zero");
        a.checked_div(b).ok_or_else(by_zero)
    }
}

struct Audience;

#[service(name = "audience")]
impl Audience {
    #[event("math.added")]
    async fn added(&self, ctx: Context, Params(sum): Params<i64>) -> Result<()> {
        println!("event    {} told us that somebody added up to {sum}", ctx.node_id());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let tcp = || TcpTransporter::builder().udp_discovery(false);
    let alice = ServiceBroker::builder().node_id("alice").transporter(tcp()).service(Math);
    let alice = alice.start().await?;
    // Instead of a server, bob gets told where alice listens.
    let nodes: Value = alice.call("$node.list", ()).await?;
    let port = nodes.pointer("0.port").and_then(Value::as_i64).unwrap_or_default();
    let peer = format!("tcp://127.0.0.1:{port}/alice");
    let bob = ServiceBroker::builder().node_id("bob").transporter(tcp().urls([&peer]));
    let bob = bob.service(Audience).start().await?;
    bob.wait_for_services(["math"], Duration::from_secs(10)).await?;
    println!("cluster  alice offers `math`, bob has found it over TCP");

    let math = Math::client(&bob);
    let sum = math.add(5, 3).await?;
    println!("call     bob asked alice: 5 + 3 = {sum}");

    if let Err(error) = math.divide(1, 0).await {
        println!("error    it crossed the nodes whole: {error:?}");
    }

    // By name it is the same call.
    let started = Instant::now();
    bob.call::<i64>("math.add", json!({ "a": 20, "b": 22 })).await?;
    println!("timing   there and back again took {} µs", started.elapsed().as_micros());

    if std::env::args().any(|arg| arg == "--with-js") {
        with_javascript(&alice, &peer).await?;
    }
    bob.stop().await?;
    alice.stop().await
}

/// Starts a Moleculer JS node, calls it, and lets it call us.
async fn with_javascript(broker: &ServiceBroker, peer: &str) -> Result<()> {
    let failed =
        |error| Error::internal("Node.js and npm are needed for --with-js").with_source(error);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/js/node.js");
    let mut node = Command::new("node").arg(script).env("PEER", peer).spawn().map_err(failed)?;
    broker.wait_for_services(["greeter"], Duration::from_secs(60)).await?;
    let text: String = broker.call("greeter.hello", json!({ "name": "Rust" })).await?;
    println!("js       alice asked the JavaScript node, which asked alice: {text}");
    node.kill().await.map_err(failed)
}
