//! Arguments are named, or taken from the context; mistakes are told there.

use moleculer_core::{Meta, Object, Params, Result, ServiceBroker, SharedParams};
use moleculer_macros::service;
use serde::{Deserialize, Serialize};

struct CurrentUser;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Post;

struct Posts;

#[service(crate = moleculer_core)]
impl Posts {
    #[action]
    async fn both(&self, id: u64, Params(post): Params<Post>) -> Result<Post> {
        let _ = id;
        Ok(post)
    }

    #[action]
    async fn twice(&self, Params(_post): Params<Post>, other: SharedParams<Post>) -> Result<()> {
        let _ = other;
        Ok(())
    }

    #[action]
    async fn pattern(&self, (a, b): (u64, u64)) -> Result<u64> {
        Ok(a + b)
    }

    #[action]
    async fn broker(&self, broker: ServiceBroker) -> Result<()> {
        let _ = broker;
        Ok(())
    }

    #[action]
    async fn attribute(&self, #[serde(default)] meta: Meta<Object>) -> Result<()> {
        let _ = meta;
        Ok(())
    }

    #[action]
    async fn text(&self, name: &str) -> Result<String> {
        Ok(name.into())
    }
}

struct Users;

#[service(crate = moleculer_core)]
impl Users {
    #[action]
    async fn custom(&self, #[extract] user: CurrentUser) -> Result<()> {
        let _ = user;
        Ok(())
    }
}

struct Books<R>(R);

#[service(crate = moleculer_core)]
impl<R: Serialize + Send + Sync + 'static> Books<R> {
    #[action]
    async fn generic(&self, book: R) -> Result<()> {
        let _ = book;
        Ok(())
    }

    #[action]
    async fn result(&self) -> Result<Vec<R>> {
        Ok(Vec::new())
    }
}

fn main() {}
