//! The service `$node`, and what it and the events tell of the cluster.

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use moleculer_core::{
    Action, BrokerOptions, Context, Delivery, ErrorKind, Event, Flow, Host, InProcessNetwork,
    InProcessTransporter, Params, Result, Service, ServiceBroker, State, Transporter,
    TransporterCapabilities, Value,
    protocol::{PacketKind, Topic},
};
use serde_json::json;

use self::support::{eventually, local, node};

async fn nothing() -> Result<()> {
    Ok(())
}

fn posts() -> moleculer_core::ServiceBuilder<()> {
    Service::builder("posts")
        .version(2)
        .action(Action::new("find", nothing).extra("rest", "GET /"))
        .action(Action::new("old", nothing).extra("protected", true))
        .event(Event::new("user.*", nothing).group("g"))
        .event(Event::new("$secret", nothing))
}

/// The answer, as JSON.
async fn ask(broker: &ServiceBroker, action: &str, params: serde_json::Value) -> serde_json::Value {
    broker.call::<Value>(action, params).await.expect("answers").into()
}

#[tokio::test]
async fn a_node_is_shown_with_every_member() {
    let broker = local().metadata([("region", "eu")]).service(posts()).start().await.unwrap();
    let mut list = ask(&broker, "$node.list", json!({})).await;
    let node = list[0].as_object_mut().unwrap();
    for varying in ["instanceID", "client", "ipList", "hostname", "seq"] {
        assert!(node.remove(varying).is_some_and(|value| !value.is_null()), "{varying}");
    }
    let expected = json!({
        "id": "local", "available": true, "local": true, "lastHeartbeatTime": 0, "config": {},
        "metadata": {"region": "eu"}, "port": null, "udpAddress": null, "cpu": null,
        "cpuSeq": null, "offlineSince": null
    });
    assert_eq!(list[0], expected);
    let list = ask(&broker, "$node.list", json!({"withServices": true})).await;
    assert_eq!(list[0]["services"][1]["fullName"], "v2.posts");
}

#[tokio::test]
async fn flags_are_read_as_the_reference_converts_them() {
    let broker = local().service(posts()).start().await.unwrap();
    let count = async |flag: serde_json::Value| {
        let params = json!({"skipInternal": flag});
        ask(&broker, "$node.services", params).await.as_array().unwrap().len()
    };
    for on in [json!(true), json!("true"), json!("1"), json!("on"), json!(1)] {
        assert_eq!(count(on.clone()).await, 1, "{on}");
    }
    for off in [json!(false), json!("false"), json!("0"), json!("off"), json!(0), json!(null)] {
        assert_eq!(count(off.clone()).await, 2, "{off}");
    }
    for wrong in [json!("yes"), json!(2), json!([])] {
        let params = json!({"skipInternal": wrong});
        let error = broker.call::<Value>("$node.services", params).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Validation);
    }
}

#[tokio::test]
async fn services_with_their_actions_and_events() {
    let broker = local().service(posts()).start().await.unwrap();
    let params = json!({"skipInternal": true, "withActions": true, "withEvents": true});
    let expected = json!([{
        "name": "posts", "version": 2, "fullName": "v2.posts", "settings": {}, "metadata": {},
        "local": true, "available": true, "nodes": ["local"],
        "actions": {"v2.posts.find": {"rest": "GET /", "rawName": "find", "name": "v2.posts.find"}},
        "events": {"user.*": {"group": "g", "name": "user.*"}}
    }]);
    assert_eq!(ask(&broker, "$node.services", params).await, expected);
    let params = json!({"skipInternal": true, "grouping": false});
    let single = ask(&broker, "$node.services", params).await;
    assert_eq!(single[0]["nodeID"], "local");
    assert!(single[0].get("nodes").is_none() && single[0].get("actions").is_none());
}

