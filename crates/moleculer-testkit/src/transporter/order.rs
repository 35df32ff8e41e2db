//! Packets arrive in the order in which they were published.

use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};
use moleculer_core::{
    TryPublishError,
    protocol::{PacketKind, Topic},
};
use tokio::task::unconstrained;

use super::{Bench, Outcome, deliver::end, ensure, node::Node};

const PACKETS: usize = 2000;

/// Small ones and large ones by turns, since they may take different ways.
fn packet(from: &str, n: usize) -> Bytes {
    let size = [0, 10, 1000, 0, 20_000, 0, 0, 3000][n % 8];
    format!("{from} {n} {}", "x".repeat(size)).into()
}

/// The numbers of one sender's packets.
fn numbers(packets: &[Bytes], from: &str) -> Vec<usize> {
    let number = |bytes: &Bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.split(' ');
        (words.next()? == from).then(|| words.next()?.parse().ok())?
    };
    packets.iter().filter_map(number).collect()
}

async fn check(node: &Node, from: &str, count: usize) -> Outcome {
    let what = format!("{count} packets from {from}");
    let arrived = |packets: &[Bytes]| numbers(packets, from).len() >= count;
    node.until(&what, |seen| arrived(&seen.bodies(PacketKind::Event))).await?;
    let numbers = numbers(&node.seen().bodies(PacketKind::Event), from);
    match (0..count).find(|&n| numbers.get(n) != Some(&n)) {
        None if numbers.len() == count => Ok(()),
        None => Err(format!("{} packets arrived for {count}", numbers.len())),
        Some(at) => Err(format!("at {at} came packet {:?} of {from}", numbers.get(at))),
    }
}

pub(super) async fn of_packets_to_one_target(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    for n in 0..PACKETS {
        a.send(PacketKind::Event, "b", packet("a", n)).await?;
    }
    check(&b, "a", PACKETS).await?;
    end([a, b]).await
}

pub(super) async fn of_packets_from_several_nodes(bench: Bench) -> Outcome {
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    let send = async |node: &Node| {
        for n in 0..PACKETS / 4 {
            node.send(PacketKind::Event, "b", packet(node.id(), n)).await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, String>(())
    };
    let (sent_a, sent_c) = tokio::join!(send(&a), send(&c));
    sent_a.and(sent_c)?;
    for from in ["a", "c"] {
        check(&b, from, PACKETS / 4).await?;
    }
    end([a, b, c]).await
}

/// Nobody reads while all of them are published: this is one thread.
pub(super) async fn of_packets_that_find_no_room(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    let topic = Topic::node(PacketKind::Event, "b".into());
    let mut waiting = Vec::new();
    for n in 0..3 * PACKETS {
        let full = match a.transporter.try_publish(&topic, packet("a", n)) {
            Ok(()) if waiting.is_empty() => continue,
            Ok(()) => return Err(format!("packet {n} overtakes one that waits for room")),
            Err(TryPublishError::Full(bytes)) => bytes,
            Err(TryPublishError::Failed(error)) => return Err(format!("packet {n}: {error}")),
        };
        // Its place is taken when it is first polled; tokio's budget would
        // keep it from that.
        let mut publish = unconstrained(a.transporter.publish_dyn(&topic, full));
        match (&mut publish).now_or_never() {
            None => waiting.push(publish),
            Some(sent) => sent.map_err(|error| format!("packet {n}: {error}"))?,
        }
    }
    for sent in join_all(waiting).await {
        sent.map_err(|error| format!("a packet that waited: {error}"))?;
    }
    check(&b, "a", 3 * PACKETS).await?;
    end([a, b]).await
}

/// A response that was sent before a goodbye is handed on before it.
pub(super) async fn goodbyes_come_last(bench: Bench) -> Outcome {
    let b = bench.node("b").await?;
    for round in 1..=10 {
        let a = bench.node(&format!("a{round}")).await?;
        for n in 0..50 {
            a.send(PacketKind::Response, "b", packet("a", n)).await?;
        }
        a.send_all(PacketKind::Disconnect, "goodbye").await?;
        b.receives(PacketKind::Disconnect, round).await?;
        let before = {
            let seen = b.seen();
            let goodbye =
                seen.packets.iter().rposition(|(kind, _)| *kind == PacketKind::Disconnect);
            let before = seen.packets.iter().take(goodbye.unwrap_or_default());
            before.filter(|(kind, _)| *kind == PacketKind::Response).count()
        };
        ensure!(before == 50 * round, "{before} of {} responses came before it", 50 * round);
        a.disconnect().await?;
    }
    b.disconnect().await
}
