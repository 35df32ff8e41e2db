//! Results that are kept for later calls: [`Cacher`].

mod handle;
mod host;
mod key;
mod locks;
mod options;
mod plugin;

use std::{fmt, task::Poll, time::Duration};

use futures_util::future::BoxFuture;
use moleculer_protocol::Payload;

pub use self::{
    handle::CacherHandle,
    host::CacherHost,
    key::{KeyParts, KeyRules},
    locks::{KeyLock, KeyLocks},
    options::{CacheOptions, Keygen},
    plugin::{CacherPlugin, IntoCacher},
};
use crate::{Result, registry};

/// Keeps results under keys.
///
/// The broker makes the keys, decides what is kept and for how long, and goes
/// on without a cacher that fails; the cacher is the store behind it. Values
/// are shared and never change: a cacher in memory hands out what it was
/// given, and nothing is copied.
///
/// # Contract
///
/// - What `set` has resolved for, `get` finds, until it expires, is deleted,
///   cleaned, or makes room for others; a later `set` replaces value and time
///   to live.
/// - An entry is not handed out once its time to live is over, by tokio's
///   clock where the cacher keeps time itself. Without one it does not expire.
/// - `get` of what cannot be read, such as damaged bytes or those of another
///   serializer, is a miss and no error.
/// - Keys are any text up to 64 KiB, and no two of them are taken for one.
/// - `clean` removes every key that fits one of the patterns, and no key that
///   does not begin with the text before its first wildcard; see
///   [`clean`](Self::clean).
/// - At most one lock of a key is held at a time, among all that share the
///   store. Those who wait in one process get it in the order in which they
///   came. Dropping a lock, or the future that waits for it, gives it back.
/// - `connect` returns soon, whether or not a server is there; after it the
///   cacher connects again by itself. While [`connected`](Self::connected) is
///   false, every method fails at once.
/// - No method waits for ever: one that a server does not answer fails.
/// - `close` ends every task and socket that `connect` made.
/// - All methods may run at the same time.
pub trait Cacher: fmt::Debug + Send + Sync + 'static {
    /// The name in configuration, for example `Memory`.
    fn name(&self) -> &'static str;

    /// What this store can do.
    fn capabilities(&self) -> CacherCapabilities;

    /// What the broker has to know of the cacher's options.
    fn options(&self) -> &CacheOptions;

    /// Begins to work: connects where there is something to connect to.
    ///
    /// # Errors
    ///
    /// What no retry mends, such as a password that is refused; the broker
    /// does not start then.
    fn connect(&self, host: CacherHost) -> impl Future<Output = Result<()>> + Send {
        let _ = host;
        async { Ok(()) }
    }

    /// Whether there is a store to ask; otherwise the broker makes calls as if
    /// nothing were cached.
    fn connected(&self) -> bool {
        true
    }

    /// The value, if it can be had without waiting; [`Poll::Pending`] when
    /// [`get`](Self::get) has to be awaited, which is the default.
    fn get_now(&self, key: &str) -> Poll<Option<Payload>> {
        let _ = key;
        Poll::Pending
    }

    /// The value of a key; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When the store fails or does not answer.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Payload>>> + Send;

    /// The value of a key with what is left of its time to live.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn get_with_ttl(&self, key: &str) -> impl Future<Output = Result<Option<Cached>>> + Send;

    /// Keeps a value, for ever unless there is a time to live.
    ///
    /// # Errors
    ///
    /// When the store fails, does not answer or has no room, or when the value
    /// cannot be encoded for it.
    fn set(
        &self,
        key: &str,
        value: Payload,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes keys; those that do not exist are no error.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn del(&self, keys: &[&str]) -> impl Future<Output = Result<()>> + Send;

    /// Removes all keys that fit a pattern, with `?` for any character and
    /// `**` for any characters. `*` stands for any characters but dots, as in
    /// event names ([`matches()`]); a store with a matching of its own may take
    /// it for any characters at all.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn clean(&self, patterns: &[&str]) -> impl Future<Output = Result<()>> + Send;

    /// The keys that there are, in no order, as they were given.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn keys(&self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Waits until nobody else holds the lock of a key. A lock that is not
    /// given back ends after `ttl` where the store is shared.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn lock(&self, key: &str, ttl: Duration) -> impl Future<Output = Result<KeyLock>> + Send;

    /// The lock of a key, unless somebody else holds it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn try_lock(
        &self,
        key: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Option<KeyLock>>> + Send;

    /// Ends the work: see the contract.
    ///
    /// # Errors
    ///
    /// Logged; what `connect` made has ended all the same.
    fn close(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Facts about a store; the broker adapts to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacherCapabilities {
    /// Other processes use the same entries and locks. Entries of a store that
    /// is not shared are dropped when the transporter connects: what should
    /// have cleaned them may have been missed.
    pub shared: bool,
    /// Most entries; above it the least recently used go.
    pub max: Option<u64>,
}

impl CacherCapabilities {
    /// A store of one process, without a limit.
    pub const fn local() -> Self {
        Self { shared: false, max: None }
    }

    /// A store that many processes use.
    pub const fn shared() -> Self {
        Self { shared: true, max: None }
    }

    /// Sets [`max`](#structfield.max).
    #[must_use]
    pub const fn with_max(self, max: u64) -> Self {
        Self { max: Some(max), ..self }
    }
}

/// A value and what is left of its time to live.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cached {
    /// The value.
    pub value: Payload,
    /// What is left of its time; `None` when it does not expire.
    pub ttl: Option<Duration>,
}

impl Cached {
    /// A value with what is left of its time.
    pub const fn new(value: Payload, ttl: Option<Duration>) -> Self {
        Self { value, ttl }
    }
}

/// Whether a key fits a pattern: `?` is any one character, `*` any characters
/// but dots, `**` any characters.
///
/// ```
/// use moleculer_core::cacher::matches;
///
/// assert!(matches("posts.get:5", "posts.*"));
/// assert!(!matches("posts.get:1.5", "posts.*"));
/// assert!(matches("posts.get:1.5", "posts.**"));
/// ```
pub fn matches(key: &str, pattern: &str) -> bool {
    registry::matches(key, pattern)
}

/// [`Cacher`] as a trait object; implemented for every cacher.
pub trait DynCacher: fmt::Debug + Send + Sync + 'static {
    /// See [`Cacher::name`].
    fn name(&self) -> &'static str;
    /// See [`Cacher::capabilities`].
    fn capabilities(&self) -> CacherCapabilities;
    /// See [`Cacher::options`].
    fn options(&self) -> &CacheOptions;
    /// See [`Cacher::connect`].
    fn connect_dyn(&self, host: CacherHost) -> BoxFuture<'_, Result<()>>;
    /// See [`Cacher::connected`].
    fn connected(&self) -> bool;
    /// See [`Cacher::get_now`].
    fn get_now(&self, key: &str) -> Poll<Option<Payload>>;
    /// See [`Cacher::get`].
    fn get_dyn<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Payload>>>;
    /// See [`Cacher::get_with_ttl`].
    fn get_with_ttl_dyn<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Cached>>>;
    /// See [`Cacher::set`].
    fn set_dyn<'a>(
        &'a self,
        key: &'a str,
        value: Payload,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>>;
    /// See [`Cacher::del`].
    fn del_dyn<'a>(&'a self, keys: &'a [&'a str]) -> BoxFuture<'a, Result<()>>;
    /// See [`Cacher::clean`].
    fn clean_dyn<'a>(&'a self, patterns: &'a [&'a str]) -> BoxFuture<'a, Result<()>>;
    /// See [`Cacher::keys`].
    fn keys_dyn(&self) -> BoxFuture<'_, Result<Vec<String>>>;
    /// See [`Cacher::lock`].
    fn lock_dyn<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<KeyLock>>;
    /// See [`Cacher::try_lock`].
    fn try_lock_dyn<'a>(
        &'a self,
        key: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<KeyLock>>>;
    /// See [`Cacher::close`].
    fn close_dyn(&self) -> BoxFuture<'_, Result<()>>;
}

