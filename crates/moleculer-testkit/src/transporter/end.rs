//! What is left after `disconnect`.

use moleculer_core::protocol::{PacketKind, Topic};
use tokio::{runtime::Handle, time::timeout};

use super::{Bench, DEADLINE, Outcome, deliver, ensure, eventually, grace};

pub(super) async fn what_was_published_before_arrives(bench: Bench) -> Outcome {
    let b = bench.node("b").await?;
    for round in 1..=5 {
        let a = bench.node(&format!("a{round}")).await?;
        for n in 0..500 {
            a.send(PacketKind::Event, "b", n.to_string()).await?;
        }
        a.disconnect().await?;
        b.receives(PacketKind::Event, 500 * round).await?;
    }
    b.disconnect().await
}

pub(super) async fn no_task_is_left(bench: Bench) -> Outcome {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..3 {
        let [a, b, c] = bench.nodes(["a", "b", "c"]).await?;
        for to in ["b", "c"] {
            a.send(PacketKind::Request, to, "x").await?;
        }
        b.receives(PacketKind::Request, 1).await?;
        c.send(PacketKind::Response, "a", "y").await?;
        a.receives(PacketKind::Response, 1).await?;
        // One that others still write to.
        c.disconnect().await?;
        a.publish(&Topic::node(PacketKind::Request, "c".into()), "too late").await.ok();
        deliver::end([a, b]).await?;
        let ended = eventually(|| tasks() <= before).await;
        ensure!(ended, "{} tasks are left", tasks() - before);
    }
    Ok(())
}

pub(super) async fn publishing_fails_after_it(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    a.disconnect().await?;
    let topic = Topic::node(PacketKind::Request, "b".into());
    let sent = timeout(DEADLINE, a.publish(&topic, "x")).await;
    let sent = sent.map_err(|_| "it waits for ever instead of failing".to_owned())?;
    ensure!(sent.is_err(), "a packet was taken after the end");
    b.disconnect().await
}

pub(super) async fn nothing_is_delivered_after_it(bench: Bench) -> Outcome {
    let [a, b] = bench.nodes(["a", "b"]).await?;
    a.send(PacketKind::Request, "b", "x").await?;
    b.receives(PacketKind::Request, 1).await?;
    b.leave().await?;
    let before = b.seen().packets.len();
    let topic = Topic::node(PacketKind::Request, "b".into());
    for _ in 0..20 {
        // Whether the sender knows is not said.
        a.publish(&topic, "too late").await.ok();
    }
    grace().await;
    let late = b.seen().packets.len() - before;
    ensure!(late == 0, "{late} packets came after the end");
    b.end().await?;
    a.disconnect().await
}
