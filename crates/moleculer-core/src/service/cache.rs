//! How results of an action are cached: [`Cache`].

use std::{fmt, sync::Arc, time::Duration};

use moleculer_protocol::{Object, Value};

use crate::{Context, cacher::Keygen, config};

/// Whether and how results of an action are kept for later calls with the same
/// params: see [`Action::cache`](crate::Action::cache).
///
/// A cacher does the work. A broker that has none refuses the service, unless
/// [`BrokerBuilder::ignore_options`](crate::BrokerBuilder::ignore_options)
/// names `cache`.
///
/// ```
/// use std::time::Duration;
/// use moleculer_core::{Cache, CacheLock};
///
/// // One entry for each id and user, for half a minute.
/// let cache = Cache::keys(["id", "#user.id"])
///     .ttl(Duration::from_secs(30))
///     .lock(CacheLock::new().stale_time(Duration::from_secs(5)));
/// # let _ = cache;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Cache {
    /// Whether results are kept. Default: for every call.
    pub enabled: CacheWhen,
    /// What the key is made of: members of the params (`user.id`), of the
    /// metadata (`#user.id`), of the headers (`@tenant`). Default: all params.
    pub keys: Option<Vec<Arc<str>>>,
    /// How long a result is kept. Default: the cacher's.
    pub ttl: Option<Duration>,
    /// Keeps calls that miss at the same time from running the handler more
    /// than once. Default: none.
    pub lock: Option<CacheLock>,
    /// Makes the key, in place of `keys`. It is not published. Default: the
    /// cacher's.
    pub keygen: Option<Keygen>,
}

/// For which calls results are cached.
#[derive(Clone, Default)]
pub enum CacheWhen {
    /// For every call.
    #[default]
    Always,
    /// For none.
    Never,
    /// For those for which the function returns true. It is not published.
    If(Arc<dyn Fn(&Context) -> bool + Send + Sync>),
}

impl Cache {
    /// Keeps results, one for each value of the params.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps no results.
    pub fn off() -> Self {
        Self { enabled: CacheWhen::Never, ..Self::default() }
    }

    /// Keeps one result for each combination of these members:
    /// see [`keys`](#structfield.keys).
    pub fn keys<K: Into<Arc<str>>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { keys: Some(keys.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// Sets [`ttl`](#structfield.ttl).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets [`lock`](#structfield.lock).
    #[must_use]
    pub fn lock(mut self, lock: CacheLock) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Sets [`keygen`](#structfield.keygen): calls with the same key get the
    /// same result, so it should begin with the action's name.
    #[must_use]
    pub fn keygen(mut self, key: impl Fn(&Context) -> String + Send + Sync + 'static) -> Self {
        self.keygen = Some(Keygen::new(key));
        self
    }

    /// Caches the calls for which `condition` is true.
    #[must_use]
    pub fn enabled_if(
        mut self,
        condition: impl Fn(&Context) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.enabled = CacheWhen::If(Arc::new(condition));
        self
    }

    /// Whether no result is ever kept.
    pub const fn is_off(&self) -> bool {
        matches!(self.enabled, CacheWhen::Never)
    }

    /// Whether the result of this call is kept.
    pub fn applies_to(&self, ctx: &Context) -> bool {
        match &self.enabled {
            CacheWhen::Always => true,
            CacheWhen::Never => false,
            CacheWhen::If(condition) => condition(ctx),
        }
    }

    /// As it is published: a bool, or the members in the reference's units.
    pub(crate) fn to_value(&self) -> Value {
        let mut object = Object::new();
        if let Some(keys) = &self.keys {
            object.insert("keys", keys.iter().map(|key| &**key).collect::<Vec<_>>());
        }
        if let Some(ttl) = self.ttl {
            object.insert("ttl", in_seconds(ttl));
        }
        if let Some(lock) = &self.lock {
            object.insert("lock", lock.to_value());
        }
        match &self.enabled {
            CacheWhen::Never => false.into(),
            _ if object.is_empty() => true.into(),
            _ => object.into(),
        }
    }

    /// Reads the setting `$cache`; what is wrong with it is told in words.
    pub(crate) fn from_value(value: &Value) -> Result<Self, String> {
        let mut cache = match value {
            Value::Object(_) => Self::new(),
            other => return Ok(if other.is_truthy() { Self::new() } else { Self::off() }),
        };
        for (key, value) in value.as_object().into_iter().flat_map(Object::iter) {
            match key {
                "enabled" if !value.is_truthy() => cache.enabled = CacheWhen::Never,
                "enabled" => {}
                "keys" => cache.keys = Some(keys(value)?),
                "ttl" if value.is_nullish() => {}
                "ttl" => cache.ttl = Some(config::secs(value)?),
                "lock" => cache.lock = CacheLock::from_value(value)?,
                other => {
                    let valid = "enabled, keys, ttl, lock";
                    return Err(format!("unknown member `{other}`; valid ones are: {valid}"));
                }
            }
        }
        Ok(cache)
    }

    /// This one, and what it leaves open from `lower`, unless it says no more
    /// than on or off.
    pub(crate) fn or(self, lower: Self) -> Self {
        let bare = self.keys.is_none() && self.ttl.is_none() && self.lock.is_none();
        if bare && self.keygen.is_none() {
            return self;
        }
        Self {
            enabled: self.enabled,
            keys: self.keys.or(lower.keys),
            ttl: self.ttl.or(lower.ttl),
            lock: self.lock.or(lower.lock),
            keygen: self.keygen.or(lower.keygen),
        }
    }
}

/// Whole seconds are whole numbers.
fn in_seconds(time: Duration) -> Value {
    match time.subsec_nanos() {
        0 => time.as_secs().into(),
        _ => time.as_secs_f64().into(),
    }
}

fn keys(value: &Value) -> Result<Vec<Arc<str>>, String> {
    let texts = value.as_array().map(|keys| keys.iter().map(Value::as_str).collect());
    let texts: Option<Vec<&str>> = texts.flatten();
    let texts = texts.ok_or("`keys` is a list of texts")?;
    Ok(texts.into_iter().map(Arc::from).collect())
}

/// Lets one of several calls that miss run the handler, and the others wait
/// for its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLock {
    /// How long the lock is held at most. Default: the cacher's, 15 s.
    pub ttl: Option<Duration>,
    /// A result that expires within this time is renewed while callers still
    /// get it. Default: none.
    pub stale_time: Option<Duration>,
}

impl CacheLock {
    /// A lock with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ttl`](#structfield.ttl).
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets [`stale_time`](#structfield.stale_time).
    #[must_use]
    pub const fn stale_time(mut self, stale_time: Duration) -> Self {
        self.stale_time = Some(stale_time);
        self
    }

    fn to_value(self) -> Value {
        let mut object = Object::new();
        if let Some(ttl) = self.ttl {
            object.insert("ttl", ttl.as_millis() as u64);
        }
        if let Some(stale_time) = self.stale_time {
            object.insert("staleTime", in_seconds(stale_time));
        }
        if object.is_empty() { true.into() } else { object.into() }
    }

    fn from_value(value: &Value) -> Result<Option<Self>, String> {
        let Some(object) = value.as_object() else {
            return Ok(value.is_truthy().then(Self::new));
        };
        let mut lock = Self::new();
        for (key, value) in object.iter() {
            match key {
                "enabled" if !value.is_truthy() => return Ok(None),
                "enabled" => {}
                "ttl" => lock.ttl = Some(config::millis(value)?),
                "staleTime" => lock.stale_time = Some(config::secs(value)?),
                other => {
                    let valid = "enabled, ttl, staleTime";
                    return Err(format!("unknown member `lock.{other}`; valid ones are: {valid}"));
                }
            }
        }
        Ok(Some(lock))
    }
}

impl fmt::Debug for CacheWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "Always",
            Self::Never => "Never",
            Self::If(_) => "If(..)",
        })
    }
}

