//! What a handler looks like.

use moleculer_core::{Context, Params, Result};
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    fn not_async(&self) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn mutable(&mut self) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn without_self(_ctx: Context) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn generic<T: Send>(&self, Params(_n): Params<T>) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn borrowed(&self, _ctx: &Context) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn without_result(&self) {}
}

fn main() {}
