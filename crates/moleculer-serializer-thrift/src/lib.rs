#![doc = include_str!("../README.md")]

mod read;
mod serializer;
mod wire;
mod write;

pub use self::serializer::{PLUGIN, ThriftSerializer};
