//! Nodes and hand-made peers for the tests.

mod log;
mod peer;

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, Context, Event, Params, Plugins, Result, Service, ServiceBroker, State,
    Value,
};
use moleculer_transporter_tcp::{TcpTransporter, TcpTransporterBuilder};
use socket2::{Domain, Socket, Type};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

pub(crate) use self::{
    log::Log,
    peer::{Accepted, Peer, is_silent},
};

/// No state of the tests takes longer to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Longer than a test: nothing may depend on rounds of gossip.
pub(crate) const NO_ROUNDS: Duration = Duration::from_secs(600);

/// A port that nobody else gets while this lives, but that can be listened on.
pub(crate) struct Port {
    pub(crate) number: u16,
    _reserved: Socket,
}

impl Port {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        // Only then may it be shared, or two could get the same one.
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
        socket.set_reuse_address(true).unwrap();
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self { number, _reserved: socket }
    }

    pub(crate) fn url(&self, node: &str) -> String {
        format!("tcp://127.0.0.1:{}/{node}", self.number)
    }
}

/// A transporter without UDP and without rounds of gossip.
pub(crate) fn quiet() -> TcpTransporterBuilder {
    TcpTransporter::builder().udp_discovery(false).gossip_period(NO_ROUNDS)
}

/// A node with the service `<id>`, whose action `echo` gives params back, and
/// which hears of other nodes coming and going.
pub(crate) struct Node {
    pub(crate) broker: ServiceBroker,
    heard: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Node {
    pub(crate) async fn start(id: &str, transporter: TcpTransporterBuilder) -> Self {
        Self::try_start(id, transporter).await.unwrap()
    }

    pub(crate) async fn try_start(id: &str, transporter: TcpTransporterBuilder) -> Result<Self> {
        Self::with(id, transporter, |builder| builder).await
    }

    pub(crate) async fn with(
        id: &str,
        transporter: TcpTransporterBuilder,
        more: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
    ) -> Result<Self> {
        let (hear, heard) = mpsc::unbounded_channel();
        let builder = BrokerBuilder::new(Plugins::core())
            .node_id(id)
            .transporter(transporter)
            .service(echo(id))
            .service(listener(hear));
        let broker = more(builder).start().await?;
        Ok(Self { broker, heard: Mutex::new(heard) })
    }

    /// Calls `echo` on a node.
    pub(crate) async fn echo(&self, node: &str, text: &str) -> Result<String> {
        let action = format!("{node}.echo");
        self.broker.call(&action, text.to_owned()).await
    }

    /// Waits until the service of a node is known.
    pub(crate) async fn knows(&self, node: &str) {
        self.broker.wait_for_services([node], DEADLINE).await.unwrap();
    }

    /// Waits for news such as `connected a` or `disconnected a unexpected`.
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
        let mut all = Vec::new();
        while let Ok(news) = heard.try_recv() {
            all.push(news);
        }
        all
    }

    pub(crate) async fn stop(&self) {
        self.broker.stop().await.unwrap();
        assert_eq!(self.broker.running_tasks(), 0);
        assert_eq!(self.broker.pending_requests(), 0);
    }
}

pub(crate) fn echo(name: &str) -> Service {
    async fn echo(Params(text): Params<Value>) -> Result<Value> {
        Ok(text)
    }
    Service::builder(name).action(Action::new("echo", echo)).build()
}

type Hear = Arc<mpsc::UnboundedSender<String>>;

fn listener(hear: mpsc::UnboundedSender<String>) -> Service {
    async fn news(ctx: Context, State(hear): State<Hear>) -> Result<()> {
        let data = ctx.payload().to_value()?;
        let node = data.pointer("node.id").and_then(Value::as_str).unwrap_or_default();
        let flag = ["unexpected", "reconnected"]
            .into_iter()
            .find(|flag| data.pointer(flag).is_some_and(|value| value.is_truthy()));
        let event = ctx.event().trim_start_matches("$node.").to_owned();
        // The test may have ended.
        hear.send(format!("{event} {node} {}", flag.unwrap_or_default()).trim().to_owned()).ok();
        Ok(())
    }
    Service::builder("$listener")
        .with_state(Arc::new(hear))
        .event(Event::new("$node.connected", news))
        .event(Event::new("$node.disconnected", news))
        .build()
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(DEADLINE, wait).await.is_ok(), "{what} did not come true");
}
