//! Making a cacher: [`RedisBuilder`].

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use moleculer_core::{
    Context, Error, Millis, Plugins, Result, Seconds, Value,
    cacher::{CacheOptions, Keygen},
    protocol::{JsonSerializer, Serializer},
};

use crate::{
    Address, ClusterConfig, ClusterOptions, RedisCacher, RedisConfig, TlsConfig, servers::target,
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

    /// Demands TLS, of the server, of all servers of a cluster, or of sentinels
    /// and their master. Default: TLS where the scheme is `rediss`.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.config.redis.sentinel_tls = Some(tls.clone());
        self.config.redis.enable_tls_for_sentinel_mode = true;
        self.config.redis.tls = Some(tls);
        self
    }

    /// Sets the longest wait for a connection. Default: 2 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.config.redis.connect_timeout = Millis(limit);
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
    /// has none, a file of TLS cannot be read, or the options name another
    /// serializer than JSON: the broker knows more of them, so give it the
    /// builder.
    pub fn build(self) -> Result<RedisCacher> {
        self.build_with(&Plugins::core())
    }

    pub(crate) fn build_with(self, plugins: &Plugins) -> Result<RedisCacher> {
        let Self { config, serializer, keygen } = self;
        let serializer = match (serializer, &config.serializer) {
            (Some(serializer), _) => serializer,
            (None, None | Some(Value::Null)) => Arc::new(JsonSerializer),
            (None, Some(choice)) => serializer_of(choice, plugins)?,
        };
        let client = config.client();
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

/// The serializer that an option names.
fn serializer_of(choice: &Value, plugins: &Plugins) -> Result<Arc<dyn Serializer>> {
    let refuse = |reason: &str| Error::options(format!("cacher Redis: {reason}"));
    let made = plugins.make_serializer(choice).map_err(|error| refuse(error.message()))?;
    match made.name() {
        name @ ("Avro" | "ProtoBuf" | "Thrift") => Err(refuse(&format!(
            "serializer {name} knows packets only, no results; JSON, MsgPack and CBOR know any value"
        ))),
        _ => Ok(made),
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
        check(json!({"redlock": 5}), "redlock is true or false");
        check(json!({"serializer": 5}), "the serializer must be a name");
        check(json!({"serializer": "Cap'n"}), "Invalid serializer type 'Cap'n'.");
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

    #[test]
    fn serializers_are_named() {
        let made = |options: serde_json::Value, plugins: &Plugins| {
            let Value::Object(options) = options.into() else { panic!("no object") };
            let made =
                RedisBuilder::from(RedisConfig::from_object(options)?).build_with(plugins)?;
            Ok(made.serializer.name())
        };
        let plugins = Plugins::core().missing("serializer-msgpack", &["MsgPack"]);
        for choice in [json!(null), json!("json"), json!({"type": "JSON"})] {
            assert_eq!(made(json!({ "serializer": choice }), &plugins).unwrap(), "JSON");
        }
        let error: Error = made(json!({"serializer": "MsgPack"}), &plugins).unwrap_err();
        assert!(error.message().contains("enable the feature `serializer-msgpack`"), "{error}");
    }

    #[test]
    fn tls_is_that_of_the_reference() {
        let check = |redis: serde_json::Value, expected: &str| {
            let made = build(json!({ "redis": redis })).map(|made| format!("{:?}", made.session));
            let shown = made.unwrap_or_else(|error| error.message().to_owned());
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("MIIB"), "{shown}");
        };
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        check(json!("rediss://h"), "h:6379 (TLS)");
        check(json!({"host": "h", "tls": {}}), "h:6379 (TLS)");
        check(json!({"url": "redis://h", "tls": true}), "h:6379 (TLS)");
        check(json!({"host": "h", "tls": null}), "\"h:6379\"");
        check(json!({"tls": {"ca": "no-such.pem"}}), "tls.ca cannot be read from no-such.pem");
        check(json!({"tls": {"caFile": "Cargo.toml"}}), "tls.ca has nothing in PEM format");
        check(json!({"tls": {"ca": pem}}), "check the certificates and the key");
        check(json!({"tls": {"cert": pem}}), "tls.cert and tls.key must be given together");
        check(json!({"tls": {"servrname": "h"}}), "did you mean `servername`?");
        check(json!({"path": "/tmp/redis.sock", "tls": {}}), "a Unix socket has no TLS");
        let sentinels = json!([{"host": "s"}]);
        check(json!({"sentinels": sentinels, "tls": {}}), "enableTLSForSentinelMode is true");
        let both = json!({"sentinels": sentinels, "sentinelTLS": {}});
        check(both, "s:26379 (TLS)");
        let cluster = |redis_options: serde_json::Value| {
            let options = json!({"nodes": ["c:1"], "options": {"redisOptions": redis_options}});
            build(json!({ "cluster": options })).map(|made| format!("{:?}", made.session))
        };
        assert!(cluster(json!({"tls": {}})).unwrap().contains("c:1 (TLS)"));
        let error = cluster(json!({"tls": {"servername": "h"}})).unwrap_err();
        assert!(error.message().contains("cluster-announce-hostname"), "{error}");
    }
}
