//! An argument that cannot be taken from a context is told at its type.

use moleculer_core::{Context, Result};
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn get(&self, _id: i64) -> Result<()> {
        Ok(())
    }

    #[started]
    async fn started(&self, _ctx: Context) -> Result<()> {
        Ok(())
    }
}

fn main() {}
