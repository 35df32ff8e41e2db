//! Which node an action or event goes to.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Error, ErrorInfo, ErrorKind, Event,
    InProcessNetwork, IntoBody, Plugins, Result, Service, ServiceBroker, State, StrategyPlugin,
    Value,
    strategy::{CpuUsage, Endpoint, Latency, Random, Selection, Shard, Strategy, StrategyHost},
};
use serde_json::json;

use self::support::{eventually, local, node};

async fn who(ctx: Context) -> Result<String> {
    Ok(ctx.broker()?.node_id().to_string())
}

/// A cluster of `a`, which calls, and nodes that offer `who.am`.
struct Cluster {
    a: ServiceBroker,
    _others: Vec<ServiceBroker>,
}

impl Cluster {
    async fn start(
        others: &[&str],
        action: impl Fn() -> Action,
        a: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
    ) -> Self {
        let network = InProcessNetwork::default();
        let mut started = Vec::new();
        for id in others {
            let service = Service::builder("who").action(action());
            started.push(node(&network, id).service(service).start().await.expect("starts"));
        }
        let a = a(node(&network, "a")).start().await.expect("starts");
        eventually("all are known", || known(&a) == others.len() + 1).await;
        Self { a, _others: started }
    }

    async fn call(&self, params: serde_json::Value) -> String {
        self.a.call("who.am", params).await.expect("answers")
    }

    async fn calls(&self, number: usize) -> Vec<String> {
        let mut answers = Vec::new();
        for _ in 0..number {
            answers.push(self.call(json!({})).await);
        }
        answers
    }
}

fn known(broker: &ServiceBroker) -> usize {
    futures_util::FutureExt::now_or_never(
        broker.call::<Vec<Value>>("$node.list", json!({"onlyAvailable": true})).into_future(),
    )
    .expect("answers at once")
    .expect("lists")
    .len()
}

fn plain() -> Action {
    Action::new("am", who)
}

fn options(options: serde_json::Value) -> BrokerOptions {
    BrokerOptions::from_value(options).expect("valid options")
}

#[tokio::test(start_paused = true)]
async fn nodes_take_turns_by_default() {
    let cluster = Cluster::start(&["b", "c", "d"], plain, |a| a).await;
    let first = cluster.calls(3).await;
    assert_eq!(BTreeMap::from_iter(first.iter().map(|node| (node.as_str(), ()))).len(), 3);
    assert_eq!(cluster.calls(6).await, [first.clone(), first].concat());
}

