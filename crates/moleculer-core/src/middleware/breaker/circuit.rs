//! The circuit of one endpoint: [`Circuit`].

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use moleculer_protocol::{NodeId, Object, Value};

use super::options::Policy;
use crate::{Context, ServiceBroker, sync::lock};

/// What an endpoint's calls came to, and what follows from it.
pub(crate) struct Circuit {
    pub(crate) policy: Policy,
    pub(crate) state: Arc<State>,
}

/// What outlives a new definition of the endpoint.
pub(crate) struct State {
    pub(crate) action: Arc<str>,
    node: NodeId,
    /// Full name.
    service: Arc<str>,
    phase: AtomicU8,
    counts: Counts,
    /// Number of changes: a timer that an earlier change has set does nothing.
    changes: Mutex<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Calls go through.
    Closed,
    /// None does.
    Open,
    /// The next one does.
    HalfOpen,
    /// One did, and its end is awaited.
    HalfOpenWait,
}

/// How a call goes through a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Call,
    /// Its result says whether the circuit closes.
    Probe,
    Refused,
}

impl State {
    pub(crate) fn new(action: &Arc<str>, node: &NodeId, service: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            action: action.clone(),
            node: node.clone(),
            service: service.clone(),
            phase: AtomicU8::new(Phase::Closed as u8),
            counts: Counts::default(),
            changes: Mutex::new(0),
        })
    }

    /// Whether the balancer has to look elsewhere.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase(), Phase::Open | Phase::HalfOpenWait)
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Closed,
            1 => Phase::Open,
            2 => Phase::HalfOpen,
            _ => Phase::HalfOpenWait,
        }
    }
}

impl Circuit {
    /// Lets a call through, or not.
    #[inline]
    pub(super) fn enter(&self, ctx: &Context) -> Entry {
        match self.state.phase() {
            Phase::Closed => Entry::Call,
            _ => self.enter_open(ctx),
        }
    }

    #[cold]
    fn enter_open(&self, ctx: &Context) -> Entry {
        if self.change(ctx, &[Phase::HalfOpen], Phase::HalfOpenWait).is_some() {
            return Entry::Probe;
        }
        // It may have closed meanwhile.
        if self.state.phase() == Phase::Closed { Entry::Call } else { Entry::Refused }
    }

    pub(super) fn succeeded(&self, ctx: &Context, probe: bool) {
        if probe {
            self.close(ctx);
        } else if self.state.phase() == Phase::Closed {
            self.count(ctx, CALL);
        }
    }

    pub(super) fn failed(&self, ctx: &Context, probe: bool) {
        // What was on its way when the circuit opened tells nothing new.
        if probe || self.state.phase() == Phase::Closed {
            self.count(ctx, CALL + FAILURE);
        }
    }

    fn count(&self, ctx: &Context, what: u64) {
        let counted = self.state.counts.add(what);
        if !self.state.counts.window.load(Ordering::Relaxed) {
            self.begin_window(ctx);
        }
        if self.policy.too_many(counted.failures, counted.calls) {
            self.open(ctx, counted);
        }
    }

    /// Calls are counted from the first one on, not by the clock of the node,
    /// so that an action without calls has no timer.
    #[cold]
    fn begin_window(&self, ctx: &Context) {
        let window = self.policy.window_time;
        let Ok(broker) = ctx.broker() else { return };
        if window.is_zero() || self.state.counts.window.swap(true, Ordering::Relaxed) {
            return;
        }
        let state = Arc::downgrade(&self.state);
        broker.inner().tasks.spawn(async move {
            tokio::time::sleep(window).await;
            if let Some(state) = state.upgrade() {
                state.counts.window.store(false, Ordering::Relaxed);
                state.counts.reset();
            }
        });
    }

    #[cold]
    fn open(&self, ctx: &Context, counted: Counted) {
        let from = [Phase::Closed, Phase::HalfOpenWait, Phase::HalfOpen];
        if let Some(broker) = self.change(ctx, &from, Phase::Open) {
            let Counted { failures, calls } = counted;
            let rate = f64::from(failures) / f64::from(calls);
            let counts: [(&str, Value); 3] =
                [("failures", failures.into()), ("count", calls.into()), ("rate", rate.into())];
            self.state.tell(&broker, "$circuit-breaker.opened", &counts);
        }
    }

