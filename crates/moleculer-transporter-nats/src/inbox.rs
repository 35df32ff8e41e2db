//! What came from the server, handed to the broker.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use async_nats::{Client, SubscribeError, Subscriber};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use moleculer_core::{
    Delivery, Flow, Host,
    protocol::{PacketKind, Topic},
};

use crate::subject::Subscription;

/// Packets of one subscription that are handed on before the next one's turn.
const TURN: usize = 32;

/// All subscriptions of a connection.
pub(crate) struct Inbox<S = Subscriber> {
    queues: Vec<Queue<S>>,
    goodbyes: Vec<Bytes>,
}

struct Queue<S> {
    kind: PacketKind,
    messages: S,
    open: bool,
}

impl Inbox {
    /// Subscribes to these topics.
    pub(crate) async fn open(
        client: &Client,
        topics: &[Topic],
        namespace: &str,
    ) -> Result<Self, SubscribeError> {
        let mut queues = Vec::new();
        for topic in topics {
            let Subscription { subject, queue } = Subscription::new(topic, namespace);
            let messages = match queue {
                Some(queue) => client.queue_subscribe(subject, queue).await?,
                None => client.subscribe(subject).await?,
            };
            queues.push((topic.kind, messages));
        }
        Ok(Self::new(queues, |message| message))
    }
}

impl<S> Inbox<S> {
    fn new<Q>(queues: Vec<(PacketKind, Q)>, map: impl Fn(Q) -> S) -> Self {
        let queues = queues.into_iter();
        let mut queues: Vec<_> =
            queues.map(|(kind, queue)| Queue { kind, messages: map(queue), open: true }).collect();
        queues.sort_by_key(|queue| queue.kind != PacketKind::Disconnect);
        Self { queues, goodbyes: Vec::new() }
    }
}

impl<S: Stream<Item: Payload> + Unpin> Inbox<S> {
    /// Hands everything to the host, until the connection ends for good.
    pub(crate) async fn read(&mut self, host: &Host) {
        let deliver = |kind, bytes| {
            // Reading never pauses: responses that running handlers wait for
            // come the same way, and what waits here is lost in the end.
            let (Flow::Go | Flow::Pause) = host.deliver(Delivery::new(kind, bytes));
        };
        // Tokio's own budget would make queues look empty that are not.
        tokio::task::unconstrained(poll_fn(|cx| self.poll_read(cx, &deliver))).await;
    }

    /// One look at every queue.
    ///
    /// Each has the order of the server, but between them there is none. It
    /// matters for goodbyes: a response that came before one has to be handed
    /// on before it. So goodbyes are taken out first, and handed on when all
    /// other queues have been seen empty.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        deliver: &impl Fn(PacketKind, Bytes),
    ) -> Poll<()> {
        let mut more = false;
        for queue in self.queues.iter_mut().filter(|queue| queue.open) {
            let mut taken = 0;
            more |= loop {
                if taken == TURN {
                    break true;
                }
                taken += 1;
                match queue.messages.poll_next_unpin(cx) {
                    Poll::Pending => break false,
                    Poll::Ready(None) => {
                        queue.open = false;
                        break false;
                    }
                    Poll::Ready(Some(message)) => match queue.kind {
                        PacketKind::Disconnect => self.goodbyes.push(message.into_payload()),
                        kind => deliver(kind, message.into_payload()),
                    },
                }
            };
        }
        if more {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        for goodbye in self.goodbyes.drain(..) {
            deliver(PacketKind::Disconnect, goodbye);
        }
        if self.queues.iter().any(|queue| queue.open) { Poll::Pending } else { Poll::Ready(()) }
    }
}

pub(crate) trait Payload {
    fn into_payload(self) -> Bytes;
}

impl Payload for async_nats::Message {
    fn into_payload(self) -> Bytes {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, task::Waker};

    use tokio::sync::mpsc;

    use super::*;

    impl Payload for &'static str {
        fn into_payload(self) -> Bytes {
            Bytes::from_static(self.as_bytes())
        }
    }

    /// Stands for a [`Subscriber`], which only a connection can make.
    struct Messages(mpsc::Receiver<&'static str>);

    impl Stream for Messages {
        type Item = &'static str;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<&'static str>> {
            self.0.poll_recv(cx)
        }
    }

    /// The senders of each kind, and what one look hands on.
    fn inbox<const N: usize>(
        kinds: [PacketKind; N],
    ) -> ([mpsc::Sender<&'static str>; N], Inbox<Messages>) {
        let mut queues = Vec::new();
        let senders = kinds.map(|kind| {
            let (sender, receiver) = mpsc::channel(2 * TURN);
            queues.push((kind, receiver));
            sender
        });
        (senders, Inbox::new(queues, Messages))
    }

    fn look(inbox: &mut Inbox<Messages>) -> (Vec<String>, Poll<()>) {
        let seen = RefCell::new(Vec::new());
        let deliver = |_, bytes: Bytes| {
            seen.borrow_mut().push(String::from_utf8(bytes.to_vec()).unwrap());
        };
        let poll = inbox.poll_read(&mut Context::from_waker(Waker::noop()), &deliver);
        (seen.into_inner(), poll)
    }

    #[test]
    fn a_goodbye_comes_after_what_came_before_it() {
        let ([goodbyes, responses], mut inbox) =
            inbox([PacketKind::Disconnect, PacketKind::Response]);
        for _ in 0..TURN {
            responses.try_send("response").unwrap();
        }
        responses.try_send("last").unwrap();
        goodbyes.try_send("goodbye").unwrap();
        let (first, poll) = look(&mut inbox);
        assert_eq!(
            (first.len(), poll),
            (TURN, Poll::Pending),
            "a queue does not take all the time"
        );
        assert_eq!(look(&mut inbox).0, ["last", "goodbye"]);
    }

    #[test]
    fn it_ends_when_all_queues_have() {
        let ([requests, events], mut inbox) = inbox([PacketKind::Request, PacketKind::Event]);
        requests.try_send("request").unwrap();
        drop(requests);
        assert_eq!(look(&mut inbox), (vec!["request".to_owned()], Poll::Pending));
        drop(events);
        assert_eq!(look(&mut inbox), (vec![], Poll::Ready(())));
    }
}
