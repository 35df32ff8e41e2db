//! Which servers the options name: [`Address`].

use std::fmt;

use moleculer_core::{Error, Result, Value, strict};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    RedisConfig, ServerConfig, TlsConfig,
    target::{Server, Target},
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
    let server = config.client();
    if let Some(cluster) = &config.cluster {
        if cluster.nodes.is_empty() {
            return Err(Error::options("There is no 'nodes' configuration for cluster."));
        }
        return self::cluster(&cluster.nodes, server);
    }
    if !server.sentinels.is_empty() {
        return sentinels(server);
    }
    let single = match (&server.url, &server.path) {
        (Some(url), _) => from_url(url),
        (None, Some(path)) => from_parts(ConnectionAddr::Unix(path.clone()), login(server)),
        (None, None) => {
            from_parts(ConnectionAddr::Tcp(server.host.clone(), server.port), login(server))
        }
    };
    secured(single.map_err(|error| malformed(&error))?, server.tls.as_ref()).map(Target::Single)
}

fn cluster(nodes: &[Address], client: &ServerConfig) -> Result<Target> {
    let tls = client.tls.as_ref();
    if tls.is_some_and(|tls| tls.servername.is_some()) {
        return Err(Error::options(
            "cacher Redis: tls.servername has no effect in a cluster; let its servers announce the \
             names in their certificates (cluster-announce-hostname)",
        ));
    }
    let login = login(client);
    let nodes = nodes.iter().map(|node| Ok(node.resolve(6379, &login, tls)?.info));
    Ok(Target::Cluster {
        nodes: nodes.collect::<Result<_>>()?,
        certificates: tls.map(TlsConfig::certificates).transpose()?,
    })
}

fn sentinels(client: &ServerConfig) -> Result<Target> {
    if client.tls.is_some() && !client.enable_tls_for_sentinel_mode {
        return Err(Error::options(
            "cacher Redis: tls has no effect with sentinels unless enableTLSForSentinelMode is \
             true; for TLS to the sentinels themselves there is sentinelTLS",
        ));
    }
    let mut access = RedisConnectionInfo::default();
    if let Some(user) = &client.sentinel_username {
        access = access.set_username(user);
    }
    if let Some(password) = &client.sentinel_password {
        access = access.set_password(password);
    }
    let tls = client.sentinel_tls.as_ref();
    let sentinels = client.sentinels.iter().map(|sentinel| sentinel.resolve(26379, &access, tls));
    let master = ConnectionAddr::Tcp(client.host.clone(), client.port);
    let master = from_parts(master, login(client)).map_err(|error| malformed(&error))?;
    Ok(Target::Sentinel {
        sentinels: sentinels.collect::<Result<_>>()?,
        name: client.name.clone(),
        master: secured(master, client.tls.as_ref())?,
    })
}

impl Address {
    fn resolve(
        &self,
        port: u16,
        login: &RedisConnectionInfo,
        tls: Option<&TlsConfig>,
    ) -> Result<Server> {
        let server = match &self.url {
            Some(url) => from_url(url),
            None => {
                let address = ConnectionAddr::Tcp(self.host.clone(), self.port.unwrap_or(port));
                from_parts(address, login.clone())
            }
        };
        secured(server.map_err(|error| malformed(&error))?, tls)
    }
}

fn secured(info: ConnectionInfo, tls: Option<&TlsConfig>) -> Result<Server> {
    Ok(match tls {
        None => Server { info, servername: None },
        Some(tls) => Server { info: tls.secure(info)?, servername: tls.servername.clone() },
    })
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

fn from_url(url: &str) -> RedisResult<ConnectionInfo> {
    url.into_connection_info()
}

fn from_parts(address: ConnectionAddr, login: RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
    address.into_connection_info().map(|server| server.set_redis_settings(login))
}

fn malformed(error: &redis::RedisError) -> Error {
    // The URL itself may hold a password.
    Error::options(format!(
        "cacher Redis: the address of a server is malformed: {error}; it must be like \
         redis://user:pass@host:port/db, or rediss:// for TLS"
    ))
}
