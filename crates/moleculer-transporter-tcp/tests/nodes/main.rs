//! Brokers over real sockets on the loopback interface.

mod discovery;
mod hostile;
mod support;
mod wire;
