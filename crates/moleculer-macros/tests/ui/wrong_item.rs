//! Only an `impl` block of a type can become a service.

use moleculer_macros::service;

/// A service.
#[service(crate = moleculer_core)]
pub struct Posts;

#[service(crate = moleculer_core)]
impl Default for Posts {
    fn default() -> Self {
        Self
    }
}

fn main() {}
