//! Options: [`RedisConfig`] and [`RedisBuilder`].

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use moleculer_core::{
    Context, Error, Millis, Object, Result, Seconds, Value,
    cacher::{CacheOptions, Keygen},
    protocol::{JsonSerializer, Serializer},
    strict,
};
use redis::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    RedisCacher,
    session::Session,
    target::{Limits, Target, from_parts, from_url},
};

/// The options as a configuration has them, in the reference's units.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisConfig {
    /// How long results are kept, in s. Default: until they are cleaned.
    pub ttl: Option<Seconds>,
    /// What stands before each key, and a dash. Default: `MOL`, with the
    /// namespace if there is one.
    pub prefix: Option<String>,
    /// See [`CacheOptions::max_params_length`]. Default: no limit.
    pub max_params_length: Option<usize>,
    /// See [`CacheOptions::missing_response`]. Default: undefined.
    #[serde(deserialize_with = "present")]
    pub missing_response: Option<Value>,
    /// The server: a URL, or the members of [`ServerConfig`].
    pub redis: ServerConfig,
    /// A cluster, in place of a server.
    pub cluster: Option<ClusterConfig>,
    /// `JSON`; others are set in code. Default: `JSON`.
    pub serializer: Option<String>,
    /// Time after which an idle server is asked whether it is there, in ms.
    /// Default: it is not asked.
    pub ping_interval: Option<Millis>,
    /// Has no effect: the server's own `MONITOR` shows what it is asked.
    pub monitor: Option<bool>,
    /// Whether locks are those of the server. Default: yes.
    pub redlock: Redlock,
}

/// A server, and how it is talked to: the options of the reference's client.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerConfig {
    /// A URL, in place of host, port and login.
    pub url: Option<String>,
    /// Default: `127.0.0.1`.
    pub host: String,
    /// Default: 6379.
    pub port: u16,
    /// Path of a Unix socket, in place of host and port.
    pub path: Option<PathBuf>,
    /// Default: none.
    pub username: Option<String>,
    /// Default: none.
    pub password: Option<String>,
    /// Number of the database. Default: 0.
    pub db: i64,
    /// Longest wait for a connection, in ms. Default: 2000 (JS: 10 000).
    pub connect_timeout: Millis,
    /// Longest wait for an answer, in ms; then the call goes on without the
    /// cache. Default: 1000 (JS: for ever).
    pub command_timeout: Millis,
    /// Sentinels that know the master, in place of host and port.
    pub sentinels: Vec<Address>,
    /// Name of the master that sentinels are asked for. Default: `mymaster`.
    pub name: String,
    /// Login at the sentinels.
    pub sentinel_username: Option<String>,
    /// Login at the sentinels.
    pub sentinel_password: Option<String>,
}

/// The servers of a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// Some of the servers; they know the others.
    #[serde(default)]
    pub nodes: Vec<Address>,
    /// Options of the client: `redisOptions` is a [`ServerConfig`] for all.
    #[serde(default)]
    pub options: ClusterOptions,
}

/// Options of a cluster's client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Login and timeouts for all servers.
    pub redis_options: ServerConfig,
}

/// Where a server is: `{host, port}`, or a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: Option<u16>,
    url: Option<String>,
}

/// Whether locks are those of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redlock(bool);

impl Default for Redlock {
    fn default() -> Self {
        Self(true)
    }
}

impl<'de> Deserialize<'de> for Redlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self(true)),
            Value::Bool(on) => Ok(Self(on)),
            Value::Object(_) => {
                tracing::warn!("redlock: its settings have a meaning only in JavaScript");
                Ok(Self(true))
            }
            other => Err(D::Error::custom(format_args!("redlock is true or false, not {other:?}"))),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            url: None,
            host: "127.0.0.1".to_owned(),
            port: 6379,
            path: None,
            username: None,
            password: None,
            db: 0,
            connect_timeout: Millis(Duration::from_secs(2)),
            command_timeout: Millis(Duration::from_secs(1)),
            sentinels: Vec::new(),
            name: "mymaster".to_owned(),
            sentinel_username: None,
            sentinel_password: None,
        }
    }
}

