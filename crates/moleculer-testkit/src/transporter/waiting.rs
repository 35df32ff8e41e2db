//! What happens when there is no room.

use bytes::Bytes;
use futures_util::FutureExt;
use moleculer_core::{
    TryPublishError,
    protocol::{PacketKind, Topic},
};
use tokio::task::unconstrained;

use super::{Bench, Outcome, deliver::end, ensure, grace};

/// Bytes that may wait for one node.
const BOUND: usize = 256 << 20;
/// Of each packet.
const SIZE: usize = 16 << 10;

/// Publishing to a node that reads nothing ends in waiting, and goes on when
/// it reads. Here nobody reads because this is one thread.
pub(super) async fn publish_waits_while_the_way_is_full(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    let topic = Topic::node(PacketKind::Event, "b".into());
    // The way is open before it is filled.
    a.send(PacketKind::Event, "b", "first").await?;
    b.receives(PacketKind::Event, 1).await?;
    let bytes = Bytes::from(vec![b'x'; SIZE]);
    let mut sent = 1;
    let waits = loop {
        ensure!(sent * SIZE < BOUND, "{sent} packets of {SIZE} bytes wait for a node");
        match a.transporter.try_publish(&topic, bytes.clone()) {
            Ok(()) => {}
            Err(TryPublishError::Full(back)) => {
                ensure!(back == bytes, "a packet without room is given back changed");
                // Tokio's budget would make it wait.
                let mut publish = unconstrained(a.transporter.publish_dyn(&topic, back));
                match (&mut publish).now_or_never() {
                    None => break publish,
                    Some(done) => done.map_err(|error| format!("packet {sent}: {error}"))?,
                }
            }
            Err(TryPublishError::Failed(error)) => return Err(format!("packet {sent}: {error}")),
        }
        sent += 1;
    };
    waits.await.map_err(|error| format!("the packet that waited: {error}"))?;
    b.receives(PacketKind::Event, sent + 1).await?;
    end([a, b]).await
}

pub(super) async fn a_paused_reader_gets_nothing(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    b.pause(true);
    for n in 0..20 {
        a.send(PacketKind::Event, "b", n.to_string()).await?;
    }
    // The packet that was answered with a pause has been taken.
    b.receives(PacketKind::Event, 1).await?;
    grace().await;
    let got = b.seen().packets.len();
    ensure!(got == 1, "{got} packets came before the host was ready");
    b.pause(false);
    let got = b.receives(PacketKind::Event, 20).await?;
    ensure!(got.len() == 20, "{} packets came for 20", got.len());
    end([a, b]).await
}

pub(super) async fn a_slow_node_holds_up_no_other(bench: Bench) -> Outcome {
    let [a, slow, quick] = bench.nodes(["a", "slow", "quick"]).await?;
    slow.pause(true);
    let topic = Topic::node(PacketKind::Event, "slow".into());
    let bytes = Bytes::from(vec![b'x'; SIZE]);
    let mut sent = 0;
    while a.transporter.try_publish(&topic, bytes.clone()).is_ok() && sent * SIZE < BOUND {
        sent += 1;
        tokio::task::yield_now().await;
    }
    for n in 0..100 {
        a.send(PacketKind::Event, "quick", n.to_string()).await?;
    }
    quick.receives(PacketKind::Event, 100).await?;
    let got = slow.seen().packets.len();
    ensure!(got <= 1, "the paused node got {got} packets");
    slow.pause(false);
    slow.receives(PacketKind::Event, sent).await?;
    end([a, slow, quick]).await
}
