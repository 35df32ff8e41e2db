//! Options that a plug-in handles, with and without one.

use moleculer_core::{
    Action, BrokerBuilder, Cache, Event, Middleware, Object, Plugins, Result, Service,
};

async fn nothing() -> Result<()> {
    Ok(())
}

fn service(action: Action) -> Service {
    Service::builder("posts").version(2).action(action).build()
}

fn broker(service: Service) -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).service(service)
}

fn refused(service: Service) -> String {
    let error = broker(service).build().expect_err("nothing handles the option");
    error.message().to_owned()
}

#[test]
fn an_option_without_a_plug_in_is_refused() {
    let action = || Action::new("get", nothing);
    assert_eq!(
        refused(service(action().cache(Cache::keys(["id"])))),
        "action 'get' of service 'v2.posts' has the option `cache`, which nothing handles; give the broker a cacher, or let the option rest with `ignore_options([\"cache\"])`"
    );
    let rules = Object::from([("id", "number")]);
    assert!(
        refused(service(action().params(rules.clone()))).contains("give the broker a validator")
    );
    assert!(refused(service(action().tracing(true))).contains("give the broker a tracer"));

    let event = Event::new("users.*", nothing).params(rules);
    let listener = Service::builder("posts").event(event).build();
    assert!(
        refused(listener).starts_with("event 'users.*' of service 'posts' has the option `params`")
    );

    let all = Service::builder("posts").settings([("$cache", true)]).action(action()).build();
    assert!(refused(all).starts_with("action 'get' of service 'posts' has the option `cache`"));
}

#[test]
fn what_is_off_needs_no_plug_in() {
    let off = Action::new("get", nothing).cache(Cache::off()).tracing(false);
    broker(service(off)).build().expect("nothing to handle");
}

#[test]
fn who_handles_an_option_says_so() {
    #[derive(Debug)]
    struct Cacher;

    impl Middleware for Cacher {
        fn handles(&self) -> &[&'static str] {
            &["cache"]
        }
    }

    let cached = || Action::new("get", nothing).cache(Cache::new());
    broker(service(cached())).middleware(Cacher).build().expect("the cacher handles it");
    let traced = cached().tracing(true);
    let error = broker(service(traced)).middleware(Cacher).build().expect_err("no tracer");
    assert!(error.message().contains("`tracing`"), "{error}");
}

#[tokio::test]
async fn ignored_options_are_published_all_the_same() -> Result<()> {
    let action = Action::new("get", nothing).cache(Cache::keys(["id"]));
    let broker = broker(service(action)).ignore_options(["cache"]).start().await?;
    let actions: serde_json::Value = broker.call("$node.actions", ()).await?;
    let actions = actions.as_array().expect("a list");
    let get = actions.iter().find(|row| row["name"] == "v2.posts.get").expect("the action");
    assert_eq!(get["action"]["cache"], serde_json::json!({"keys": ["id"]}));
    broker.stop().await
}

#[test]
fn only_such_options_can_be_ignored() {
    let broker = BrokerBuilder::new(Plugins::core()).ignore_options(["cash"]);
    let error = broker.build().expect_err("a mistyped name");
    assert_eq!(
        error.message(),
        "`ignore_options`: 'cash' is no option that a plug-in handles; valid ones are: cache, params, tracing"
    );
}

#[test]
fn a_wrong_cache_setting_is_told() {
    let settings = Object::from([("$cache", Object::from([("tll", 5)]))]);
    let posts = Service::builder("posts").settings(settings).build();
    let error = broker(posts).build().expect_err("a mistyped member");
    assert_eq!(
        error.message(),
        "$cache in 'posts' service: unknown member `tll`; valid ones are: enabled, keys, ttl, lock"
    );
}
