//! Answers with what it got.

use moleculer::{Object, prelude::*};
use serde_json::json;

use super::report;

pub(crate) struct Echo;

#[service(name = "echo")]
impl Echo {
    #[action]
    async fn reply(&self, ctx: Context, Params(params): Params<Value>) -> Result<Value> {
        let response = json!({
            "a": "Hey", "b": 3333, "c": true, "d": { "e": 122.34, "f": [1, 2, 3], "g": null }
        });
        let answer =
            [("params", params), ("meta", ctx.meta().into()), ("response", response.into())];
        Ok(Object::from(answer).into())
    }

    #[event("sample.event")]
    async fn sample(&self, ctx: Context, Params(data): Params<Value>) -> Result<()> {
        report::event(&ctx, data).await
    }
}
