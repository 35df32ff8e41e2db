#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aes;
mod config;
mod encryption;
mod key;
mod plugin;
mod sealed;

pub use self::{
    aes::{Aes, Mode},
    encryption::Encryption,
    key::Key,
    plugin::{ENCRYPTION, PLUGIN},
};