#[tokio::test(start_paused = true)]
async fn actions_and_events_with_their_endpoints() {
    let network = InProcessNetwork::default();
    let a = node(&network, "a").service(posts()).start().await.unwrap();
    let b = node(&network, "b").service(posts()).start().await.unwrap();
    a.wait_for_services(["v2.posts"], std::time::Duration::ZERO).await.unwrap();
    let endpoints = async |action| {
        let params = json!({"skipInternal": true, "withEndpoints": true});
        let rows = ask(&a, action, params).await;
        rows[0].clone()
    };
    eventually("b is known", || a.event_groups("user.x").len() == 1).await;
    let pong = a.ping("b").await;
    assert!(pong.is_some());
    let here = json!({"nodeID": "a", "state": true, "available": true});
    let there = json!({"nodeID": "b", "state": true, "available": true});
    let expected = json!({
        "name": "v2.posts.find", "count": 2, "hasLocal": true, "available": true,
        "action": {"rest": "GET /", "rawName": "find", "name": "v2.posts.find"},
        "endpoints": [here, there]
    });
    assert_eq!(endpoints("$node.actions").await, expected);
    let expected = json!({
        "name": "user.*", "group": "g", "count": 2, "hasLocal": true, "available": true,
        "event": {"group": "g", "name": "user.*"}, "endpoints": [here, there]
    });
    assert_eq!(endpoints("$node.events").await, expected);

    // What nobody offers any more stays, without its definition.
    b.destroy_service("v2.posts").await.unwrap();
    let rows = ask(&b, "$node.actions", json!({"skipInternal": true, "onlyLocal": true})).await;
    assert_eq!(rows, json!([]));
    b.stop().await.unwrap();
    a.destroy_service("v2.posts").await.unwrap();
    let rows = ask(&a, "$node.actions", json!({"skipInternal": true})).await;
    let gone = |name| json!({"name": name, "count": 0, "hasLocal": false, "available": false});
    assert_eq!(rows, json!([gone("v2.posts.find"), gone("v2.posts.old")]));
    let rows = ask(&a, "$node.actions", json!({"skipInternal": true, "onlyAvailable": true})).await;
    assert_eq!(rows, json!([]));
}

#[tokio::test]
async fn listeners_and_groups_are_looked_up_with_wildcards() {
    let other = Service::builder("other").event(Event::new("user.created", nothing));
    let broker = local().service(posts()).service(other).start().await.unwrap();
    assert!(broker.has_event_listener("user.created") && !broker.has_event_listener("user"));
    let groups = broker.event_groups("user.created");
    assert_eq!(groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["other", "g"]);
    broker.destroy_service("other").await.unwrap();
    assert_eq!(broker.event_groups("user.created").len(), 1);
    assert!(broker.event_groups("order.created").is_empty());
}

#[tokio::test]
async fn health_has_the_members_of_the_reference() {
    let broker = local().start().await.unwrap();
    let health = ask(&broker, "$node.health", json!({})).await;
    let keys = |part: &str| {
        let object = health[part].as_object().expect(part);
        let mut keys: Vec<_> = object.keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys("cpu"), "cores load1 load15 load5 utilization");
    assert_eq!(keys("mem"), "free percent total");
    assert_eq!(keys("os"), "arch hostname platform release type uptime user");
    assert_eq!(keys("process"), "argv memory pid uptime");
    assert_eq!(keys("client"), "langVersion type version");
    assert_eq!(keys("net"), "ip");
    assert_eq!(keys("time"), "iso now utc");
    assert_eq!(health["process"]["pid"], std::process::id());
    #[cfg(target_os = "linux")]
    assert!(
        health["mem"]["total"].as_u64() > Some(0) && health["os"]["uptime"].as_f64() > Some(0.0)
    );
}

