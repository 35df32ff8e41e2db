//! Nodes and servers for the tests.

mod jwt;
mod log;
mod node;
mod server;

use std::time::Duration;

use tokio::time::timeout;

pub(crate) use self::{
    jwt::Operator,
    log::{dispatch, log_to, logged},
    node::{Node, Setup, counting, echo},
    server::{Server, certificate},
};

/// No state of the tests takes longer to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(DEADLINE, wait).await.is_ok(), "{what} did not come true");
}
