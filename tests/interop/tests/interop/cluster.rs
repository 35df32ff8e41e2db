//! One Rust node, one JavaScript node, and a driver.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use moleculer::{BrokerBuilder, BrokerOptions, ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};

use crate::{
    matrix::Place,
    process::{Implementation, NatsServer, Process},
    reports::Reports,
};

/// Longest wait for something to come true.
const DEADLINE: Duration = Duration::from_secs(20);

/// What carries the packets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Medium {
    Tcp,
    Nats,
}

/// The nodes and where they are.
pub(crate) struct Cluster {
    pub(crate) version: ProtocolVersion,
    pub(crate) serializer: &'static str,
    pub(crate) medium: Medium,
    namespace: String,
    transporter: Json,
    _server: Option<NatsServer>,
    pub(crate) driver: ServiceBroker,
    /// What the nodes reported to the driver.
    pub(crate) reports: Reports,
    pub(crate) rust: Process,
    pub(crate) javascript: Process,
    _third: Option<Process>,
}

/// The two nodes under test: their ids, and who runs them.
pub(crate) const RUST: &str = "rust";
pub(crate) const JAVASCRIPT: &str = "javascript";
/// One more, for some cases.
pub(crate) const THIRD: &str = "third";
/// The broker in this process.
pub(crate) const DRIVER: &str = "driver";

/// Both directions: who calls, and who is called.
pub(crate) const DIRECTIONS: [(&str, &str); 2] = [(RUST, JAVASCRIPT), (JAVASCRIPT, RUST)];

/// What is special about a cluster.
#[derive(Default)]
pub(crate) struct Setup {
    variables: Vec<(&'static str, &'static str, String)>,
    driver: Vec<(&'static str, Json)>,
    third: Option<Implementation>,
}

impl Setup {
    /// An environment variable for a node.
    pub(crate) fn variable(
        mut self,
        node: &'static str,
        key: &'static str,
        value: impl Into<String>,
    ) -> Self {
        self.variables.push((node, key, value.into()));
        self
    }

    /// What a node hosts.
    pub(crate) fn services(self, node: &'static str, names: &str) -> Self {
        self.variable(node, "SERVICES", names)
    }

    /// Further options of a node.
    pub(crate) fn options(self, node: &'static str, options: &Json) -> Self {
        self.variable(node, "MORE_OPTIONS", options.to_string())
    }

    /// An option of the driver.
    pub(crate) fn driver(mut self, key: &'static str, value: impl Into<Json>) -> Self {
        self.driver.push((key, value.into()));
        self
    }

    /// One more node.
    pub(crate) const fn third(mut self, implementation: Implementation) -> Self {
        self.third = Some(implementation);
        self
    }

    /// Starts all and waits until each knows the others.
    pub(crate) async fn start(self, place: Place) -> Result<Cluster> {
        let (version, medium, serializer) = place;
        let namespace = namespace();
        let (transporter, server) = transporter(medium).await?;
        let process = async |implementation, id| {
            let mut environment = environment(place, &namespace, &transporter, id);
            let more = self.variables.iter().filter(|(node, ..)| *node == id);
            environment.extend(more.map(|(_, key, value)| (*key, value.clone())));
            Process::start(implementation, &environment).await
        };
        let third = async {
            match self.third {
                Some(implementation) => process(implementation, THIRD).await.map(Some),
                None => Ok(None),
            }
        };
        let reports = Reports::default();
        let (rust, javascript, third, driver) = tokio::try_join!(
            process(Implementation::Rust, RUST),
            process(Implementation::JavaScript, JAVASCRIPT),
            third,
            driver(place, &namespace, &transporter, &self.driver, reports.services()),
        )?;
        let cluster = Cluster {
            version,
            serializer,
            medium,
            namespace,
            transporter,
            _server: server,
            driver,
            reports,
            rust,
            javascript,
            _third: third,
        };
        for (caller, callee) in DIRECTIONS {
            cluster.reachable(caller, callee).await?;
        }
        if self.third.is_some() {
            for node in [RUST, JAVASCRIPT] {
                cluster.reachable(node, THIRD).await?;
                cluster.reachable(THIRD, node).await?;
            }
        }
        Ok(cluster)
    }
}

impl Cluster {
    /// Two nodes and the driver, with nothing special about them.
    pub(crate) async fn start(place: Place) -> Result<Self> {
        Setup::default().start(place).await
    }

