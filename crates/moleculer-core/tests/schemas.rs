//! What actions publish of their types.

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moleculer_core::{
    __private::{KnownSchema, NoSchema as _, Plain, Typed},
    Action, InProcessNetwork, Params, Result, Service, ServiceBroker, SharedParams, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use self::support::{local, node};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPost {
    #[schemars(length(min = 3, max = 80))]
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    author: Author,
    kind: Kind,
    rating: Option<u8>,
    id: Id,
    labels: BTreeMap<String, i32>,
    place: (f64, f64),
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    weight: f32,
    #[schemars(with = "Json")]
    extra: Value,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Author {
    name: Option<String>,
    active: bool,
}

/// Of which sort it is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Kind {
    /// Short.
    Note,
    /// Long.
    LongRead,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    left: Option<Box<Self>>,
    right: Option<Box<Self>>,
}

/// Not described.
#[derive(Serialize, Deserialize)]
struct Opaque {
    a: u8,
}

async fn any(Params(_): Params<Value>) -> Result<()> {
    Ok(())
}

/// What another node sees of the actions of `x`.
async fn published(service: Service) -> BTreeMap<String, Json> {
    let network = InProcessNetwork::default();
    let a = node(&network, "a").start().await.expect("starts");
    let _b = node(&network, "b").service(service).start().await.expect("starts");
    a.wait_for_services(["x"], Duration::from_secs(10)).await.expect("comes");
    definitions(&a).await
}

async fn definitions(broker: &ServiceBroker) -> BTreeMap<String, Json> {
    let actions: Vec<Json> =
        broker.call("$node.actions", json!({"skipInternal": true})).await.expect("answers");
    let definition = |action: Json| {
        let name = action["name"].as_str().expect("is a name").to_owned();
        (name, action["action"].clone())
    };
    actions.into_iter().map(definition).collect()
}

async fn rules_of<T: JsonSchema>() -> Json {
    let action = Action::new("one", any).params_schema::<T>();
    let service = Service::builder("x").action(action).build();
    let broker = local().service(service).start().await.expect("starts");
    definitions(&broker).await["x.one"]["params"].clone()
}

#[tokio::test]
async fn rules_say_what_the_types_say() {
    assert_eq!(
        rules_of::<NewPost>().await,
        json!({
            "title": {"type": "string", "min": 3, "max": 80},
            "tags": {"type": "array", "items": {"type": "string"}, "optional": true, "default": []},
            "author": {"type": "object", "props": {
                "name": {"type": "string", "nullable": true, "optional": true},
                "active": {"type": "boolean"},
            }},
            "kind": {"type": "enum", "values": ["note", "longRead"]},
            "rating": {"type": "number", "integer": true, "min": 0, "max": 255,
                       "nullable": true, "optional": true},
            "id": [{"type": "number", "integer": true, "min": 0}, {"type": "string"}],
            "labels": {"type": "record", "value": {"type": "number", "integer": true}},
            "place": {"type": "tuple", "items": [{"type": "number"}, {"type": "number"}]},
            "weight": {"type": "number", "positive": true},
            "extra": {"type": "any"},
            "$$strict": true,
        })
    );
    assert_eq!(
        rules_of::<Vec<bool>>().await,
        json!({"$$root": true, "type": "array", "items": {"type": "boolean"}})
    );
    assert_eq!(
        rules_of::<Id>().await,
        json!({"$$root": true, "type": "multi",
               "rules": [{"type": "number", "integer": true, "min": 0}, {"type": "string"}]})
    );
    assert_eq!(rules_of::<Json>().await, Json::Null);
}

#[tokio::test(start_paused = true)]
async fn schemas_reach_other_nodes_and_the_action_stays_callable() {
    async fn double(Params(n): Params<i64>) -> Result<Author> {
        Ok(Author { name: Some((2 * n).to_string()), active: true })
    }
    let action = Action::new("one", double).params_schema::<i64>().result_schema::<Author>();
    let service = Service::builder("x").action(action).build();
    let one = published(service.clone()).await["x.one"].clone();
    assert_eq!(
        one["paramsSchema"],
        json!({"title": "int64", "type": "integer", "format": "int64"})
    );
    assert_eq!(one["params"], json!({"$$root": true, "type": "number", "integer": true}));
    assert_eq!(
        one["resultSchema"],
        json!({"title": "Author", "type": "object", "required": ["name", "active"], "properties": {
            "name": {"type": ["string", "null"]}, "active": {"type": "boolean"},
        }})
    );
    let broker = local().service(service).start().await.expect("starts");
    assert_eq!(broker.call::<Author>("x.one", 4).await.expect("fits").name, Some("8".into()));
}

/// Rules that the user wrote are better than ours.
#[tokio::test]
async fn what_the_definition_says_itself_stays() {
    let action = Action::new("one", any)
        .params_schema::<Author>()
        .extra("params", json!({"name": "string|min:3"}));
    let broker = local().service(Service::builder("x").action(action)).start().await;
    let one = definitions(&broker.expect("starts")).await["x.one"].clone();
    assert_eq!(one["params"], json!({"name": "string|min:3"}));
    assert_eq!(one["paramsSchema"]["title"], "Author");
}

#[tokio::test]
async fn a_type_that_holds_itself_has_an_end() {
    let rules = rules_of::<Tree>().await;
    assert_eq!(rules["left"]["props"]["right"]["type"], "object");
    let text = rules.to_string();
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    assert!(text.contains(r#""type":"any""#), "{text}");
}

#[test]
fn a_schema_that_would_burden_every_node_stays_here() {
    struct Huge;
    impl JsonSchema for Huge {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Huge".into()
        }
        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({"type": "string", "description": "x".repeat(40_000)})
        }
    }
    let bare = Action::<()>::new("one", any);
    let huge = Action::<()>::new("one", any).params_schema::<Huge>();
    assert_eq!(format!("{huge:?}"), format!("{bare:?}"));
}

#[tokio::test]
async fn a_new_handler_has_none_of_the_old_ones_schemas() {
    let base = Service::mixin()
        .action(Action::new("one", any).params_schema::<Tree>().result_schema::<i64>())
        .action(Action::new("two", any).params_schema::<Tree>().result_schema::<i64>())
        .build();
    let service = Service::builder("x")
        .mixin(base)
        .action(Action::new("one", any).params_schema::<Author>())
        .action(Action::inherited("two").params_schema::<Author>());
    let broker = local().service(service).start().await.expect("starts");
    let all = definitions(&broker).await;
    let shown =
        |name: &str| (all[name]["paramsSchema"]["title"].clone(), all[name].get("resultSchema"));
    assert_eq!(shown("x.one"), (json!("Author"), None));
    let (params, result) = shown("x.two");
    assert_eq!((params, result.is_some()), (json!("Author"), true));
}

/// As the macro asks: it knows a type by its tokens alone.
#[tokio::test]
async fn a_type_with_a_schema_publishes_it_and_another_does_not() {
    macro_rules! action {
        ($name:literal, [$($argument:ty),*], $result:ty) => {
            Action::new($name, any).known_schemas(
                [$(Typed::<$argument>::schema()),*],
                Typed::<$result>::schema(),
            )
        };
    }
    let members = [
        ("id", Typed::<Plain<u64>>::member(), false),
        ("kind", Typed::<Plain<Option<Kind>>>::member(), true),
        ("opaque", Typed::<Plain<Opaque>>::member(), false),
    ];
    let named = Action::new("named", any)
        .known_schemas([KnownSchema::object(members)], Typed::<Result<Opaque>>::schema());
    let service = Service::builder("x")
        .action(action!("one", [Arc<String>, Params<Author>], Result<i64>))
        .action(action!("shared", [SharedParams<Author>], Result<(), String>))
        .action(action!("opaque", [Params<Opaque>, String], Result<Opaque>))
        .action(action!("none", [], Result<Value>))
        .action(named)
        .build();
    let all = published(service).await;
    let title = |name: &str| all[name]["paramsSchema"]["title"].clone();
    assert_eq!(title("x.one"), "Author");
    assert_eq!(all["x.one"]["resultSchema"]["type"], "integer");
    assert_eq!(
        (title("x.shared"), &all["x.shared"]["resultSchema"]["type"]),
        (json!("Author"), &json!("null"))
    );
    for name in ["x.opaque", "x.none"] {
        for key in ["params", "paramsSchema", "resultSchema"] {
            assert_eq!(all[name].get(key), None, "{name} {key}");
        }
    }
    let named = &all["x.named"];
    assert_eq!(named["paramsSchema"]["required"], json!(["id", "opaque"]));
    assert_eq!(
        named["params"],
        json!({
            "id": {"type": "number", "integer": true, "min": 0},
            "kind": {"type": "enum", "values": ["note", "longRead"],
                     "nullable": true, "optional": true},
            "opaque": {"type": "any"},
        })
    );
    assert_eq!(named.get("resultSchema"), None);
}
