//! Ten thousand who connect and say nothing.

use std::{io::Read, net::TcpStream, thread, time::Duration};

use moleculer_testkit::alloc::peak;
use tokio::{runtime::Builder, time::Instant};

use crate::support::{Log, Node, Port, eventually, quiet};

const STRANGERS: usize = 10_000;
/// Of them no more are held at a time, but for those that are just accepted or
/// just sent away.
const HELD: usize = 1024;
/// What one of them may cost, without what the system takes for its socket.
const BYTES: usize = 4096;

/// As many as the system gives this process descriptors for.
fn connect(port: u16) -> Vec<TcpStream> {
    let mut strangers = Vec::with_capacity(STRANGERS);
    while strangers.len() < STRANGERS {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stranger) => strangers.push(stranger),
            // The node needs some as well.
            Err(_) => {
                strangers.truncate(strangers.len() * 2 / 3);
                break;
            }
        }
    }
    strangers
}

#[test]
fn they_cost_little_and_go_soon() {
    let log = Log::default();
    let _log = log.keep(tracing::Level::WARN);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let port = Port::new();
    let (a, b) = runtime.block_on(async {
        let a = Node::start("a", quiet().port(port.number)).await;
        let b = Node::start("b", quiet().urls([port.url("a")])).await;
        a.knows("b").await;
        b.echo("a", "x").await.unwrap();
        a.echo("b", "x").await.unwrap();
        (a, b)
    });
    let tasks = a.broker.running_tasks();

    let number = port.number;
    let connecting = thread::spawn(move || connect(number));
    let ((calls, slowest, most), bytes) = peak(|| {
        runtime.block_on(async {
            let (mut calls, mut slowest, mut most) = (0, Duration::ZERO, 0);
            while !connecting.is_finished() {
                let started = Instant::now();
                assert_eq!(b.echo("a", "x").await.unwrap(), "x");
                assert_eq!(a.echo("b", "y").await.unwrap(), "y");
                slowest = slowest.max(started.elapsed());
                most = most.max(a.broker.running_tasks() - tasks);
                calls += 2;
            }
            (calls, slowest, most)
        })
    });
    let strangers = connecting.join().unwrap();
    let count = strangers.len();
    println!(
        "{count} strangers, {most} at once; {bytes} bytes at most; {calls} calls, two took {slowest:?} at most"
    );
    assert!(most < 2 * HELD, "{most} are held at once");
    assert!(bytes < most * BYTES + (1 << 20), "{bytes} bytes for {count} strangers");
    assert!(slowest < Duration::from_secs(2), "calls of peers took {slowest:?}");

    runtime.block_on(async {
        eventually("no stranger is left", || a.broker.running_tasks() == tasks).await;
        assert_eq!(b.echo("a", "x").await.unwrap(), "x");
        for node in [&a, &b] {
            node.stop().await;
        }
    });
    for mut stranger in strangers {
        let end = stranger.read(&mut [0]);
        assert!(matches!(end, Ok(0) | Err(_)), "a connection was not closed");
    }
    let lines = log.lines("connections on which nothing comes are closed");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(log.text().lines().count() <= 2, "{}", log.text());
}
