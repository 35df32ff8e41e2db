//! More requests than a node runs at a time.

use std::sync::Arc;

use futures_util::stream;
use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, ByteStream, Context, Error, ErrorKind, Params, Result,
    Service,
};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{DEADLINE, Node, Port, eventually, quiet};

/// Calls the action `echo` of a node, and gives back what that gives.
async fn back(ctx: Context, Params(node): Params<String>) -> Result<String> {
    let action = format!("{node}.echo");
    ctx.call(&action, node).await
}

async fn never(_: Context) -> Result<()> {
    std::future::pending().await
}

fn one_at_a_time(builder: BrokerBuilder) -> BrokerBuilder {
    let options = json!({"nodeID": "a", "transit": {"maxRunningRequests": 1}});
    builder.options(BrokerOptions::from_value(options).unwrap()).service(
        Service::builder("slow")
            .action(Action::new("back", back))
            .action(Action::new("never", never)),
    )
}

#[tokio::test]
async fn a_response_comes_through_when_the_limit_is_reached() {
    let port = Port::new();
    let a = Node::with("a", quiet().port(port.number), one_at_a_time).await.unwrap();
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    a.knows("b").await;
    b.knows("slow").await;
    let call = b.broker.call::<String>("slow.back", "b");
    let answer = timeout(DEADLINE, call.into_future()).await;
    assert_eq!(answer.expect("the call hangs").unwrap(), "b");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn requests_above_the_limit_are_refused() {
    let port = Port::new();
    let a = Node::with("a", quiet().port(port.number), one_at_a_time).await.unwrap();
    let b = Node::start("b", quiet().urls([port.url("a")])).await;
    b.knows("slow").await;
    let running = tokio::spawn(b.broker.call::<()>("slow.never", ()).into_future());
    eventually("a request", || b.broker.pending_requests() == 1).await;
    let error = timeout(DEADLINE, b.echo("a", "x")).await.expect("the call hangs").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::QueueIsFull);
    assert!(error.retryable());
    running.abort();
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_while_connections_come_and_go() {
    let (first, second) = (Port::new(), Port::new());
    let a = Node::start("a", quiet().port(first.number)).await;
    let c = Node::start("c", quiet().port(second.number)).await;
    // Room for one connection, so that each call to the other node closes one.
    let urls = [first.url("a"), second.url("c")];
    let b = Arc::new(Node::start("b", quiet().max_connections(1).urls(urls)).await);
    b.knows("a").await;
    b.knows("c").await;
    let callers = (0..16).map(|caller| {
        let b = Arc::clone(&b);
        tokio::spawn(async move {
            for n in 0..100 {
                let node = if (caller + n) % 2 == 0 { "a" } else { "c" };
                let text = format!("{caller}-{n}");
                assert_eq!(b.echo(node, &text).await.unwrap(), text);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        timeout(DEADLINE, caller).await.expect("a call hangs").unwrap();
    }
    for node in [&*b, &a, &c] {
        node.stop().await;
    }
}

async fn pass(body: ByteStream) -> Result<ByteStream> {
    Ok(body)
}

/// In JSON each of these bytes takes four characters.
#[tokio::test]
async fn chunks_of_a_stream_fit_into_packets() {
    let port = Port::new();
    let small = || quiet().max_packet_size(64 * 1024);
    let service = |builder: BrokerBuilder| {
        builder.service(Service::builder("pipe").action(Action::new("pass", pass)))
    };
    let a = Node::with("a", small().port(port.number), service).await.unwrap();
    let b = Node::start("b", small().urls([port.url("a")])).await;
    b.knows("pipe").await;
    let whole = stream::once(async { Ok::<_, Error>(vec![255; 1_000_000]) });
    let call = b.broker.call::<ByteStream>("pipe.pass", ()).stream(ByteStream::new(whole));
    let echoed = async { call.await?.collect_up_to(1_000_000).await };
    let echoed = timeout(DEADLINE, echoed).await.expect("the stream hangs").unwrap();
    assert!(echoed.len() == 1_000_000 && echoed.iter().all(|byte| *byte == 255));
    a.stop().await;
    b.stop().await;
}
