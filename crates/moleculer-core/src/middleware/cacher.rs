//! The built-in cacher: results are kept, and handlers need not run.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use moleculer_protocol::{Object, Payload, Value};
use tokio_util::task::TaskTracker;

use super::{ActionSite, Middleware};
use crate::{
    ActionFn, Body, Cache, Context, ProtocolVersion, Result, ServiceBroker, Subscription,
    broker::Tasks,
    cacher::{CacherHost, DynCacher, KeyLock, KeyParts, KeyRules},
};

/// Looks results up before handlers run, and keeps them afterwards.
#[derive(Debug)]
pub(crate) struct Cacher(Arc<Shared>);

/// What all actions share.
struct Shared {
    cacher: Arc<dyn DynCacher>,
    rules: KeyRules,
    tasks: Tasks,
    /// Results on their way to the store, which a stop waits for.
    writes: TaskTracker,
    host: OnceLock<CacherHost>,
    cleaning: OnceLock<Subscription>,
}

/// How long a stop waits for results on their way.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// How long a lock is held at most, unless its action says otherwise.
const LOCK_TTL: Duration = Duration::from_secs(15);

impl Cacher {
    pub(crate) fn new(
        cacher: Arc<dyn DynCacher>,
        protocol: ProtocolVersion,
        tasks: &Tasks,
    ) -> Self {
        let rules = KeyRules::new(protocol, cacher.options().max_params_length);
        Self(Arc::new(Shared {
            cacher,
            rules,
            tasks: tasks.clone(),
            writes: TaskTracker::new(),
            host: OnceLock::new(),
            cleaning: OnceLock::new(),
        }))
    }
}

impl Middleware for Cacher {
    fn name(&self) -> &'static str {
        "Cacher"
    }

    fn handles(&self) -> &[&'static str] {
        &["cache"]
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let Some(cache) = site.action.cache.clone().filter(|cache| !cache.is_off()) else {
            return next;
        };
        let headers = cache.keys.iter().flatten().any(|key| key.starts_with('@'));
        let ttl = cache.ttl.or(self.0.cacher.options().ttl).filter(|ttl| !ttl.is_zero());
        let cached = Arc::new(Cached { shared: self.0.clone(), next, cache, headers, ttl });
        Arc::new(move |ctx| cached.call(ctx))
    }

    /// A store of one process misses what cleans it while it is cut off.
    fn created(&self, broker: &ServiceBroker) {
        if self.0.cacher.capabilities().shared {
            return;
        }
        let shared = Arc::downgrade(&self.0);
        let cleaning = broker.on("$transporter.connected", move |_, _| {
            if let Some(shared) = shared.upgrade() {
                let tasks = shared.tasks.clone();
                tasks.spawn(async move {
                    let cleaned = shared.cacher.clean_dyn(&["**"]).await;
                    shared.told(cleaned);
                });
            }
        });
        self.0.cleaning.get_or_init(|| cleaning);
    }

    fn starting<'a>(&'a self, broker: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        let host = self.0.host.get_or_init(|| CacherHost::new(broker));
        self.0.cacher.connect_dyn(host.clone())
    }

    fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.0.writes.close();
            if tokio::time::timeout(LAST_WRITES, self.0.writes.wait()).await.is_err() {
                let lost = self.0.writes.len();
                tracing::warn!(lost, "results were not cached before the stop");
            }
            self.0.cacher.close_dyn().await
        })
    }
}

impl Shared {
    /// A cacher that fails is no error of the call.
    fn told<T>(&self, result: Result<T>) -> Option<T> {
        result
            .inspect_err(|error| match self.host.get() {
                Some(host) => host.report("clientError", error),
                None => tracing::warn!(%error, "the cacher failed"),
            })
            .ok()
    }

    /// What counts as no result is not kept, and not taken for one.
    fn counts(&self, value: &Payload) -> bool {
        if value.is_nothing() {
            return false;
        }
        match &self.cacher.options().missing_response {
            Value::Undefined => true,
            missing => value.to_value().is_ok_and(|value| value != *missing),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("cacher", &self.cacher).finish_non_exhaustive()
    }
}

/// An action whose results are kept.
struct Cached {
    shared: Arc<Shared>,
    next: ActionFn,
    cache: Cache,
    /// Whether headers are a part of the key.
    headers: bool,
    ttl: Option<Duration>,
}

impl Cached {
    fn call(self: &Arc<Self>, ctx: Context) -> BoxFuture<'static, Result<Body>> {
        let Some(key) = self.key(&ctx) else {
            return (self.next)(ctx);
        };
        let stale_time = self.cache.lock.and_then(|lock| lock.stale_time);
        if stale_time.is_none()
            && let Poll::Ready(found) = self.shared.cacher.get_now(&key)
        {
            return match found.filter(|value| self.shared.counts(value)) {
                Some(value) => Box::pin(ready(Ok(hit(&ctx, value)))),
                None => Box::pin(self.clone().miss(ctx, key)),
            };
        }
        Box::pin(self.clone().look(ctx, key, stale_time))
    }

