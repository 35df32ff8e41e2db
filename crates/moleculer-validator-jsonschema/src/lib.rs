#![doc = include_str!("../README.md")]

mod items;
mod validator;

pub use self::validator::{JsonSchemaConfig, JsonSchemaValidator, PLUGIN};
