#![doc = include_str!("../README.md")]

pub mod alloc;
pub mod cacher;
mod compare;
pub mod local;
pub mod middleware;
pub mod serializer;
pub mod strategy;

/// The suites' own tests measure as those of a plug-in do.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: alloc::CountingAllocator = alloc::CountingAllocator;
