//! Which servers the options name: [`Address`].

use std::fmt;

use moleculer_core::{Error, Result, Value, strict};
use redis::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    RedisConfig, ServerConfig,
    target::{Target, from_parts, from_url},
};

/// Where a server is: `{host, port}`, or a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: Option<u16>,
    url: Option<String>,
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

/// The servers, how they belong together, and the login.
pub(crate) fn target(config: &RedisConfig) -> Result<Target> {
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
