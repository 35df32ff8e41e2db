#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod memory;
mod plugin;
mod store;

pub use self::{
    config::{MemoryBuilder, MemoryConfig},
    memory::MemoryCacher,
    plugin::{MEMORY, MEMORY_LRU},
};
