//! Options: [`RedisConfig`].

use std::{fmt, path::PathBuf, time::Duration};

use moleculer_core::{Millis, Object, Result, Seconds, Value, strict};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    Address,
    tls::{self, TlsConfig},
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
    /// See [`CacheOptions::max_params_length`](moleculer_core::cacher::CacheOptions::max_params_length). Default: no limit.
    pub max_params_length: Option<usize>,
    /// See [`CacheOptions::missing_response`](moleculer_core::cacher::CacheOptions::missing_response). Default: undefined.
    #[serde(deserialize_with = "present")]
    pub missing_response: Option<Value>,
    /// The server: a URL, or the members of [`ServerConfig`].
    pub redis: ServerConfig,
    /// A cluster, in place of a server.
    pub cluster: Option<ClusterConfig>,
    /// How results are stored: the name of a serializer, or `{type, options}`.
    /// Default: `JSON`.
    pub serializer: Option<Value>,
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
    /// Whom to trust, and who we are; `{}` demands TLS. Default: TLS where the
    /// scheme is `rediss`.
    #[serde(deserialize_with = "tls::option")]
    pub tls: Option<TlsConfig>,
    /// The same for sentinels.
    #[serde(rename = "sentinelTLS", deserialize_with = "tls::option")]
    pub sentinel_tls: Option<TlsConfig>,
    /// Whether `tls` is for the master that sentinels name. Default: false,
    /// which with `tls` is an error.
    #[serde(rename = "enableTLSForSentinelMode")]
    pub enable_tls_for_sentinel_mode: bool,
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
    /// Login, timeouts and TLS of all servers. Default: those of `redis`.
    pub redis_options: Option<ServerConfig>,
}

/// Whether locks are those of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redlock(pub(crate) bool);

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
            tls: None,
            sentinel_tls: None,
            enable_tls_for_sentinel_mode: false,
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
            .field("tls", &self.tls)
            .finish_non_exhaustive()
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

    /// How servers are talked to.
    pub(crate) fn client(&self) -> &ServerConfig {
        let cluster = self.cluster.as_ref();
        cluster.and_then(|cluster| cluster.options.redis_options.as_ref()).unwrap_or(&self.redis)
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
