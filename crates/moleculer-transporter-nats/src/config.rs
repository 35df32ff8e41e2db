//! The options: [`NatsConfig`] and [`NatsTransporterBuilder`].

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use moleculer_core::{
    DynTransporter, Error, IntoTransporter, Millis, Plugins, Result, Value, strict,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{NatsTransporter, servers::Servers};

/// Bytes that may wait to be written: some chunks of streams, and more than
/// what is under way to the server in a moment.
const DEFAULT_MAX_QUEUED_BYTES: usize = 8 << 20;

/// The options of the NATS transporter, by the names, units and defaults of
/// Moleculer JS and its NATS client.
///
/// ```
/// use moleculer_transporter_nats::NatsConfig;
/// use serde_json::json;
///
/// let config = NatsConfig::from_value(json!({ "url": "nats://10.0.0.1:4222", "user": "ada", "pass": "secret" }))?;
/// assert_eq!(config.user.as_deref(), Some("ada"));
///
/// let error = NatsConfig::from_value(json!({ "tokn": "secret" })).unwrap_err();
/// assert_eq!(error.message(), "NATS transporter: unknown key `tokn`; did you mean `token`?");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NatsConfig {
    /// Servers of one cluster, as text with commas or as a list; `servers` is
    /// another name of this key. Default: `nats://127.0.0.1:4222`.
    #[serde(alias = "servers")]
    pub url: Servers,
    /// User name, with `pass`. Default: the one in `url`.
    pub user: Option<String>,
    /// Password of `user`.
    pub pass: Option<String>,
    /// Token, in place of a user. Default: none.
    pub token: Option<String>,
    /// Seed of an nkey (`SU...`), in place of a user. Default: none.
    pub nkey: Option<String>,
    /// JWT of a user, with the seed of its nkey in `nkey`. Default: none.
    #[serde(rename = "userJWT")]
    pub user_jwt: Option<String>,
    /// File with the JWT and the seed of a user, as `nsc` writes it
    /// (`.creds`), in place of a user. It is read for each connection.
    /// Default: none.
    pub user_creds: Option<PathBuf>,
    /// Whom to trust, and who we are; `{}` demands TLS. Default: TLS where the
    /// server demands it or the scheme is `tls`.
    #[serde(deserialize_with = "tls")]
    pub tls: Option<TlsConfig>,
    /// Name of the connection, for the server's monitoring. Default: the node id.
    pub name: Option<String>,
    /// Longest wait for one server to take the connection, in ms. Default: 5000.
    pub timeout: Millis,
    /// Whether a lost connection is made again. Default: true.
    pub reconnect: bool,
    /// Attempts on each server to make a lost connection again; -1 for no
    /// limit. Default: -1.
    pub max_reconnect_attempts: i64,
    /// Longest pause between these attempts, in ms; the first ones follow each
    /// other sooner. Default: 2000.
    pub reconnect_time_wait: Millis,
    /// Silence after which the server is asked whether it is there, in ms; it
    /// counts as gone after two questions without an answer. Default: 120 000.
    pub ping_interval: Millis,
    /// Bytes that may wait to be written; above it publishing waits, and above
    /// eight times as many waiting bytes it fails. Default: 8 MiB.
    pub max_queued_bytes: usize,
    /// Whether servers are tried in the order given, not in a random one.
    /// Default: false.
    pub no_randomize: bool,
    /// Whether servers that the cluster tells of are left alone. Default: false.
    pub ignore_cluster_updates: bool,
}

/// Files for TLS, in PEM format.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Certificates of the authorities to trust. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// This node's certificate, with `keyFile`. Default: none.
    pub cert_file: Option<PathBuf>,
    /// Key of `certFile`.
    pub key_file: Option<PathBuf>,
    /// Whether TLS starts before the server says a word. Default: false.
    pub handshake_first: bool,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: Servers::default(),
            user: None,
            pass: None,
            token: None,
            nkey: None,
            user_jwt: None,
            user_creds: None,
            tls: None,
            name: None,
            timeout: Millis(Duration::from_secs(5)),
            reconnect: true,
            max_reconnect_attempts: -1,
            reconnect_time_wait: Millis(Duration::from_secs(2)),
            ping_interval: Millis(Duration::from_secs(120)),
            max_queued_bytes: DEFAULT_MAX_QUEUED_BYTES,
            no_randomize: false,
            ignore_cluster_updates: false,
        }
    }
}

/// Keys that mean something only in JavaScript.
const ONLY_JAVASCRIPT: &[&str] =
    &["debug", "pedantic", "preserveBuffers", "verbose", "waitOnFirstConnect"];

