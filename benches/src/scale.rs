//! What lookups cost the more a node knows, and what knowing costs: actions, nodes that offer one, listeners.

use std::{
    collections::HashMap,
    hint::black_box,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use moleculer::{
    ActionFn, ActionSite, Body, BrokerBuilder, Host, Middleware, Plugins, Transporter,
    TransporterCapabilities,
    prelude::*,
    protocol::{JsonSerializer, NodeInfo, PacketBody, PacketKind, Serializer, Topic},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    allocations, local,
    measure::{Flavor, Result, emit, median},
    peer::{JS_014, JS_015, Peer},
};

/// How many nodes there are, and the workload that says so.
const BESIDE: [(usize, &str); 2] =
    [(0, "scale/call-beside-0-nodes"), (1000, "scale/call-beside-1000-nodes")];
const NODES: [(usize, &str, &str); 3] = [
    (10, "scale/choose-of-10-nodes", "scale/groups-of-10-nodes"),
    (100, "scale/choose-of-100-nodes", "scale/groups-of-100-nodes"),
    (1000, "scale/choose-of-1000-nodes", "scale/groups-of-1000-nodes"),
];
const COLD: &str = "scale/cold-of-50k-actions";
/// Whether every node has a service of its own name.
const ADDED: [(bool, &str); 2] =
    [(true, "scale/add-node-distinct"), (false, "scale/add-node-shared")];
/// Actions of each other node.
const OF_A_NODE: usize = 50;
const ALL_NODES: usize = 1000;

const OURS: &str = "ours";
const FLOOR: &str = "lookup + context + boxed";

pub(crate) fn peers() -> Vec<Peer> {
    let js = |name, version| Peer::js(name, Some(FLOOR), &["--expose-gc", "scale.mjs", version]);
    vec![
        Peer::rust(FLOOR, None, &["scale", "floor"]),
        Peer::rust(OURS, Some(FLOOR), &["scale", "ours"]),
        js(JS_014, "0.14"),
        js(JS_015, "0.15"),
    ]
}

/// Measures one Rust peer in this process.
pub(crate) fn drive(peer: &str) -> Result<()> {
    let runtime = Flavor::CurrentThread.build()?;
    match peer {
        "floor" => runtime.block_on(floor()),
        "ours" => runtime.block_on(ours()),
        _ => Err(format!("no peer of scale is called `{peer}`").into()),
    }
}

async fn ours() -> Result<()> {
    for (nodes, workload) in BESIDE {
        let (broker, host) = broker(node().middleware(Answer)).await?;
        tell(&host, nodes, true)?;
        local::calls(workload, || async {
            broker.call::<Vec<u32>>("users.empty", ()).await.is_ok()
        })
        .await?;
        if nodes == ALL_NODES {
            let (names, next) = (&names(), &AtomicUsize::new(0));
            local::calls(COLD, || async { broker.call::<()>(far(names, next), ()).await.is_ok() })
                .await?;
        }
        broker.stop().await?;
    }
    for (nodes, choose, groups) in NODES {
        let (broker, host) = broker(node().middleware(Answer)).await?;
        tell(&host, nodes, false)?;
        local::calls(choose, || async { broker.call::<()>("svc.a25", ()).await.is_ok() }).await?;
        local::calls(groups, || async { broker.event_groups(black_box("svc.changed")) }).await?;
        broker.stop().await?;
    }
    for (distinct, workload) in ADDED {
        added(distinct, workload).await?;
    }
    Ok(())
}

/// Reports what another node takes: from its packet until its actions can be called, and memory.
async fn added(distinct: bool, workload: &str) -> Result<()> {
    let (broker, host) = broker(node()).await?;
    let packets: Vec<Bytes> = (0..ALL_NODES).map(|node| packet(node, distinct)).collect();
    let mut micros = Vec::with_capacity(packets.len());
    allocations::start();
    for (node, packet) in packets.iter().enumerate() {
        let start = Instant::now();
        host.node_info(&node_id(node), read(packet)?);
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    allocations::stop();
    let bytes = allocations::kept() as f64 / ALL_NODES as f64;
    emit(workload, "us/node", median(&mut micros))?;
    emit(workload, "KiB/node", bytes / 1024.0)?;
    broker.stop().await?;
    Ok(())
}

/// Tells a broker of so many other nodes.
fn tell(host: &Host, nodes: usize, distinct: bool) -> Result<()> {
    for node in 0..nodes {
        host.node_info(&node_id(node), read(&packet(node, distinct))?);
    }
    Ok(())
}

fn node_id(node: usize) -> moleculer::NodeId {
    format!("node-{node}").into()
}

/// The INFO of a node with fifty actions, as JSON text; `js/scale.mjs` has the same.
fn packet(node: usize, distinct: bool) -> Bytes {
    let service = if distinct { format!("svc{node}") } else { "svc".to_owned() };
    let action = |k| {
        let name = format!("{service}.a{k}");
        (name.clone(), json!({"name": name, "rawName": format!("a{k}"), "cache": false}))
    };
    let actions: serde_json::Map<_, _> = (0..OF_A_NODE).map(action).collect();
    let changed = format!("{service}.changed");
    let events = json!({changed.clone(): {"name": changed}});
    let packet = json!({
        "ver": "5", "sender": format!("node-{node}"),
        "instanceID": format!("inst-{node}"), "seq": 1,
        "ipList": ["10.0.0.1"], "hostname": format!("host-{node}"), "port": 0,
        "config": {}, "metadata": {},
        "client": {"type": "nodejs", "version": "x", "langVersion": "x"},
        "services": [{
            "name": service, "fullName": service, "settings": {}, "metadata": {},
            "dependencies": [], "actions": actions, "events": events,
        }],
    });
    packet.to_string().into()
}

fn read(packet: &Bytes) -> Result<Arc<NodeInfo>> {
    match JsonSerializer.decode(PacketKind::Info, packet)?.body {
        PacketBody::Info(info) => Ok(info.into()),
        _ => Err("an INFO became another packet".into()),
    }
}

/// The actions of all other nodes.
fn names() -> Vec<String> {
    let of_node = |node| (0..OF_A_NODE).map(move |action| format!("svc{node}.a{action}"));
    (0..ALL_NODES).flat_map(of_node).collect()
}

/// One of them, far from the last one.
fn far<'a>(names: &'a [String], next: &AtomicUsize) -> &'a str {
    &names[next.fetch_add(15_485_863, Relaxed) % names.len()]
}

