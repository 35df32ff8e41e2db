//! Brokers over real sockets on the loopback interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod discovery;
mod hostile;
mod load;
mod support;
mod wire;
