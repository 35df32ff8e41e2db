//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::time::Duration;

use moleculer_core::{BrokerBuilder, InProcessNetwork, Plugins};

/// A broker of one network.
pub fn node(network: &InProcessNetwork, id: &str) -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).node_id(id).transporter(network.transporter())
}

/// A broker without a transporter.
pub fn local() -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).node_id("local")
}

/// Lets the other tasks run until a condition holds; panics after 10 s.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
