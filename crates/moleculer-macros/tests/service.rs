#![allow(missing_docs)]
use moleculer_core::{Params, Result};
use moleculer_macros::service;
struct Posts;
#[service(crate = moleculer_core)]
impl Posts {
    /// Hi
    #[action(timeout = "2s", visibility = "public", detached, extra(rest = "GET /:id", n = -5))]
    async fn get(&self, Params(a): Params<i64>) -> Result<i64> {
        Ok(a)
    }
    #[event("a.*", group = "x")]
    async fn ev(&self) -> Result<()> {
        Ok(())
    }
    #[started]
    async fn st(&self, broker: moleculer_core::ServiceBroker) -> Result<()> {
        let _ = broker;
        Ok(())
    }
    #[stopped]
    async fn sp(&self) -> Result<()> {
        Ok(())
    }
}