impl NatsConfig {
    /// Reads the options object of a configuration file.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_value(options: impl Into<Value>) -> Result<Self> {
        let mut options = options.into();
        if let Value::Object(options) = &mut options {
            if options.contains_key("authenticator") {
                return Err(Error::options(
                    "NATS transporter: `authenticator` is a function of JavaScript; give user and \
                     pass, token, nkey, userCreds, or userJWT with nkey",
                ));
            }
            for key in ONLY_JAVASCRIPT {
                if options.remove(key).is_some() {
                    tracing::warn!("NATS transporter: `{key}` means something only in JavaScript");
                }
            }
        }
        let config: Self = strict("NATS transporter", options)?;
        config.check().map(|()| config)
    }

    /// Refuses values that make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |reason: &str| Err(Error::options(format!("NATS transporter: {reason}")));
        if self.user.is_some() != self.pass.is_some() {
            return refuse("user and pass must be given together");
        }
        let logins = [
            self.user.is_some(),
            self.token.is_some(),
            self.nkey.is_some(),
            self.user_creds.is_some(),
        ];
        if logins.into_iter().filter(|given| *given).count() > 1 {
            return refuse("only one of user, token, nkey and userCreds may be given");
        }
        if self.user_jwt.is_some() && self.nkey.is_none() {
            return refuse("userJWT needs the seed of its user in nkey");
        }
        if self.timeout.is_zero() {
            return refuse("timeout must be more than 0");
        }
        if self.ping_interval.is_zero() {
            return refuse("pingInterval must be more than 0");
        }
        if self.max_queued_bytes == 0 {
            return refuse("maxQueuedBytes must be more than 0");
        }
        if self.max_reconnect_attempts < -1 {
            return refuse("maxReconnectAttempts must be at least -1, which is no limit");
        }
        match &self.tls {
            Some(tls) if tls.cert_file.is_some() != tls.key_file.is_some() => {
                refuse("tls: certFile and keyFile must be given together")
            }
            _ => Ok(()),
        }
    }

    /// Attempts to get a lost connection back; `None` for no limit.
    pub(crate) fn attempts(&self) -> Option<u64> {
        if self.reconnect { u64::try_from(self.max_reconnect_attempts).ok() } else { Some(0) }
    }
}

/// Without secrets.
impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "...");
        f.debug_struct("NatsConfig")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("pass", &hidden(&self.pass))
            .field("token", &hidden(&self.token))
            .field("nkey", &hidden(&self.nkey))
            .field("user_jwt", &hidden(&self.user_jwt))
            .field("user_creds", &self.user_creds)
            .field("tls", &self.tls)
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("reconnect", &self.reconnect)
            .field("max_reconnect_attempts", &self.max_reconnect_attempts)
            .field("reconnect_time_wait", &self.reconnect_time_wait)
            .field("ping_interval", &self.ping_interval)
            .field("max_queued_bytes", &self.max_queued_bytes)
            .field("no_randomize", &self.no_randomize)
            .field("ignore_cluster_updates", &self.ignore_cluster_updates)
            .finish()
    }
}

/// `true` stands for `{}`, `false` for none.
fn tls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TlsConfig>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(TlsConfig::default())),
        other => strict("tls", other).map(Some).map_err(|error| D::Error::custom(error.message())),
    }
}

/// Makes a [`NatsTransporter`]; what is not set keeps the default of
/// [`NatsConfig`].
///
/// A broker takes it as it is:
///
/// ```
/// use moleculer_core::IntoTransporter;
/// use moleculer_transporter_nats::NatsTransporter;
///
/// let transporter = NatsTransporter::builder().url("nats://10.0.0.1:4222").token("secret");
/// # let made = transporter.into_transporter(&moleculer_core::Plugins::core())?;
/// # assert_eq!(made.name(), "NATS");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built or given to a broker"]
pub struct NatsTransporterBuilder {
    config: NatsConfig,
    urls: Vec<String>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $make:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $make($name);
            self
        }
    )*};
}

impl NatsTransporterBuilder {
    setters! {
        /// Token, in place of a user.
        token: impl Into<String> => |token| Some(Into::into(token));
        /// Seed of an nkey (`SU...`), in place of a user.
        nkey: impl Into<String> => |seed| Some(Into::into(seed));
        /// File with the JWT and the seed of a user (`.creds`).
        user_creds: impl Into<PathBuf> => |file| Some(Into::into(file));
        /// Demands TLS with these files.
        tls: TlsConfig => Some;
        /// Name of the connection. Default: the node id.
        name: impl Into<String> => |name| Some(Into::into(name));
        /// Longest wait for one server to take the connection. Default: 5 s.
        timeout: Duration => Millis;
        /// Whether a lost connection is made again. Default: true.
        reconnect: bool => |reconnect| reconnect;
        /// Attempts on each server to make a lost connection again. Default:
        /// no limit.
        max_reconnect_attempts: u32 => i64::from;
        /// Longest pause between these attempts. Default: 2 s.
        reconnect_time_wait: Duration => Millis;
        /// Silence after which the server is asked whether it is there.
        /// Default: 120 s.
        ping_interval: Duration => Millis;
        /// Bytes that may wait to be written. Default: 8 MiB.
        max_queued_bytes: usize => |bytes| bytes;
        /// Whether servers are tried in the order given. Default: false.
        no_randomize: bool => |fixed| fixed;
        /// Whether servers that the cluster tells of are left alone. Default:
        /// false.
        ignore_cluster_updates: bool => |ignore| ignore;
    }

