#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod cacher;
mod config;
mod error;
mod link;
mod lock;
mod pattern;
mod plugin;
mod servers;
mod session;
mod target;
mod tls;

pub use self::{
    builder::RedisBuilder,
    cacher::RedisCacher,
    config::{ClusterConfig, ClusterOptions, RedisConfig, Redlock, ServerConfig},
    plugin::REDIS,
    servers::Address,
    tls::{Pem, TlsConfig},
};
