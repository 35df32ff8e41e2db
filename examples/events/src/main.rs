//! Who gets an event: three nodes in one process, two of which run the same
//! service.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use moleculer::{InProcessNetwork, prelude::*};
use tokio::sync::mpsc;

/// Where listeners say what they got.
type Reports = mpsc::UnboundedSender<String>;

/// Runs on two nodes, and each confirmation has to go out once.
struct Mail(Reports);

#[service(name = "mail")]
impl Mail {
    /// The group is the service's name, so one of the two nodes gets it.
    #[event("order.placed")]
    async fn confirm(&self, ctx: Context, Params(order): Params<u32>) -> Result<()> {
        self.say(&ctx, &format!("confirms order {order}"))
    }

    #[event("prices.changed")]
    async fn reload(&self, ctx: Context) -> Result<()> {
        self.say(&ctx, "reads the prices again")
    }

    fn say(&self, ctx: &Context, what: &str) -> Result<()> {
        let node = ctx.broker()?.node_id().clone();
        self.0.send(format!("{node} {what}")).map_err(|_| Error::internal("nobody listens"))
    }
}

/// Counts whatever happens to orders, and to nothing else: `*` stands for one
/// part of a name, `**` for any number of them.
struct Statistics {
    orders: AtomicUsize,
    reports: Reports,
}

#[service(name = "statistics")]
impl Statistics {
    #[event("order.*")]
    async fn count(&self, ctx: Context) -> Result<()> {
        let orders = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        let report = format!("statistics counts {orders}: {}", ctx.event());
        self.reports.send(report).map_err(|_| Error::internal("nobody listens"))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let network = InProcessNetwork::default();
    let node = |name| ServiceBroker::builder().node_id(name).transporter(network.transporter());
    let (reports, mut reported) = mpsc::unbounded_channel();
    let first = node("mail-1").service(Mail(reports.clone())).start().await?;
    let second = node("mail-2").service(Mail(reports.clone())).start().await?;
    let shop = node("shop").service(Statistics { orders: AtomicUsize::new(0), reports });
    let shop = shop.start().await?;
    for mail_node in ["mail-1", "mail-2"] {
        shop.call::<Value>("$node.health", ()).node(mail_node).await?;
    }

    println!("emit: of each group one node gets it, in turn");
    shop.emit("order.placed", 1).await?;
    shop.emit("order.placed", 2).await?;
    print(&mut reported, 4).await;

    println!("emit to a group: nobody else gets it");
    shop.emit("order.placed", 3).groups(["statistics"]).await?;
    print(&mut reported, 1).await;

    println!("broadcast: every node gets it");
    shop.broadcast("prices.changed", ()).await?;
    print(&mut reported, 2).await;

    for broker in [shop, first, second] {
        broker.stop().await?;
    }
    Ok(())
}

/// Prints the next reports, in an order that is the same each time.
async fn print(reported: &mut mpsc::UnboundedReceiver<String>, count: usize) {
    let mut lines = Vec::new();
    while lines.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(5), reported.recv()).await;
        lines.push(next.ok().flatten().unwrap_or_else(|| "nothing came".to_owned()));
    }
    lines.sort();
    lines.iter().for_each(|line| println!("  {line}"));
}
