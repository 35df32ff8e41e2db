//! Two methods cannot be one action.

use moleculer_core::Result;
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn get(&self) -> Result<()> {
        Ok(())
    }

    #[action(name = "get")]
    async fn get_again(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
