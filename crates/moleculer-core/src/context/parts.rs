//! What contexts are made of besides their target.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use moleculer_protocol::{NodeId, Object, PacketId, Payload};
use tokio::time::Instant;

use super::Context;
use crate::{body::BodyStream, middleware::Fallback};

/// Members of a context that most calls never look at.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) id: OnceLock<PacketId>,
    pub(crate) request_id: Option<PacketId>,
    pub(crate) parent_id: Option<PacketId>,
    pub(crate) caller: Option<Arc<str>>,
    /// The node that sent the request, or that answered it.
    pub(crate) peer: OnceLock<NodeId>,
    pub(crate) headers: Object,
    pub(crate) response_headers: Mutex<Object>,
    pub(crate) tracing: Option<bool>,
    pub(crate) retries: Option<u32>,
    /// Whether a stop waits for the call, where that differs from the default.
    pub(crate) tracking: Option<bool>,
    /// The node that the call asks for.
    pub(crate) node: Option<NodeId>,
    /// How often the call was made before.
    pub(crate) attempt: u32,
    /// Whether a node above retries: what is below should not.
    pub(crate) within_retry: bool,
    /// Shared by the attempts of a call.
    pub(crate) locals: OnceLock<Arc<Mutex<Locals>>>,
    /// What the call or the packet asks for; zero switches the timeout off.
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: OnceLock<Deadline>,
    /// What the call is answered with when it fails.
    pub(crate) fallback: Option<Fallback>,
    /// Whether a fallback was asked.
    pub(crate) fallback_result: AtomicBool,
    /// Remains, empty, when the stream has been taken.
    pub(crate) stream: Option<Mutex<Option<BodyStream>>>,
}

/// Values by their types.
pub(crate) type Locals = HashMap<TypeId, Box<dyn Any + Send + Sync>>;

/// When a call started and how long it may take.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) started: Instant,
    pub(crate) timeout: Duration,
}

/// Longer than anybody waits, and short enough for the clock.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

impl Deadline {
    /// When the time is up. A timeout may be too long for the clock, and
    /// another node may have asked for it.
    pub(crate) fn end(&self) -> Instant {
        self.started + self.timeout.min(FOR_EVER)
    }
}

/// What a new context is made from.
#[derive(Default)]
pub(crate) struct ContextInit {
    pub(crate) params: Payload,
    pub(crate) meta: Object,
    pub(crate) parent: Option<Context>,
    /// From a packet; otherwise one more than the parent's.
    pub(crate) level: Option<u32>,
    pub(crate) extra: Option<Box<Extra>>,
}
