#![doc = include_str!("../README.md")]

mod compound;
mod decode;
mod encode;
mod key;
mod number;
mod read;
mod serializer;

pub use self::serializer::MsgPackSerializer;
