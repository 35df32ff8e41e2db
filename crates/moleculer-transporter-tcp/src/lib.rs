#![doc = include_str!("../README.md")]

mod config;
mod connection;
mod discoverer;
mod error;
mod gossip;
mod listener;
mod rival;
mod session;
mod socket;
mod strangers;
mod transporter;
mod udp;
mod urls;

pub use self::{
    config::{Broadcast, TcpConfig, TcpTransporterBuilder},
    transporter::{PLUGIN, TcpTransporter},
    urls::Urls,
};
