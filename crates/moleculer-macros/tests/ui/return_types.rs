//! What a handler returns is told at the handler.

use moleculer_core::Result;
use moleculer_macros::service;

struct Post;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn count(&self) -> i64 {
        5
    }

    #[action]
    async fn get(&self) -> Result<Post> {
        Ok(Post)
    }

    #[stopped]
    async fn stopped(&self) -> i64 {
        5
    }
}

fn main() {}
