#![doc = include_str!("../README.md")]

pub mod alloc;
pub mod cacher;
mod compare;
pub mod local;
pub mod middleware;
pub mod network;
pub mod relay;
pub mod serializer;
pub mod strategy;
pub mod transporter;

/// The suites' own tests measure as those of a plug-in do.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: alloc::CountingAllocator = alloc::CountingAllocator;
