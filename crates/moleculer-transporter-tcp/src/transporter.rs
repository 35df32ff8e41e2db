//! [`TcpTransporter`].

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use moleculer_core::{
    DynDiscoverer, DynTransporter, Error, Host, Object, PluginSource, Result, Transporter,
    TransporterCapabilities, TransporterPlugin, TryPublishError, Value,
    protocol::{PacketKind, Target, Topic, tcp::HEADER_LEN},
};

use crate::{
    TcpConfig, TcpTransporterBuilder,
    discoverer::GossipDiscoverer,
    error::disconnected,
    listener,
    session::Session,
    urls::{StaticPeer, Urls},
};

/// Connects nodes without a server: each listens on a port, connects to those
/// that it sends to, and learns of others by UDP, a static list and gossip.
///
/// ```no_run
/// use moleculer_core::{BrokerBuilder, Plugins};
/// use moleculer_transporter_tcp::TcpTransporter;
///
/// # async fn run() -> moleculer_core::Result<()> {
/// let broker = BrokerBuilder::new(Plugins::core())
///     .node_id("node-1")
///     .transporter(TcpTransporter::builder().port(4000))
///     .start()
///     .await?;
/// # broker.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct TcpTransporter {
    link: Arc<Link>,
    discoverer: Arc<GossipDiscoverer>,
}

/// What transporter and discoverer share.
#[derive(Debug)]
pub(crate) struct Link {
    config: Arc<TcpConfig>,
    /// There while it is connected.
    pub(crate) session: ArcSwapOption<Session>,
}

/// For a broker's registry of plug-ins: the name `TCP` and URLs such as
/// `tcp://10.0.0.1:4000/node-1,10.0.0.2:4000/node-2`.
pub const PLUGIN: TransporterPlugin = TransporterPlugin {
    name: "TCP",
    schemes: &["tcp"],
    build: |source| {
        let transporter = match source {
            PluginSource::Url(urls) => TcpTransporter::from_urls(&urls)?,
            PluginSource::Options(options) => TcpTransporter::from_options(options)?,
        };
        Ok(Arc::new(transporter) as Arc<dyn DynTransporter>)
    },
};

impl TcpTransporter {
    /// Sets options one by one.
    pub fn builder() -> TcpTransporterBuilder {
        TcpTransporterBuilder::default()
    }

    /// A transporter with these options.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when a value makes no sense.
    pub fn new(config: TcpConfig) -> Result<Self> {
        config.check()?;
        let link = Arc::new(Link { config: Arc::new(config), session: ArcSwapOption::empty() });
        let discoverer = Arc::new(GossipDiscoverer::new(Arc::clone(&link)));
        Ok(Self { link, discoverer })
    }

    /// A transporter that knows these nodes: `tcp://host:port/nodeID`
    /// separated by commas, or `file://path`.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when an entry is malformed.
    pub fn from_urls(urls: &str) -> Result<Self> {
        Self::new(TcpConfig { urls: Some(Urls::from(urls)), ..TcpConfig::default() })
    }

    /// A transporter with the options of a configuration file.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_options(options: Object) -> Result<Self> {
        Self::new(TcpConfig::from_value(Value::Object(options))?)
    }

    fn session(&self) -> Result<Arc<Session>> {
        self.link.session.load_full().ok_or_else(disconnected)
    }
}

