//! The cacher: [`RedisCacher`].

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join;
use moleculer_core::{
    Error, Payload, Result,
    cacher::{CacheOptions, Cached, Cacher, CacherCapabilities, CacherHost, KeyLock},
    protocol::{Format, Serializer},
};
use redis::RedisError;
use serde::de::IgnoredAny;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    builder::RedisBuilder,
    error::{no_answer, not_connected},
    lock::Locks,
    pattern::glob,
    session::Session,
};

/// Keeps results on a Redis or Valkey server, in a cluster, or on the master
/// that sentinels name, so that all nodes share them.
///
/// ```no_run
/// use std::time::Duration;
/// use moleculer_cacher_redis::RedisCacher;
///
/// # fn example() -> moleculer_core::Result<()> {
/// let cacher = RedisCacher::builder()
///     .url("redis://10.0.0.1:6379")
///     .ttl(Duration::from_secs(30))
///     .build()?;
/// # let _ = cacher;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisCacher {
    pub(crate) session: Arc<Session>,
    pub(crate) options: CacheOptions,
    pub(crate) prefix: Option<String>,
    pub(crate) serializer: Arc<dyn Serializer>,
    pub(crate) locking: bool,
    pub(crate) connect_limit: Duration,
    pub(crate) running: OnceLock<Running>,
}

/// What there is from `connect` on.
#[derive(Debug)]
pub(crate) struct Running {
    prefix: String,
    locks: Locks,
}

/// How long the end waits for locks that are being given back.
const LAST_RELEASES: Duration = Duration::from_secs(1);

