//! The service of the balancing scenarios.

use std::time::Duration;

use moleculer::{Object, prelude::*};
use serde::Deserialize;

use super::report;

pub(crate) struct Test;

#[derive(Deserialize)]
struct Hello {
    i: Value,
    #[serde(default)]
    delay: f64,
    #[serde(default)]
    crash: bool,
}

#[service(name = "test")]
impl Test {
    #[action]
    async fn work(&self, ctx: Context, Params(params): Params<Value>) -> Result<bool> {
        report::action(&ctx, params).await?;
        Ok(true)
    }

    #[action]
    async fn hello(&self, ctx: Context, Params(hello): Params<Hello>) -> Result<Value> {
        let broker = ctx.broker()?;
        if hello.crash && broker.node_id() == "node1" {
            // The request stays unanswered, as with a node that died.
            tokio::spawn(async move { broker.stop().await });
            return std::future::pending().await;
        }
        tokio::time::sleep(Duration::from_secs_f64(hello.delay / 1e3)).await;
        let params = Object::from([("i", hello.i.clone())]);
        report::action(&ctx, params.into()).await?;
        let answer = [("i", hello.i), ("nodeID", broker.node_id().as_str().into())];
        Ok(Object::from(answer).into())
    }

    #[event("sample.event")]
    async fn sample(&self, ctx: Context, Params(data): Params<Value>) -> Result<()> {
        report::event(&ctx, data).await
    }
}
