//! Which servers are meant, and the way to them: [`Target`].

use std::{net::SocketAddr, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError, RedisFuture,
    RedisResult, TlsCertificates, TlsMode, cluster::ClusterClientBuilder, io::AsyncDNSResolver,
};

use crate::{link::Link, tls};

/// A server, the servers of a cluster, or sentinels that know the master.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Single(Server),
    Cluster {
        nodes: Vec<ConnectionInfo>,
        certificates: Option<TlsCertificates>,
    },
    Sentinel {
        sentinels: Vec<Server>,
        name: String,
        /// Login, database and TLS of the master; its address is asked for.
        master: Server,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) info: ConnectionInfo,
    /// Whose certificate it has, where that is not the host's.
    pub(crate) servername: Option<String>,
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
        if self.has_tls() {
            tls::prepare();
        }
        match self {
            Self::Single(server) => single(server, limits).await,
            Self::Cluster { nodes, certificates } => {
                cluster(nodes, certificates.clone(), limits).await
            }
            Self::Sentinel { sentinels, name, master } => {
                let (host, port) = ask_sentinels(sentinels, name, limits).await?;
                single(&master.at(host, port), limits).await
            }
        }
    }

    /// The addresses, for messages.
    pub(crate) fn servers(&self) -> String {
        let all = self.all().map(|server| match server.addr() {
            address @ ConnectionAddr::TcpTls { .. } => format!("{address} (TLS)"),
            address => address.to_string(),
        });
        all.collect::<Vec<_>>().join(", ")
    }

    fn all(&self) -> impl Iterator<Item = &ConnectionInfo> {
        let (nodes, servers) = match self {
            Self::Single(server) => (None, Some(std::slice::from_ref(server))),
            Self::Cluster { nodes, .. } => (Some(nodes), None),
            Self::Sentinel { sentinels, .. } => (None, Some(&**sentinels)),
        };
        let servers = servers.into_iter().flatten().map(|server| &server.info);
        nodes.into_iter().flatten().chain(servers)
    }

    pub(crate) fn has_tls(&self) -> bool {
        let is_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        self.all().any(is_tls)
            || matches!(self, Self::Sentinel { master, .. } if is_tls(&master.info))
    }
}

impl Server {
    /// The same at another address.
    fn at(&self, host: String, port: u16) -> Self {
        let address = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self { info: self.info.clone().set_addr(address), servername: self.servername.clone() }
    }
}

async fn single(server: &Server, limits: Limits) -> RedisResult<Link> {
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limits.connect))
        .set_response_timeout(Some(limits.command));
    let mut info = server.info.clone();
    // The client takes the name to look up for the one in the certificate.
    if let (ConnectionAddr::TcpTls { host, port, .. }, Some(name)) =
        (info.addr().clone(), &server.servername)
    {
        config = config.set_dns_resolver(Host(host));
        info = server.at(name.clone(), port).info;
    }
    let client = Client::open(info)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Single)
}

/// Finds this host, whatever name it is asked for.
struct Host(String);

impl AsyncDNSResolver for Host {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((self.0.as_str(), port)).await?;
            Ok(Box::new(found) as Box<dyn Iterator<Item = SocketAddr> + Send + 'a>)
        })
    }
}

async fn cluster(
    servers: &[ConnectionInfo],
    certificates: Option<TlsCertificates>,
    limits: Limits,
) -> RedisResult<Link> {
    let mut client = ClusterClientBuilder::new(servers.iter().cloned())
        .connection_timeout(limits.connect)
        .response_timeout(limits.command)
        .overall_response_timeout(Some(limits.command))
        // Who asks does not wait for long; the session connects again.
        .retries(3);
    if let (Some(certificates), ConnectionAddr::TcpTls { insecure, .. }) =
        (certificates, servers[0].addr())
    {
        let mode = if *insecure { TlsMode::Insecure } else { TlsMode::Secure };
        client = client.tls(mode).certs(certificates);
    }
    client.build()?.get_async_connection().await.map(|link| Link::Cluster(Box::new(link)))
}

/// The address of the master, from the first sentinel that knows it.
async fn ask_sentinels(
    sentinels: &[Server],
    name: &str,
    limits: Limits,
) -> RedisResult<(String, u16)> {
    let mut last = None;
    for sentinel in sentinels {
        match ask(sentinel, name, limits).await {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => last = Some(unknown(name)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| unknown(name)))
}

async fn ask(sentinel: &Server, name: &str, limits: Limits) -> RedisResult<Option<(String, u16)>> {
    let link = single(sentinel, limits).await?;
    let mut question = redis::cmd("SENTINEL");
    link.query(question.arg("get-master-addr-by-name").arg(name)).await
}

fn unknown(name: &str) -> RedisError {
    let kind = redis::ErrorKind::MasterNameNotFoundBySentinel;
    RedisError::from((kind, "no sentinel knows the master", name.to_owned()))
}
