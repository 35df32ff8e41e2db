//! An actor out of tokio's channels: a task with a mailbox, asked and awaited. Not a floor, but what some programs use
//! in place of a broker.

use tokio::sync::{mpsc, oneshot};

struct Add {
    a: i64,
    b: i64,
    reply: oneshot::Sender<i64>,
}

/// The way to an actor that adds.
pub(crate) struct Adder(mpsc::Sender<Add>);

impl Adder {
    /// Starts the actor as a task of the current runtime; it ends with its last `Adder`.
    pub(crate) fn spawn() -> Self {
        let (mailbox, mut received) = mpsc::channel::<Add>(1024);
        tokio::spawn(async move {
            while let Some(Add { a, b, reply }) = received.recv().await {
                // Who no longer waits misses nothing.
                reply.send(a + b).ok();
            }
        });
        Self(mailbox)
    }

    /// `a + b`; `None` when the actor is gone.
    pub(crate) async fn add(&self, a: i64, b: i64) -> Option<i64> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Add { a, b, reply }).await.ok()?;
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_actor_answers() {
        assert_eq!(Adder::spawn().add(4, 2).await, Some(6));
    }
}
