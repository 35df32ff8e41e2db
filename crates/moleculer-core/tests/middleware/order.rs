//! Which middlewares there are, and in what order they act.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::ready;
use moleculer_core::{
    Action, ActionFn, ActionSite, Body, BrokerBuilder, BrokerOptions, Chain, Error, Middleware,
    MiddlewarePlugin, Plugins, Result, RetryPolicy, Service, ServiceBroker, State,
};
use serde_json::json;
use tokio::time::Instant;

use crate::{Log, math, support::local};

#[tokio::test]
async fn without_internal_middlewares_only_the_users_are_there() {
    let options = json!({"internalMiddlewares": false, "requestTimeout": 1});
    let options = BrokerOptions::from_value(options).expect("valid");
    let seen = Arc::new(Mutex::new(Vec::new()));
    #[derive(Debug)]
    struct See(Arc<Mutex<Vec<Chain>>>);
    impl Middleware for See {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if site.service == "slow" {
                self.0.lock().expect("no panic").push(site.chain);
            }
            next
        }
    }
    async fn slow() -> Result<i64> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(1)
    }
    let broker = local()
        .options(options)
        .middleware(See(seen.clone()))
        .service(Service::builder("slow").action(Action::new("one", slow)))
        .start()
        .await
        .expect("starts");
    assert_eq!(broker.call::<i64>("slow.one", ()).await.expect("no timeout"), 1);
    assert_eq!(*seen.lock().expect("no panic"), [Chain::Static, Chain::Full]);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn middlewares_of_the_options_come_before_those_of_the_builder() {
    let plugins = Plugins::core()
        .middleware(MiddlewarePlugin { name: "First", build: |_| Ok(Arc::new(Mark("first"))) });
    #[derive(Debug)]
    struct Mark(&'static str);
    impl Middleware for Mark {
        fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
            let mark = self.0;
            Arc::new(move |ctx| {
                let marks = ctx.meta().get("marks").map(|marks| format!("{marks:?}"));
                ctx.set_meta("marks", marks.unwrap_or_default() + mark);
                next(ctx)
            })
        }
    }
    let options = json!({"middlewares": ["first"]});
    let broker = BrokerBuilder::new(plugins)
        .options(BrokerOptions::from_value(options).expect("valid"))
        .middleware(Mark("second "))
        .service(math())
        .start()
        .await
        .expect("starts");
    let response = broker.call::<i64>("math.double", 1).with_response().await.expect("works");
    assert_eq!(response.meta.get("marks"), Some(&"\"second \"first".into()));
    broker.stop().await.expect("stops");
}

/// Notes what goes into a handler and what comes out of it.
#[derive(Debug)]
struct Around(Log);

impl Middleware for Around {
    fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
        let log = self.0.clone();
        Arc::new(move |ctx| {
            log.note("user in");
            let (log, running) = (log.clone(), next(ctx));
            Box::pin(async move {
                let result = running.await;
                log.note(if result.is_ok() { "user out" } else { "user failed" });
                result
            })
        })
    }
}

/// Hangs, then fails, then answers, and so on.
async fn moody(State((log, calls)): State<(Log, Arc<AtomicU32>)>) -> Result<u32> {
    let call = calls.fetch_add(1, Ordering::Relaxed);
    log.note(format!("call {call}"));
    match call {
        0 => std::future::pending().await,
        1 | 3.. => Err(Error::server(503, "BUSY", "busy")),
        _ => Ok(call),
    }
}

/// A broker with every built-in layer on; `delay` is the wait before a retry.
async fn with_all_layers(log: &Log, delay: Duration) -> ServiceBroker {
    let (before, after, failed, handled) = (log.clone(), log.clone(), log.clone(), log.clone());
    let action = Action::new("moody", moody)
        .before(move || {
            before.note("before");
            ready(Ok::<_, Error>(()))
        })
        .after(move |result: Body| {
            after.note("after");
            ready(Ok::<_, Error>(result))
        })
        .on_error(move |error: Error| {
            failed.note("hook failed");
            ready(Err::<Body, _>(error))
        });
    let policy = RetryPolicy::new().retries(2).delay(delay);
    local()
        .retry(policy)
        .request_timeout(Duration::from_millis(40))
        .tracking(Some(Duration::from_secs(5)))
        .error_handler(move |error, _| {
            handled.note("handler failed");
            Err(error)
        })
        .middleware(Around(log.clone()))
        .service(Service::builder("s").with_state((log.clone(), Arc::default())).action(action))
        .start()
        .await
        .expect("starts")
}

#[tokio::test(start_paused = true)]
async fn the_built_in_layers_act_in_their_order() {
    let log = Log::default();
    let broker = with_all_layers(&log, Duration::from_millis(10)).await;
    let started = Instant::now();
    assert_eq!(broker.call::<u32>("s.moody", ()).await.expect("the third"), 2);
    // The first attempt takes all its 40 ms, the others have time of their own.
    assert_eq!(started.elapsed().as_millis(), 40 + 10 + 20);
    let expected = [
        // The timeout stands around the hooks: they see nothing of it.
        ["before", "user in", "call 0"].as_slice(),
        // The hooks stand around the user's middlewares, the retry around both.
        &["before", "user in", "call 1", "user failed", "hook failed"],
        &["before", "user in", "call 2", "user out", "after"],
    ];
    assert_eq!(log.take(), expected.concat());

    // The error handler stands around the retry: it runs once nothing is left
    // to try, for each attempt.
    broker.call::<u32>("s.moody", ()).await.expect_err("always fails now");
    let attempts = (3..6).flat_map(|call| {
        ["before", "user in", &format!("call {call}"), "user failed", "hook failed"]
            .map(str::to_owned)
    });
    let expected: Vec<_> =
        attempts.chain(std::iter::repeat_n("handler failed".to_owned(), 3)).collect();
    assert_eq!(log.take(), expected);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn the_tracker_stands_within_the_retry() {
    let log = Log::default();
    let broker = with_all_layers(&log, Duration::from_secs(1)).await;
    let call = tokio::spawn(broker.call::<u32>("s.moody", ()).into_future());
    // The first attempt has timed out; the wait before the second keeps no stop.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    broker.stop().await.expect("stops");
    assert_eq!(started.elapsed(), *broker.options().registry.stop_delay);
    call.await.expect("no panic").expect_err("nobody answers any more");
    assert_eq!(log.take_only("call"), ["call 0"]);
}
