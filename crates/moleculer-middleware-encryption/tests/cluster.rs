//! Nodes that compress and encrypt, over the in-process network.

use std::time::Duration;

use moleculer_core::{
    Action, BrokerBuilder, InProcessNetwork, Params, Plugins, Result, Service, ServiceBroker,
};
use moleculer_middleware_compression::Compression;
use moleculer_middleware_encryption::{Encryption, Key};

async fn length(Params(text): Params<String>) -> Result<String> {
    Ok(format!("{} of {text}", text.len()))
}

fn node(id: &str, network: &InProcessNetwork, keys: &[(&str, u8)]) -> BrokerBuilder {
    let keys = keys.iter().map(|(id, byte)| Key::new(id, [*byte; 32]).expect("a key"));
    BrokerBuilder::new(Plugins::core())
        .node_id(id)
        .transporter(network.transporter())
        .middleware(Encryption::authenticated(keys).expect("valid"))
        .middleware(Compression::default())
        .service(Service::builder(id).action(Action::new("length", length)))
}

async fn ask(from: &ServiceBroker, to: &str) {
    let wait = Duration::from_secs(10);
    from.wait_for_services([to], wait).await.expect("found");
    let action = format!("{to}.length");
    for text in ["short".to_owned(), "long ".repeat(10_000)] {
        let expected = format!("{} of {text}", text.len());
        let call = from.call::<String>(&action, text).timeout(wait);
        assert_eq!(call.await.expect("an answer"), expected);
    }
}

#[tokio::test]
async fn nodes_talk_while_keys_are_replaced() {
    let network = InProcessNetwork::default();
    let (old, new) = (("old", 1), ("new", 2));
    let first = node("first", &network, &[old, new]).start().await.expect("started");
    let second = node("second", &network, &[new, old]).start().await.expect("started");
    ask(&first, "second").await;
    ask(&second, "first").await;
    second.stop().await.expect("stopped");
    first.stop().await.expect("stopped");
}

#[tokio::test]
async fn nodes_with_other_keys_do_not_see_each_other() {
    let network = InProcessNetwork::default();
    let seen = node("seen", &network, &[("a", 1)]).start().await.expect("started");
    let alien = node("alien", &network, &[("a", 2)]).start().await.expect("started");
    let friend = node("friend", &network, &[("a", 1)]).start().await.expect("started");
    // Once this one is known, what the alien said before has arrived too.
    ask(&seen, "friend").await;
    let found = seen.wait_for_services(["alien"], Duration::from_millis(50)).await;
    assert!(found.is_err(), "a node with another key was found");
    for node in [friend, alien, seen] {
        node.stop().await.expect("stopped");
    }
}
