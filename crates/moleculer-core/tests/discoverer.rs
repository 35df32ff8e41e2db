//! The discoverer `Local` and its options, in paused time.

mod support;

use std::time::Duration;

use moleculer_core::{
    BrokerBuilder, BrokerOptions, InProcessNetwork, Plugins, ServiceBroker, Value,
};
use serde_json::json;
use tokio::time::sleep;

use self::support::node;

async fn with(
    network: &InProcessNetwork,
    options: serde_json::Value,
) -> (ServiceBroker, ServiceBroker) {
    let options = json!({
        "nodeID": "a", "heartbeatInterval": 5, "heartbeatTimeout": 15,
        "registry": {"discoverer": {"type": "Local", "options": options}},
    });
    let b = node(network, "b").start().await.expect("starts");
    let a = BrokerBuilder::new(Plugins::core())
        .options(BrokerOptions::from_value(options).expect("valid"))
        .transporter(network.transporter())
        .start()
        .await
        .expect("starts");
    assert_eq!(state(&a).await, Some(true));
    (a, b)
}

/// Whether `b` is available, if it is known.
async fn state(a: &ServiceBroker) -> Option<bool> {
    let nodes: Vec<Value> = a.call("$node.list", ()).await.expect("a list");
    let b = nodes.iter().find(|node| node.pointer("id") == Some(&"b".into()))?;
    Some(b.pointer("available") == Some(&true.into()))
}

async fn after(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_gone_are_forgotten() {
    let network = InProcessNetwork::default();
    let (a, _b) = with(&network, json!({})).await;
    network.isolate("b");
    after(31).await;
    assert_eq!(state(&a).await, Some(false));
    after(560).await;
    assert_eq!(state(&a).await, Some(false));
    after(80).await;
    assert_eq!(state(&a).await, None);

    let network = InProcessNetwork::default();
    let (a, b) = with(&network, json!({"cleanOfflineNodesTimeout": "2m"})).await;
    network.isolate("b");
    after(115).await;
    assert_eq!(state(&a).await, Some(false));
    after(80).await;
    assert_eq!(state(&a).await, None);
    // It comes back as if it were new.
    network.rejoin("b");
    after(20).await;
    assert_eq!(state(&a).await, Some(true));
    // Also one that said goodbye is forgotten.
    b.stop().await.expect("stops");
    assert_eq!(state(&a).await, Some(false));
    after(200).await;
    assert_eq!(state(&a).await, None);
}

#[tokio::test(start_paused = true)]
async fn or_kept_if_they_are_to_be() {
    for options in [
        json!({"disableOfflineNodeRemoving": true}),
        json!({"cleanOfflineNodesTimeout": 0}),
        json!({"cleanOfflineNodesTimeout": null}),
    ] {
        let network = InProcessNetwork::default();
        let (a, _b) = with(&network, options).await;
        network.isolate("b");
        after(2_000).await;
        assert_eq!(state(&a).await, Some(false));
    }
}

#[tokio::test(start_paused = true)]
async fn silent_nodes_stay_without_checks() {
    let network = InProcessNetwork::default();
    let (a, b) = with(&network, json!({"disableHeartbeatChecks": true})).await;
    network.isolate("b");
    after(2_000).await;
    assert_eq!(state(&a).await, Some(true));
    network.rejoin("b");
    b.stop().await.expect("stops");
    assert_eq!(state(&a).await, Some(false), "a goodbye is no silence");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_have_times_of_their_own() {
    let network = InProcessNetwork::default();
    let options = json!({"heartbeatInterval": 1, "heartbeatTimeout": 60});
    let (a, _b) = with(&network, options).await;
    network.isolate("b");
    after(45).await;
    assert_eq!(state(&a).await, Some(true));
    after(80).await;
    assert_eq!(state(&a).await, Some(false));

    // Without heartbeats there are no checks either.
    let network = InProcessNetwork::default();
    let (a, _b) = with(&network, json!({"heartbeatInterval": 0})).await;
    network.isolate("b");
    after(2_000).await;
    assert_eq!(state(&a).await, Some(true));
}
