//! The options: [`TcpConfig`] and [`TcpTransporterBuilder`].

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use moleculer_core::{
    DynTransporter, Error, IntoTransporter, Plugins, Result, Seconds, Value, protocol::tcp, strict,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{TcpTransporter, urls::Urls};

/// The options of the TCP transporter, by the names, units and defaults of
/// Moleculer JS.
///
/// ```
/// use moleculer_transporter_tcp::TcpConfig;
/// use serde_json::json;
///
/// let config = TcpConfig::from_value(json!({ "port": 4000, "gossipPeriod": 5 }))?;
/// assert_eq!(config.port, Some(4000));
/// assert_eq!(config.gossip_period.as_secs(), 5);
///
/// let error = TcpConfig::from_value(json!({ "prot": 4000 })).unwrap_err();
/// assert_eq!(error.message(), "TCP transporter: unknown key `prot`; did you mean `port`?");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TcpConfig {
    /// Whether nodes find each other by UDP. Default: true.
    pub udp_discovery: bool,
    /// Port of the datagrams, the same on all nodes. Default: 4445.
    pub udp_port: u16,
    /// Address of the one interface for multicasts, and the address that
    /// broadcasts are sent from. Default: all interfaces.
    pub udp_bind_address: Option<Ipv4Addr>,
    /// Time between announcements, in s. Default: 30.
    pub udp_period: Seconds,
    /// Whether other sockets of this machine may use the UDP port as well.
    /// Default: true.
    pub udp_reuse_addr: bool,
    /// Announcements to make; 0 for no limit. Default: 0.
    pub udp_max_discovery: u32,
    /// Group of the multicasts; `null` or `false` for none. Default: 239.0.0.0.
    #[serde(deserialize_with = "multicast")]
    pub udp_multicast: Option<Ipv4Addr>,
    /// How many routers a multicast may pass, 1 for none. Default: 1.
    #[serde(rename = "udpMulticastTTL")]
    pub udp_multicast_ttl: u8,
    /// Where announcements are broadcast. Default: nowhere.
    pub udp_broadcast: Broadcast,
    /// TCP port to listen on; `null` or 0 for any free one. Default: the port
    /// that `urls` tells for this node, else any free one.
    pub port: Option<u16>,
    /// Nodes that are known from the start. Default: none.
    pub urls: Option<Urls>,
    /// Whether nodes are reached by host name rather than by the first of
    /// their addresses, when neither a datagram nor a connection came from
    /// them. Default: true.
    pub use_hostname: bool,
    /// Time between rounds of gossip, in s, at least 1. Default: 2.
    pub gossip_period: Seconds,
    /// Most outgoing connections; above it the least recently used ones are
    /// closed. Default: 32.
    pub max_connections: usize,
    /// Largest packet in bytes, at least 1024, header included; the same on
    /// all nodes. Default: 1 MiB.
    pub max_packet_size: usize,
    /// Whether gossip is logged at level debug rather than trace. Default:
    /// false.
    pub debug: bool,
}

/// Where announcements are broadcast, besides the multicast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Broadcast {
    /// Nowhere; `false` in a configuration file.
    #[default]
    Off,
    /// To the broadcast address of each interface; `true` in a configuration
    /// file.
    Interfaces,
    /// To these addresses: one or a list in a configuration file.
    To(Vec<Ipv4Addr>),
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            udp_discovery: true,
            udp_port: 4445,
            udp_bind_address: None,
            udp_period: Seconds(Duration::from_secs(30)),
            udp_reuse_addr: true,
            udp_max_discovery: 0,
            udp_multicast: Some(Ipv4Addr::new(239, 0, 0, 0)),
            udp_multicast_ttl: 1,
            udp_broadcast: Broadcast::Off,
            port: None,
            urls: None,
            use_hostname: true,
            gossip_period: Seconds(Duration::from_secs(2)),
            max_connections: 32,
            max_packet_size: tcp::DEFAULT_MAX_PACKET_SIZE,
            debug: false,
        }
    }
}

