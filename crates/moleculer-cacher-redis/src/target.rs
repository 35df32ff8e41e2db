//! Which servers are meant, and the way to them: [`Target`].

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, cluster::ClusterClientBuilder,
};

use crate::link::Link;

/// A server, the servers of a cluster, or sentinels that know the master.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Single(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        name: String,
        /// Login, database and TLS of the master; its address is asked for.
        master: ConnectionInfo,
    },
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) command: Duration,
}

impl Target {
    /// Connects once.
    pub(crate) async fn connect(&self, limits: Limits) -> RedisResult<Link> {
        match self {
            Self::Single(server) => single(server.clone(), limits).await,
            Self::Cluster(servers) => cluster(servers, limits).await,
            Self::Sentinel { sentinels, name, master } => {
                let address = ask_sentinels(sentinels, name, master, limits).await?;
                single(master.clone().set_addr(address), limits).await
            }
        }
    }

    /// The addresses, for messages.
    pub(crate) fn servers(&self) -> String {
        let all = match self {
            Self::Single(server) => std::slice::from_ref(server),
            Self::Cluster(servers) | Self::Sentinel { sentinels: servers, .. } => servers,
        };
        let all: Vec<_> = all.iter().map(|server| server.addr().to_string()).collect();
        all.join(", ")
    }
}

async fn single(server: ConnectionInfo, limits: Limits) -> RedisResult<Link> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limits.connect))
        .set_response_timeout(Some(limits.command));
    let client = Client::open(server)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Single)
}

async fn cluster(servers: &[ConnectionInfo], limits: Limits) -> RedisResult<Link> {
    let client = ClusterClientBuilder::new(servers.iter().cloned())
        .connection_timeout(limits.connect)
        .response_timeout(limits.command)
        .overall_response_timeout(Some(limits.command))
        // Who asks does not wait for long; the session connects again.
        .retries(3)
        .build()?;
    client.get_async_connection().await.map(|link| Link::Cluster(Box::new(link)))
}

/// The address of the master, from the first sentinel that knows it.
async fn ask_sentinels(
    sentinels: &[ConnectionInfo],
    name: &str,
    master: &ConnectionInfo,
    limits: Limits,
) -> RedisResult<ConnectionAddr> {
    let mut last = None;
    for sentinel in sentinels {
        match ask(sentinel, name, limits).await {
            Ok(Some((host, port))) => return Ok(address_like(master.addr(), host, port)),
            Ok(None) => last = Some(unknown(name)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| unknown(name)))
}

async fn ask(
    sentinel: &ConnectionInfo,
    name: &str,
    limits: Limits,
) -> RedisResult<Option<(String, u16)>> {
    let link = single(sentinel.clone(), limits).await?;
    let mut question = redis::cmd("SENTINEL");
    link.query(question.arg("get-master-addr-by-name").arg(name)).await
}

fn unknown(name: &str) -> RedisError {
    let kind = redis::ErrorKind::MasterNameNotFoundBySentinel;
    RedisError::from((kind, "no sentinel knows the master", name.to_owned()))
}

fn address_like(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match like.clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// A server by its URL.
pub(crate) fn from_url(url: &str) -> RedisResult<ConnectionInfo> {
    url.into_connection_info()
}

/// A server by its parts.
pub(crate) fn from_parts(
    address: ConnectionAddr,
    login: RedisConnectionInfo,
) -> RedisResult<ConnectionInfo> {
    address.into_connection_info().map(|server| server.set_redis_settings(login))
}
