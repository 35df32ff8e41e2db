//! The internal events of one node, without a service: [`ServiceBroker::on`].

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use moleculer_protocol::Payload;

use super::ServiceBroker;
use crate::registry::matches;

/// Who wants to know of the events whose names begin with `$`.
#[derive(Default)]
pub(crate) struct Bus(Arc<Listeners>);

#[derive(Default)]
struct Listeners {
    list: ArcSwap<Vec<Listener>>,
    count: AtomicU64,
}

#[derive(Clone)]
struct Listener {
    id: u64,
    pattern: Arc<str>,
    handler: Arc<ListenerFn>,
}

type ListenerFn = dyn Fn(&str, &Payload) + Send + Sync;

impl ServiceBroker {
    /// Listens to the internal events of this node: those whose names begin
    /// with `$`, such as `$node.connected`. `pattern` may have wildcards.
    ///
    /// The handler is called in place, where the event arises: it must not
    /// block. It hears everything, to the very end of a stop. Listening ends
    /// when the result is dropped.
    ///
    /// ```
    /// # async fn example(broker: moleculer_core::ServiceBroker) {
    /// let _listening = broker.on("$node.*", |event, data| {
    ///     println!("{event}: {:?}", data.get("node.id"));
    /// });
    /// # }
    /// ```
    pub fn on(
        &self,
        pattern: &str,
        handler: impl Fn(&str, &Payload) + Send + Sync + 'static,
    ) -> Subscription {
        let listeners = &self.0.bus.0;
        let id = listeners.count.fetch_add(1, Ordering::Relaxed);
        let listener = Listener { id, pattern: pattern.into(), handler: Arc::new(handler) };
        listeners.list.rcu(|list| [list.as_slice(), slice::from_ref(&listener)].concat());
        Subscription { listeners: Arc::downgrade(listeners), id }
    }
}

impl Bus {
    pub(super) fn is_empty(&self) -> bool {
        self.0.list.load().is_empty()
    }

    /// Tells an event; other names are not for the bus.
    pub(super) fn publish(&self, event: &str, data: &Payload) {
        if !event.starts_with('$') {
            return;
        }
        for listener in self.0.list.load().iter() {
            if !matches(event, &listener.pattern) {
                continue;
            }
            // It runs in tasks that must go on.
            let heard = catch_unwind(AssertUnwindSafe(|| (listener.handler)(event, data)));
            if heard.is_err() {
                tracing::error!(event, pattern = &*listener.pattern, "a listener panicked");
            }
        }
    }
}

/// Listens until it is dropped: see [`ServiceBroker::on`].
#[must_use = "listening ends when this is dropped"]
pub struct Subscription {
    listeners: Weak<Listeners>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            let others = |list: &Arc<Vec<Listener>>| {
                list.iter().filter(|listener| listener.id != self.id).cloned().collect::<Vec<_>>()
            };
            listeners.list.rcu(others);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.id)
    }
}
