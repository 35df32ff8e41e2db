//! Versions, full names and special settings.

use std::time::Duration;

use moleculer_core::{
    Action, BrokerOptions, Error, ErrorKind, Object, Service, ServiceName, Value,
};
use serde_json::json;

use super::{name, support::local};

#[test]
fn versions_make_full_names() {
    let check = |version: serde_json::Value, expected: &str| {
        let service = Service::builder("posts").version(version).build();
        assert_eq!(service.full_name(), expected);
    };
    check(json!(null), "posts");
    check(json!(2), "v2.posts");
    check(json!("staging"), "staging.posts");
    check(json!("2"), "2.posts");
    check(json!("v3"), "v3.posts");
    check(json!(0), "v0.posts");
    check(json!(1.5), "v1.5.posts");
    check(json!(""), ".posts");
    let plain = Service::builder("posts").version(2).settings([("$noVersionPrefix", true)]).build();
    assert_eq!(plain.full_name(), "posts");
}

#[tokio::test]
async fn actions_go_by_the_full_name_unless_told_otherwise() {
    let broker = local()
        .service(Service::builder("posts").version(2).action(Action::new("get", name)))
        .service(
            Service::builder("users")
                .version(2)
                .settings([("$noVersionPrefix", true)])
                .action(Action::new("get", name)),
        )
        .service(
            Service::builder("bare")
                .settings([("$noServiceNamePrefix", true)])
                .action(Action::new("custom.get", name)),
        )
        .start()
        .await
        .expect("starts");
    for action in ["v2.posts.get", "users.get", "custom.get"] {
        assert_eq!(broker.call::<String>(action, ()).await.expect("found"), action);
    }
    for action in ["posts.get", "v2.users.get", "bare.custom.get"] {
        let error = broker.call::<String>(action, ()).await.expect_err("no such name");
        assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    }
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn secured_settings_stay_here_and_the_cache_setting_reaches_the_actions() {
    let service = Service::builder("shop")
        .settings(
            json!({
                "$secureSettings": ["key"], "key": "secret", "open": 1,
                "$cache": {"ttl": 5}, "$shutdownTimeout": 100
            })
            .as_object()
            .map(|settings| settings.clone().into_iter().collect::<Object>())
            .expect("an object"),
        )
        .metadata([("region", "eu")])
        .action(Action::new("a", name))
        .action(Action::new("b", name).extra("cache", false));
    let broker = local().ignore_options(["cache"]).service(service).start().await.expect("starts");
    let shop = broker.local_service("shop").expect("is here");
    assert_eq!(shop.settings().get("key"), Some(&"secret".into()));
    assert_eq!(shop.metadata().get("region"), Some(&"eu".into()));
    let params = json!({"skipInternal": true, "withActions": true});
    let told: Vec<Value> = broker.call("$node.services", params).await.expect("listed");
    let told = serde_json::Value::from(told[0].clone());
    let settings = json!({"open": 1, "$cache": {"ttl": 5}, "$shutdownTimeout": 100});
    assert_eq!(told["settings"], settings);
    assert_eq!(told["metadata"], json!({"region": "eu"}));
    assert_eq!(told["actions"]["shop.a"]["cache"], json!({"ttl": 5}));
    assert_eq!(told["actions"]["shop.b"]["cache"], json!(false));
    broker.stop().await.expect("stops");
}

/// The worked example of waiting: one version is there, one is not.
#[tokio::test(start_paused = true)]
async fn waiting_accepts_any_of_several_versions() {
    let broker = local()
        .service(Service::builder("y"))
        .service(Service::builder("x").version(1))
        .start()
        .await
        .expect("starts");
    let any = || [ServiceName::from("y"), ServiceName::new("x").version(1).version(2)];
    let found = broker.wait_for_services(any(), Duration::ZERO).await.expect("found");
    let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.available)).collect();
    assert_eq!(found, [("y", true), ("v1.x", true), ("v2.x", false)]);
    let none = broker.wait_for_services::<&str>([], Duration::ZERO).await.expect("nothing to do");
    assert!(none.is_empty());

    let started = tokio::time::Instant::now();
    let wanted = [ServiceName::from("y"), ServiceName::new("x").version(2)];
    let error = broker.wait_for_services(wanted, Duration::from_millis(300)).await;
    let error = error.expect_err("v2 never comes");
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    assert_eq!(
        (error.name(), error.code(), error.r#type(), error.message()),
        ("MoleculerServerError", 500, Some("WAITFOR_SERVICES"), "Services waiting is timed out.")
    );
    let data = json!({
        "services": ["y", "v2.x"],
        "statuses": [{"name": "y", "available": true}, {"name": "v2.x", "available": false}]
    });
    assert_eq!(error.data(), Some(&data.into()));
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_service_may_limit_its_own_wait_for_dependencies() {
    let start = async |setting: Value| {
        let options = BrokerOptions::from_value(json!({"dependencyTimeout": 60_000}));
        let service = Service::builder("late")
            .settings([("$dependencyTimeout", setting)])
            .dependencies([ServiceName::new("nowhere").version(1)]);
        let started = tokio::time::Instant::now();
        let builder = local().options(options.expect("good options")).service(service);
        let error = builder.start().await.expect_err("the dependency is missing");
        (started.elapsed().as_millis(), error.r#type().unwrap_or_default().to_owned())
    };
    let waited = "WAITFOR_SERVICES".to_owned();
    assert_eq!(start(250.into()).await, (250, waited.clone()));
    assert_eq!(start("2s".into()).await, (2000, waited.clone()));
    assert_eq!(start(Value::Null).await, (60_000, waited));
    assert_eq!(start("soon".into()).await, (0, "SERVICE_SCHEMA_ERROR".to_owned()));
}

#[tokio::test]
async fn wrong_declarations_say_what_is_wrong() {
    let refused = |service: moleculer_core::ServiceBuilder<()>| -> String {
        let error = local().service(service).build().expect_err("a wrong declaration");
        assert_eq!((error.name(), error.code()), ("ServiceSchemaError", 500));
        error.message().to_owned()
    };
    assert!(refused(Service::mixin()).starts_with("Service name can't be empty!"));
    assert_eq!(
        refused(Service::builder("x").action(Action::inherited("a"))),
        "Missing action handler on 'a' action in 'x' service!"
    );
    assert_eq!(
        refused(Service::builder("x").event(moleculer_core::Event::inherited("e"))),
        "Missing event handler on 'e' event in 'x' service!"
    );
    assert!(
        refused(Service::builder("x").action(Action::new("", name)))
            .starts_with("Invalid action definition in '' action in 'x' service!")
    );
    let twice = Service::builder("x").action(Action::new("a", name)).action(Action::new("a", name));
    assert_eq!(refused(twice), "action 'a' is declared twice in 'x' service!");
    assert!(refused(Service::builder("$node")).contains("'$node' exists already"));
    let failing = Service::builder("x").created(|_, ()| Err(Error::schema("no key is set")));
    assert_eq!(refused(failing), "no key is set");
}

#[tokio::test]
async fn two_services_cannot_offer_one_action() {
    let bare = |name: &str| {
        Service::builder(name)
            .settings([("$noServiceNamePrefix", true)])
            .action(Action::new("users.get", name_of))
    };
    async fn name_of(ctx: moleculer_core::Context) -> moleculer_core::Result<String> {
        Ok(ctx.service()?.full_name().to_owned())
    }
    let broker = local().service(bare("one")).start().await.expect("starts");
    let users = || Service::builder("users").action(Action::new("get", name_of));
    for service in [bare("two"), users()] {
        let error = broker.create_service(service).await.expect_err("is offered already");
        assert_eq!(error.kind(), &ErrorKind::ServiceSchema);
        assert!(error.message().ends_with("is offered by service 'one' already"), "{error}");
    }
    assert_eq!(broker.call::<String>("users.get", ()).await.expect("answers"), "one");
    broker.destroy_service("one").await.expect("is here");
    broker.create_service(users()).await.expect("the name is free");
    assert_eq!(broker.call::<String>("users.get", ()).await.expect("answers"), "users");
    broker.stop().await.expect("stops");
}
