//! How mixins are merged.

use moleculer_core::{Action, Event, Object, Service, ServiceName, Value, Visibility};
use serde_json::json;

use super::{Log, name, state, support::local};

fn object(value: serde_json::Value) -> Object {
    match value.into() {
        Value::Object(object) => object,
        other => panic!("no object: {other:?}"),
    }
}

/// The worked example of the merge rules.
#[tokio::test]
async fn the_service_wins_over_its_mixins_and_the_first_over_the_second() {
    let log = Log::default();
    let hook = |entry: &'static str| {
        let log = log.clone();
        move |result: Value| {
            log.push(entry);
            async { Ok::<_, moleculer_core::Error>(result) }
        }
    };
    let m1 = Service::mixin()
        .version(1)
        .settings(object(json!({
            "a": 1, "list": ["x", "y", "z"], "deep": {"p": 1, "q": 2}, "$secureSettings": ["a"]
        })))
        .dependencies(["auth", "mail"])
        .action(
            log.action("foo", "M1.foo")
                .extra("params", object(json!({"a": "string", "b": {"type": "number", "min": 5}})))
                .extra("cache", object(json!({"keys": ["a", "b", "c"]})))
                .timeout(std::time::Duration::from_millis(5)),
        )
        .action(log.action("bar", "M1.bar"))
        .action(log.action("gone", "M1.gone"))
        .event(log.event("u.c", "M1.uc"))
        .event(log.event("g", "M1.g").group("mg"))
        .before("*", log.note("M1.h"))
        .after("*", hook("M1.a"));
    let m2 = Service::mixin()
        .settings(object(json!({"a": 2, "list": ["m"], "b": 3})))
        .dependencies([ServiceName::from("mail"), ServiceName::new("x").version(1)])
        .action(log.action("foo", "M2.foo").extra("params", object(json!({"c": "string"}))))
        .action(log.action("baz", "M2.baz"))
        .event(log.event("u.c", "M2.uc"))
        .before("*", log.note("M2.h"))
        .after("*", hook("M2.a"));
    let service = Service::builder("svc")
        .mixin(m1)
        .mixin(m2)
        .settings(object(json!({"list": ["s"], "deep": {"q": 9}, "$secureSettings": ["b"]})))
        .dependencies(["auth", "svcdep"])
        .action(
            Action::inherited("foo")
                .extra("params", object(json!({"b": "string"})))
                .extra("cache", object(json!({"keys": ["z"]}))),
        )
        .action(Action::inherited("bar").timeout(std::time::Duration::from_millis(10)))
        .without_action("gone")
        .event(log.event("u.c", "S.uc"))
        .event(log.event("g", "S.g"))
        .before("*", log.note("S.h"))
        .after("*", hook("S.a"))
        .build();

    assert_eq!(service.full_name(), "v1.svc");
    let settings = json!({
        "list": ["s", "y", "z"], "deep": {"q": 9, "p": 1}, "$secureSettings": ["b", "a"],
        "a": 1, "b": 3
    });
    assert_eq!(Value::from(service.settings().clone()), settings.into());
    let dependencies = ["auth", "svcdep", "mail"].map(ServiceName::from);
    let expected = [&dependencies[..], &[ServiceName::new("x").version(1)]].concat();
    assert_eq!(service.dependencies(), expected);

    let mut broker = local().service(service);
    for name in ["auth", "svcdep", "mail"] {
        broker = broker.service(Service::builder(name));
    }
    let broker = broker.service(Service::builder("x").version(1)).start().await.expect("starts");
    let listed: Vec<Value> =
        broker.call("$node.actions", json!({"skipInternal": true})).await.expect("listed");
    let listed = serde_json::Value::from(Value::from(listed));
    let definition = |name: &str| {
        let mut all = listed.as_array().expect("a list").iter();
        all.find(|entry| entry["name"] == name).map(|entry| entry["action"].clone())
    };
    let foo = definition("v1.svc.foo").expect("is there");
    assert_eq!(foo["params"], json!({"b": "string", "a": "string", "c": "string"}));
    assert_eq!(foo["cache"], json!({"keys": ["z", "b", "c"]}));
    assert_eq!(foo["timeout"], json!(5));
    assert_eq!(definition("v1.svc.bar").expect("is there")["timeout"], json!(10));
    assert!(definition("v1.svc.gone").is_none());

    log.take();
    for (action, ran) in [("foo", "M1.foo"), ("bar", "M1.bar"), ("baz", "M2.baz")] {
        let result: String = broker.call(&format!("v1.svc.{action}"), ()).await.expect("answers");
        assert_eq!(result, ran);
        assert_eq!(log.take(), ["M2.h", "M1.h", "S.h", ran, "S.a", "M1.a", "M2.a"]);
    }
    broker.emit("u.c", ()).await.expect("sent");
    assert_eq!(log.take(), ["M2.uc", "M1.uc", "S.uc"]);
    broker.emit("g", ()).groups(["mg"]).await.expect("sent");
    assert_eq!(log.take(), ["M1.g", "S.g"]);
    broker.stop().await.expect("stops");
}

