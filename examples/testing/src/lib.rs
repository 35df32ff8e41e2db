//! The service under test.

use std::time::Duration;

use moleculer::prelude::*;

/// Takes orders.
#[derive(Debug)]
pub struct Orders;

#[service(name = "orders", dependencies("stock"))]
impl Orders {
    /// Places an order; the stock has half a second to answer.
    #[action]
    async fn place(&self, ctx: Context, Params(count): Params<u32>) -> Result<String> {
        let left: u32 = ctx
            .call("stock.take", count)
            .timeout(Duration::from_millis(500))
            .await
            .map_err(|error| Error::client(409, "NO_STOCK", error.message().to_owned()))?;
        ctx.emit("order.placed", count).await?;
        Ok(format!("{count} ordered, {left} left"))
    }
}
