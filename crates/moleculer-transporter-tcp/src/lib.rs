#![doc = include_str!("../README.md")]

mod batch;
mod config;
mod connection;
mod discoverer;
mod error;
mod gossip;
mod listener;
mod pace;
mod session;
mod socket;
mod transporter;
mod udp;
mod urls;

pub use self::{
    config::{Broadcast, TcpConfig, TcpTransporterBuilder},
    transporter::{PLUGIN, TcpTransporter},
    urls::Urls,
};
