#![doc = include_str!("../README.md")]

mod decode;
mod encode;
mod read;
mod serializer;
mod write;

pub use self::serializer::AvroSerializer;