impl RedisCacher {
    /// Begins with the defaults: a server on this machine.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    fn running(&self) -> Result<&Running> {
        self.running.get().ok_or_else(not_connected)
    }

    fn name_of(&self, key: &str) -> Result<String> {
        Ok(format!("{}{key}", self.running()?.prefix))
    }

    fn lock_name(&self, key: &str) -> Result<String> {
        Ok(format!("{}{key}-lock", self.running()?.prefix))
    }

    /// What cannot be read is missing.
    fn read(&self, key: &str, bytes: Option<Bytes>) -> Option<Payload> {
        let bytes = bytes?;
        let format = self.format();
        match format.decode::<IgnoredAny>(&bytes) {
            Ok(_) => Some(Payload::encoded(bytes, format)),
            Err(error) => {
                tracing::warn!(key, %error, "a cached result cannot be read, it counts as missing");
                None
            }
        }
    }

    fn format(&self) -> Format {
        self.serializer.format()
    }

    async fn read_bytes(&self, name: &str) -> Result<Option<Bytes>> {
        let bytes = self.session.query::<Option<Vec<u8>>>(redis::cmd("GET").arg(name)).await;
        match bytes {
            Ok(bytes) => Ok(bytes.map(Bytes::from)),
            // Somebody else's list or set is no result.
            Err(error) if is_wrong_type(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does something with the keys that fit a pattern, some at a time.
    async fn each<F: Future<Output = Result<()>>>(
        &self,
        pattern: &str,
        mut act: impl FnMut(Vec<Vec<u8>>) -> F,
    ) -> Result<()> {
        let glob = glob(&self.running()?.prefix, pattern);
        let link = self.session.link()?;
        for master in self.session.within_limit(link.masters()).await? {
            let mut cursor = 0;
            loop {
                let step = link.scan(&master, cursor, &glob);
                let (next, names) = self.session.within_limit(step).await?;
                if !names.is_empty() {
                    act(names).await?;
                }
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    async fn delete(&self, names: Vec<impl redis::ToRedisArgs>) -> Result<()> {
        let mut command = redis::cmd("DEL");
        self.session.query(command.arg(names)).await
    }
}

fn is_wrong_type(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|source| source.downcast_ref::<RedisError>());
    error.is_some_and(|error| error.code() == Some("WRONGTYPE"))
}

impl Cacher for RedisCacher {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn capabilities(&self) -> CacherCapabilities {
        CacherCapabilities::shared()
    }

    fn options(&self) -> &CacheOptions {
        &self.options
    }

    async fn connect(&self, host: CacherHost) -> Result<()> {
        let prefix = match (&self.prefix, host.namespace()) {
            (Some(prefix), _) => format!("{prefix}-"),
            (None, "") => "MOL-".to_owned(),
            (None, namespace) => format!("MOL-{namespace}-"),
        };
        let (locks, releasing) = Locks::new(self.session.clone(), host.random().fork());
        if self.running.set(Running { prefix, locks }).is_err() {
            return Err(Error::internal("a cacher connects once; make a new one"));
        }
        let (first, attempted) = oneshot::channel();
        host.spawn(releasing);
        host.spawn(self.session.clone().run(host.clone(), first));
        // A server that is there is used from the first call on.
        match timeout(self.connect_limit, attempted).await {
            Ok(Ok(how)) => how,
            _ => Ok(()),
        }
    }

    fn connected(&self) -> bool {
        self.session.connected()
    }

    async fn get(&self, key: &str) -> Result<Option<Payload>> {
        let bytes = self.read_bytes(&self.name_of(key)?).await?;
        Ok(self.read(key, bytes))
    }

    async fn get_with_ttl(&self, key: &str) -> Result<Option<Cached>> {
        let name = self.name_of(key)?;
        let mut left = redis::cmd("PTTL");
        let left = self.session.query::<i64>(left.arg(&name));
        let (bytes, left) = try_join(self.read_bytes(&name), left).await?;
        // Negative without an end, and for what has just ended.
        let left = u64::try_from(left).ok().map(Duration::from_millis);
        Ok(self.read(key, bytes).map(|value| Cached::new(value, left)))
    }

    async fn set(&self, key: &str, value: Payload, ttl: Option<Duration>) -> Result<()> {
        let name = self.name_of(key)?;
        let mut bytes = BytesMut::new();
        value.encode(&self.format(), &mut bytes)?;
        // The caller may now take the value out of its own share.
        drop(value);
        let mut command = redis::cmd("SET");
        command.arg(&name).arg(&bytes[..]);
        match ttl {
            None => {}
            Some(ttl) if ttl.is_zero() => return self.delete(vec![name]).await,
            Some(ttl) if ttl.subsec_nanos() == 0 => {
                command.arg("EX").arg(ttl.as_secs().min(LONGEST_TTL));
            }
            Some(ttl) => {
                command.arg("PX").arg(ttl.as_millis().clamp(1, u128::from(LONGEST_TTL)) as u64);
            }
        }
        self.session.query(&command).await
    }

    async fn del(&self, keys: &[&str]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let names = keys.iter().map(|key| self.name_of(key)).collect::<Result<Vec<_>>>()?;
        self.delete(names).await
    }

    async fn clean(&self, patterns: &[&str]) -> Result<()> {
        for pattern in patterns {
            self.each(pattern, |names| self.delete(names)).await?;
        }
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let prefix = self.running()?.prefix.len();
        // A scan may come by a key twice.
        let mut keys = BTreeSet::new();
        self.each("*", |names| {
            let texts = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
            keys.extend(texts.filter_map(|name| name.get(prefix..).map(str::to_owned)));
            std::future::ready(Ok(()))
        })
        .await?;
        Ok(keys.into_iter().collect())
    }

    async fn lock(&self, key: &str, ttl: Duration) -> Result<KeyLock> {
        if !self.locking {
            return Ok(KeyLock::new(|| ()));
        }
        let name = self.lock_name(key)?;
        self.running()?.locks.lock(&self.session, &name, ttl).await
    }

    async fn try_lock(&self, key: &str, ttl: Duration) -> Result<Option<KeyLock>> {
        if !self.locking {
            return Ok(Some(KeyLock::new(|| ())));
        }
        let name = self.lock_name(key)?;
        self.running()?.locks.try_lock(&self.session, &name, ttl).await
    }

    async fn close(&self) -> Result<()> {
        let Some(running) = self.running.get() else {
            return Ok(());
        };
        // The rest ends by its time.
        let given_back = timeout(LAST_RELEASES, running.locks.end()).await;
        self.session.end();
        given_back.map_err(|_| no_answer())
    }
}

/// A hundred years: more than a server takes is an error there.
const LONGEST_TTL: u64 = 100 * 365 * 24 * 3600;