impl TcpConfig {
    /// Reads the options object of a configuration file.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_value(options: impl Into<Value>) -> Result<Self> {
        let config: Self = strict("TCP transporter", options)?;
        config.check().map(|()| config)
    }

    /// Refuses values that make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |reason: &str| Err(Error::options(format!("TCP transporter: {reason}")));
        if *self.gossip_period < Duration::from_secs(1) {
            return refuse("gossipPeriod must be at least 1 s");
        }
        if self.udp_period.is_zero() {
            return refuse(
                "udpPeriod must be more than 0; udpDiscovery = false stops announcements",
            );
        }
        if self.udp_port == 0 {
            return refuse("udpPort must be a fixed port, the same on all nodes");
        }
        if self.max_connections == 0 {
            return refuse("maxConnections must be at least 1");
        }
        if !(1024..=i32::MAX as usize).contains(&self.max_packet_size) {
            return refuse("maxPacketSize must be from 1024 to 2147483647 bytes");
        }
        if self.udp_multicast.is_some_and(|group| !group.is_multicast()) {
            return refuse("udpMulticast must be from 224.0.0.0 to 239.255.255.255");
        }
        self.urls.as_ref().map_or(Ok(()), Urls::check)
    }
}

/// Makes a [`TcpTransporter`]; what is not set keeps the default of
/// [`TcpConfig`].
///
/// A broker takes it as it is:
///
/// ```
/// use moleculer_core::IntoTransporter;
/// use moleculer_transporter_tcp::TcpTransporter;
///
/// let transporter = TcpTransporter::builder().port(4000).urls(["tcp://10.0.0.2:4000/node-2"]);
/// # let made = transporter.into_transporter(&moleculer_core::Plugins::core())?;
/// # assert_eq!(made.name(), "TCP");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built or given to a broker"]
pub struct TcpTransporterBuilder {
    config: TcpConfig,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name.into();
            self
        }
    )*};
}

impl TcpTransporterBuilder {
    setters! {
        /// Whether nodes find each other by UDP. Default: true.
        udp_discovery: bool;
        /// Port of the datagrams, the same on all nodes. Default: 4445.
        udp_port: u16;
        /// The one interface to use. Default: all.
        udp_bind_address: Ipv4Addr;
        /// Whether other sockets may use the UDP port as well. Default: true.
        udp_reuse_addr: bool;
        /// Announcements to make; 0 for no limit. Default: 0.
        udp_max_discovery: u32;
        /// Group of the multicasts, `None` for none. Default: 239.0.0.0.
        udp_multicast: Option<Ipv4Addr>;
        /// How many routers a multicast may pass, 1 for none. Default: 1.
        udp_multicast_ttl: u8;
        /// Where announcements are broadcast. Default: nowhere.
        udp_broadcast: Broadcast;
        /// TCP port to listen on; 0 for any free one. Default: any free one.
        port: u16;
        /// Whether nodes are reached by host name. Default: true.
        use_hostname: bool;
        /// Most outgoing connections. Default: 32.
        max_connections: usize;
        /// Largest packet in bytes, header included. Default: 1 MiB.
        max_packet_size: usize;
        /// Whether gossip is logged at level debug. Default: false.
        debug: bool;
    }

    /// Time between announcements. Default: 30 s.
    pub fn udp_period(mut self, period: Duration) -> Self {
        self.config.udp_period = Seconds(period);
        self
    }

    /// Time between rounds of gossip, at least 1 s. Default: 2 s.
    pub fn gossip_period(mut self, period: Duration) -> Self {
        self.config.gossip_period = Seconds(period);
        self
    }

    /// Nodes that are known from the start, as `tcp://host:port/nodeID`.
    pub fn urls<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.config.urls = Some(Urls::List(urls.into_iter().map(Into::into).collect()));
        self
    }

    /// Makes the transporter.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when a value makes no sense.
    pub fn build(self) -> Result<TcpTransporter> {
        TcpTransporter::new(self.config)
    }
}

impl IntoTransporter for TcpTransporterBuilder {
    fn into_transporter(self, _: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        Ok(Arc::new(self.build()?))
    }
}

/// Everything that is false in JavaScript switches multicasts off.
fn multicast<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ipv4Addr>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) if !text.is_empty() => {
            address(&text).map(Some).map_err(D::Error::custom)
        }
        value if !value.is_truthy() => Ok(None),
        other => Err(D::Error::custom(format_args!("udpMulticast: {other:?} is no address"))),
    }
}

