//! Brokers over real sockets on the loopback interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod discovery;
mod fields;
mod hostile;
mod load;
mod outage;
#[allow(dead_code, unused_imports, reason = "the other test program uses the rest")]
mod support;
mod wire;
