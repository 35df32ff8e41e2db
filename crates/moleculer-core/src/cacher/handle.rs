//! The broker's cacher, for services: [`CacherHandle`].

use std::{sync::Arc, time::Duration};

use moleculer_protocol::Payload;
use serde::{Serialize, de::DeserializeOwned};

use super::{DynCacher, KeyLock};
use crate::{Result, ServiceBroker};

/// The cacher of a broker: to clean it, above all. A cheap clone.
///
/// ```
/// # async fn example(broker: moleculer_core::ServiceBroker) -> moleculer_core::Result<()> {
/// // All results of the service `posts` are out of date.
/// if let Some(cacher) = broker.cacher() {
///     cacher.clean(&["posts.**"]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CacherHandle(Arc<dyn DynCacher>);

impl ServiceBroker {
    /// The cacher, if this broker has one.
    pub fn cacher(&self) -> Option<CacherHandle> {
        self.inner().cacher.clone().map(CacherHandle)
    }
}

impl CacherHandle {
    /// The name in configuration, for example `Memory`.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Whether there is a store to ask; otherwise all methods fail.
    pub fn connected(&self) -> bool {
        self.0.connected()
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// These methods fail when the store does; this one also when the value
    /// is no `T`.
    pub async fn get<T>(&self, key: &str) -> Result<Option<T>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let value = self.0.get_dyn(key).await?;
        Ok(value.map(Payload::take).transpose()?)
    }

    /// Keeps a value: for ever, unless there is a time to live.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn set<T>(&self, key: &str, value: T, ttl: Option<Duration>) -> Result<()>
    where
        T: Serialize + Send + Sync + 'static,
    {
        self.0.set_dyn(key, Payload::new(value), ttl).await
    }

    /// Removes keys.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn del(&self, keys: &[&str]) -> Result<()> {
        self.0.del_dyn(keys).await
    }

    /// Removes all keys that fit one of the patterns: see
    /// [`Cacher::clean`](super::Cacher::clean). `posts.**` is all of a
    /// service, `**` everything.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn clean(&self, patterns: &[&str]) -> Result<()> {
        self.0.clean_dyn(patterns).await
    }

    /// The keys that there are, in no order.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn keys(&self) -> Result<Vec<String>> {
        self.0.keys_dyn().await
    }

    /// Waits for the lock of a key; where the store is shared, a lock that is
    /// not given back ends after `ttl`.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn lock(&self, key: &str, ttl: Duration) -> Result<KeyLock> {
        self.0.lock_dyn(key, ttl).await
    }

    /// The lock of a key, unless somebody else holds it.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get).
    pub async fn try_lock(&self, key: &str, ttl: Duration) -> Result<Option<KeyLock>> {
        self.0.try_lock_dyn(key, ttl).await
    }
}
