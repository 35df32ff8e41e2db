//! TLS to the servers: [`TlsConfig`].

use std::{fmt, fs, path::PathBuf};

use moleculer_core::{Error, Result, Value, strict};
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Whom to trust, and who we are: the `tls` options of the reference's client.
///
/// ```
/// use moleculer_cacher_redis::{RedisCacher, TlsConfig};
///
/// let mut tls = TlsConfig::default();
/// tls.ca = Some("/etc/redis/ca.pem".into());
/// tls.servername = Some("redis.example.org".to_owned());
/// let builder = RedisCacher::builder().url("rediss://10.0.0.1:6379").tls(tls);
/// # let _ = builder;
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Certificates of the authorities to trust. Default: the system's.
    #[serde(alias = "caFile")]
    pub ca: Option<Pem>,
    /// This node's certificate, with `key`. Default: none.
    #[serde(alias = "certFile")]
    pub cert: Option<Pem>,
    /// Key of `cert`.
    #[serde(alias = "keyFile")]
    pub key: Option<Pem>,
    /// Whether a certificate that cannot be trusted, or is another host's, is
    /// refused. Default: true.
    pub reject_unauthorized: bool,
    /// The name that the server's certificate is for, and that the server is
    /// told. Default: the host.
    pub servername: Option<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, reject_unauthorized: true, servername: None }
    }
}

/// Certificates or a key in PEM format: the text itself, or a file.
///
/// What is made from text is a path, unless it has a line `-----BEGIN`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pem {
    /// The text.
    Text(String),
    /// A file with the text, which is read when the cacher is made.
    File(PathBuf),
}

impl Pem {
    fn read(&self, option: &str) -> Result<Vec<u8>> {
        let refuse =
            |reason: String| Error::options(format!("cacher Redis: tls.{option} {reason}"));
        let text = match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::File(file) => fs::read(file).map_err(|error| {
                refuse(format!("cannot be read from {}: {error}", file.display()))
            })?,
        };
        if text.windows(10).any(|part| part == b"-----BEGIN") {
            return Ok(text);
        }
        Err(refuse("has nothing in PEM format: it must be such text, or the path of a file".into()))
    }
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        if text.contains("-----BEGIN") {
            Self::Text(text.to_owned())
        } else {
            Self::File(text.into())
        }
    }
}

impl From<PathBuf> for Pem {
    fn from(file: PathBuf) -> Self {
        Self::File(file)
    }
}

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
    }
}

/// Without keys.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("..."),
            Self::File(file) => file.fmt(f),
        }
    }
}

/// `{...}` or `true`; null and `false` for none.
pub(crate) fn option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TlsConfig>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(TlsConfig::default())),
        other => strict("tls", other).map(Some).map_err(|error| D::Error::custom(error.message())),
    }
}

impl TlsConfig {
    /// The same server by TLS.
    pub(crate) fn secure(&self, server: ConnectionInfo) -> Result<ConnectionInfo> {
        let address = match server.addr().clone() {
            ConnectionAddr::Tcp(host, port) => self.address(host, port, false),
            ConnectionAddr::TcpTls { host, port, insecure, .. } => {
                self.address(host, port, insecure)
            }
            _ => {
                return Err(Error::options("cacher Redis: a Unix socket has no TLS; remove `tls`"));
            }
        };
        let client = Client::build_with_tls(server.set_addr(address), self.certificates()?);
        client.map(|client| client.get_connection_info().clone()).map_err(|error| malformed(&error))
    }

    fn address(&self, host: String, port: u16, insecure: bool) -> ConnectionAddr {
        let insecure = insecure || !self.reject_unauthorized;
        ConnectionAddr::TcpTls { host, port, insecure, tls_params: None }
    }

    pub(crate) fn certificates(&self) -> Result<TlsCertificates> {
        let read =
            |option: &str, pem: &Option<Pem>| pem.as_ref().map(|pem| pem.read(option)).transpose();
        let client_tls = match (read("cert", &self.cert)?, read("key", &self.key)?) {
            (Some(client_cert), Some(client_key)) => {
                Some(ClientTlsConfig { client_cert, client_key })
            }
            (None, None) => None,
            _ => {
                let message = "cacher Redis: tls.cert and tls.key must be given together";
                return Err(Error::options(message));
            }
        };
        Ok(TlsCertificates { client_tls, root_cert: read("ca", &self.ca)? })
    }
}

fn malformed(error: &redis::RedisError) -> Error {
    Error::options(format!("cacher Redis: tls: {error}; check the certificates and the key"))
}

/// Makes sure that there are ciphers. rustls takes those that are compiled in
/// by itself, but panics where a program has two kinds and chose none.
pub(crate) fn prepare() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else was faster, which is as good.
        drop(ring::default_provider().install_default());
    }
}

/// What to do about a failed handshake. A cluster's client tells errors as
/// text only, so that text is what there is to go by.
pub(crate) fn advice(error: &str) -> Option<&'static str> {
    const ADVICE: [(&str, &str); 8] = [
        (
            "certificate: UnknownIssuer",
            "the authority of the server's certificate is not trusted; name it in tls.ca",
        ),
        (
            "certificate: certificate not valid for name",
            "name the host as the server's certificate does, or say in tls.servername whose it is",
        ),
        ("certificate: certificate expired", "the server needs a new certificate"),
        ("invalid peer certificate", "the server needs another certificate"),
        (
            "fatal alert: CertificateRequired",
            "the server wants a certificate of this node; set tls.cert and tls.key",
        ),
        (
            "fatal alert: UnknownCA",
            "the server does not trust the authority of tls.cert; set one that it does",
        ),
        ("fatal alert", "the server refuses tls.cert, or the version of TLS"),
        (
            "corrupt message",
            "the server speaks no TLS on this port; use redis:// and no `tls`, or its other port",
        ),
    ];
    ADVICE.iter().find(|(part, _)| error.contains(part)).map(|(_, advice)| *advice)
}
