//! A broker with a service of its own.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Event, IntoTransporter, Params, Plugins, Result,
    Service, ServiceBroker, State, Value,
};
use moleculer_transporter_nats::{NatsTransporter, NatsTransporterBuilder};
use serde_json::json;
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::DEADLINE;

/// What the nodes of one test share.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) url: String,
    namespace: String,
}

impl Setup {
    pub(crate) fn new(url: &str) -> Self {
        static TESTS: AtomicUsize = AtomicUsize::new(0);
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test-{}-{test}", std::process::id());
        Self { url: url.to_owned(), namespace }
    }

    /// The same, where the server is reached by another address.
    pub(crate) fn over(&self, address: SocketAddr) -> Self {
        Self { url: format!("nats://{address}"), namespace: self.namespace.clone() }
    }

    /// Of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.trim_start_matches("nats://").to_socket_addrs();
        address.ok().and_then(|mut all| all.next()).expect("the address of one server")
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn transporter(&self) -> NatsTransporterBuilder {
        NatsTransporter::builder().url(&self.url).reconnect_time_wait(Duration::from_millis(100))
    }

    /// A node with the service `<id>`, which hears of others coming and going.
    pub(crate) async fn node(&self, id: &str) -> Node {
        self.node_with(id, self.transporter(), |builder| builder).await.expect("the node starts")
    }

    pub(crate) async fn node_with(
        &self,
        id: &str,
        transporter: impl IntoTransporter + Send + 'static,
        more: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
    ) -> Result<Node> {
        let (hear, heard) = mpsc::unbounded_channel();
        let runs = Arc::new(AtomicU64::new(0));
        let options = BrokerOptions::from_value(json!({
            "nodeID": id, "namespace": self.namespace,
            "heartbeatInterval": 1, "heartbeatTimeout": 5,
        }))?;
        let builder = BrokerBuilder::new(Plugins::core())
            .options(options)
            .transporter(transporter)
            .service(counting(id, Arc::clone(&runs)))
            .service(listener(hear));
        let broker = more(builder).start().await?;
        Ok(Node { broker, heard: Mutex::new(heard), runs })
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) broker: ServiceBroker,
    heard: Mutex<mpsc::UnboundedReceiver<String>>,
    runs: Arc<AtomicU64>,
}

impl Node {
    /// Calls `echo` on a node.
    pub(crate) async fn echo(&self, node: &str, text: &str) -> Result<String> {
        let action = format!("{node}.echo");
        self.broker.call(&action, text.to_owned()).timeout(DEADLINE).await
    }

    /// How often its own `echo` has run.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// The nodes that it takes for available.
    pub(crate) async fn available(&self) -> Vec<String> {
        let nodes: Vec<serde_json::Value> =
            self.broker.call("$node.list", ()).await.expect("an action of its own");
        let available = nodes.iter().filter(|node| node["available"] == true);
        let mut ids: Vec<_> =
            available.map(|node| node["id"].as_str().unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    }

    /// Waits until the service of a node is known.
    pub(crate) async fn knows(&self, node: &str) {
        self.broker.wait_for_services([node], DEADLINE).await.expect("the service is found");
    }

    /// Waits for news such as `node.connected a` or `transporter.disconnected`.
    pub(crate) async fn hears(&self, expected: &str) {
        let mut heard = self.heard.lock().await;
        let mut all = Vec::new();
        let wait = async {
            while let Some(news) = heard.recv().await {
                let found = news == expected;
                all.push(news);
                if found {
                    return;
                }
            }
        };
        if timeout(DEADLINE, wait).await.is_err() {
            panic!("'{expected}' did not come, but {all:?}");
        }
    }

    /// What came, in no particular order, since it was last asked.
    pub(crate) async fn news(&self) -> Vec<String> {
        let mut heard = self.heard.lock().await;
        std::iter::from_fn(|| heard.try_recv().ok()).collect()
    }

    pub(crate) async fn stop(&self) {
        self.broker.stop().await.expect("a clean stop");
        assert_eq!(self.broker.running_tasks(), 0);
        assert_eq!(self.broker.pending_requests(), 0);
    }
}

async fn give_back(
    Params(value): Params<Value>,
    State(runs): State<Arc<AtomicU64>>,
) -> Result<Value> {
    runs.fetch_add(1, Ordering::Relaxed);
    Ok(value)
}

/// A service whose action `echo` gives params back, and counts.
pub(crate) fn counting(name: &str, runs: Arc<AtomicU64>) -> Service {
    Service::builder(name).with_state(runs).action(Action::new("echo", give_back)).build()
}

/// One more service with an action `echo`.
pub(crate) fn echo(name: &str) -> Service {
    counting(name, Arc::default())
}

type Hear = Arc<mpsc::UnboundedSender<String>>;

fn listener(hear: mpsc::UnboundedSender<String>) -> Service {
    async fn news(ctx: Context, State(hear): State<Hear>) -> Result<()> {
        let data = ctx.payload().to_value()?;
        let node = data.pointer("node.id").and_then(Value::as_str).unwrap_or_default();
        let flag = ["unexpected", "reconnected", "wasReconnect"]
            .into_iter()
            .find(|flag| data.pointer(flag).is_some_and(|value| value.is_truthy()));
        let event = ctx.event().trim_start_matches('$').to_owned();
        let words = [event.as_str(), node, flag.unwrap_or_default()];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        // The test may have ended.
        hear.send(words.join(" ")).ok();
        Ok(())
    }
    let events = [
        "$node.connected",
        "$node.disconnected",
        "$transporter.connected",
        "$transporter.disconnected",
    ];
    let service = Service::builder("$listener").with_state(Arc::new(hear));
    events
        .into_iter()
        .fold(service, |service, event| service.event(Event::new(event, news)))
        .build()
}