    #[cold]
    fn close(&self, ctx: &Context) {
        // The timer may have taken the probe for lost.
        let from = [Phase::HalfOpenWait, Phase::HalfOpen];
        if let Some(broker) = self.change(ctx, &from, Phase::Closed) {
            self.state.tell(&broker, "$circuit-breaker.closed", &[]);
        }
    }

    /// Makes the change if the circuit is in one of these phases.
    fn change(&self, ctx: &Context, from: &[Phase], to: Phase) -> Option<ServiceBroker> {
        let broker = ctx.broker().ok()?;
        let mut changes = lock(&self.state.changes);
        if !from.contains(&self.state.phase()) {
            return None;
        }
        self.state.make(&broker, &mut changes, to);
        if self.state.is_open() {
            self.half_open_later(&broker, *changes);
        }
        drop(changes);
        Some(broker)
    }

    /// The timer keeps neither broker nor circuit.
    fn half_open_later(&self, broker: &ServiceBroker, change: u64) {
        let (time, owner) = (self.policy.half_open_time, broker.downgrade());
        let state = Arc::downgrade(&self.state);
        broker.inner().tasks.spawn(async move {
            tokio::time::sleep(time).await;
            if let (Some(broker), Some(state)) = (owner.upgrade(), state.upgrade()) {
                state.half_open(&broker, change);
            }
        });
    }
}

impl State {
    /// Phase and availability change together, under the circuit's lock.
    fn make(self: &Arc<Self>, broker: &ServiceBroker, changes: &mut u64, to: Phase) {
        *changes += 1;
        self.phase.store(to as u8, Ordering::Release);
        if to == Phase::Closed {
            self.counts.reset();
        }
        broker.registry().circuit_changed(self);
    }

    /// The time is up, unless something else happened since.
    fn half_open(self: &Arc<Self>, broker: &ServiceBroker, since: u64) {
        let mut changes = lock(&self.changes);
        if *changes == since {
            self.make(broker, &mut changes, Phase::HalfOpen);
            drop(changes);
            self.tell(broker, "$circuit-breaker.half-opened", &[]);
        }
    }

    /// Tells every node; nobody waits for it.
    fn tell(&self, broker: &ServiceBroker, event: &'static str, more: &[(&str, Value)]) {
        tracing::info!(action = &*self.action, node_id = %self.node, event, "circuit breaker");
        let about = [
            ("nodeID", self.node.as_str().into()),
            ("service", (*self.service).into()),
            ("action", (*self.action).into()),
        ];
        let mut data = Object::from(about as [(&str, Value); 3]);
        for (key, value) in more {
            data.insert(*key, value.clone());
        }
        drop(broker.broadcast(event, data).into_future());
    }
}

/// Calls and failures of a window, in one word so that they fit together.
#[derive(Default)]
struct Counts {
    word: AtomicU64,
    /// Whether a timer will reset them.
    window: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Counted {
    failures: u32,
    calls: u32,
}

const CALL: u64 = 1;
const FAILURE: u64 = 1 << 32;

impl Counts {
    /// Adds to the counts and tells them.
    #[inline]
    fn add(&self, what: u64) -> Counted {
        let word = self.word.fetch_add(what, Ordering::Relaxed) + what;
        let (failures, calls) = ((word >> 32) as u32, word as u32);
        if calls > u32::MAX / 2 {
            // The calls must not run over into the failures.
            self.reset();
        }
        Counted { failures, calls }
    }

    fn reset(&self) {
        self.word.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_run_over() {
        let counts = Counts::default();
        assert_eq!(counts.add(CALL), Counted { failures: 0, calls: 1 });
        assert_eq!(counts.add(CALL + FAILURE), Counted { failures: 1, calls: 2 });
        counts.word.store(u64::from(u32::MAX / 2), Ordering::Relaxed);
        assert_eq!(counts.add(CALL).calls, u32::MAX / 2 + 1);
        assert_eq!(counts.add(FAILURE + CALL), Counted { failures: 1, calls: 1 });
    }
}
