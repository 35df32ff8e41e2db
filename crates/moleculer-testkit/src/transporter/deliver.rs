//! What arrives, and where.

use bytes::Bytes;
use moleculer_core::protocol::{PacketKind, Topic};
use tokio::time::timeout;

use super::{Bench, DEADLINE, Outcome, ensure, grace, node::Node};

/// Kinds that travel to one node over every medium.
const TARGETED: [PacketKind; 5] = [
    PacketKind::Event,
    PacketKind::Request,
    PacketKind::Response,
    PacketKind::Ping,
    PacketKind::Pong,
];

/// A packet after which no earlier one of the same sender is under way.
pub(super) async fn settle(from: &Node, to: &[&Node]) -> Outcome {
    for node in to {
        let before = node.seen().bodies(PacketKind::Pong).len();
        from.send(PacketKind::Pong, node.id(), "settled").await?;
        node.receives(PacketKind::Pong, before + 1).await?;
    }
    grace().await;
    Ok(())
}

/// The first packets after `subscribe` are not lost.
pub(super) async fn both_ways_once_subscribed(bench: Bench) -> Outcome {
    let a = bench.node("a").await?;
    // Several, since a medium that is late is so only now and then.
    for n in 0..10 {
        let id = format!("b{n}");
        let b = bench.node(&id).await?;
        a.send(PacketKind::Request, &id, "to b").await?;
        b.receives(PacketKind::Request, 1).await?;
        b.send(PacketKind::Response, "a", id).await?;
        a.receives(PacketKind::Response, n + 1).await?;
        b.disconnect().await?;
    }
    a.disconnect().await
}

pub(super) async fn to_the_node_alone(bench: Bench) -> Outcome {
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    for kind in TARGETED {
        a.send(kind, "b", format!("{kind} to b")).await?;
    }
    for kind in TARGETED {
        let got = b.receives(kind, 1).await?;
        ensure!(got == [format!("{kind} to b")], "{kind}: node b got {got:?}");
    }
    settle(&a, &[&c]).await?;
    ensure!(a.seen().packets.is_empty(), "the sender got {:?}", a.seen().packets);
    let others = c.seen().packets.len() - 1;
    ensure!(others == 0, "a node that no packet was for got {others}");
    let twice = b.seen().packets.len();
    ensure!(twice == TARGETED.len(), "node b got {twice} packets for {}", TARGETED.len());
    end([a, b, c]).await
}

pub(super) async fn to_every_node(bench: Bench) -> Outcome {
    use PacketKind as K;
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    let kinds = [K::Discover, K::Info, K::Heartbeat, K::Ping, K::Disconnect];
    for kind in kinds {
        a.send_all(kind, format!("{kind} to all")).await?;
    }
    for node in [&b, &c] {
        for kind in kinds {
            let got = node.receives(kind, 1).await?;
            ensure!(got == [format!("{kind} to all")], "{kind}: node {} got {got:?}", node.id());
        }
    }
    // One of them alone.
    for kind in [K::Discover, K::Info] {
        a.send(kind, "b", "to b").await?;
        b.receives(kind, 2).await?;
    }
    settle(&a, &[&c]).await?;
    let got = c.seen().packets.len() - 1;
    ensure!(got == kinds.len(), "node c got {got} packets for {}", kinds.len());
    end([a, b, c]).await
}

pub(super) async fn bytes_unchanged(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    // Every byte, at every place in a word, and sizes around those of buffers.
    let sizes = [0, 1, 2, 255, 256, 1000, 4096, 65_535, 65_536, 65_537, 300_000];
    for (at, size) in sizes.into_iter().enumerate() {
        let bytes: Bytes = (0..size).map(|n| (n * 31 + at) as u8).collect();
        a.send(PacketKind::Request, "b", bytes.clone()).await?;
        let got = b.receives(PacketKind::Request, at + 1).await?;
        let same = got[at] == bytes;
        ensure!(same, "{size} bytes became {} others or some were changed", got[at].len());
    }
    end([a, b]).await
}

pub(super) async fn not_to_another_namespace(bench: Bench) -> Outcome {
    let stranger = bench.stranger("b").await?;
    let [a, b] = bench.nodes(["a", "b"]).await?;
    a.send(PacketKind::Request, "b", "to b").await?;
    b.receives(PacketKind::Request, 1).await?;
    a.send_all(PacketKind::Heartbeat, "to all").await?;
    settle(&a, &[&b]).await?;
    let got = stranger.seen().packets.clone();
    ensure!(got.is_empty(), "a node of another namespace got {got:?}");
    end([a, b, stranger]).await
}

pub(super) async fn discovery_is_as_declared(bench: Bench) -> Outcome {
    let node = bench.node("a").await?;
    let declared = node.transporter.capabilities().own_discovery;
    let brought = node.transporter.discoverer().is_some();
    ensure!(
        declared == brought,
        "capabilities().own_discovery is {declared}, but discoverer() gives {}",
        if brought { "one" } else { "none" }
    );
    node.disconnect().await
}

/// A packet of the largest size arrives; a larger one harms no other.
pub(super) async fn up_to_the_declared_size(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    let limit = a.transporter.capabilities().max_packet.unwrap_or_default();
    a.send(PacketKind::Request, "b", vec![b'x'; limit]).await?;
    let got = b.receives(PacketKind::Request, 1).await?[0].len();
    ensure!(got == limit, "of {limit} bytes {got} arrived");
    let topic = Topic::node(PacketKind::Request, "b".into());
    // Whether it is refused here or dropped there is not said.
    let larger = a.publish(&topic, vec![b'x'; limit + 1]).await;
    let refused = if larger.is_err() { "refused" } else { "taken" };
    let after = a.send(PacketKind::Pong, "b", "after").await;
    after.map_err(|error| format!("after a larger one was {refused}: {error}"))?;
    let arrived = b.receives(PacketKind::Pong, 1).await;
    arrived.map_err(|error| format!("after a larger one was {refused}: {error}"))?;
    end([a, b]).await
}

pub(super) async fn nobody_there_does_no_harm(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    let nobody = Topic::node(PacketKind::Request, "nobody".into());
    for n in 0..20 {
        // A medium that knows who is there may refuse.
        timeout(DEADLINE, a.publish(&nobody, "lost")).await.ok();
        a.send(PacketKind::Event, "b", n.to_string()).await?;
    }
    b.receives(PacketKind::Event, 20).await?;
    end([a, b]).await
}

pub(super) async fn end<const N: usize>(nodes: [Node; N]) -> Outcome {
    for node in nodes {
        node.disconnect().await?;
    }
    Ok(())
}
