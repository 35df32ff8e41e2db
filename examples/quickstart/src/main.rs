//! Two nodes find and call each other over TCP, without any server.
//!
//! `cargo run -p quickstart -- --with-js` adds a Moleculer JS node.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod js;

use std::time::Duration;

use moleculer::{prelude::*, transporter::tcp::TcpTransporter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    a: i64,
    b: i64,
}

struct Math;

#[service(name = "math")]
impl Math {
    #[action]
    async fn add(&self, ctx: Context, Params(pair): Params<Pair>) -> Result<i64> {
        let sum = pair.a + pair.b;
        ctx.emit("math.added", sum).await?;
        Ok(sum)
    }

    #[action]
    async fn divide(&self, Params(pair): Params<Pair>) -> Result<i64> {
        let by_zero = || Error::client(422, "DIVISION_BY_ZERO", "nobody divides by zero");
        pair.a.checked_div(pair.b).ok_or_else(|| by_zero().with_data(json!({ "a": pair.a })))
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
    // Who may be found where: a list instead of a server.
    let peers = js::free_addresses(&["alice", "bob", "js"])?;
    let node = |id: &'static str| {
        let tcp = TcpTransporter::builder().urls(peers.clone()).udp_discovery(false);
        ServiceBroker::builder().node_id(id).transporter(tcp)
    };
    let alice = node("alice").service(Math).start().await?;
    let bob = node("bob").service(Audience).start().await?;
    bob.wait_for_services(["math"], Duration::from_secs(10)).await?;
    println!("cluster  alice offers `math`, bob has found it over TCP");

    let sum: i64 = bob.call("math.add", Pair { a: 5, b: 3 }).await?;
    println!("call     bob asked alice: 5 + 3 = {sum}");

    let failed = bob.call::<i64>("math.divide", Pair { a: 1, b: 0 }).await;
    if let Err(error) = failed {
        println!("error    it came back typed, from {:?}: {error:?}", error.node_id());
    }

    let started = Instant::now();
    bob.call::<i64>("math.add", json!({ "a": 20, "b": 22 })).await?;
    println!("timing   there and back again took {} µs", started.elapsed().as_micros());

    if std::env::args().any(|arg| arg == "--with-js") {
        js::join(&alice, &peers).await?;
    }
    bob.stop().await?;
    alice.stop().await
}
