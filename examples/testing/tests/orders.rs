//! The service runs in a real broker; what it needs is mocked.

use std::time::Duration;

use moleculer::prelude::*;
use moleculer_testkit::local::TestBroker;
use testing::Orders;
use tokio::time::sleep;

#[tokio::test]
async fn an_order_takes_from_the_stock_and_is_told() -> Result<()> {
    let broker = TestBroker::builder()
        .service(Orders)
        .mock("stock.take", |count: u32| Ok(10 - count))
        .start()
        .await?;

    let order: String = broker.call("orders.place", 3).await?;

    assert_eq!(order, "3 ordered, 7 left");
    assert_eq!(broker.calls("stock.take")[0].params, 3.into());
    assert_eq!(broker.caught("order.placed").await?.data, 3.into());
    broker.stop().await
}

#[tokio::test]
async fn what_the_stock_refuses_is_no_order() -> Result<()> {
    let sold_out = |_: u32| Err::<u32, _>(Error::client(404, "SOLD_OUT", "sold out"));
    let broker = TestBroker::builder().service(Orders).mock("stock.take", sold_out).start().await?;

    let error = broker.call::<String>("orders.place", 3).await.unwrap_err();

    assert_eq!((error.code(), error.r#type()), (409, Some("NO_STOCK")));
    let told = broker.take_events().into_iter().any(|event| event.name == "order.placed");
    assert!(!told, "nothing was placed");
    broker.stop().await
}

/// With a paused clock, a timeout takes no time.
#[tokio::test(start_paused = true)]
async fn a_stock_that_sleeps_is_not_waited_for() -> Result<()> {
    async fn take() -> Result<u32> {
        sleep(Duration::from_secs(3600)).await;
        Ok(0)
    }
    let stock = Service::builder("stock").action(Action::new("take", take));
    let broker = TestBroker::builder().service(Orders).service(stock).start().await?;

    let error = broker.call::<String>("orders.place", 3).await.unwrap_err();

    assert_eq!(error.r#type(), Some("NO_STOCK"));
    broker.stop().await
}