impl<'de> Deserialize<'de> for Broadcast {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let to = match Value::deserialize(deserializer)? {
            Value::Bool(true) => return Ok(Self::Interfaces),
            Value::String(text) if !text.is_empty() => vec![Value::String(text)],
            Value::Array(list) => list,
            value if !value.is_truthy() => return Ok(Self::Off),
            other => vec![other],
        };
        let to = to.iter().map(|item| match item {
            Value::String(text) => address(text),
            other => Err(format!("udpBroadcast: {other:?} is no address")),
        });
        to.collect::<Result<_, _>>().map(Self::To).map_err(D::Error::custom)
    }
}

fn address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("'{text}' is no IPv4 address"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_option_is_read() {
        let config = TcpConfig::from_value(json!({
            "udpDiscovery": false, "udpPort": 4446, "udpBindAddress": "127.0.0.1",
            "udpPeriod": "500ms", "udpReuseAddr": false, "udpMaxDiscovery": 3,
            "udpMulticast": "239.1.2.3", "udpMulticastTTL": 2, "udpBroadcast": true,
            "port": 4000, "urls": "h1:1/a", "useHostname": false, "gossipPeriod": 1.5,
            "maxConnections": 4, "maxPacketSize": 2048, "debug": true
        }));
        let config = config.unwrap();
        let debug = format!("{config:?}");
        for expected in [
            "udp_discovery: false",
            "udp_port: 4446",
            "udp_bind_address: Some(127.0.0.1)",
            "udp_period: 500ms",
            "udp_reuse_addr: false",
            "udp_max_discovery: 3",
            "udp_multicast: Some(239.1.2.3)",
            "udp_multicast_ttl: 2",
            "udp_broadcast: Interfaces",
            "port: Some(4000)",
            r#"urls: Some(Text("h1:1/a"))"#,
            "use_hostname: false",
            "gossip_period: 1.5s",
            "max_connections: 4",
            "max_packet_size: 2048",
            "debug: true",
        ] {
            assert!(debug.contains(expected), "{expected} in {debug}");
        }
    }

    #[test]
    fn multicast_and_broadcast_take_the_values_of_the_reference() {
        let multicast = |value: serde_json::Value| {
            TcpConfig::from_value(json!({ "udpMulticast": value })).unwrap().udp_multicast
        };
        assert_eq!(multicast(json!(null)), None);
        assert_eq!(multicast(json!(false)), None);
        assert_eq!(multicast(json!("")), None);
        let broadcast = |value: serde_json::Value| {
            TcpConfig::from_value(json!({ "udpBroadcast": value })).unwrap().udp_broadcast
        };
        assert_eq!(broadcast(json!(false)), Broadcast::Off);
        assert_eq!(broadcast(json!(null)), Broadcast::Off);
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::new(10, 0, 1, 255));
        assert_eq!(broadcast(json!("10.0.0.255")), Broadcast::To(vec![a]));
        assert_eq!(broadcast(json!(["10.0.0.255", "10.0.1.255"])), Broadcast::To(vec![a, b]));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |options: serde_json::Value, expected: &str| {
            let error = TcpConfig::from_value(options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            assert_eq!(error.name(), "BrokerOptionsError");
        };
        check(json!({"gossipPeriod": 0.5}), "gossipPeriod must be at least 1 s");
        check(json!({"udpPeriod": 0}), "udpPeriod must be more than 0");
        check(json!({"udpPort": 0}), "udpPort must be a fixed port");
        check(json!({"maxConnections": 0}), "maxConnections must be at least 1");
        check(json!({"maxPacketSize": 1023}), "maxPacketSize must be from 1024");
        check(json!({"udpMulticast": "10.0.0.1"}), "udpMulticast must be from 224.0.0.0");
        check(json!({"udpMulticast": true}), "udpMulticast: true is no address");
        check(json!({"udpMulticast": "x"}), "'x' is no IPv4 address");
        check(json!({"udpBroadcast": [1]}), "udpBroadcast: 1 is no address");
        check(json!({"udpBindAddress": "x"}), "invalid IPv4 address");
        check(json!({"port": 70000}), "70000");
        check(json!({"urls": ["nonsense"]}), "'nonsense' is not of the form");
        check(json!({"udpMulticastTtl": 1}), "did you mean `udpMulticastTTL`?");
    }
}
