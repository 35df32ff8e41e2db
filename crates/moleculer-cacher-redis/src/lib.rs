#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cacher;
mod config;
mod error;
mod link;
mod lock;
mod pattern;
mod plugin;
mod session;
mod target;

pub use self::{
    cacher::RedisCacher,
    config::{
        Address, ClusterConfig, ClusterOptions, RedisBuilder, RedisConfig, Redlock, ServerConfig,
    },
    plugin::REDIS,
};
