//! [`NatsTransporter`].

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use moleculer_core::{
    DynTransporter, Error, Host, Object, PluginSource, Result, Transporter,
    TransporterCapabilities, TransporterPlugin, TryPublishError, Value, protocol::Topic,
};

use crate::{
    NatsConfig, NatsTransporterBuilder, Servers,
    error::disconnected,
    session::{DEFAULT_MAX_PAYLOAD, Session},
    subject,
};

/// Connects nodes through a NATS server.
///
/// ```no_run
/// use moleculer_core::{BrokerBuilder, Plugins};
/// use moleculer_transporter_nats::NatsTransporter;
///
/// # async fn run() -> moleculer_core::Result<()> {
/// let broker = BrokerBuilder::new(Plugins::core())
///     .node_id("node-1")
///     .transporter(NatsTransporter::builder().url("nats://10.0.0.1:4222"))
///     .start()
///     .await?;
/// # broker.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct NatsTransporter {
    config: Arc<NatsConfig>,
    /// There while it is connected.
    session: ArcSwapOption<Session>,
}

/// For a broker's registry of plug-ins: the name `NATS` and URLs such as
/// `nats://user:pass@10.0.0.1:4222,nats://10.0.0.2:4222`.
pub const PLUGIN: TransporterPlugin = TransporterPlugin {
    name: "NATS",
    schemes: &["nats"],
    build: |source| {
        let transporter = match source {
            PluginSource::Url(urls) => NatsTransporter::from_urls(&urls)?,
            PluginSource::Options(options) => NatsTransporter::from_options(options)?,
        };
        Ok(Arc::new(transporter) as Arc<dyn DynTransporter>)
    },
};

impl NatsTransporter {
    /// Sets options one by one.
    pub fn builder() -> NatsTransporterBuilder {
        NatsTransporterBuilder::default()
    }

    /// A transporter with these options.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when a value makes no sense.
    pub fn new(config: NatsConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config: Arc::new(config), session: ArcSwapOption::empty() })
    }

    /// A transporter that connects to one of these servers, separated by commas.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when an address is malformed.
    pub fn from_urls(urls: &str) -> Result<Self> {
        Self::new(NatsConfig { url: Servers::new(urls)?, ..NatsConfig::default() })
    }

    /// A transporter with the options of a configuration file.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_options(options: Object) -> Result<Self> {
        Self::new(NatsConfig::from_value(Value::Object(options))?)
    }

    fn session(&self) -> Result<Arc<Session>> {
        self.session.load_full().ok_or_else(disconnected)
    }
}

impl Transporter for NatsTransporter {
    fn name(&self) -> &'static str {
        "NATS"
    }

    /// `max_packet` is what the server told, and 1 MiB before that.
    fn capabilities(&self) -> TransporterCapabilities {
        let session = self.session.load();
        let limit = session.as_ref().map_or(DEFAULT_MAX_PAYLOAD, |session| session.max_packet());
        let mut capabilities = TransporterCapabilities::default();
        capabilities.balanced = true;
        capabilities.max_packet = Some(limit);
        capabilities
    }

    async fn connect(&self, host: Host) -> Result<()> {
        if self.session.load().is_some() {
            return Err(Error::internal("this NATS transporter is connected already"));
        }
        subject::check("node id", host.node_id().as_str())?;
        if !host.namespace().is_empty() {
            subject::check("namespace", host.namespace())?;
        }
        let session = Session::open(Arc::clone(&self.config), host).await?;
        self.session.store(Some(session));
        Ok(())
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
        self.session()?.subscribe(topics).await
    }

    async fn subscribe_balanced(&self, topics: Vec<Topic>) -> Result<()> {
        self.session()?.subscribe_balanced(topics).await
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        let session = self.session.load();
        let session = session.as_ref().ok_or_else(|| TryPublishError::Failed(disconnected()))?;
        session.try_publish(topic, bytes)
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        self.session()?.publish(topic, bytes).await
    }

    async fn disconnect(&self) -> Result<()> {
        if let Some(session) = self.session.swap(None) {
            session.close().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use moleculer_core::{Plugins, protocol::PacketKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_can_be_chosen_by_name_url_and_options() {
        let plugins = Plugins::core().transporter(PLUGIN);
        let check = |choice: serde_json::Value, servers: &str| {
            let made = plugins.make_transporter(&choice.into()).unwrap();
            assert_eq!((made.name(), made.capabilities().balanced), ("NATS", true));
            assert!(format!("{made:?}").contains(servers), "{made:?}");
        };
        check(json!("nats"), "nats://127.0.0.1:4222");
        check(
            json!("nats://10.0.0.1,nats://10.0.0.2:1"),
            "nats://10.0.0.1:4222, nats://10.0.0.2:1",
        );
        check(json!({"type": "NATS", "options": {"url": "10.0.0.1"}}), "nats://10.0.0.1:4222");

        let wrong = json!({"type": "NATS", "options": {"usr": 1}});
        let error = plugins.make_transporter(&wrong.into()).unwrap_err();
        assert!(error.message().contains("did you mean `user`?"), "{error}");
    }

    #[test]
    fn nothing_is_sent_while_it_is_not_connected() {
        let transporter = NatsTransporter::builder().build().unwrap();
        let topic = Topic::node(PacketKind::Request, "a".into());
        let refused = Transporter::try_publish(&transporter, &topic, Bytes::new());
        let Err(TryPublishError::Failed(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.name(), "BrokerDisconnectedError");
    }
}
