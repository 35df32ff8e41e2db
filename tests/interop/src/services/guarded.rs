//! Actions that are kept from harm, by options that travel to their callers.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer::{ErrorKind, Object, PacketId, prelude::*, strategy::Shard};
use serde::Deserialize;
use tokio::sync::Semaphore;

pub(crate) struct Guarded {
    /// How often each request came here.
    attempts: Mutex<HashMap<PacketId, usize>>,
    /// Lets calls of `narrow` go on.
    gate: Semaphore,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
}

impl Default for Guarded {
    fn default() -> Self {
        Self {
            attempts: Mutex::default(),
            gate: Semaphore::new(0),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
        }
    }
}

#[derive(Deserialize)]
struct Refusal {
    nodes: Vec<String>,
}

#[derive(Deserialize)]
struct Request {
    request: PacketId,
}

#[derive(Deserialize)]
struct Brittle {
    fails: bool,
}

#[derive(Deserialize)]
struct Opening {
    calls: usize,
}

#[service(name = "guarded")]
impl Guarded {
    /// Takes longer than it may.
    #[action(timeout = "150ms")]
    async fn late(&self) -> Result<bool> {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(true)
    }

    /// Fails on the nodes named.
    #[action(retry(retries = 3, delay = "10ms"))]
    async fn refused(&self, ctx: Context, Params(by): Params<Refusal>) -> Result<Object> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        *attempts.entry(ctx.request_id()).or_default() += 1;
        let node = ctx.broker()?.node_id().clone();
        if by.nodes.iter().any(|name| node == **name) {
            let error = Error::new(ErrorKind::Retryable, "Not here.");
            return Err(error.with_code(503).with_type("REFUSED"));
        }
        Ok(Object::from([("nodeID", node.as_str())]))
    }

    /// How often `refused` ran here for a request.
    #[action]
    async fn attempts(&self, Params(of): Params<Request>) -> Result<usize> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(attempts.get(&of.request).copied().unwrap_or_default())
    }

    /// Is left alone when it has failed three times.
    #[action(circuit_breaker(threshold = 0.5, min_request_count = 3, half_open_time = "1s"))]
    async fn brittle(&self, Params(call): Params<Brittle>) -> Result<bool> {
        if call.fails { Err(Error::internal("Broken.").with_type("BROKEN")) } else { Ok(true) }
    }

    /// One runs, one waits; it tells how many have run at once so far.
    #[action(bulkhead(concurrency = 1, max_queue_size = 1))]
    async fn narrow(&self) -> Result<usize> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(self.most_inside.load(Ordering::SeqCst))
    }

    /// Lets so many calls of `narrow` go on.
    #[action]
    async fn open(&self, Params(opening): Params<Opening>) -> Result<bool> {
        self.gate.add_permits(opening.calls);
        Ok(true)
    }

    /// Fails, and another answer is given instead.
    #[action(fallback = instead)]
    async fn soft(&self) -> Result<Object> {
        Err(Error::client(418, "SOFT", "Too soft."))
    }

    async fn instead(&self, error: Error) -> Result<Object> {
        Ok(Object::from([("instead", error.r#type().unwrap_or_default())]))
    }

    /// Who got the key.
    #[action(strategy = Shard::by("key"))]
    async fn keyed(&self, ctx: Context) -> Result<String> {
        Ok(ctx.broker()?.node_id().to_string())
    }

    /// The same for a key in the metadata, on a small ring.
    #[action(name = "keyedByMeta", strategy = Shard::by("#user.id").with_vnodes(3).with_ring_size(1000))]
    async fn keyed_by_meta(&self, ctx: Context) -> Result<String> {
        Ok(ctx.broker()?.node_id().to_string())
    }
}
