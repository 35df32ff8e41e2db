//! The service is shared between threads.

use moleculer_core::Result;
use moleculer_macros::service;

struct Posts {
    pointer: *const u8,
}

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn get(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
