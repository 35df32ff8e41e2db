//! Topics of which the medium chooses the receiver.

use bytes::Bytes;
use moleculer_core::protocol::{PacketKind, Target, Topic};

use super::{Bench, Outcome, deliver::end, ensure, eventually, grace, node::Node};

const PACKETS: usize = 300;

fn requests(action: &str) -> Topic {
    Topic { kind: PacketKind::Request, target: Target::Action(action.into()) }
}

fn events(group: &str, event: &str) -> Topic {
    let target = Target::Event { group: group.into(), event: event.into() };
    Topic { kind: PacketKind::Event, target }
}

async fn subscribe(node: &Node, topics: impl IntoIterator<Item = Topic>) -> Outcome {
    let topics = topics.into_iter().collect();
    let subscribed = node.transporter.subscribe_balanced_dyn(topics).await;
    subscribed.map_err(|error| format!("subscribe_balanced failed: {error}"))
}

async fn publish(node: &Node, topic: &Topic, count: usize) -> Outcome {
    for n in 0..count {
        let bytes = Bytes::from(n.to_string());
        let sent = node.publish(topic, bytes).await;
        sent.map_err(|error| format!("publishing to {}: {error}", topic.name("")))?;
    }
    Ok(())
}

/// How many packets of a kind each of the nodes got, when all are there.
async fn shares<const N: usize>(
    nodes: [&Node; N],
    kind: PacketKind,
    total: usize,
) -> Outcome<[usize; N]> {
    let counts = || nodes.map(|node| node.seen().bodies(kind).len());
    let arrived = eventually(|| counts().iter().sum::<usize>() >= total).await;
    ensure!(arrived, "{:?} of {total} packets of {kind} arrived", counts());
    grace().await;
    let counts = counts();
    ensure!(counts.iter().sum::<usize>() == total, "{counts:?} packets arrived for {total}");
    Ok(counts)
}

pub(super) async fn requests_go_to_one_node(bench: Bench) -> Outcome {
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    for node in [&b, &c] {
        subscribe(node, [requests("math.add"), requests("math.sub")]).await?;
    }
    publish(&a, &requests("math.add"), PACKETS).await?;
    let got = shares([&b, &c], PacketKind::Request, PACKETS).await?;
    ensure!(got.iter().all(|got| *got > PACKETS / 20), "one node does all the work: {got:?}");
    // Those that the node itself sends are no exception.
    publish(&b, &requests("math.sub"), PACKETS).await?;
    shares([&a, &b, &c], PacketKind::Request, 2 * PACKETS).await?;
    end([a, b, c]).await
}

pub(super) async fn events_go_to_one_node_of_each_group(bench: Bench) -> Outcome {
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    subscribe(&b, [events("mail", "user.created"), events("log", "user.created")]).await?;
    subscribe(&c, [events("mail", "user.created")]).await?;
    publish(&a, &events("mail", "user.created"), PACKETS).await?;
    let got = shares([&b, &c], PacketKind::Event, PACKETS).await?;
    ensure!(got.iter().all(|got| *got > PACKETS / 20), "one node does all the work: {got:?}");
    publish(&a, &events("log", "user.created"), PACKETS).await?;
    let more = shares([&b, &c], PacketKind::Event, 2 * PACKETS).await?;
    ensure!(more[1] == got[1], "a node got events for a group that is not its own");
    end([a, b, c]).await
}

pub(super) async fn subscriptions_replace_each_other(bench: Bench) -> Outcome {
    let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
    for node in [&b, &c] {
        subscribe(node, [requests("math.add")]).await?;
        // Once more is not twice.
        subscribe(node, [requests("math.add")]).await?;
    }
    publish(&a, &requests("math.add"), PACKETS).await?;
    let before = shares([&b, &c], PacketKind::Request, PACKETS).await?;
    subscribe(&b, []).await?;
    publish(&a, &requests("math.add"), PACKETS).await?;
    let after = shares([&b, &c], PacketKind::Request, 2 * PACKETS).await?;
    let late = after[0] - before[0];
    ensure!(late == 0, "{late} requests came to a node that had unsubscribed");
    // The topics that belong to the node alone are not touched.
    a.send(PacketKind::Event, "b", "still there").await?;
    b.receives(PacketKind::Event, 1).await?;
    end([a, b, c]).await
}
