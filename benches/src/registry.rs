//! What lookups cost the more a node knows: actions, nodes that offer one, listeners.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use moleculer::{
    ActionFn, ActionSite, Body, Host, Middleware, Plugins, Transporter, TransporterCapabilities,
    prelude::*,
    protocol::{NodeInfo, Topic},
};
use serde_json::json;

use crate::{
    local,
    measure::{Flavor, Result},
};

/// How much there is to know, and the workload that says so.
const ACTIONS: [(usize, &str); 3] = [
    (10, "local/hot-of-10-actions"),
    (1000, "local/hot-of-1k-actions"),
    (100_000, "local/hot-of-100k-actions"),
];
const NODES: [(usize, &str, &str); 3] = [
    (10, "local/choose-of-10-nodes", "local/groups-of-10-nodes"),
    (100, "local/choose-of-100-nodes", "local/groups-of-100-nodes"),
    (1000, "local/choose-of-1000-nodes", "local/groups-of-1000-nodes"),
];
/// Actions of each other node.
const OF_A_NODE: usize = 50;

/// Reports what the framework takes.
pub(crate) fn drive_ours() -> Result<()> {
    let runtime = Flavor::CurrentThread.build()?;
    runtime.block_on(async {
        for (actions, workload) in ACTIONS {
            let (broker, host) = broker().await?;
            for node in 0..actions / OF_A_NODE {
                host.node_info(&format!("node-{node}").into(), many(node));
            }
            local::calls(workload, || async {
                broker.call::<Vec<u32>>("users.empty", ()).await.is_ok()
            })
            .await?;
            broker.stop().await?;
        }
        for (nodes, choose, groups) in NODES {
            let (broker, host) = broker().await?;
            for node in 0..nodes {
                host.node_info(&format!("node-{node}").into(), same(node));
            }
            local::calls(choose, || async { broker.call::<()>("same.action", ()).await.is_ok() })
                .await?;
            local::calls(groups, || async { broker.event_groups(black_box("user.created")) })
                .await?;
            broker.stop().await?;
        }
        Ok(())
    })
}

/// A node that is told of others, and that answers calls of their actions itself.
async fn broker() -> Result<(ServiceBroker, Host)> {
    let told = Arc::new(OnceLock::new());
    let broker = moleculer::BrokerBuilder::new(Plugins::core())
        .transporter(Told(told.clone()))
        .middleware(Answer)
        .service(Users)
        .start()
        .await?;
    let host = told.get().cloned().ok_or("the broker did not connect")?;
    Ok((broker, host))
}

struct Users;

#[service(name = "users")]
impl Users {
    #[action]
    async fn empty(&self) -> moleculer::Result<Vec<u32>> {
        Ok(Vec::new())
    }
}

/// Actions that no other node has.
fn many(node: usize) -> Arc<NodeInfo> {
    let actions: serde_json::Map<_, _> =
        (0..OF_A_NODE).map(|action| (format!("s{node}.a{action}"), json!({}))).collect();
    info(node, json!({"name": format!("s{node}"), "actions": actions}))
}

/// An action and a listener that every node has, and a pattern of its own.
fn same(node: usize) -> Arc<NodeInfo> {
    let own = format!("own{node}.*");
    let events = json!({"user.created": {}, "user.*": {"group": "audit"}, own: {}});
    info(node, json!({"name": "same", "actions": {"same.action": {}}, "events": events}))
}

fn info(node: usize, service: serde_json::Value) -> Arc<NodeInfo> {
    let instance_id = node.to_string();
    Arc::new(NodeInfo {
        services: vec![service.into()],
        instance_id,
        seq: 1,
        ..NodeInfo::default()
    })
}

/// A medium that carries nothing.
#[derive(Debug)]
struct Told(Arc<OnceLock<Host>>);

impl Transporter for Told {
    fn name(&self) -> &'static str {
        "Told"
    }
    fn capabilities(&self) -> TransporterCapabilities {
        TransporterCapabilities::default()
    }
    async fn connect(&self, host: Host) -> moleculer::Result<()> {
        self.0.get_or_init(|| host);
        Ok(())
    }
    async fn subscribe(&self, _: Vec<Topic>) -> moleculer::Result<()> {
        Ok(())
    }
    async fn publish(&self, _: &Topic, _: bytes::Bytes) -> moleculer::Result<()> {
        Ok(())
    }
    async fn disconnect(&self) -> moleculer::Result<()> {
        Ok(())
    }
}

/// Stands in for the way to other nodes.
#[derive(Debug)]
struct Answer;

impl Middleware for Answer {
    fn remote_action(&self, _: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        Arc::new(|ctx| {
            drop(ctx);
            Box::pin(async { Ok(Body::Empty) })
        })
    }
}

/// Reports the least that the same lookups take.
pub(crate) fn drive_floor() -> Result<()> {
    let runtime = Flavor::CurrentThread.build()?;
    runtime.block_on(async {
        for (actions, workload) in ACTIONS {
            let names = (0..actions).map(|action| (format!("s.a{action}"), vec![Arc::default()]));
            let table = Floor::new(names.chain([("users.empty".to_owned(), vec![Arc::default()])]));
            local::calls(workload, || table.call("users.empty")).await?;
        }
        for (nodes, choose, groups) in NODES {
            let offered = (0..nodes).map(|node| Arc::from(format!("node-{node}"))).collect();
            let table = Floor::new([("same.action".to_owned(), offered)]);
            local::calls(choose, || table.call("same.action")).await?;
            let table: HashMap<String, Vec<Arc<str>>> =
                [("user.created".to_owned(), vec!["same".into(), "audit".into()])].into();
            local::calls(groups, || async { table.get(black_box("user.created")).cloned() })
                .await?;
        }
        Ok(())
    })
}

/// Finds an action, takes the next of its nodes, and runs a boxed handler.
struct Floor(HashMap<String, (Vec<Arc<str>>, AtomicUsize)>);

impl Floor {
    fn new(actions: impl IntoIterator<Item = (String, Vec<Arc<str>>)>) -> Self {
        let with_turn = |(name, nodes)| (name, (nodes, AtomicUsize::new(0)));
        Self(actions.into_iter().map(with_turn).collect())
    }

    fn call(&self, action: &str) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send>> {
        let chosen = self
            .0
            .get(action)
            .map(|(nodes, turn)| nodes[turn.fetch_add(1, Ordering::Relaxed) % nodes.len()].clone());
        let context = Arc::new((chosen, 1));
        Box::pin(async move { context.1 })
    }
}
