//! Callers that never rest, and who answered them.

use std::{collections::BTreeMap, fmt};

use moleculer::prelude::*;
use tokio::{sync::watch, task::JoinSet};

pub(crate) const CALLERS: usize = 8;

pub(crate) struct Load {
    calls: watch::Sender<Calls>,
    callers: JoinSet<()>,
}

/// How many calls each node has answered, and how many failed.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    answered: BTreeMap<String, u64>,
    failed: u64,
    ended: bool,
}

impl Load {
    pub(crate) fn start(broker: &ServiceBroker) -> Self {
        let calls = watch::Sender::new(Calls::default());
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (broker, calls) = (broker.clone(), calls.clone());
            callers.spawn(async move {
                while !calls.borrow().ended {
                    let answer = broker.call::<String>("work.done", ()).await;
                    calls.send_modify(|calls| calls.count(answer));
                }
            });
        }
        Self { calls, callers }
    }

    /// Waits until so many calls more have been answered, and tells which.
    pub(crate) async fn until_answered(&self, calls: u64) -> Calls {
        let before = self.calls.borrow().clone();
        self.until(|now| now.total() >= before.total() + calls).await.since(&before)
    }

    /// Waits until each of these has answered from now on.
    pub(crate) async fn until_all_answer(&self, nodes: &[&str]) {
        let before = self.calls.borrow().clone();
        self.until(|now| {
            let since = now.since(&before);
            nodes.iter().all(|node| since.answered.contains_key(*node))
        })
        .await;
    }

    /// Lets the callers finish: how many calls were answered, and how many not.
    pub(crate) async fn end(self) -> (u64, u64) {
        self.calls.send_modify(|calls| calls.ended = true);
        self.callers.join_all().await;
        let calls = self.calls.borrow();
        (calls.total(), calls.failed)
    }

    async fn until(&self, mut holds: impl FnMut(&Calls) -> bool) -> Calls {
        let mut calls = self.calls.subscribe();
        // It lives as long as this, so there is always a value.
        let found = calls.wait_for(|calls| holds(calls)).await;
        found.map(|calls| calls.clone()).unwrap_or_default()
    }
}

impl Calls {
    fn count(&mut self, answer: Result<String>) {
        match answer {
            Ok(node) => *self.answered.entry(node).or_default() += 1,
            Err(error) => {
                self.failed += 1;
                if self.failed == 1 {
                    println!("failed   {error}");
                }
            }
        }
    }

    fn total(&self) -> u64 {
        self.answered.values().sum()
    }

    fn since(&self, before: &Self) -> Self {
        let answered = self.answered.iter().map(|(node, calls)| {
            (node.clone(), calls - before.answered.get(node).copied().unwrap_or_default())
        });
        Self {
            answered: answered.filter(|(_, calls)| *calls > 0).collect(),
            failed: self.failed - before.failed,
            ended: self.ended,
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls answered:", self.total())?;
        for (node, calls) in &self.answered {
            write!(f, "  {node} {calls}")?;
        }
        write!(f, "  ({} failed)", self.failed)
    }
}