#[tokio::test(start_paused = true)]
async fn this_node_is_preferred_unless_told_otherwise() {
    let own = || Service::builder("who").action(plain());
    let cluster = Cluster::start(&["b", "c"], plain, |a| a.service(own())).await;
    assert_eq!(cluster.calls(6).await, ["a"; 6]);
    let cluster =
        Cluster::start(&["b", "c"], plain, |a| a.service(own()).prefer_local(false)).await;
    let mut answers = cluster.calls(6).await;
    answers.sort();
    assert_eq!(answers, ["a", "a", "b", "b", "c", "c"]);
    // `$node` answers here, whatever is preferred.
    let list: Value = cluster.a.call("$node.list", ()).await.unwrap();
    assert_eq!(list.pointer("0.id"), Some(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn options_name_the_strategy() {
    let sharded = json!({"registry": {
        "strategy": "shard",
        "strategyOptions": {"shardKey": "id", "vnodes": 2}
    }});
    let cluster =
        Cluster::start(&["node-a", "node-b", "node-c"], plain, |a| a.options(options(sharded)))
            .await;
    // The worked example of the reference.
    for (id, expected) in [("1", "node-b"), ("2", "node-b"), ("42", "node-a"), ("John", "node-c")] {
        assert_eq!(cluster.call(json!({"id": id})).await, expected);
    }
    assert_eq!(cluster.call(json!({"id": 42})).await, "node-a");
}

#[tokio::test(start_paused = true)]
async fn callers_use_the_strategy_that_an_action_publishes() {
    let sharded = || plain().strategy(Shard::by("#tenant").with_vnodes(2));
    let cluster = Cluster::start(&["node-a", "node-b", "node-c"], sharded, |a| a).await;
    let actions: Value =
        cluster.a.call("$node.actions", json!({"skipInternal": true})).await.unwrap();
    let expected = json!({
        "strategy": "Shard", "strategyOptions": {"shardKey": "#tenant", "vnodes": 2},
        "rawName": "am", "name": "who.am"
    });
    assert_eq!(actions.pointer("0.action"), Some(&expected.into()));
    for _ in 0..3 {
        let call = cluster.a.call::<String>("who.am", ()).meta([("tenant", "user-100")]);
        assert_eq!(call.await.unwrap(), "node-c");
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_may_come_from_the_calling_context() {
    async fn relay(ctx: Context) -> Result<String> {
        ctx.call("who.am", ()).await
    }
    let shard = Shard::by("#tenant.id").with_vnodes(2);
    let cluster = Cluster::start(&["node-a", "node-b", "node-c"], plain, |a| {
        a.strategy(shard).service(Service::builder("relay").action(Action::new("on", relay)))
    })
    .await;
    for _ in 0..3 {
        let call = cluster.a.call::<String>("relay.on", ());
        assert_eq!(call.meta([("tenant", json!({"id": "42"}))]).await.unwrap(), "node-a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_random_choices() {
    let run = async |seed| {
        let cluster =
            Cluster::start(&["b", "c", "d"], plain, |a| a.strategy(Random::default()).seed(seed));
        cluster.await.calls(20).await
    };
    let one = run(1).await;
    assert_eq!(one, run(1).await);
    assert_ne!(one, run(2).await);
}

#[tokio::test]
async fn a_seed_repeats_ids_but_nodes_differ() {
    async fn id(ctx: Context) -> Result<String> {
        Ok(ctx.id().to_string())
    }
    let run = async |node: &str| {
        let service = Service::builder("id").action(Action::new("of", id));
        let broker = local().node_id(node).seed(7).service(service).start().await.unwrap();
        broker.call::<String>("id.of", ()).await.unwrap()
    };
    assert_eq!(run("one").await, run("one").await);
    assert_ne!(run("one").await, run("two").await);
}

/// Always takes the same index, whether there is one or not.
#[derive(Clone, Debug)]
struct Index(Option<usize>);

impl Strategy for Index {
    fn name(&self) -> &str {
        "Index"
    }
    fn for_list(&self, _: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(self.clone())
    }
    fn select(&self, _: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn own_strategies_by_value_and_by_name() {
    let cluster = Cluster::start(&["b", "c"], plain, |a| a.strategy(Index(Some(1)))).await;
    let answers = cluster.calls(3).await;
    assert!(answers.iter().all(|node| *node == answers[0]), "{answers:?}");

    let plugin = StrategyPlugin { name: "Second", build: |_| Ok(Arc::new(Index(Some(1)))) };
    let network = InProcessNetwork::default();
    let service = || Service::builder("who").action(plain());
    let _b = node(&network, "b").service(service()).start().await.unwrap();
    let _c = node(&network, "c").service(service()).start().await.unwrap();
    let a = BrokerBuilder::new(Plugins::core().strategy(plugin))
        .node_id("a")
        .transporter(network.transporter())
        .options(options(json!({"registry": {"strategy": "second"}})))
        .start()
        .await
        .unwrap();
    eventually("all are known", || known(&a) == 3).await;
    let first: String = a.call("who.am", ()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(a.call::<String>("who.am", ()).await.unwrap(), first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_chooses_nothing_fails_the_call() {
    async fn ignore() -> Result<()> {
        Ok(())
    }
    for nothing in [None, Some(2)] {
        let cluster = Cluster::start(&["b", "c"], plain, |a| a.strategy(Index(nothing))).await;
        let error = cluster.a.call::<String>("who.am", ()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (&ErrorKind::Server, 500));
        assert_eq!(error.r#type(), Some("INVALID_ENDPOINT"));
        assert_eq!(error.message(), "Strategy returned an invalid endpoint.");
        assert_eq!(error.data(), Some(&json!({"strategy": "Index"}).into()));
        // A direct call asks no strategy.
        let direct = cluster.a.call::<String>("who.am", ()).node("c");
        assert_eq!(direct.await.unwrap(), "c");
    }
    let listener = |name: &str| {
        Service::builder(name).event(Event::new("go", ignore).group("g").strategy(Index(None)))
    };
    let broker = local().service(listener("x")).service(listener("y")).start().await.unwrap();
    let error = broker.emit("go", ()).await.unwrap_err();
    assert_eq!(error.r#type(), Some("INVALID_ENDPOINT"));
    broker.broadcast("go", ()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_chooses_nothing_is_told_to_the_error_handler() {
    let handled = |error: Error, info: &ErrorInfo<'_>| match info {
        ErrorInfo::Resolution { action, node: None, .. } => {
            Ok(format!("{action}: {}", error.message()).into_body())
        }
        _ => Err(error),
    };
    let start = |a: BrokerBuilder| a.strategy(Index(None)).error_handler(handled);
    let cluster = Cluster::start(&["b", "c"], plain, start).await;
    assert_eq!(cluster.call(json!({})).await, "who.am: Strategy returned an invalid endpoint.");
}

#[tokio::test(start_paused = true)]
async fn events_are_sharded_by_their_data() {
    type Log = Arc<Mutex<Vec<String>>>;
    async fn note(ctx: Context, State(log): State<Log>) -> Result<()> {
        log.lock().unwrap().push(ctx.broker()?.node_id().to_string());
        Ok(())
    }
    let (network, log) = (InProcessNetwork::default(), Log::default());
    let mut brokers = Vec::new();
    for id in ["node-a", "node-b", "node-c"] {
        let event = Event::new("user.*", note).strategy(Shard::by("id").with_vnodes(2));
        let service = Service::builder("users").with_state(log.clone()).event(event);
        brokers.push(node(&network, id).service(service).start().await.unwrap());
    }
    let sender = node(&network, "sender").start().await.unwrap();
    eventually("all are known", || known(&sender) == 4).await;
    for id in ["42", "42", "John", "42"] {
        sender.emit("user.created", json!({"id": id})).await.unwrap();
    }
    eventually("all are handled", || log.lock().unwrap().len() == 4).await;
    let mut handled = log.lock().unwrap().clone();
    handled.sort();
    assert_eq!(handled, ["node-a", "node-a", "node-a", "node-c"]);
}

#[tokio::test(start_paused = true)]
async fn the_nearest_host_is_found_by_pings() {
    // All nodes of one process share a host, so all have its latency.
    let latency = Latency::default().with_ping_interval(Duration::from_secs(1));
    let pings = Arc::new(Mutex::new(0));
    let count = pings.clone();
    let listener = Service::builder("pings").with_state(count).event(Event::new(
        "$node.pong",
        async |State(count): State<Arc<Mutex<i32>>>| {
            *count.lock().unwrap() += 1;
            Ok::<_, Error>(())
        },
    ));
    let cluster =
        Cluster::start(&["b", "c"], plain, |a| a.strategy(latency).service(listener)).await;
    eventually("each node is pinged once", || *pings.lock().unwrap() == 2).await;
    eventually("then one of the host each second", || *pings.lock().unwrap() == 4).await;
    assert_eq!(cluster.calls(4).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_node_is_taken() {
    let cluster = Cluster::start(&["b", "c"], plain, |a| a.strategy(CpuUsage::default())).await;
    // Loads are unknown: any node.
    let answers = cluster.calls(64).await;
    assert!(answers.contains(&"b".to_owned()) && answers.contains(&"c".to_owned()));
}

#[tokio::test]
async fn wrong_strategies_are_refused() {
    async fn nothing() -> Result<()> {
        Ok(())
    }
    let refused = |builder: BrokerBuilder| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::BrokerOptions);
        error.message().to_owned()
    };
    let check = |registry: serde_json::Value, expected: &str| {
        let message = refused(local().options(options(json!({"registry": registry}))));
        assert!(message.contains(expected), "{message}");
    };
    check(json!({"strategy": "Best"}), "Invalid strategy type 'Best'. (known are RoundRobin,");
    check(
        json!({"strategy": "CpuUsage", "strategyOptions": {"samplecount": 3}}),
        "did you mean `sampleCount`?",
    );
    check(
        json!({"strategy": "Random", "strategyOptions": {"x": 3}}),
        "the strategy Random has no options, but got `x`",
    );
    check(json!({"strategy": {"type": "Shard", "options": {"vnodes": 0}}}), "vnodes must be 1 to");
    check(
        json!({"strategy": {"type": "Shard", "options": {"vnodes": 1}}, "strategyOptions": {"vnodes": 2}}),
        "are given twice",
    );
    let action = Action::new("x", nothing).strategy("Worst");
    let message = refused(local().service(Service::builder("s").action(action)));
    assert!(message.contains("'x' in 's' service: Invalid strategy type 'Worst'"), "{message}");

    let broker = local().start().await.unwrap();
    let event = Event::new("e", nothing).strategy("Worst");
    let error = broker.create_service(Service::builder("s").event(event)).await.unwrap_err();
    assert!(error.message().contains("'e' in 's' service"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nodes_answer_pings() {
    let cluster = Cluster::start(&["b", "c"], plain, |a| a).await;
    let pong = cluster.a.ping("b").await.expect("answers");
    assert_eq!(&*pong.node_id, "b");
    assert!(pong.id.is_some() && pong.time_diff.abs() < 1000);
    let all = cluster.a.ping_all().await;
    let nodes: Vec<_> = all.iter().map(|(node, pong)| (node.as_str(), pong.is_some())).collect();
    assert_eq!(nodes, [("b", true), ("c", true)]);
    // Nobody answers: null after two seconds.
    let asked = tokio::time::Instant::now();
    assert_eq!(cluster.a.ping("nobody").await, None);
    assert_eq!(asked.elapsed(), Duration::from_secs(2));
    let alone = local().start().await.unwrap();
    assert_eq!(alone.ping("b").await, None);
    assert!(alone.ping_all().await.is_empty());
}
