#![doc = include_str!("../README.md")]

mod message;
mod read;
mod serializer;
mod slot;
mod write;

pub use self::serializer::{PLUGIN, ProtoBufSerializer};