/// Functions are equal when they are the same.
impl PartialEq for CacheWhen {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Always, Self::Always) | (Self::Never, Self::Never) => true,
            (Self::If(one), Self::If(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn published(cache: &Cache, expected: &serde_json::Value) {
        assert_eq!(serde_json::to_value(cache.to_value()).expect("a value"), *expected);
    }

    #[test]
    fn it_is_published_as_the_reference_writes_it() {
        published(&Cache::new(), &json!(true));
        published(&Cache::off(), &json!(false));
        published(&Cache::new().enabled_if(|_| true), &json!(true));
        let lock =
            CacheLock::new().ttl(Duration::from_secs(2)).stale_time(Duration::from_millis(500));
        published(
            &Cache::keys(["id", "#user.id"]).ttl(Duration::from_secs(30)).lock(lock),
            &json!({"keys": ["id", "#user.id"], "ttl": 30, "lock": {"ttl": 2000, "staleTime": 0.5}}),
        );
        published(&Cache::new().lock(CacheLock::new()), &json!({"lock": true}));
    }

    #[test]
    fn a_setting_is_read_as_it_is_published() {
        let check = |value: serde_json::Value, expected: Cache| {
            assert_eq!(Cache::from_value(&value.into()), Ok(expected));
        };
        check(json!(true), Cache::new());
        check(json!(false), Cache::off());
        check(json!(null), Cache::off());
        check(
            json!({"enabled": false, "ttl": 5}),
            Cache { enabled: CacheWhen::Never, ..Cache::new().ttl(Duration::from_secs(5)) },
        );
        check(
            json!({"keys": ["id"], "ttl": "1m", "lock": {"ttl": 20, "staleTime": 3}}),
            Cache::keys(["id"]).ttl(Duration::from_secs(60)).lock(
                CacheLock::new().ttl(Duration::from_millis(20)).stale_time(Duration::from_secs(3)),
            ),
        );
        check(json!({"lock": true}), Cache::new().lock(CacheLock::new()));
        check(json!({"lock": {"enabled": false}}), Cache::new());
    }

    #[test]
    fn a_wrong_setting_says_what_is_valid() {
        let check = |value: serde_json::Value, expected: &str| {
            let error = Cache::from_value(&value.into()).expect_err("it is wrong");
            assert!(error.contains(expected), "{error}");
        };
        check(json!({"tll": 5}), "unknown member `tll`; valid ones are: enabled, keys, ttl, lock");
        check(json!({"keys": "id"}), "`keys` is a list of texts");
        check(json!({"keys": ["id", 5]}), "`keys` is a list of texts");
        check(json!({"ttl": "soon"}), "is no duration");
        check(json!({"lock": {"stale": 1}}), "unknown member `lock.stale`");
    }

    #[test]
    fn what_a_mixin_says_fills_members_but_not_a_mere_switch() {
        let lower = Cache::keys(["id"]).ttl(Duration::from_secs(1));
        let upper = Cache::new().ttl(Duration::from_secs(2));
        assert_eq!(upper.or(lower.clone()), Cache::keys(["id"]).ttl(Duration::from_secs(2)));
        assert_eq!(Cache::off().or(lower), Cache::off());
    }
}