impl Transporter for TcpTransporter {
    fn name(&self) -> &'static str {
        "TCP"
    }

    fn capabilities(&self) -> TransporterCapabilities {
        let mut capabilities = TransporterCapabilities::default();
        capabilities.own_discovery = true;
        capabilities.max_packet = Some(self.link.config.max_packet_size - HEADER_LEN);
        capabilities
    }

    async fn connect(&self, host: Host) -> Result<()> {
        if self.link.session.load().is_some() {
            return Err(Error::internal("this TCP transporter is connected already"));
        }
        let config = Arc::clone(&self.link.config);
        let peers = config.urls.as_ref().map_or(Ok(Vec::new()), Urls::peers)?;
        let (own, peers): (Vec<StaticPeer>, Vec<_>) =
            peers.into_iter().partition(|peer| peer.node == *host.node_id());
        let port = config.port.filter(|port| *port > 0);
        let listener = listener::bind(port.or(own.first().map(|own| own.port)))?;
        let port = listener.local_addr().map_err(listener::unusable)?.port();
        host.set_local_port(port);
        for peer in peers {
            host.peer_seen(&peer.node, peer.address());
        }
        let session = Session::new(host, config, port);
        self.link.session.store(Some(Arc::clone(&session)));
        listener::serve(listener, &session);
        Ok(())
    }

    /// Nothing to do: what a peer sends here is meant for this node.
    async fn subscribe(&self, _: Vec<Topic>) -> Result<()> {
        Ok(())
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        let Target::Node(node) = &topic.target else { return Ok(()) };
        if !travels(topic.kind) {
            return Ok(());
        }
        let session = self.link.session.load();
        let session = session.as_ref().ok_or_else(|| TryPublishError::Failed(disconnected()))?;
        let frame = session.frame(topic.kind, bytes).map_err(TryPublishError::Failed)?;
        session.try_send(node, frame)
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        let Target::Node(node) = &topic.target else { return Ok(()) };
        if !travels(topic.kind) {
            return Ok(());
        }
        let session = self.session()?;
        let frame = session.frame(topic.kind, bytes)?;
        session.send(node, frame).await
    }

    async fn disconnect(&self) -> Result<()> {
        if let Some(session) = self.link.session.swap(None) {
            session.close().await;
        }
        Ok(())
    }

    fn discoverer(&self) -> Option<Arc<dyn DynDiscoverer>> {
        Some(Arc::clone(&self.discoverer) as _)
    }
}

/// Gossip stands for the packets of discovery.
const fn travels(kind: PacketKind) -> bool {
    !matches!(
        kind,
        PacketKind::Discover | PacketKind::Info | PacketKind::Disconnect | PacketKind::Heartbeat
    )
}

#[cfg(test)]
mod tests {
    use moleculer_core::Plugins;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_can_be_chosen_by_name_url_and_options() {
        let plugins = Plugins::core().transporter(PLUGIN);
        let check = |choice: serde_json::Value, max_packet| {
            let made = plugins.make_transporter(&choice.into()).unwrap();
            assert_eq!((made.name(), made.capabilities().max_packet), ("TCP", Some(max_packet)));
        };
        check(json!("TCP"), (1 << 20) - HEADER_LEN);
        check(json!("tcp://10.0.0.1:4000/a,10.0.0.2:4000/b"), (1 << 20) - HEADER_LEN);
        check(json!({"type": "TCP", "options": {"maxPacketSize": 2048}}), 2048 - HEADER_LEN);

        let error = plugins.make_transporter(&"tcp://10.0.0.1".into()).unwrap_err();
        assert!(error.message().contains("tcp://host:port/nodeID"), "{error}");
        let wrong = json!({"type": "TCP", "options": {"maxPacketSiz": 1}});
        let error = plugins.make_transporter(&wrong.into()).unwrap_err();
        assert!(error.message().contains("did you mean `maxPacketSize`?"), "{error}");
    }

    #[test]
    fn nothing_is_sent_while_it_is_not_connected() {
        let transporter = TcpTransporter::builder().build().unwrap();
        let request = Topic::node(PacketKind::Request, "a".into());
        let refused = Transporter::try_publish(&transporter, &request, Bytes::new());
        let Err(TryPublishError::Failed(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.name(), "BrokerDisconnectedError");
        // These never travel.
        for topic in [Topic::all(PacketKind::Event), Topic::node(PacketKind::Info, "a".into())] {
            Transporter::try_publish(&transporter, &topic, Bytes::new()).unwrap();
        }
    }
}
