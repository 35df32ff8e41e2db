//! The built-in bulkhead, and its options: [`BulkheadOptions`].

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::{Object, Value};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    ActionSite, EventSite, Middleware,
    published::{Read, written},
};
use crate::{ActionFn, Context, Error, ErrorKind, EventFn, broker::Tasks, service::detached};

/// Whether and how many runs of a handler go on at once; for all actions and
/// event listeners of a node
/// ([`BrokerBuilder::bulkhead`](crate::BrokerBuilder::bulkhead), option
/// `bulkhead`), for one action
/// ([`Action::bulkhead`](crate::Action::bulkhead)) or for one listener
/// ([`Event::bulkhead`](crate::Event::bulkhead)). What one leaves open is as
/// for all.
///
/// Calls above the limit wait in the order in which they came; the wait is a
/// part of the time that a call may take. When too many wait, further ones
/// fail with `QueueIsFullError`. Each handler has a limit of its own, on its
/// node.
///
/// ```
/// use moleculer_core::BulkheadOptions;
///
/// let options = BulkheadOptions::new().concurrency(5).max_queue_size(50);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BulkheadOptions {
    /// Whether runs are limited. Default: false.
    pub enabled: Option<bool>,
    /// How many run at once; 0 counts as 1. Default: 10.
    pub concurrency: Option<usize>,
    /// How many may wait; 0 for no limit. Default: 100.
    pub max_queue_size: Option<usize>,
}

impl BulkheadOptions {
    /// Runs are limited, with the defaults.
    pub fn new() -> Self {
        Self { enabled: Some(true), ..Self::default() }
    }

    /// Runs are not limited.
    pub fn off() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Sets [`concurrency`](Self::concurrency).
    #[must_use]
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = Some(runs);
        self
    }

    /// Sets [`max_queue_size`](Self::max_queue_size).
    #[must_use]
    pub fn max_queue_size(mut self, waiting: usize) -> Self {
        self.max_queue_size = Some(waiting);
        self
    }

    /// The members as they are published.
    pub(crate) fn to_object(self) -> Object {
        written([
            ("enabled", self.enabled.map(Value::from)),
            ("concurrency", self.concurrency.map(Value::from)),
            ("maxQueueSize", self.max_queue_size.map(Value::from)),
        ])
    }

    /// Reads another node's options; members that do not fit count as absent.
    pub(crate) fn from_object(object: &Object) -> Self {
        let read = Read(object);
        let count = |key| read.count(key).map(|count| count as usize);
        Self {
            enabled: read.flag("enabled"),
            concurrency: count("concurrency"),
            max_queue_size: count("maxQueueSize"),
        }
    }

    /// These, and what they leave open from `lower`.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            enabled: self.enabled.or(lower.enabled),
            concurrency: self.concurrency.or(lower.concurrency),
            max_queue_size: self.max_queue_size.or(lower.max_queue_size),
        }
    }
}

impl BulkheadOptions {
    fn is_on(self) -> bool {
        self.enabled.unwrap_or(false)
    }
}

/// What is published.
impl Serialize for BulkheadOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_object().serialize(serializer)
    }
}

/// Keeps handlers from running too often at once.
#[derive(Debug)]
pub(super) struct Bulkhead {
    pub(super) default: BulkheadOptions,
    pub(super) tasks: Tasks,
}

impl Middleware for Bulkhead {
    fn name(&self) -> &'static str {
        "Bulkhead"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        if !site.action.bulkhead.unwrap_or_default().or(self.default).is_on() {
            return next;
        }
        // A handler that its caller cannot end keeps its place to its own end.
        let tasks = site.action.detached.then(|| self.tasks.clone());
        let run = move |place, ctx| {
            let running = held(place, next(ctx));
            match &tasks {
                None => running,
                Some(tasks) => detached(running, tasks),
            }
        };
        let run = Arc::new(run);
        Arc::new(move |ctx| {
            let gate = ctx.action_endpoint().and_then(|endpoint| endpoint.limits.bulkhead.as_ref());
            match gate.map(Gate::enter) {
                None => run(None, ctx),
                Some(Entry::Free(place)) => run(Some(place), ctx),
                Some(Entry::Queued(queued)) => {
                    let run = run.clone();
                    Box::pin(async move { run(queued.place().await, ctx).await })
                }
                Some(Entry::Full) => Box::pin(ready(Err(action_refused(&ctx)))),
            }
        })
    }

    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let options = site.event.bulkhead.unwrap_or_default().or(self.default);
        let Some(gate) = Gate::new(options) else {
            return next;
        };
        Arc::new(move |ctx| match gate.enter() {
            Entry::Free(place) => held(Some(place), next(ctx)),
            Entry::Queued(queued) => {
                let next = next.clone();
                Box::pin(async move { held(queued.place().await, next(ctx)).await })
            }
            Entry::Full => Box::pin(ready(Err(event_refused(&ctx)))),
        })
    }
}

