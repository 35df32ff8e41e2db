//! What other nodes see of a service, and expressions as options.

use std::time::Duration;

use moleculer_core::{BrokerBuilder, InProcessNetwork, Object, Plugins, Result, strategy::Shard};
use moleculer_macros::service;
use serde_json::{Value, json};

fn node(network: &InProcessNetwork, id: &str) -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).node_id(id).transporter(network.transporter())
}

/// The rate comes from elsewhere.
fn settings(rate: f64) -> Object {
    Object::from([("rate", rate)])
}

struct Shop;

#[service(settings = settings(0.5), crate = moleculer_core)]
impl Shop {
    /// Buys some.
    #[action(strategy = Shard::by("id"), rename_all = "camelCase")]
    async fn buy(
        &self,
        id: u64,
        how_many: Option<u8>,
        #[serde(default)] gift: bool,
    ) -> Result<String> {
        Ok(format!("{} of {id}, gift: {gift}", how_many.unwrap_or(1)))
    }

    /// For those who read the code.
    #[action(extra(description = "Counts all."))]
    async fn count(&self) -> Result<u64> {
        Ok(2)
    }
}

#[tokio::test]
async fn other_nodes_see_schemas_and_strategy_of_a_method() -> Result<()> {
    let network = InProcessNetwork::default();
    let caller = node(&network, "caller").start().await?;
    let shop = node(&network, "shop").service(Shop).start().await?;
    caller.wait_for_services(["shop"], Duration::from_secs(10)).await?;

    let actions: Vec<Value> = caller.call("$node.actions", json!({"skipInternal": true})).await?;
    let published = |name| {
        let row = actions.iter().find(|row| row["name"] == name).expect("is there");
        &row["action"]
    };
    assert_eq!(published("shop.count")["description"], "Counts all.");
    let buy = published("shop.buy");
    assert_eq!(buy["description"], "Buys some.");
    assert_eq!(buy["strategy"], "Shard");
    assert_eq!(buy["strategyOptions"], json!({"shardKey": "id", "vnodes": 10}));
    assert_eq!(
        buy["params"],
        json!({
            "id": {"type": "number", "integer": true, "min": 0},
            "howMany": {"type": "number", "integer": true, "min": 0, "max": 255, "nullable": true, "optional": true},
            "gift": {"type": "boolean", "optional": true},
        })
    );
    let properties = buy["paramsSchema"]["properties"].as_object().expect("an object");
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["gift", "howMany", "id"]);
    assert_eq!(buy["paramsSchema"]["required"], json!(["id"]));
    assert_eq!(buy["resultSchema"]["type"], "string");
    let service = shop.local_service("shop").expect("is here");
    assert_eq!(service.settings(), &settings(0.5));

    let bought = Shop::client(&caller).buy(7, Some(2), true).await?;
    assert_eq!(bought, "2 of 7, gift: true");
    shop.stop().await?;
    caller.stop().await
}
