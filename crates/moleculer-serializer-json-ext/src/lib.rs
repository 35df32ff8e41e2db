#![doc = include_str!("../README.md")]

mod read;
mod serializer;
mod write;

pub use self::serializer::{JsonExtSerializer, PLUGIN};
