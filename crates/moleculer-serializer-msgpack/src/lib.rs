#![doc = include_str!("../README.md")]

mod dialect;
mod number;
mod read;
mod serializer;
mod write;

pub use self::serializer::{MsgPackSerializer, NOTEPACK_PLUGIN, PLUGIN};
