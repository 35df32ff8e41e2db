//! A service that needs another one; the tests in `tests/` run it alone.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use moleculer::prelude::*;
use testing::Orders;

struct Stock;

#[service(name = "stock")]
impl Stock {
    #[action]
    async fn take(&self, Params(count): Params<u32>) -> Result<u32> {
        Ok(100 - count)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let broker = ServiceBroker::builder().service(Orders).service(Stock).start().await?;
    let order: String = broker.call("orders.place", 3).await?;
    println!("{order}");
    broker.stop().await
}