#[tokio::test]
async fn options_are_told_without_secrets() {
    let options = json!({
        "requestTimeout": "5s", "heartbeatInterval": 7,
        "registry": {"strategy": "Shard", "strategyOptions": {"shardKey": "id"}},
        "metadata": {"apiToken": "hidden", "region": "eu"}
    });
    let options = BrokerOptions::from_value(options).unwrap();
    let broker = local().options(options).start().await.unwrap();
    let told = ask(&broker, "$node.options", json!({})).await;
    assert_eq!(told["nodeID"], "local");
    assert_eq!(told["requestTimeout"].as_f64(), Some(5000.0));
    assert_eq!(told["heartbeatInterval"].as_f64(), Some(7.0));
    assert_eq!(told["protocol"], "5");
    assert_eq!(told["registry"]["strategyOptions"], json!({"shardKey": "id"}));
    assert_eq!(told["metadata"], json!({"apiToken": "***", "region": "eu"}));
    // What is told can be read again.
    assert!(BrokerOptions::from_value(Value::from(told)).is_ok());
    let error = broker.call::<Value>("$node.metrics", ()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (&ErrorKind::Client, 400));
    assert_eq!(error.r#type(), Some("METRICS_DISABLED"));
}

type Log = Arc<Mutex<Vec<(String, serde_json::Value)>>>;

fn entry(log: &Log, event: &str, data: Value) {
    log.lock().expect("nobody panicked").push((event.to_owned(), data.into()));
}

/// A service that writes down every internal event.
fn witness(log: &Log) -> moleculer_core::ServiceBuilder<Log> {
    async fn note(ctx: Context, State(log): State<Log>, Params(data): Params<Value>) -> Result<()> {
        entry(&log, ctx.event(), data);
        Ok(())
    }
    Service::builder("witness").with_state(log.clone()).event(Event::new("$**", note))
}

#[tokio::test(start_paused = true)]
async fn nodes_that_come_and_go_are_told_in_order() {
    let (network, log) = (InProcessNetwork::default(), Log::default());
    let a = node(&network, "a").service(witness(&log)).start().await.unwrap();
    let b = node(&network, "b").service(posts()).start().await.unwrap();
    eventually("b is connected", || {
        log.lock().unwrap().iter().any(|(event, _)| event == "$node.connected")
    })
    .await;
    b.stop().await.unwrap();
    eventually("b is gone", || {
        log.lock().unwrap().last().is_some_and(|(event, _)| event == "$services.changed")
    })
    .await;
    let entries = log.lock().unwrap().clone();
    let names: Vec<_> = entries.iter().map(|(event, _)| event.as_str()).collect();
    let at = |name: &str| names.iter().position(|other| *other == name).expect(name);
    assert!(at("$broker.started") < at("$node.connected"));
    let connected = &entries[at("$node.connected")].1;
    assert_eq!((&connected["node"]["id"], &connected["reconnected"]), (&json!("b"), &json!(false)));
    // Services are known before the node is told.
    assert_eq!(names[at("$node.connected") - 1], "$services.changed");
    let gone = at("$node.disconnected");
    assert_eq!(entries[gone].1["unexpected"], false);
    assert_eq!(entries[gone].1["node"]["available"], false);
    assert_eq!(entries[gone + 1], ("$services.changed".into(), json!({"localService": false})));
    a.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_bus_hears_internal_events_until_the_end() {
    let (network, log) = (InProcessNetwork::default(), Log::default());
    let a = node(&network, "a").build().unwrap();
    let listen = |pattern: &str| {
        let log = log.clone();
        a.on(pattern, move |event, data| entry(&log, event, data.to_value().unwrap()))
    };
    let _bad = a.on("$**", |_, _| panic!("listeners may fail"));
    let (_all, one) = (listen("$**"), listen("$own.*"));
    a.start().await.unwrap();
    a.emit("$own.event", 5).await.unwrap();
    drop(one);
    a.broadcast("$own.other", 6).await.unwrap();
    a.emit("own.event", 7).await.unwrap();
    a.stop().await.unwrap();
    let expected = [
        ("$transporter.connected", json!({"wasReconnect": false})),
        ("$services.changed", json!({"localService": true})),
        ("$broker.started", json!(null)),
        ("$own.event", json!(5)),
        ("$own.event", json!(5)),
        ("$own.other", json!(6)),
        ("$transporter.disconnected", json!({"graceFul": true})),
        ("$broker.stopped", json!(null)),
    ];
    let expected: Vec<_> = expected.map(|(event, data)| (event.to_owned(), data)).into();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn failures_between_nodes_are_told() {
    async fn large() -> Result<String> {
        Ok("x".repeat(2000))
    }
    /// Carries small packets only.
    #[derive(Debug)]
    struct Narrow(InProcessTransporter);
    impl Transporter for Narrow {
        fn name(&self) -> &'static str {
            "Narrow"
        }
        fn capabilities(&self) -> TransporterCapabilities {
            let mut facts = Transporter::capabilities(&self.0);
            facts.max_packet = Some(1500);
            facts
        }
        async fn connect(&self, host: Host) -> Result<()> {
            let delivery = Delivery::new(PacketKind::Info, "no packet".into());
            assert_eq!(host.clone().deliver(delivery), Flow::Go);
            Transporter::connect(&self.0, host).await
        }
        async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
            self.0.subscribe(topics).await
        }
        async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
            self.0.publish(topic, bytes).await
        }
        async fn disconnect(&self) -> Result<()> {
            Transporter::disconnect(&self.0).await
        }
    }
    let (network, log) = (InProcessNetwork::default(), Log::default());
    let narrow = Narrow(network.transporter());
    let options = BrokerOptions::from_value(json!({"internalServices": false})).unwrap();
    let a = local().options(options.clone()).transporter(narrow).build().unwrap();
    let log_ = log.clone();
    let _heard = a.on("$*.error", move |event, data| {
        let part = |name| data.get(name).unwrap().unwrap_or_default();
        let parts = [part("module"), part("type"), part("error.name")];
        entry(&log_, event, parts.to_vec().into());
    });
    a.start().await.unwrap();
    let service = Service::builder("b").action(Action::new("large", large));
    let _b = node(&network, "b").options(options).service(service).start().await.unwrap();
    a.wait_for_services(["b"], std::time::Duration::from_secs(5)).await.unwrap();
    a.call::<String>("b.large", "y".repeat(2000)).await.unwrap_err();
    let expected = [
        ("$transit.error", json!(["transit", "failedProcessingPacket", "MoleculerError"])),
        ("$transit.error", json!(["transit", "failedSendRequestPacket", "MoleculerError"])),
    ];
    let expected: Vec<_> = expected.map(|(event, data)| (event.to_owned(), data)).into();
    assert_eq!(*log.lock().unwrap(), expected);
}