/// Without passwords.
impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("db", &self.db)
            .field("sentinels", &self.sentinels)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.as_deref().and_then(|url| url.rsplit('@').next());
        write!(f, "{}", shown.unwrap_or(&self.host))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parts {
            host: String,
            port: Option<u16>,
        }
        match Value::deserialize(deserializer)? {
            Value::String(url) => Ok(Self::from(url.as_str())),
            other => {
                let Parts { host, port } =
                    strict("a server", other).map_err(|error| D::Error::custom(error.message()))?;
                Ok(Self { host, port, url: None })
            }
        }
    }
}

/// A URL, or a host with a port.
impl From<&str> for Address {
    fn from(text: &str) -> Self {
        if text.contains("://") {
            return Self { host: String::new(), port: None, url: Some(text.to_owned()) };
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (text, None),
        };
        Self { host: host.to_owned(), port, url: None }
    }
}

/// Members that mean something only for the reference's client.
const ONLY_JAVASCRIPT: &[&str] = &[
    "autoResendUnfulfilledCommands",
    "autoResubscribe",
    "connectionName",
    "enableAutoPipelining",
    "enableOfflineQueue",
    "enableReadyCheck",
    "family",
    "keepAlive",
    "lazyConnect",
    "maxRetriesPerRequest",
    "noDelay",
    "readOnly",
    "reconnectOnError",
    "retryStrategy",
    "role",
    "sentinelRetryStrategy",
    "showFriendlyErrorStack",
];

impl RedisConfig {
    /// Reads the options object of a configuration.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_object(mut options: Object) -> Result<Self> {
        match options.get_mut("redis") {
            Some(Value::Object(client)) => {
                for key in ONLY_JAVASCRIPT {
                    if client.remove(key).is_some() {
                        tracing::warn!(
                            option = key,
                            "this option has a meaning only in JavaScript"
                        );
                    }
                }
            }
            Some(url @ Value::String(_)) => {
                let url = std::mem::take(url);
                options.insert("redis", Object::from([("url", url)]));
            }
            Some(Value::Null) => {
                options.remove("redis");
            }
            _ => {}
        }
        strict("cacher Redis", options)
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

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

fn target(config: &RedisConfig) -> Result<Target> {
    let server = &config.redis;
    if let Some(cluster) = &config.cluster {
        if cluster.nodes.is_empty() {
            return Err(Error::options("There is no 'nodes' configuration for cluster."));
        }
        let login = login(&cluster.options.redis_options);
        let nodes = cluster.nodes.iter().map(|node| node.resolve(6379, &login));
        return Ok(Target::Cluster(nodes.collect::<Result<_>>()?));
    }
    if !server.sentinels.is_empty() {
        let mut access = RedisConnectionInfo::default();
        if let Some(user) = &server.sentinel_username {
            access = access.set_username(user);
        }
        if let Some(password) = &server.sentinel_password {
            access = access.set_password(password);
        }
        let sentinels = server.sentinels.iter().map(|sentinel| sentinel.resolve(26379, &access));
        let master = ConnectionAddr::Tcp(server.host.clone(), server.port);
        return Ok(Target::Sentinel {
            sentinels: sentinels.collect::<Result<_>>()?,
            name: server.name.clone(),
            master: from_parts(master, login(server)).map_err(|error| malformed(&error))?,
        });
    }
    let single = match (&server.url, &server.path) {
        (Some(url), _) => from_url(url),
        (None, Some(path)) => from_parts(ConnectionAddr::Unix(path.clone()), login(server)),
        (None, None) => {
            from_parts(ConnectionAddr::Tcp(server.host.clone(), server.port), login(server))
        }
    };
    single.map(Target::Single).map_err(|error| malformed(&error))
}

impl Address {
    fn resolve(&self, port: u16, login: &RedisConnectionInfo) -> Result<ConnectionInfo> {
        let server = match &self.url {
            Some(url) => from_url(url),
            None => {
                let address = ConnectionAddr::Tcp(self.host.clone(), self.port.unwrap_or(port));
                from_parts(address, login.clone())
            }
        };
        server.map_err(|error| malformed(&error))
    }
}

fn login(server: &ServerConfig) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(server.db);
    if let Some(username) = &server.username {
        login = login.set_username(username);
    }
    if let Some(password) = &server.password {
        login = login.set_password(password);
    }
    login
}

fn malformed(error: &redis::RedisError) -> Error {
    // The URL itself may hold a password.
    Error::options(format!(
        "cacher Redis: the address of a server is malformed: {error}; it must be like redis://user:pass@host:port/db"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