    /// Adds a server, or several separated by commas. Default:
    /// `nats://127.0.0.1:4222`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// User name and password.
    pub fn user_and_pass(mut self, user: impl Into<String>, pass: impl Into<String>) -> Self {
        self.config.user = Some(user.into());
        self.config.pass = Some(pass.into());
        self
    }

    /// JWT of a user and the seed of its nkey.
    pub fn user_jwt(mut self, jwt: impl Into<String>, seed: impl Into<String>) -> Self {
        self.config.user_jwt = Some(jwt.into());
        self.config.nkey = Some(seed.into());
        self
    }

    /// Makes the transporter.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when a value makes no sense.
    pub fn build(mut self) -> Result<NatsTransporter> {
        if !self.urls.is_empty() {
            self.config.url = Servers::new(&self.urls.join(","))?;
        }
        NatsTransporter::new(self.config)
    }
}

impl IntoTransporter for NatsTransporterBuilder {
    fn into_transporter(self, _: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        Ok(Arc::new(self.build()?))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_option_is_read() {
        let config = NatsConfig::from_value(json!({
            "servers": ["h1:1", "h2"], "user": "ada", "pass": "secret",
            "tls": { "caFile": "ca.pem", "certFile": "c.pem", "keyFile": "k.pem",
                     "handshakeFirst": true },
            "name": "n", "timeout": "1s", "reconnect": false, "maxReconnectAttempts": 3,
            "reconnectTimeWait": 250, "pingInterval": 1000, "maxQueuedBytes": 1024,
            "noRandomize": true, "ignoreClusterUpdates": true, "preserveBuffers": true
        }));
        let debug = format!("{:?}", config.unwrap());
        for expected in [
            "Servers(nats://h1:1, nats://h2:4222)",
            r#"user: Some("ada"), pass: Some("...")"#,
            r#"ca_file: Some("ca.pem")"#,
            r#"cert_file: Some("c.pem")"#,
            r#"key_file: Some("k.pem")"#,
            "handshake_first: true",
            r#"name: Some("n")"#,
            "timeout: 1s",
            "reconnect: false",
            "max_reconnect_attempts: 3",
            "reconnect_time_wait: 250ms",
            "ping_interval: 1s",
            "max_queued_bytes: 1024",
            "no_randomize: true",
            "ignore_cluster_updates: true",
        ] {
            assert!(debug.contains(expected), "{expected} in {debug}");
        }
        for secret in [json!({ "token": "SUAB" }), json!({ "nkey": "SUAB", "userJWT": "SUAB" })] {
            let config = NatsConfig::from_value(secret).unwrap();
            assert!(!format!("{config:?}").contains("SUAB"));
        }
        let creds = NatsConfig::from_value(json!({ "userCreds": "a.creds" })).unwrap();
        assert_eq!(creds.user_creds.as_deref(), Some(Path::new("a.creds")));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |options: serde_json::Value, expected: &str| {
            let error = NatsConfig::from_value(options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            assert_eq!(error.name(), "BrokerOptionsError");
        };
        check(json!({"user": "a"}), "user and pass must be given together");
        check(json!({"user": "a", "pass": "b", "token": "c"}), "only one of user, token, nkey");
        check(json!({"nkey": "a", "userCreds": "b"}), "only one of user, token, nkey");
        check(json!({"userJWT": "a"}), "userJWT needs the seed of its user in nkey");
        check(json!({"authenticator": {}}), "userCreds, or userJWT with nkey");
        check(json!({"timeout": 0}), "timeout must be more than 0");
        check(json!({"pingInterval": 0}), "pingInterval must be more than 0");
        check(json!({"maxQueuedBytes": 0}), "maxQueuedBytes must be more than 0");
        check(json!({"maxReconnectAttempts": -2}), "maxReconnectAttempts must be at least -1");
        check(json!({"tls": {"certFile": "x"}}), "certFile and keyFile must be given together");
        check(json!({"tls": {"cafile": "x"}}), "did you mean `caFile`?");
        check(json!({"url": []}), "url names no server");
        check(json!({"url": [1]}), "a server must be text");
        check(json!({"url": 1}), "url must be text or a list");
        check(json!({"url": "ws://h"}), "'ws://h' is no server");
        check(json!({"maxReconnectAttempt": 1}), "did you mean `maxReconnectAttempts`?");
    }
}
