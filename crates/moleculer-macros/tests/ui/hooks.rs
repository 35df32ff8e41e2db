//! Hooks and lifecycle handlers.

use moleculer_core::{Context, Error, Params, Result, Service};
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn get(&self) -> Result<u32> {
        Ok(1)
    }

    #[action(name = "list")]
    async fn all(&self) -> Result<u32> {
        Ok(1)
    }

    #[before("lits")]
    async fn a(&self) -> Result<()> {
        Ok(())
    }

    #[before(get)]
    async fn b(&self) -> Result<()> {
        Ok(())
    }

    #[before]
    async fn c(&self, _id: u64) -> Result<()> {
        Ok(())
    }

    #[after]
    async fn d(&self) -> Result<()> {
        Ok(())
    }

    #[on_error]
    async fn e(&self, error: String) -> Result<()> {
        Err(Error::internal(error))
    }

    #[action]
    #[started]
    async fn f(&self) -> Result<()> {
        Ok(())
    }

    #[created]
    async fn g(&self) -> Result<()> {
        Ok(())
    }

    #[merged]
    fn h(&self) {}

    #[started]
    async fn i(&self, _ctx: Context) -> Result<()> {
        Ok(())
    }

    #[merged]
    fn j(&self, service: &Service) {
        let _ = service;
    }

    #[before]
    async fn fine(&self, Params(_id): Params<u64>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
