//! The options of `#[service]` are checked as well.

use moleculer_core::Result;
use moleculer_macros::service;

struct A;
struct B;
struct C;
struct D;

#[service(nmae = "a", crate = moleculer_core)]
impl A {
    #[action]
    async fn get(&self) -> Result<()> {
        Ok(())
    }
}

#[service("b", crate = moleculer_core)]
impl B {}

#[service(dependencies = "users", crate = moleculer_core)]
impl C {}

#[service(version = 1.5, crate = moleculer_core)]
impl D {}

fn main() {}
