//! Names that the client needs itself.

use moleculer_core::Result;
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn new(&self, title: String) -> Result<String> {
        Ok(title)
    }

    #[action]
    async fn client(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