impl<T: Cacher> DynCacher for T {
    fn name(&self) -> &'static str {
        Cacher::name(self)
    }
    fn capabilities(&self) -> CacherCapabilities {
        Cacher::capabilities(self)
    }
    fn options(&self) -> &CacheOptions {
        Cacher::options(self)
    }
    fn connect_dyn(&self, host: CacherHost) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.connect(host))
    }
    fn connected(&self) -> bool {
        Cacher::connected(self)
    }
    fn get_now(&self, key: &str) -> Poll<Option<Payload>> {
        Cacher::get_now(self, key)
    }
    fn get_dyn<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Payload>>> {
        Box::pin(self.get(key))
    }
    fn get_with_ttl_dyn<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Cached>>> {
        Box::pin(self.get_with_ttl(key))
    }
    fn set_dyn<'a>(
        &'a self,
        key: &'a str,
        value: Payload,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.set(key, value, ttl))
    }
    fn del_dyn<'a>(&'a self, keys: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.del(keys))
    }
    fn clean_dyn<'a>(&'a self, patterns: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.clean(patterns))
    }
    fn keys_dyn(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(self.keys())
    }
    fn lock_dyn<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<KeyLock>> {
        Box::pin(self.lock(key, ttl))
    }
    fn try_lock_dyn<'a>(
        &'a self,
        key: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<KeyLock>>> {
        Box::pin(self.try_lock(key, ttl))
    }
    fn close_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.close())
    }
}
