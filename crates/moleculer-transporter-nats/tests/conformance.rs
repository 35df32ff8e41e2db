//! The rules of transporters, over a real NATS server: the one at
//! `MOLECULER_TEST_NATS_URL`, or one of this test's own if
//! `MOLECULER_TEST_NATS_SERVER` is the program.

// The other tests share these helpers and need all of them.
#[allow(dead_code, reason = "this test needs the server alone")]
#[path = "nodes/support/server.rs"]
mod server;

use std::{
    env,
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use moleculer_testkit::transporter::{Subject, run};
use moleculer_transporter_nats::NatsTransporter;

use crate::server::Server;

fn main() -> ExitCode {
    let url = env::var("MOLECULER_TEST_NATS_URL").ok().filter(|url| !url.is_empty());
    let listed = env::args().any(|argument| argument == "--list");
    let own = (url.is_none() && !listed && Server::program().is_some())
        .then(|| Server::start::<&str>([]));
    let url = url.or_else(|| own.as_ref().map(Server::url));
    run(match url.as_deref().and_then(parts) {
        Some((login, server)) => Subject::behind(server, move |address| {
            NatsTransporter::builder()
                .url(format!("nats://{login}{address}"))
                .reconnect_time_wait(Duration::from_millis(100))
        }),
        None => {
            Subject::unavailable("unavailable: no NATS server; run `cargo xtask test --only nats`")
        }
    })
}

/// Login and address of a URL such as `nats://ada:secret@host:4222`.
fn parts(url: &str) -> Option<(String, SocketAddr)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let (login, host) = match rest.rsplit_once('@') {
        Some((login, host)) => (format!("{login}@"), host),
        None => (String::new(), rest),
    };
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:4222") };
    Some((login, host.to_socket_addrs().ok()?.next()?))
}
