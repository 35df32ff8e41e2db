//! Where the servers are: [`Servers`].

use std::fmt;

use async_nats::ServerAddr;
use moleculer_core::{Error, Result, Value};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Addresses of servers of one cluster, as `nats://user:pass@host:port`; a
/// host alone is enough.
///
/// ```
/// use moleculer_transporter_nats::Servers;
///
/// let servers = Servers::new("nats://ada:secret@10.0.0.1:4222, 10.0.0.2")?;
/// assert_eq!(servers.to_string(), "nats://10.0.0.1:4222, nats://10.0.0.2:4222");
///
/// let error = Servers::new("http://10.0.0.1").unwrap_err();
/// assert!(error.message().contains("nats://host:port or tls://host:port"));
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Servers {
    addresses: Vec<ServerAddr>,
    login: Option<Login>,
}

/// What stands before the `@`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    User { user: String, pass: String },
    Token(String),
}

impl Servers {
    /// Reads addresses separated by commas. The first user and password count
    /// for all; a user without password is a token.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the malformed address.
    pub fn new(urls: &str) -> Result<Self> {
        Self::from_list(urls.split(','))
    }

    pub(crate) fn from_list<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut servers = Self { addresses: Vec::new(), login: None };
        for url in urls.into_iter().map(str::trim).filter(|url| !url.is_empty()) {
            let (address, login) = parse(url)?;
            servers.addresses.push(address);
            servers.login = servers.login.or(login);
        }
        if servers.addresses.is_empty() {
            return Err(Error::options("NATS transporter: url names no server"));
        }
        Ok(servers)
    }

    pub(crate) fn addresses(&self) -> &[ServerAddr] {
        &self.addresses
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Adds servers that the cluster told of.
    pub(crate) fn learn(&mut self, urls: &[String]) {
        for address in urls.iter().filter_map(|url| url.parse::<ServerAddr>().ok()) {
            let known = |known: &ServerAddr| {
                known.host() == address.host() && known.port() == address.port()
            };
            if !self.addresses.iter().any(known) {
                self.addresses.push(address);
            }
        }
    }
}

/// Takes one address and what stands before its `@` apart.
fn parse(url: &str) -> Result<(ServerAddr, Option<Login>)> {
    // What may be a password stays out of the message.
    let shown = url.rsplit('@').next().unwrap_or_default();
    let malformed = || {
        Error::options(format!(
            "NATS transporter: '{shown}' is no server; it must be like nats://host:port or \
             tls://host:port"
        ))
    };
    let address: ServerAddr = url.parse().map_err(|_| malformed())?;
    if address.host().is_empty() || !matches!(address.scheme(), "nats" | "tls") {
        return Err(malformed());
    }
    let mut url = address.into_inner();
    let user = decode(url.username()).ok_or_else(malformed)?;
    let pass = match url.password() {
        Some(pass) => Some(decode(pass).ok_or_else(malformed)?),
        None => None,
    };
    let login = match (user, pass) {
        (user, None) if user.is_empty() => None,
        (token, None) => Some(Login::Token(token)),
        (user, Some(pass)) => Some(Login::User { user, pass }),
    };
    url.set_username("").map_err(|()| malformed())?;
    url.set_password(None).map_err(|()| malformed())?;
    let address = ServerAddr::from_url(url).map_err(|_| malformed())?;
    Ok((address, login))
}

/// `%40` is `@`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

impl Default for Servers {
    /// `nats://127.0.0.1:4222`
    fn default() -> Self {
        let address = "nats://127.0.0.1:4222".parse().ok();
        Self { addresses: address.into_iter().collect(), login: None }
    }
}

/// Without users and passwords.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let (scheme, host, port) = (address.scheme(), address.host(), address.port());
            match host.contains(':') {
                true => write!(f, "{comma}{scheme}://[{host}]:{port}")?,
                false => write!(f, "{comma}{scheme}://{host}:{port}")?,
            }
        }
        Ok(())
    }
}

/// As displayed.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({self})")
    }
}

impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let servers = match Value::deserialize(deserializer)? {
            Value::String(urls) => Self::new(&urls),
            Value::Array(list) => {
                match list.iter().map(Value::as_str).collect::<Option<Vec<_>>>() {
                    Some(urls) => Self::from_list(urls),
                    None => Err(Error::options("url: a server must be text")),
                }
            }
            other => Err(Error::options(format!("url must be text or a list, not {other:?}"))),
        };
        servers.map_err(|error| {
            let message = error.message();
            D::Error::custom(message.strip_prefix("NATS transporter: ").unwrap_or(message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, pass: &str) -> Option<Login> {
        Some(Login::User { user: user.into(), pass: pass.into() })
    }

    #[test]
    fn addresses_and_the_first_login_are_taken() {
        let check = |urls: &str, shown: &str, login: Option<Login>| {
            let servers = Servers::new(urls).unwrap();
            assert_eq!(servers.to_string(), shown, "{urls}");
            assert!(servers.login == login, "{urls}");
        };
        check("localhost", "nats://localhost:4222", None);
        check("nats://h:1,tls://h:2", "nats://h:1, tls://h:2", None);
        check("nats://[::1]:7", "nats://[::1]:7", None);
        check("nats://a:b@h, nats://c:d@i", "nats://h:4222, nats://i:4222", user("a", "b"));
        check("a%40x:p%3A%25@h", "nats://h:4222", user("a@x", "p:%"));
        check("nats://t0ken@h", "nats://h:4222", Some(Login::Token("t0ken".into())));
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for url in [
            "",
            " , ",
            "nats://",
            "http://h",
            "ws://h:80",
            "h:port",
            "nats://a:secret@h:x",
            "a:%zz@h",
        ] {
            let error = Servers::new(url).unwrap_err();
            assert!(error.message().starts_with("NATS transporter: "), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", Servers::new("a:secret@h").unwrap()).contains("secret"));
    }

    #[test]
    fn servers_of_the_cluster_are_learnt_once() {
        let mut servers = Servers::new("nats://a:x@10.0.0.1").unwrap();
        servers.learn(&["10.0.0.1:4222".into(), "10.0.0.2:4222".into(), "10.0.0.2:4222".into()]);
        assert_eq!(servers.to_string(), "nats://10.0.0.1:4222, nats://10.0.0.2:4222");
    }
}
