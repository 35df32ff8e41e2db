//! Each option is checked, at the word that is wrong.

use moleculer_core::{Error, Result};
use moleculer_macros::service;

struct Posts;

#[service(name = "posts", crate = moleculer_core)]
impl Posts {
    #[action(timout = "2s")]
    async fn a(&self) -> Result<()> {
        Ok(())
    }

    #[action(timeout = "2")]
    async fn b(&self) -> Result<()> {
        Ok(())
    }

    #[action(timeout = 2000)]
    async fn c(&self) -> Result<()> {
        Ok(())
    }

    #[action(visibility = "secret")]
    async fn d(&self) -> Result<()> {
        Ok(())
    }

    #[action(detached = true)]
    async fn e(&self) -> Result<()> {
        Ok(())
    }

    #[action(extra(timeout = 5))]
    async fn f(&self) -> Result<()> {
        Ok(())
    }

    #[action("get")]
    async fn g(&self) -> Result<()> {
        Ok(())
    }

    #[event]
    async fn h(&self) -> Result<()> {
        Ok(())
    }

    #[event("posts.*", grupo = "mail")]
    async fn i(&self) -> Result<()> {
        Ok(())
    }

    #[event("posts.*" group = "mail")]
    async fn j(&self) -> Result<()> {
        Ok(())
    }

    #[started(now)]
    async fn k(&self) -> Result<()> {
        Ok(())
    }

    #[action = "get"]
    async fn l(&self) -> Result<()> {
        Ok(())
    }

    #[action(retry(retires = 3))]
    async fn m(&self) -> Result<()> {
        Ok(())
    }

    #[action(cache(keys("id", 5)))]
    async fn n(&self) -> Result<()> {
        Ok(())
    }

    #[action(circuit_breaker = true)]
    async fn o(&self) -> Result<()> {
        Ok(())
    }

    #[action(bulkhead(concurrency = "many"))]
    async fn p(&self) -> Result<()> {
        Ok(())
    }

    #[action(fallback = from_archiv)]
    async fn q(&self) -> Result<()> {
        Ok(())
    }

    async fn from_archive(&self, _error: Error) -> Result<()> {
        Ok(())
    }

    #[action(tracing(spanName = "r"))]
    async fn r(&self) -> Result<()> {
        Ok(())
    }

    #[action(params(id = number))]
    async fn s(&self) -> Result<()> {
        Ok(())
    }

    #[action(rename_all = "camelCase")]
    async fn t(&self) -> Result<()> {
        Ok(())
    }

    #[action(rename_all = "camel")]
    async fn u(&self, id: u64) -> Result<u64> {
        Ok(id)
    }
}

fn main() {}
