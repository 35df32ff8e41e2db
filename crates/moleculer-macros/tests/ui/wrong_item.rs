//! Only an `impl` block or a trait can become a service.

use moleculer_macros::service;

/// A service.
#[service(crate = moleculer_core)]
pub struct Posts;

#[service(crate = moleculer_core)]
mod posts {}

fn main() {}
