//! The server comes late, goes, hangs, comes back, or does not.

use std::{sync::Arc, time::Duration};

use moleculer_core::{Action, BrokerOptions, Context, ErrorKind, Result, Service, State};
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::support::{DEADLINE, Node, Server, Setup, eventually, logged};

const CALLS: u64 = 100;

/// Calls go both ways, and each runs once: no subscription is there twice.
async fn work(a: &Node, b: &Node) {
    a.knows("b").await;
    b.knows("a").await;
    let before = (a.runs(), b.runs());
    for n in 0..CALLS {
        let text = n.to_string();
        assert_eq!(a.echo("b", &text).await.unwrap(), text);
        assert_eq!(b.echo("a", &text).await.unwrap(), text);
    }
    assert_eq!((a.runs() - before.0, b.runs() - before.1), (CALLS, CALLS));
}

pub(crate) async fn a_server_that_is_not_there_yet() {
    let mut server = Server::prepare::<&str>([]);
    let setup = Setup::new(&server.url());
    let starting = tokio::spawn(async move { setup.node("a").await });
    let failed = |line: &String| line.contains("not connected; next attempt");
    eventually("a first attempt that fails", || logged().iter().any(failed)).await;
    assert!(!starting.is_finished());
    server.start_again();
    let a = timeout(DEADLINE, starting).await.expect("a start").unwrap();
    a.stop().await;
}

pub(crate) async fn a_server_that_is_restarted() {
    let mut server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    work(&a, &b).await;
    for _ in 0..3 {
        server.kill();
        for node in [&a, &b] {
            node.hears("transporter.disconnected").await;
        }
        let error = a.echo("b", "x").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::BrokerDisconnected, "at once, and to be repeated");
        assert!(error.retryable());
        server.start_again();
        for node in [&a, &b] {
            node.hears("transporter.connected wasReconnect").await;
        }
        work(&a, &b).await;
    }
    a.stop().await;
    b.stop().await;
}

/// A handler that waits until the test lets it go on.
fn slow(go: &Arc<Notify>) -> Service {
    async fn wait(_: Context, State(go): State<Arc<Notify>>) -> Result<u64> {
        go.notified().await;
        Ok(7)
    }
    let service = Service::builder("slow").with_state(Arc::clone(go));
    service.action(Action::new("wait", wait)).build()
}

pub(crate) async fn an_answer_waits_for_the_server() {
    let go = Arc::new(Notify::new());
    let mut server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    let a = setup.node_with("a", setup.transporter(), |builder| builder.service(slow(&go)));
    let (a, b) = (a.await.unwrap(), setup.node("b").await);
    b.knows("slow").await;
    let call = tokio::spawn(b.broker.call::<u64>("slow.wait", ()).into_future());
    // It runs when a later request of the same node has been answered.
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    server.kill();
    for node in [&a, &b] {
        node.hears("transporter.disconnected").await;
    }
    go.notify_one();
    server.start_again();
    let answer = timeout(DEADLINE, call).await.expect("the call hangs");
    assert_eq!(answer.unwrap().unwrap(), 7);
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn a_server_that_hangs() {
    let server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    // Impatient with the server, patient with each other.
    let node = async |id: &str| {
        let transporter = setup.transporter().ping_interval(Duration::from_secs(1));
        let options = json!({"nodeID": id, "heartbeatInterval": 1, "heartbeatTimeout": 60});
        let options = BrokerOptions::from_value(options).unwrap();
        let node = setup.node_with(id, transporter.timeout(Duration::from_secs(1)), |builder| {
            builder.options(options).namespace(setup.namespace())
        });
        node.await.unwrap()
    };
    let (a, b) = (node("a").await, node("b").await);
    a.knows("b").await;
    server.freeze(true);
    let lost = tokio::spawn(a.broker.call::<String>("b.echo", "lost").into_future());
    for node in [&a, &b] {
        node.hears("transporter.disconnected").await;
    }
    assert!(!lost.is_finished(), "nobody is there who could answer");
    lost.abort();
    server.freeze(false);
    for node in [&a, &b] {
        node.hears("transporter.connected wasReconnect").await;
    }
    work(&a, &b).await;
    // It never ran, or once: it was on its way when the server froze.
    assert!(b.runs() <= CALLS + 1);
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn another_server_takes_over() {
    let (mut first, second) = (Server::start::<&str>([]), Server::start::<&str>([]));
    let setup = Setup::new(&format!("{},{}", first.url(), second.url()));
    let ordered = || setup.transporter().no_randomize(true);
    let a = setup.node_with("a", ordered(), |builder| builder).await.unwrap();
    let b = setup.node_with("b", ordered(), |builder| builder).await.unwrap();
    work(&a, &b).await;
    first.kill();
    for node in [&a, &b] {
        node.hears("transporter.connected wasReconnect").await;
    }
    work(&a, &b).await;
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn a_stop_while_the_server_is_away() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    let a = setup.node("a").await;
    server.kill();
    a.hears("transporter.disconnected").await;
    let stopping = Instant::now();
    a.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(2), "{:?}", stopping.elapsed());
    eventually("the end of all tasks", || tasks() == before).await;

    // And while it hangs, with a goodbye that nobody takes.
    server.start_again();
    let a = setup.node("a").await;
    server.freeze(true);
    let stopping = Instant::now();
    a.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(3), "{:?}", stopping.elapsed());
    server.freeze(false);
    eventually("the end of all tasks", || tasks() == before).await;
}

pub(crate) async fn no_reconnect_if_not_wanted() {
    let mut server = Server::start::<&str>([]);
    let setup = Setup::new(&server.url());
    let never = setup.transporter().reconnect(false);
    let never = setup.node_with("never", never, |builder| builder).await.unwrap();
    let twice = setup.transporter().max_reconnect_attempts(2);
    let twice = setup.node_with("twice", twice, |builder| builder).await.unwrap();
    let always = setup.node("always").await;
    for node in [&never, &twice] {
        node.knows("always").await;
    }
    server.kill();
    for node in [&never, &twice, &always] {
        node.hears("transporter.disconnected").await;
    }
    let mut lines = Vec::new();
    eventually("the end of all attempts", || {
        lines.extend(logged());
        lines.iter().filter(|line| line.contains("no further attempt is allowed")).count() == 2
    })
    .await;
    server.start_again();
    always.hears("transporter.connected wasReconnect").await;
    for node in [&never, &twice] {
        assert_eq!(node.news().await, Vec::<String>::new(), "it stays away");
        let error = node.echo("always", "x").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::BrokerDisconnected);
        node.stop().await;
    }
    always.stop().await;
}
