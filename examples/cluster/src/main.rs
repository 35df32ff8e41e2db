//! Three nodes as processes find each other over TCP, with no configuration.
//! One of them is killed under load, and comes back: no call fails.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod load;
mod worker;

use std::{collections::BTreeSet, time::Duration};

use moleculer::{RetryPolicy, Subscription, prelude::*};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use self::{load::Load, worker::Worker};

const NODES: [&str; 3] = ["alice", "bob", "carol"];
const VICTIM: usize = 2;

/// Calls that each phase waits for.
const CALLS: u64 = 3000;
/// What each phase may take.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [namespace, id] => worker::run(namespace, id).await,
        _ => watch_cluster().await,
    }
}

/// The node of this process has no services: it calls, and tells what it sees.
async fn watch_cluster() -> Result<()> {
    // Who runs this at the same time in the same network is no part of it.
    let namespace = format!("cluster-{}", std::process::id());
    let broker = ServiceBroker::builder()
        .node_id("you")
        .namespace(&namespace)
        .transporter("TCP")
        .retry(RetryPolicy::new())
        .start()
        .await?;
    let (_listening, mut present) = nodes(&broker);
    println!("start    you are a node; {} start as processes", NODES.join(", "));
    let mut workers = Vec::new();
    for id in NODES {
        workers.push(Worker::start(&namespace, id)?);
    }
    let all = async { present.wait_for(|nodes| nodes.len() == NODES.len()).await.is_ok() };
    within("all nodes appear", all).await?;

    let load = Load::start(&broker);
    within("all nodes answer", load.until_all_answer(&NODES)).await?;
    println!("load     {} callers never rest", load::CALLERS);
    let calls = within("calls are answered", load.until_answered(CALLS)).await?;
    println!("balance  {calls}");

    println!("kill     {} gets SIGKILL", NODES[VICTIM]);
    let killed = Instant::now();
    workers[VICTIM].kill().await?;
    let left = async { present.wait_for(|nodes| !nodes.contains(NODES[VICTIM])).await.is_ok() };
    within("the end is noticed", left).await?;
    println!("         noticed after {:.1} ms", killed.elapsed().as_secs_f64() * 1e3);
    let calls = within("calls are answered", load.until_answered(CALLS)).await?;
    println!("balance  {calls}");

    println!("start    {} once more", NODES[VICTIM]);
    workers[VICTIM] = Worker::start(&namespace, NODES[VICTIM])?;
    within("all nodes answer again", load.until_all_answer(&NODES)).await?;
    let calls = within("calls are answered", load.until_answered(CALLS)).await?;
    println!("balance  {calls}");

    let (answered, failed) = load.end().await;
    for worker in workers {
        worker.stop().await?;
    }
    broker.stop().await?;
    println!("summary  {answered} calls answered, {failed} failed, one node killed and back");
    if failed == 0 { Ok(()) } else { Err(Error::internal("calls failed")) }
}

/// The workers that are there now; changes are printed.
fn nodes(broker: &ServiceBroker) -> (Subscription, watch::Receiver<BTreeSet<String>>) {
    let (nodes, present) = watch::channel(BTreeSet::new());
    let started = Instant::now();
    let listening = broker.on("$node.*", move |event, data| {
        let Ok(Some(Value::String(id))) = data.get("node.id") else { return };
        let seconds = started.elapsed().as_secs_f64();
        nodes.send_modify(|nodes| match event {
            "$node.connected" if nodes.insert(id.to_string()) => {
                println!("  + {id:<6} after {seconds:.2} s");
            }
            "$node.disconnected" if nodes.remove(&*id) => {
                println!("  - {id:<6} after {seconds:.2} s");
            }
            _ => {}
        });
    });
    (listening, present)
}

/// What has to happen, or else the example fails.
async fn within<T>(what: &str, event: impl Future<Output = T>) -> Result<T> {
    let late = |_| Error::internal(format!("{what}: not within {PATIENCE:?}"));
    timeout(PATIENCE, event).await.map_err(late)
}
