#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod codec;
mod compression;
mod plugin;
mod size;

pub use self::{
    codec::Method,
    compression::Compression,
    plugin::{COMPRESSION, PLUGIN},
};
