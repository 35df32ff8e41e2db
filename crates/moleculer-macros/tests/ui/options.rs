//! Each option is checked, at the word that is wrong.

use moleculer_core::Result;
use moleculer_macros::service;

struct Posts;

#[service(name = "posts", crate = moleculer_core)]
impl Posts {
    #[action(timout = "2s")]
    async fn a(&self) -> Result<()> {
        Ok(())
    }

    #[action(timeout = "2")]
    async fn b(&self) -> Result<()> {
        Ok(())
    }

    #[action(timeout = 2000)]
    async fn c(&self) -> Result<()> {
        Ok(())
    }

    #[action(visibility = "secret")]
    async fn d(&self) -> Result<()> {
        Ok(())
    }

    #[action(detached = true)]
    async fn e(&self) -> Result<()> {
        Ok(())
    }

    #[action(extra(timeout = 5))]
    async fn f(&self) -> Result<()> {
        Ok(())
    }

    #[action("get")]
    async fn g(&self) -> Result<()> {
        Ok(())
    }

    #[event]
    async fn h(&self) -> Result<()> {
        Ok(())
    }

    #[event("posts.*", grupo = "mail")]
    async fn i(&self) -> Result<()> {
        Ok(())
    }

    #[event("posts.*" group = "mail")]
    async fn j(&self) -> Result<()> {
        Ok(())
    }

    #[started(now)]
    async fn k(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