    /// What it was started for.
    pub(crate) const fn place(&self) -> Place {
        (self.version, self.medium, self.serializer)
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Starts a node again, under the same id.
    pub(crate) async fn restart(&mut self, id: &str) -> Result<()> {
        let environment = self.environment(id);
        if id == RUST {
            self.rust = Process::start(Implementation::Rust, &environment).await?;
        } else {
            self.javascript = Process::start(Implementation::JavaScript, &environment).await?;
        }
        Ok(())
    }

    /// The environment of one more node.
    pub(crate) fn environment(&self, id: &str) -> Vec<(&'static str, String)> {
        environment(self.place(), &self.namespace, &self.transporter, id)
    }

    /// The process of one of the two nodes.
    pub(crate) fn process(&mut self, id: &str) -> &mut Process {
        if id == RUST { &mut self.rust } else { &mut self.javascript }
    }

    /// Waits until a node can be called, by the driver and by another node.
    pub(crate) async fn reachable(&self, caller: &str, callee: &str) -> Result<()> {
        until(&format!("{caller} can call {callee}"), async || {
            let answer = self.relay(
                caller,
                json!({ "action": "probe.whoami", "options": { "nodeID": callee } }),
            );
            Ok(matches!(answer.await, Ok(answer) if answer["ok"] == true))
        })
        .await
    }

    /// Waits until a node's reports arrive: it sends them only when it knows
    /// the driver's listeners.
    pub(crate) async fn reports_from(&self, node: &str) -> Result<()> {
        until(&format!("{node} reports"), async || {
            self.reports.clear();
            self.ask(node, "test.work", json!({})).await?;
            self.fence().await?;
            Ok(!self.reports.all().is_empty())
        })
        .await
    }

    /// Lets a node make a call, and returns what it says of it.
    pub(crate) async fn relay(&self, caller: &str, call: Json) -> Result<Json> {
        self.probe(caller, "relay", call).await
    }

    /// Lets one node call an action of another one's probe; the result, or an
    /// error here if the call failed there.
    pub(crate) async fn call(
        &self,
        (caller, callee): (&str, &str),
        action: &str,
        params: Json,
    ) -> Result<Json> {
        let call = json!({
            "action": format!("probe.{action}"), "params": params, "options": { "nodeID": callee }
        });
        let mut answer = self.relay(caller, call).await?;
        if answer["ok"] != true {
            return Err(Error::internal(format!("{caller} called {callee}: {answer}")));
        }
        Ok(answer["result"].take())
    }

    /// Calls an action of the JavaScript node.
    pub(crate) async fn javascript_says(&self, action: &str, params: Json) -> Result<Json> {
        self.ask(JAVASCRIPT, action, params).await
    }

    /// Waits until everything has come that nodes have sent to the driver.
    pub(crate) async fn fence(&self) -> Result<()> {
        for node in self.driver.ping_all().await {
            if let (node, None) = node {
                return Err(Error::internal(format!("{node} does not answer")));
            }
        }
        Ok(())
    }

    /// Calls an action of a node's probe.
    pub(crate) async fn probe(&self, node: &str, action: &str, params: Json) -> Result<Json> {
        self.ask(node, &format!("probe.{action}"), params).await
    }

    /// Calls any action of a node.
    pub(crate) async fn ask(&self, node: &str, action: &str, params: Json) -> Result<Json> {
        let call = self.driver.call::<Value>(action, params).node(node).timeout(DEADLINE);
        Ok(call.await?.into())
    }
}

/// The transporter of the nodes of a case, and the server that it needs.
pub(crate) async fn transporter(medium: Medium) -> Result<(Json, Option<NatsServer>)> {
    Ok(match medium {
        Medium::Tcp => (tcp(&[DRIVER, RUST, JAVASCRIPT, THIRD])?, None),
        Medium::Nats => {
            let server = NatsServer::start().await?;
            (json!({ "type": "NATS", "options": { "url": server.url } }), Some(server))
        }
    })
}

/// A broker in this process, with these options beside those that all nodes have.
pub(crate) async fn driver(
    (version, _, serializer): Place,
    namespace: &str,
    transporter: &Json,
    more: &[(&'static str, Json)],
    services: Vec<Service>,
) -> Result<ServiceBroker> {
    let mut options = json!({
        "nodeID": DRIVER,
        "namespace": namespace,
        "protocol": version.to_string(),
        "serializer": serializer,
        "transporter": transporter,
        "registry": { "preferLocal": false },
        "heartbeatInterval": 1,
        "heartbeatTimeout": 3,
    });
    for (key, value) in more {
        options[key] = value.clone();
    }
    let builder = ServiceBroker::builder().options(BrokerOptions::from_value(options)?);
    services.into_iter().fold(builder, BrokerBuilder::service).start().await
}

/// A name that no other case uses.
pub(crate) fn namespace() -> String {
    static CASES: AtomicUsize = AtomicUsize::new(0);
    format!("interop-{}-{}", std::process::id(), CASES.fetch_add(1, Ordering::Relaxed))
}

/// The transporter of these nodes, each with a port that is free now.
pub(crate) fn tcp(nodes: &[&'static str]) -> Result<Json> {
    let urls: serde_json::Map<_, _> = addresses(nodes)?
        .into_iter()
        .map(|(id, address)| (id.to_owned(), address.into()))
        .collect();
    let options =
        json!({ "udpDiscovery": false, "useHostname": false, "gossipPeriod": 1, "urls": urls });
    Ok(json!({ "type": "TCP", "options": options }))
}

/// An address for each node, with a port that is free now.
pub(crate) fn addresses(nodes: &[&'static str]) -> Result<Vec<(&'static str, String)>> {
    let failed = |error: std::io::Error| Error::internal("no free port").with_source(error);
    // All are held until the last is found, so that they differ.
    let held: Vec<_> = nodes.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let mut addresses = Vec::new();
    for (listener, node) in held.into_iter().zip(nodes) {
        let address = listener.and_then(|listener| listener.local_addr()).map_err(failed)?;
        addresses.push((*node, format!("tcp://{address}")));
    }
    Ok(addresses)
}

/// The environment of a node process.
pub(crate) fn environment(
    (version, _, serializer): Place,
    namespace: &str,
    transporter: &Json,
    id: &str,
) -> Vec<(&'static str, String)> {
    // The judge compares what only JavaScript can tell apart; the courier
    // exchanges streams.
    let more = if id == JAVASCRIPT { ",judge,courier" } else { "" };
    let options = json!({
        "transporter": transporter,
        "metadata": { "rack": ["é", 1.5, null] },
        "heartbeatInterval": 1,
        "heartbeatTimeout": 3,
    });
    vec![
        ("NODEID", id.to_owned()),
        ("NAMESPACE", namespace.to_owned()),
        ("PROTOCOL", version.to_string()),
        ("SERIALIZER", serializer.to_owned()),
        ("LOGLEVEL", "error".to_owned()),
        ("SERVICES", format!("aes,echo,guarded,test,users,payment,mail,probe{more}")),
        ("BROKER_OPTIONS", options.to_string()),
    ]
}

/// Asks again until the answer is true.
pub(crate) async fn until(what: &str, mut probe: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let asked = async {
        while !probe().await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(result) => result,
        Err(_) => Err(Error::internal(format!("waited 20 s in vain: {what}"))),
    }
}
