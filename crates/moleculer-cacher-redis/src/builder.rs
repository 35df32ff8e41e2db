//! A cacher step by step: [`RedisBuilder`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use moleculer_core::{
    Context, Error, Millis, Result, Seconds, Value,
    cacher::{CacheOptions, Keygen},
    protocol::{JsonSerializer, Serializer},
};

use crate::{
    Address, ClusterConfig, ClusterOptions, RedisCacher, RedisConfig, servers::target,
    session::Session, target::Limits,
};

/// Makes a [`RedisCacher`] step by step.
#[must_use]
#[derive(Clone, Debug)]
pub struct RedisBuilder {
    config: RedisConfig,
    serializer: Option<Arc<dyn Serializer>>,
    keygen: Option<Keygen>,
}

impl Default for RedisBuilder {
    fn default() -> Self {
        Self::from(RedisConfig::default())
    }
}

impl From<RedisConfig> for RedisBuilder {
    fn from(config: RedisConfig) -> Self {
        Self { config, serializer: None, keygen: None }
    }
}

impl RedisBuilder {
    /// Sets the server, as `redis://user:pass@host:port/db`. Default:
    /// `redis://127.0.0.1:6379`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.config.redis.url = Some(url.into());
        self
    }

    /// Uses a cluster; some of its servers are enough.
    pub fn cluster<'a>(mut self, nodes: impl IntoIterator<Item = &'a str>) -> Self {
        let nodes = nodes.into_iter().map(Address::from).collect();
        self.config.cluster = Some(ClusterConfig { nodes, options: ClusterOptions::default() });
        self
    }

    /// Asks sentinels for the master of this name.
    pub fn sentinels<'a>(
        mut self,
        name: &str,
        sentinels: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.config.redis.name = name.to_owned();
        self.config.redis.sentinels = sentinels.into_iter().map(Address::from).collect();
        self
    }

    /// Sets how long results are kept, unless their action says otherwise.
    /// Default: until they are cleaned.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = Some(Seconds(ttl));
        self
    }

    /// Sets what stands before each key, and a dash. Default: `MOL`, with the
    /// namespace if there is one.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.prefix = Some(prefix.into());
        self
    }

    /// Sets [`CacheOptions::max_params_length`]. Default: no limit.
    pub fn max_params_length(mut self, max: usize) -> Self {
        self.config.max_params_length = Some(max);
        self
    }

    /// Sets [`CacheOptions::missing_response`]. Default: undefined.
    pub fn missing_response(mut self, missing: impl Into<Value>) -> Self {
        self.config.missing_response = Some(missing.into());
        self
    }

    /// Sets what makes the keys of all actions. Default: see
    /// [`KeyRules`](moleculer_core::cacher::KeyRules).
    pub fn keygen(mut self, key: impl Fn(&Context) -> String + Send + Sync + 'static) -> Self {
        self.keygen = Some(Keygen::new(key));
        self
    }

    /// Sets how results are encoded: all that share them need the same.
    /// Default: JSON.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.serializer = Some(Arc::new(serializer));
        self
    }

    /// Sets the longest wait for an answer; then the call goes on without the
    /// cache. Default: 1 s.
    pub fn command_timeout(mut self, limit: Duration) -> Self {
        self.config.redis.command_timeout = Millis(limit);
        self
    }

    /// Sets after what time an idle server is asked whether it is there.
    /// Default: it is not asked.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = Some(Millis(interval));
        self
    }

    /// Makes the cacher.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when a server's address is malformed, a cluster
    /// has none, or the serializer is not known.
    pub fn build(self) -> Result<RedisCacher> {
        let Self { config, serializer, keygen } = self;
        let serializer = match (serializer, config.serializer.as_deref()) {
            (Some(serializer), _) => serializer,
            (None, None) => Arc::new(JsonSerializer),
            (None, Some(name)) if name.eq_ignore_ascii_case("JSON") => Arc::new(JsonSerializer),
            (None, Some(name)) => {
                return Err(Error::options(format!(
                    "cacher Redis: serializer {name} cannot be named here; set it with `RedisBuilder::serializer`"
                )));
            }
        };
        let client = match &config.cluster {
            Some(cluster) => &cluster.options.redis_options,
            None => &config.redis,
        };
        let limits = Limits { connect: *client.connect_timeout, command: *client.command_timeout };
        let ping = config.ping_interval.map(|interval| *interval).filter(|ping| !ping.is_zero());
        let session = Session::new(target(&config)?, limits, ping);
        let mut options = CacheOptions::default();
        options.ttl = config.ttl.map(|ttl| *ttl);
        options.max_params_length = config.max_params_length;
        options.missing_response = config.missing_response.unwrap_or(Value::Undefined);
        options.keygen = keygen;
        Ok(RedisCacher {
            session: Arc::new(session),
            options,
            prefix: config.prefix,
            serializer,
            locking: config.redlock.0,
            connect_limit: limits.connect,
            running: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ServerConfig;

    fn build(options: serde_json::Value) -> Result<RedisCacher> {
        let Value::Object(options) = options.into() else { panic!("no object") };
        RedisBuilder::from(RedisConfig::from_object(options)?).build()
    }

    #[test]
    fn options_are_those_of_the_reference() {
        let check = |options: serde_json::Value, expected: &str| {
            let session = format!("{:?}", build(options).unwrap().session);
            assert!(session.contains(expected), "{session}");
        };
        check(json!({}), "127.0.0.1:6379");
        check(json!({"redis": "redis://a:b@h:1/2"}), "h:1");
        check(
            json!({"redis": {"host": "h", "port": 7, "password": "x", "retryStrategy": 1}}),
            "h:7",
        );
        check(json!({"redis": {"path": "/tmp/redis.sock"}}), "/tmp/redis.sock");
        check(
            json!({"cluster": {"nodes": ["redis://a:1", {"host": "b", "port": 2}, "c"]}}),
            "a:1, b:2, c:6379",
        );
        check(
            json!({"redis": {"sentinels": [{"host": "s", "port": 3}, {"host": "t"}], "name": "m"}}),
            "s:3, t:26379",
        );
        let made =
            build(json!({"ttl": "1m", "missingResponse": null, "prefix": "P", "redlock": false}))
                .unwrap();
        assert_eq!(made.options.ttl.map(|ttl| ttl.as_secs()), Some(60));
        assert_eq!(made.options.missing_response, Value::Null);
        assert_eq!((made.prefix.as_deref(), made.locking), (Some("P"), false));
        assert_eq!(build(json!({})).unwrap().options.missing_response, Value::Undefined);
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        let check = |options: serde_json::Value, expected: &str| {
            let error = build(options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        };
        check(json!({"tll": 1}), "did you mean `ttl`?");
        check(json!({"redis": {"hots": "x"}}), "did you mean `host`?");
        check(json!({"redis": "http://a:secret@h"}), "it must be like redis://");
        check(json!({"redis": "redis://a:secret@h:port"}), "it must be like redis://");
        check(json!({"cluster": {}}), "There is no 'nodes' configuration for cluster.");
        check(json!({"serializer": "Cap'n"}), "set it with `RedisBuilder::serializer`");
        check(json!({"redlock": 5}), "redlock is true or false");
        let config = RedisConfig {
            redis: ServerConfig {
                password: Some("secret".into()),
                url: Some("redis://:secret@h".into()),
                ..ServerConfig::default()
            },
            ..RedisConfig::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
    }
}