    /// The key, unless the call has nothing to do with the cache.
    fn key(&self, ctx: &Context) -> Option<String> {
        let off = |meta: &Object| meta.get("$cache").is_some_and(|on| *on == Value::Bool(false));
        let uncached = !self.shared.cacher.connected()
            || ctx.has_stream()
            || ctx.with_meta(off)
            || !self.cache.applies_to(ctx);
        if uncached {
            return None;
        }
        let keygen = self.cache.keygen.as_ref();
        if let Some(keygen) = keygen.or(self.shared.cacher.options().keygen.as_ref()) {
            return Some(keygen.key(ctx));
        }
        let headers = if self.headers { ctx.headers() } else { Object::new() };
        let key = ctx.with_payload(|params| {
            ctx.with_meta(|meta| {
                let parts = KeyParts { action: ctx.action(), params, meta, headers: &headers };
                self.shared.rules.key(&parts, self.cache.keys.as_deref())
            })
        });
        // Malformed params are for the handler to refuse.
        key.ok()
    }

    async fn look(
        self: Arc<Self>,
        ctx: Context,
        key: String,
        stale_time: Option<Duration>,
    ) -> Result<Body> {
        let cacher = &self.shared.cacher;
        let (found, left) = match stale_time {
            None => (cacher.get_dyn(&key).await, None),
            Some(_) => match cacher.get_with_ttl_dyn(&key).await {
                Ok(Some(cached)) => (Ok(Some(cached.value)), cached.ttl),
                Ok(None) => (Ok(None), None),
                Err(error) => (Err(error), None),
            },
        };
        let Some(found) = self.shared.told(found) else {
            return (self.next)(ctx).await;
        };
        let Some(value) = found.filter(|value| self.shared.counts(value)) else {
            return self.miss(ctx, key).await;
        };
        let body = hit(&ctx, value);
        if left.zip(stale_time).is_some_and(|(left, stale)| !left.is_zero() && left < stale) {
            self.shared.tasks.spawn(self.clone().renew(ctx, key));
        }
        Ok(body)
    }

    async fn miss(self: Arc<Self>, ctx: Context, key: String) -> Result<Body> {
        let Some(lock) = self.cache.lock else {
            return self.run(ctx, key, None).await;
        };
        let cacher = &self.shared.cacher;
        let held = cacher.lock_dyn(&key, lock.ttl.unwrap_or(LOCK_TTL)).await;
        let Some(held) = self.shared.told(held) else {
            return (self.next)(ctx).await;
        };
        // Somebody else may have run the handler meanwhile.
        let found = cacher.get_dyn(&key).await;
        match self.shared.told(found).flatten().filter(|value| self.shared.counts(value)) {
            Some(value) => Ok(hit(&ctx, value)),
            None => self.run(ctx, key, Some(held)).await,
        }
    }

    /// Runs the handler and keeps its result; a lock is held until it is kept.
    async fn run(&self, ctx: Context, key: String, held: Option<KeyLock>) -> Result<Body> {
        let body = (self.next)(ctx).await?;
        if let Body::Payload(value) = &body
            && self.shared.counts(value)
        {
            self.keep(key, value.clone(), held);
        }
        Ok(body)
    }

    /// Stores in the background, unless the store is done at once.
    fn keep(&self, key: String, value: Payload, held: Option<KeyLock>) {
        let (shared, ttl) = (self.shared.clone(), self.ttl);
        let mut storing: BoxFuture<'static, ()> = Box::pin(async move {
            let stored = shared.cacher.set_dyn(&key, value, ttl).await;
            shared.told(stored);
            drop(held);
        });
        let mut nobody = std::task::Context::from_waker(Waker::noop());
        if Pin::new(&mut storing).poll(&mut nobody).is_pending() {
            self.shared.tasks.finish(self.shared.writes.track_future(storing));
        }
    }

    /// Runs the handler for a result that is about to expire, unless somebody
    /// else does.
    async fn renew(self: Arc<Self>, ctx: Context, key: String) {
        let cacher = &self.shared.cacher;
        let ttl = self.cache.lock.and_then(|lock| lock.ttl).unwrap_or(LOCK_TTL);
        let held = cacher.try_lock_dyn(&key, ttl).await;
        let Some(Some(held)) = self.shared.told(held) else {
            return;
        };
        let Err(error) = self.run(ctx, key.clone(), Some(held)).await else {
            return;
        };
        tracing::warn!(key, %error, "a cached result could not be renewed, it is dropped");
        let deleted = cacher.del_dyn(&[&key]).await;
        self.shared.told(deleted);
    }
}

fn hit(ctx: &Context, value: Payload) -> Body {
    ctx.set_cached_result();
    Body::Payload(value)
}
