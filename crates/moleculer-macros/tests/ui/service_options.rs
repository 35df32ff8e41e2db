//! The options of `#[service]` are checked as well.

use moleculer_core::Result;
use moleculer_macros::service;

struct A;
struct B;
struct C;
struct D;
struct E;
struct F;
struct G;
struct H;
struct I;

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

#[service(settings, crate = moleculer_core)]
impl E {}

#[service(actions(find), crate = moleculer_core)]
impl F {}

#[service(actions(find(fallback = x)), crate = moleculer_core)]
impl G {}

#[service(client = "Caller", crate = moleculer_core)]
impl H {}

#[service(mixins(), crate = moleculer_core)]
impl I {}

fn main() {}