fn node() -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core())
}

/// A node that is told of others, and that answers calls of their actions itself if it has to.
async fn broker(node: BrokerBuilder) -> Result<(ServiceBroker, Host)> {
    let told = Arc::new(OnceLock::new());
    let broker = node.transporter(Told(told.clone())).service(Users).start().await?;
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
    async fn publish(&self, _: &Topic, _: Bytes) -> moleculer::Result<()> {
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

/// The least that the same lookups take.
async fn floor() -> Result<()> {
    for (nodes, workload) in BESIDE {
        let names = names();
        let known = names.iter().take(nodes * OF_A_NODE).cloned().chain(["users.empty".to_owned()]);
        let table = Floor::new(known.map(|name| (name, vec![Arc::default()])));
        local::calls(workload, || table.call("users.empty")).await?;
        if nodes == ALL_NODES {
            let next = AtomicUsize::new(0);
            local::calls(COLD, || table.call(far(&names, &next))).await?;
        }
    }
    for (nodes, choose, groups) in NODES {
        let offered = (0..nodes).map(|node| Arc::from(format!("node-{node}"))).collect();
        let table = Floor::new([("svc.a25".to_owned(), offered)]);
        local::calls(choose, || table.call("svc.a25")).await?;
        let table: HashMap<String, Vec<Arc<str>>> =
            [("svc.changed".to_owned(), vec!["svc".into()])].into();
        local::calls(groups, || async { table.get(black_box("svc.changed")).cloned() }).await?;
    }
    for (distinct, workload) in ADDED {
        let packets: Vec<Bytes> = (0..ALL_NODES).map(|node| packet(node, distinct)).collect();
        let mut micros = Vec::with_capacity(packets.len());
        for packet in &packets {
            let start = Instant::now();
            black_box(serde_json::from_slice::<Value>(packet)?);
            micros.push(start.elapsed().as_secs_f64() * 1e6);
        }
        emit(workload, "us/node", median(&mut micros))?;
    }
    Ok(())
}

/// Finds an action, takes the next of its nodes, and runs a boxed handler.
struct Floor(HashMap<String, (Vec<Arc<str>>, AtomicUsize)>);

impl Floor {
    fn new(actions: impl IntoIterator<Item = (String, Vec<Arc<str>>)>) -> Self {
        let with_turn = |(name, nodes)| (name, (nodes, AtomicUsize::new(0)));
        Self(actions.into_iter().map(with_turn).collect())
    }

    fn call(&self, action: &str) -> Pin<Box<dyn Future<Output = usize> + Send>> {
        let chosen = self
            .0
            .get(action)
            .map(|(nodes, turn)| nodes[turn.fetch_add(1, Relaxed) % nodes.len()].clone());
        let context = Arc::new((chosen, 1));
        Box::pin(async move { context.1 })
    }
}
