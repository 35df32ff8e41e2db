//! Plug-ins by name, by URL and from a configuration.
#![cfg(feature = "full")]

use moleculer::{BrokerOptions, prelude::*};
use serde_json::json;

/// What is wrong with these broker options.
fn refused(options: serde_json::Value) -> String {
    let options = match BrokerOptions::from_value(options) {
        Ok(options) => options,
        Err(error) => return error.message().to_owned(),
    };
    match ServiceBroker::builder().options(options).build() {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.message().to_owned(),
    }
}

#[test]
fn a_javascript_users_options_are_taken() {
    for transporter in [
        json!("TCP"),
        json!("tcp"),
        json!("tcp://127.0.0.1:4001/a,127.0.0.1:4002/b"),
        json!({"type": "TCP", "options": {"udpDiscovery": false, "gossipPeriod": "2s", "urls": ["127.0.0.1:4001/a"]}}),
    ] {
        assert_eq!(refused(json!({"nodeID": "a", "transporter": transporter})), "accepted");
    }
    for serializer in ["Avro", "ProtoBuf", "Thrift"] {
        assert_eq!(refused(json!({"serializer": serializer, "protocol": 4})), "accepted");
        let message = refused(json!({"serializer": serializer}));
        assert!(message.contains("does not carry protocol 5; set `protocol` to 4"), "{message}");
    }
    let encryption = json!({"password": "x".repeat(32), "iv": "0123456789abcdef"});
    for prefix in ["", "Transmit."] {
        let middlewares = json!([
            {"type": format!("{prefix}Encryption"), "options": encryption},
            format!("{prefix}Compression"),
        ]);
        assert_eq!(refused(json!({"middlewares": middlewares})), "accepted");
    }
    for serializer in ["JSON", "JSONExt", "MsgPack", "Notepack", "CBOR"] {
        let cacher = json!({"type": "Redis", "options": {"serializer": serializer}});
        assert_eq!(refused(json!({ "cacher": cacher })), "accepted");
    }
    let cacher = json!({"type": "Redis", "options": {"serializer": "Avro"}});
    let message = refused(json!({ "cacher": cacher }));
    assert!(message.contains("serializer Avro knows packets only"), "{message}");
    assert_eq!(refused(json!({"serializer": "JSONExt"})), "accepted");
    let message = refused(json!({"serializer": "JSONExt", "protocol": 4}));
    assert!(message.contains("does not carry protocol 4; set `protocol` to 5"), "{message}");
    for serializer in [
        json!("JSON"),
        json!("msgpack"),
        json!("Notepack"),
        json!({"type": "MsgPack", "options": {}}),
        json!("cbor"),
        json!({"type": "CBOR", "options": {"useTag259ForMaps": true}}),
    ] {
        for protocol in [4, 5] {
            let options = json!({"serializer": serializer, "protocol": protocol});
            assert_eq!(refused(options), "accepted");
        }
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let check = |options: serde_json::Value, expected: &str| {
        let message = refused(options);
        assert!(message.contains(expected), "{message}");
    };
    check(json!({"transporter": "carrier-pigeon"}), "Invalid transporter type 'carrier-pigeon'");
    check(json!({"serializer": "YAML"}), "Invalid serializer type 'YAML'");
    check(
        json!({"serializer": {"type": "JSON", "options": {"x": 1}}}),
        "serializer JSON: unknown key `x`; there are no options",
    );
    check(
        json!({"serializer": {"type": "JSONExt", "options": {"customs": []}}}),
        "serializer JSONExt: unknown key `customs`; there are no options",
    );
    check(
        json!({"serializer": {"type": "CBOR", "options": {"useTag259": true}}}),
        "serializer CBOR: unknown key `useTag259`; known are useTag259ForMaps",
    );
    let tcp = |options| json!({"transporter": {"type": "TCP", "options": options}});
    check(tcp(json!({"gossipPeriot": 2})), "did you mean `gossipPeriod`?");
    check(tcp(json!({"gossipPeriod": "soon"})), "is no duration");
    check(tcp(json!({"port": 70_000})), "port");
    check(json!({"cacher": "memcached"}), "Invalid cacher type 'memcached'.");
    check(
        json!({"middlewares": ["Encryption"]}),
        "the middleware Encryption: Must be set a password for encryption",
    );
}

#[tokio::test]
async fn a_node_from_a_configuration_runs() {
    let options = json!({
        "nodeID": "configured", "namespace": "plugins-test", "serializer": "MsgPack",
        "transporter": {"type": "TCP", "options": {"udpDiscovery": false}}
    });
    let options = BrokerOptions::from_value(options).unwrap();
    let broker = ServiceBroker::builder().options(options).start().await.unwrap();
    let nodes: Value = broker.call("$node.list", ()).await.unwrap();
    assert_eq!(nodes.pointer("0.id"), Some(&"configured".into()));
    assert!(nodes.pointer("0.port").and_then(Value::as_i64).is_some_and(|port| port > 0));
    broker.stop().await.unwrap();
    assert_eq!(broker.running_tasks(), 0);
}
