//! The medium is lost and comes back.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use moleculer_core::{
    DynTransporter, Result as CoreResult, TryPublishError,
    protocol::{PacketKind, Topic},
};
use tokio::time::timeout;

use super::{
    Bench, DEADLINE, Make, Outcome,
    deliver::{end, settle},
    ensure,
    node::{Node, Told},
};
use crate::relay::Relay;

/// A medium that can be taken away: opens one for a case.
#[derive(Clone)]
pub(super) struct Medium(Arc<dyn Fn() -> BoxFuture<'static, std::io::Result<Way>> + Send + Sync>);

/// The way to a medium of one case.
pub(super) struct Way {
    pub(super) make: Make,
    /// Breaks the way, or mends it.
    pub(super) cut: Box<dyn Fn(bool) + Send + Sync>,
}

impl Medium {
    pub(super) fn new<F>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<Way>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(open())))
    }

    /// A server, with a relay in front.
    pub(super) fn behind(
        server: SocketAddr,
        make: impl Fn(SocketAddr) -> CoreResult<Arc<dyn DynTransporter>> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        Self::new(move || {
            let make = Arc::clone(&make);
            async move {
                let relay = Relay::start(server).await?;
                let address = relay.address();
                let cut = move |cut| if cut { relay.cut() } else { relay.open() };
                Ok(Way { make: Arc::new(move || make(address)), cut: Box::new(cut) })
            }
        })
    }

    async fn open(&self) -> Outcome<Way> {
        (self.0)().await.map_err(|error| format!("no relay: {error}"))
    }
}

impl Bench {
    async fn nodes_over<const N: usize>(&self, way: &Way, ids: [&str; N]) -> Outcome<[Node; N]> {
        let mut nodes = Vec::new();
        for id in ids {
            nodes.push(self.start(id, &self.namespace, &way.make).await?);
        }
        nodes.try_into().map_err(|_| "not all nodes were made".to_owned())
    }
}

/// A broker tries the same transporter until it is connected.
pub(super) async fn a_first_connection_can_be_tried_again(bench: Bench) -> Outcome {
    let way = bench.medium()?.open().await?;
    let b = Node::new("b", &bench.namespace, &way.make, &bench.book)?;
    (way.cut)(true);
    let refused = timeout(DEADLINE, b.try_connect()).await;
    let refused = refused.map_err(|_| format!("connect takes over {DEADLINE:?}"))?;
    let Err(error) = refused else { return Err("connected to nothing".to_owned()) };
    ensure!(error.retryable(), "a medium that is away is not for good, but: {error}");
    (way.cut)(false);
    b.connect().await?;
    b.subscribe().await?;
    let [a] = bench.nodes_over(&way, ["a"]).await?;
    a.send(PacketKind::Request, "b", "x").await?;
    b.receives(PacketKind::Request, 1).await?;
    end([a, b]).await
}

/// Each outage is told once, and the subscriptions are back once.
pub(super) async fn a_cut_is_told_and_mended(bench: Bench) -> Outcome {
    const PACKETS: usize = 100;
    let way = bench.medium()?.open().await?;
    let [a, b] = bench.nodes_over(&way, ["a", "b"]).await?;
    let told = |count: usize, last: Told| {
        move |seen: &super::node::Seen| seen.told.len() >= count && seen.told.last() == Some(&last)
    };
    for round in 0..3 {
        (way.cut)(true);
        for node in [&a, &b] {
            node.until("the loss is told", told(2 * round + 1, Told::Lost)).await?;
        }
        (way.cut)(false);
        for node in [&a, &b] {
            node.until("the return is told", told(2 * round + 2, Told::Back)).await?;
        }
        for n in 0..PACKETS {
            a.send(PacketKind::Event, "b", n.to_string()).await?;
            b.send(PacketKind::Event, "a", n.to_string()).await?;
        }
        for node in [&a, &b] {
            node.receives(PacketKind::Event, PACKETS * (round + 1)).await?;
        }
        settle(&a, &[&b]).await?;
        settle(&b, &[&a]).await?;
        for node in [&a, &b] {
            let got = node.seen().bodies(PacketKind::Event).len();
            let sent = PACKETS * (round + 1);
            ensure!(got == sent, "outage {round}: {got} packets came for {sent}");
        }
    }
    for node in [&a, &b] {
        let told = node.seen().told.clone();
        let once = told == [Told::Lost, Told::Back].repeat(3);
        ensure!(once, "three outages were told as {told:?}");
    }
    end([a, b]).await
}

/// Nothing is taken for ever while nobody takes it away.
pub(super) async fn what_waits_in_an_outage_is_bounded(bench: Bench) -> Outcome {
    const SIZE: usize = 16 << 10;
    const BOUND: usize = 256 << 20;
    let way = bench.medium()?.open().await?;
    let [a, b] = bench.nodes_over(&way, ["a", "b"]).await?;
    (way.cut)(true);
    a.until("the loss is told", |seen| seen.told.last() == Some(&Told::Lost)).await?;
    let topic = Topic::node(PacketKind::Event, "b".into());
    let bytes = Bytes::from(vec![b'x'; SIZE]);
    let mut taken = 0;
    loop {
        ensure!(taken * SIZE < BOUND, "{taken} packets of {SIZE} bytes are kept in an outage");
        let full = match a.transporter.try_publish(&topic, bytes.clone()) {
            Ok(()) => None,
            Err(TryPublishError::Full(bytes)) => Some(bytes),
            Err(TryPublishError::Failed(_)) => break,
        };
        if let Some(bytes) = full
            && !matches!(a.transporter.publish_dyn(&topic, bytes).now_or_never(), Some(Ok(())))
        {
            break;
        }
        taken += 1;
    }
    (way.cut)(false);
    a.until("the return is told", |seen| seen.told.last() == Some(&Told::Back)).await?;
    b.until("the return is told", |seen| seen.told.last() == Some(&Told::Back)).await?;
    a.send(PacketKind::Pong, "b", "after").await?;
    b.receives(PacketKind::Pong, 1).await?;
    end([a, b]).await
}
