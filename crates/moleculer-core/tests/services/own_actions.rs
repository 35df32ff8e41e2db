//! A service that calls itself.

use std::sync::Arc;

use moleculer_core::{
    Action, ActionFn, ActionSite, Context, Error, ErrorKind, Middleware, Object, Result, Service,
    Value, Visibility,
};
use serde_json::json;

use super::support::local;

async fn about(ctx: Context) -> Result<Value> {
    Ok(Object::from([
        ("action", Value::from(ctx.action())),
        ("level", ctx.level().into()),
        ("caller", ctx.caller().as_deref().into()),
        ("meta", ctx.meta().into()),
        ("params", ctx.params()?),
    ])
    .into())
}

#[tokio::test]
async fn private_actions_are_called_by_their_service_only() {
    async fn open(ctx: Context) -> Result<Value> {
        ctx.call_own("secret", 5).meta([("b", 2)]).await
    }
    let service = Service::builder("s")
        .version(1)
        .action(Action::new("secret", about).visibility(Visibility::Private))
        .action(Action::new("open", open));
    let broker = local().service(service).start().await.expect("starts");
    let error = broker.call::<Value>("v1.s.secret", ()).await.expect_err("private");
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    let listed: Vec<Value> =
        broker.call("$node.actions", json!({"skipInternal": true})).await.expect("listed");
    assert_eq!(listed.len(), 1);

    let call = broker.call::<Value>("v1.s.open", ()).meta([("a", 1)]);
    let expected = json!({
        "action": "v1.s.secret", "level": 2, "caller": "v1.s", "meta": {"a": 1, "b": 2}, "params": 5
    });
    assert_eq!(call.await.expect("answers"), expected.into());
    let handle = broker.local_service("v1.s").expect("is here");
    let expected =
        json!({"action": "v1.s.secret", "level": 1, "caller": null, "meta": {}, "params": 6});
    assert_eq!(handle.call::<Value>("secret", 6).await.expect("answers"), expected.into());
    let error = handle.call::<Value>("nothing", ()).await.expect_err("no such action");
    assert_eq!(
        (error.kind(), error.data()),
        (
            &ErrorKind::ServiceNotFound,
            Some(&json!({"action": "nothing", "nodeID": "local"}).into())
        )
    );
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn own_calls_have_a_chain_of_their_own() {
    /// Tells how often it was put around an action, and which of them runs.
    #[derive(Debug, Default)]
    struct Wraps(Arc<std::sync::atomic::AtomicU64>);
    impl Middleware for Wraps {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.action.name.starts_with('$') || site.chain != moleculer_core::Chain::Static {
                return next;
            }
            let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Arc::new(move |ctx| {
                ctx.set_meta("chain", number);
                next(ctx)
            })
        }
    }
    async fn chain(ctx: Context) -> Result<Value> {
        Ok(ctx.meta().get("chain").cloned().unwrap_or_default())
    }
    let service = Service::builder("s").action(Action::new("chain", chain));
    let broker = local().middleware(Wraps::default()).service(service).start().await;
    let broker = broker.expect("starts");
    let handle = broker.local_service("s").expect("is here");
    assert_eq!(broker.call::<u64>("s.chain", ()).await.expect("answers"), 0);
    assert_eq!(handle.call::<u64>("chain", ()).await.expect("answers"), 1);
    assert_eq!(handle.call::<u64>("chain", ()).await.expect("answers"), 1);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_service_knows_itself_and_can_call_itself_before_it_starts() {
    let service = Service::builder("s")
        .version("beta")
        .settings([("limit", 3)])
        .action(Action::new("about", about))
        .created(|service, ()| {
            let seen = (service.name(), service.full_name(), service.version());
            assert_eq!(seen, ("s", "beta.s", Some(&"beta".into())));
            Ok::<_, Error>(())
        })
        .started(|service, ()| async move {
            let by_name = service.broker().call::<Value>("beta.s.about", ()).await;
            assert_eq!(by_name.expect_err("not yet").kind(), &ErrorKind::ServiceNotFound);
            let limit = service.settings().get("limit").cloned();
            assert_eq!(limit, Some(3.into()));
            service.call::<Value>("about", ()).await.map(drop)
        });
    let broker = local().service(service).start().await.expect("starts");
    assert!(broker.local_service("s").is_none());
    broker.stop().await.expect("stops");
}