#[test]
fn name_and_version_come_from_the_first_that_has_them() {
    let named = Service::builder("base").version(3);
    let check = |service: moleculer_core::ServiceBuilder<()>, expected: &str| {
        assert_eq!(service.build().full_name(), expected);
    };
    check(Service::mixin().mixin(named), "v3.base");
    check(Service::builder("own").mixin(Service::builder("base").version(3)), "v3.own");
    check(Service::builder("own").version(1).mixin(Service::builder("base").version(3)), "v1.own");
}

#[test]
fn metadata_is_filled_in_deeply_and_null_counts() {
    let mixin = Service::mixin().metadata(object(json!({"a": {"x": 1, "y": 2}, "b": 1, "c": 2})));
    let service = Service::builder("s")
        .mixin(mixin)
        .metadata(object(json!({"a": {"x": 0}, "b": null})))
        .build();
    let expected = json!({"a": {"x": 0, "y": 2}, "b": null, "c": 2});
    assert_eq!(Value::from(service.metadata().clone()), expected.into());
}

#[tokio::test]
async fn mixins_of_mixins_keep_their_own_state() {
    let inner = Service::mixin().with_state("inner").action(Action::new("inner", state));
    let outer = Service::mixin()
        .mixin(inner)
        .with_state("outer")
        .action(Action::new("outer", state))
        .action(Action::new("both", state));
    let service = Service::builder("s")
        .mixin(outer)
        .with_state("own")
        .action(Action::new("own", state))
        .action(Action::new("both", state));
    let broker = local().service(service).start().await.expect("starts");
    for (action, expected) in
        [("s.inner", "inner"), ("s.outer", "outer"), ("s.own", "own"), ("s.both", "own")]
    {
        assert_eq!(broker.call::<String>(action, ()).await.expect("answers"), expected);
    }
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_action_of_a_mixin_can_be_hidden_or_left_out() {
    let mixin = || {
        Service::mixin()
            .action(Action::new("a", name).visibility(Visibility::Public))
            .action(Action::new("b", name))
    };
    let service = Service::builder("s")
        .mixin(Service::mixin().mixin(Service::mixin().without_action("b")))
        .mixin(mixin())
        .action(Action::inherited("a").extra("rest", "GET /a"))
        .build();
    assert_eq!(service.action_names().collect::<Vec<_>>(), ["a"]);
    let hidden = Service::builder("t")
        .mixin(mixin())
        .action(Action::inherited("a").visibility(Visibility::Private));
    let broker = local().service(service).service(hidden).start().await.expect("starts");
    let listed: Vec<Value> =
        broker.call("$node.actions", json!({"skipInternal": true})).await.expect("listed");
    let listed: Vec<_> = listed.into_iter().map(serde_json::Value::from).collect();
    let names: Vec<_> = listed.iter().map(|entry| entry["name"].clone()).collect();
    assert_eq!(names, ["s.a", "t.b"]);
    assert_eq!(listed[0]["action"]["visibility"], "public");
    assert_eq!(listed[0]["action"]["rest"], "GET /a");
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn merged_handlers_see_and_change_the_whole() {
    let log = Log::default();
    let note = |entry: &'static str| {
        let log = log.clone();
        move |service: &mut Service| {
            let actions: Vec<_> = service.action_names().collect();
            log.push(format!("{entry} {} {}", service.full_name(), actions.join(",")));
        }
    };
    let mixin = Service::mixin().action(Action::new("admin", name)).merged(note("mixin")).merged(
        |service| {
            if service.settings().get("admin") == Some(&false.into()) {
                service.remove_action("admin");
            }
            service.settings_mut().insert("seen", true);
            service.metadata_mut().insert("seen", 2);
        },
    );
    let service = Service::builder("s")
        .mixin(mixin)
        .settings([("admin", false)])
        .action(Action::new("get", name))
        .merged(note("own"));
    let broker = local().service(service).build().expect("builds");
    assert_eq!(log.take(), ["mixin s admin,get", "own s get"]);
    let service = broker.local_service("s").expect("is here");
    assert_eq!(service.settings().get("seen"), Some(&true.into()));
    assert_eq!(service.metadata().get("seen"), Some(&2.into()));
}

#[tokio::test]
async fn options_of_events_are_filled_in_and_groups_stay_apart() {
    let log = Log::default();
    let mixin = Service::mixin()
        .event(log.event("e", "M").extra("tag", object(json!({"a": 1, "b": 2}))))
        .event(log.event("e", "Mg").group("g"));
    let service = Service::builder("s")
        .mixin(mixin)
        .event(Event::inherited("e").group("g").extra("more", 5))
        .event(log.event("e", "Sh").group("h").extra("tag", object(json!({"a": 0}))))
        .event(log.event("e", "Si").group("i"))
        .event(log.event("e", "S"))
        .build();
    assert_eq!(service.event_names().collect::<Vec<_>>(), ["e", "e", "e", "e"]);
    let broker = local().service(service).start().await.expect("starts");
    for (group, ran) in
        [("g", vec!["Mg"]), ("h", vec!["Sh"]), ("i", vec!["Si"]), ("s", vec!["M", "S"])]
    {
        broker.emit("e", ()).groups([group]).await.expect("sent");
        assert_eq!(log.take(), ran, "{group}");
    }
    broker.stop().await.expect("stops");
}