/// Runs something that has a place, and gives the place back at its end.
fn held<T: Send + 'static>(
    place: Option<OwnedSemaphorePermit>,
    running: BoxFuture<'static, T>,
) -> BoxFuture<'static, T> {
    Box::pin(async move {
        let result = running.await;
        drop(place);
        result
    })
}

#[cold]
fn action_refused(ctx: &Context) -> Error {
    Error::about_action(ErrorKind::QueueIsFull, ctx.action(), Some(&ctx.node_id()))
}

/// It stays on this node; the reference speaks of an action `undefined`.
#[cold]
fn event_refused(ctx: &Context) -> Error {
    let (event, node) = (ctx.event(), ctx.node_id());
    let data = [("event", event), ("service", &*ctx.service_name()), ("nodeID", node.as_str())];
    let message = format!("Queue is full. Event '{event}' on '{node}' node is rejected.");
    Error::new(ErrorKind::QueueIsFull, message).with_data(Object::from(data))
}

/// The places of one handler, and its queue.
#[derive(Debug)]
pub(crate) struct Gate {
    /// It queues in the order of arrival.
    places: Arc<Semaphore>,
    queued: AtomicUsize,
    /// Zero for no limit.
    max_queued: usize,
}

enum Entry {
    Free(OwnedSemaphorePermit),
    Queued(Queued),
    Full,
}

impl Gate {
    /// None when the bulkhead is off.
    pub(crate) fn new(options: BulkheadOptions) -> Option<Arc<Self>> {
        let places = options.concurrency.unwrap_or(10).clamp(1, Semaphore::MAX_PERMITS);
        options.is_on().then(|| {
            Arc::new(Self {
                places: Arc::new(Semaphore::new(places)),
                queued: AtomicUsize::new(0),
                max_queued: options.max_queue_size.unwrap_or(100),
            })
        })
    }

    fn enter(self: &Arc<Self>) -> Entry {
        // While somebody waits no place is free: nobody is overtaken.
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Entry::Free(place);
        }
        let queued = Queued(self.clone());
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        if self.max_queued != 0 && before >= self.max_queued {
            return Entry::Full;
        }
        Entry::Queued(queued)
    }
}

/// A place in the queue; who goes away gives it up.
struct Queued(Arc<Gate>);

impl Queued {
    /// None never comes: the places are not taken back.
    async fn place(self) -> Option<OwnedSemaphorePermit> {
        self.0.places.clone().acquire_owned().await.ok()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gate(places: usize, queue: usize) -> Arc<Gate> {
        let options = BulkheadOptions::new().concurrency(places).max_queue_size(queue);
        Gate::new(options).expect("on")
    }

    fn queued(gate: &Arc<Gate>) -> Queued {
        match gate.enter() {
            Entry::Queued(queued) => queued,
            Entry::Free(_) => panic!("a place is free"),
            Entry::Full => panic!("the queue is full"),
        }
    }

    #[test]
    fn a_place_in_the_queue_is_given_up_by_who_goes_away() {
        let gate = gate(1, 2);
        let place = gate.enter();
        let (first, second) = (queued(&gate), queued(&gate));
        assert!(matches!(gate.enter(), Entry::Full));
        drop(first);
        let third = queued(&gate);
        assert!(matches!(gate.enter(), Entry::Full));
        drop((second, third, place));
        assert_eq!(gate.queued.load(Ordering::Relaxed), 0);
        assert!(matches!(gate.enter(), Entry::Free(_)));
    }

    #[test]
    fn zero_is_one_place_and_an_endless_queue() {
        let gate = gate(0, 0);
        let _place = gate.enter();
        let waiting: Vec<_> = (0..1000).map(|_| queued(&gate)).collect();
        assert_eq!(gate.queued.load(Ordering::Relaxed), waiting.len());
    }

    /// Counts those who run, until it is dropped.
    struct Run(Arc<AtomicUsize>);

    impl Drop for Run {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn run(gate: Arc<Gate>, running: Arc<AtomicUsize>) -> usize {
        let _place = match gate.enter() {
            Entry::Free(place) => Some(place),
            Entry::Queued(queued) => queued.place().await,
            Entry::Full => return 0,
        };
        let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
        let _run = Run(running);
        tokio::task::yield_now().await;
        at_once
    }

    /// Callers that come, wait, give up and end, on two threads.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_a_storm_every_place_is_free() {
        let (gate, running) = (gate(3, 50), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..3000)
            .map(|n| {
                let caller = run(gate.clone(), running.clone());
                let patience = Duration::from_millis(if n % 3 == 0 { 0 } else { 10_000 });
                tokio::spawn(async move { tokio::time::timeout(patience, caller).await })
            })
            .collect();
        let mut most = 0;
        for caller in callers {
            most = most.max(caller.await.expect("no panic").unwrap_or(0));
        }
        assert!((1..=3).contains(&most), "{most}");
        assert_eq!(gate.queued.load(Ordering::Relaxed), 0);
        assert_eq!(gate.places.available_permits(), 3);
    }
}
