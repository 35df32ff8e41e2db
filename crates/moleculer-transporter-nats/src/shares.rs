//! Balanced topics: this node's share of what goes to one of a group.

use std::{collections::HashMap, time::Duration};

use async_nats::{Client, SubscribeError, Subscriber};
use futures_util::{FutureExt, StreamExt, future::join_all};
use moleculer_core::{Delivery, Flow, Host, protocol::Topic};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::subject::Subscription;

/// Packets that may be on their way when the server hears that a share is
/// given up.
const ON_THE_WAY: u64 = 64;
/// How long none of them comes if none is on its way.
const QUIET: Duration = Duration::from_millis(100);
/// Longest wait for all of them.
const TAPER: Duration = Duration::from_secs(2);
/// Longest wait for a share to end.
const END: Duration = Duration::from_secs(3);

/// The shares that are taken of one connection.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<Topic, Share>);

/// A subscription in a queue group, read by a task of its own.
#[derive(Debug)]
struct Share {
    give_up: CancellationToken,
    ended: CancellationToken,
}

impl Shares {
    pub(crate) fn topics(&self) -> Vec<Topic> {
        self.0.keys().cloned().collect()
    }

    /// Takes a share of the topics that are new.
    pub(crate) async fn take(
        &mut self,
        topics: &[Topic],
        client: &Client,
        host: &Host,
    ) -> Result<(), SubscribeError> {
        for topic in topics {
            if !self.0.contains_key(topic) {
                let share = Share::take(topic, client, host).await?;
                self.0.insert(topic.clone(), share);
            }
        }
        Ok(())
    }

    /// Gives up what is not among these topics. The packets that this node was
    /// chosen for have been handed to the host by then.
    pub(crate) async fn keep(&mut self, topics: &[Topic]) {
        let gone: Vec<_> = self.0.extract_if(|topic, _| !topics.contains(topic)).collect();
        for (_, share) in &gone {
            share.give_up.cancel();
        }
        let ends = join_all(gone.iter().map(|(_, share)| share.ended.cancelled()));
        if timeout(END, ends).await.is_err() {
            tracing::warn!("the NATS server takes no shares back; what it still sends may be lost");
        }
    }
}

impl Share {
    async fn take(topic: &Topic, client: &Client, host: &Host) -> Result<Self, SubscribeError> {
        let Subscription { subject, queue } = Subscription::new(topic, host.namespace());
        let messages = match queue {
            Some(queue) => client.queue_subscribe(subject, queue).await?,
            None => client.subscribe(subject).await?,
        };
        let share = Self { give_up: CancellationToken::new(), ended: CancellationToken::new() };
        let (give_up, ended) = (share.give_up.clone(), share.ended.clone().drop_guard());
        let reader = Reader { topic: topic.clone(), messages, taken: 0, host: host.clone() };
        host.spawn(async move {
            reader.run(give_up).await;
            drop(ended);
        });
        Ok(share)
    }
}

struct Reader {
    topic: Topic,
    messages: Subscriber,
    taken: u64,
    host: Host,
}

impl Reader {
    /// Reads until the connection ends for good, or the share is given up.
    async fn run(mut self, give_up: CancellationToken) {
        if give_up.run_until_cancelled(self.read()).await.is_none() {
            self.give_up().await;
        }
    }

    async fn read(&mut self) {
        while self.read_one().await {}
    }

    /// False when the subscription has ended.
    async fn read_one(&mut self) -> bool {
        let Some(message) = self.messages.next().await else { return false };
        self.taken += 1;
        // Reading never pauses: see the inbox.
        let (Flow::Go | Flow::Pause) =
            self.host.deliver(Delivery::new(self.topic.kind, message.payload));
        true
    }

    /// Lets the server choose others, and takes what it has sent by then.
    ///
    /// A subscription that is drained is forgotten by async-nats at the next
    /// turn of its connection, which may be before the server has heard of it:
    /// what came in between would be lost. So the server is asked for a few
    /// more packets, and then for no more; only a share that hardly anything
    /// comes for is drained.
    async fn give_up(&mut self) {
        // What has come already is not on its way.
        let _ = tokio::task::unconstrained(self.read()).now_or_never();
        // What fails here has ended with its connection.
        self.messages.unsubscribe_after(self.taken + ON_THE_WAY).await.ok();
        let taper = Instant::now() + TAPER;
        while let Ok(more) = timeout_at(taper.min(Instant::now() + QUIET), self.read_one()).await {
            if !more {
                return;
            }
        }
        self.messages.drain().await.ok();
        self.read().await;
    }
}
