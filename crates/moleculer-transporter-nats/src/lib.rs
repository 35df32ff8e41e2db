#![doc = include_str!("../README.md")]

mod config;
mod connection;
mod error;
mod inbox;
mod room;
mod servers;
mod session;
mod shares;
mod subject;
mod transporter;

pub use self::{
    config::{NatsConfig, NatsTransporterBuilder, TlsConfig},
    servers::Servers,
    transporter::{NatsTransporter, PLUGIN},
};
