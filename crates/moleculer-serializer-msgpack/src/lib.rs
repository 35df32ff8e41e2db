#![doc = include_str!("../README.md")]

mod number;
mod read;
mod serializer;
mod write;

pub use self::serializer::MsgPackSerializer;
