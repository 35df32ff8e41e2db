//! What belongs to a trait, and what to its implementation.

use moleculer_core::Result;
use moleculer_macros::service;

#[service(dependencies("users"), crate = moleculer_core)]
trait Generic<T> {
    #[action]
    async fn get(&self) -> Result<()>;
}

#[service(name = "posts", crate = moleculer_core)]
trait PostsApi {
    #[action]
    async fn get(&self, id: u64) -> Result<Self::Post>;

    type Post: serde::Serialize + Send + Sync + 'static;
}

#[service(name = "users", crate = moleculer_core)]
trait UsersApi {
    #[action]
    async fn get(&self, id: u64) -> Result<u64>;
}

struct Users;

#[service(version = 2, crate = moleculer_core)]
impl UsersApi for Users {
    #[action]
    async fn get(&self, id: u64) -> Result<u64> {
        Ok(id)
    }
}

struct Plain;

#[service(crate = moleculer_core)]
impl Default for Plain {
    fn default() -> Self {
        Self
    }
}

fn main() {}
