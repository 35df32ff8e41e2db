//! A handler may run on any thread.

use moleculer_core::Result;
use moleculer_macros::service;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn get(&self) -> Result<()> {
        let pointer: *const u8 = std::ptr::null();
        std::future::ready(()).await;
        drop(pointer);
        Ok(())
    }
}

fn main() {}
