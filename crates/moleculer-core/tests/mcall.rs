//! Several calls at once.

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, Call, CallOptions, Context, Error, Meta, Object, Params, Result, Service,
    ServiceBroker, State, Value,
};
use serde_json::json;
use tokio::time::Instant;

use self::support::local;

async fn start() -> (ServiceBroker, Arc<AtomicUsize>) {
    async fn wait(Params(ms): Params<u64>, State(running): State<Arc<AtomicUsize>>) -> Result<u64> {
        struct Running(Arc<AtomicUsize>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(running);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if ms == 13 { Err(Error::client(400, "UNLUCKY", "no")) } else { Ok(ms) }
    }
    async fn told(ctx: Context, Meta(meta): Meta<Object>) -> Result<Value> {
        Ok(json!({"level": ctx.level(), "caller": ctx.caller().as_deref(), "meta": meta}).into())
    }
    async fn both(ctx: Context) -> Result<Vec<Value>> {
        ctx.mcall([Call::to("m.told", ()), Call::to("m.told", ()).caller("me")]).await
    }
    async fn late(ctx: Context) -> Result<String> {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let calls = || [Call::<u64>::to("m.wait", 1), Call::to("m.told", ())];
        let error = ctx.mcall(calls()).await.expect_err("no time is left");
        let settled = ctx.mcall(calls()).settled().await;
        assert!(settled.iter().all(Result::is_err));
        Ok(error.message().to_owned())
    }
    async fn outer(ctx: Context) -> Result<String> {
        ctx.set_meta("here", true);
        // The timer of the callee's own time rings first, so it goes on here.
        let call = ctx.call::<String>("m.late", ()).timeout(Duration::from_millis(60));
        call.await
    }
    let running = Arc::new(AtomicUsize::new(0));
    let service = Service::builder("m")
        .with_state(running.clone())
        .action(Action::new("wait", wait))
        .action(Action::new("told", told))
        .action(Action::new("both", both))
        .action(Action::new("late", late))
        .action(Action::new("outer", outer));
    (local().service(service).start().await.expect("starts"), running)
}

#[tokio::test(start_paused = true)]
async fn calls_run_at_once_and_answer_in_order() {
    let (broker, _) = start().await;
    let started = Instant::now();
    let waits = [30, 10, 20];
    let results: Vec<u64> =
        broker.mcall(waits.map(|ms: u64| Call::to("m.wait", ms))).await.expect("all succeed");
    assert_eq!((results, started.elapsed().as_millis()), (waits.to_vec(), 30));
    let keys = [("a", 5), ("b", 6)].map(|(key, ms): (_, u64)| (key, Call::to("m.wait", ms)));
    let results: HashMap<&str, u64> = broker.mcall_map(keys).await.expect("all succeed");
    assert_eq!(results, HashMap::from([("a", 5), ("b", 6)]));
    let none: Vec<u64> = broker.mcall([]).await.expect("nothing fails");
    assert!(none.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_cancels_the_others() {
    let (broker, running) = start().await;
    let started = Instant::now();
    let calls = [1000, 13, 2000].map(|ms: u64| Call::<u64>::to("m.wait", ms));
    let error = broker.mcall(calls).await.expect_err("one fails");
    assert_eq!((error.r#type(), started.elapsed().as_millis()), (Some("UNLUCKY"), 13));
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn settled_waits_for_all() {
    let (broker, _) = start().await;
    let calls = || [20, 13].map(|ms: u64| Call::<u64>::to("m.wait", ms));
    let results = broker.mcall(calls()).settled().await;
    assert_eq!(results[0].as_ref().ok(), Some(&20));
    assert_eq!(results[1].as_ref().expect_err("fails").r#type(), Some("UNLUCKY"));
    let results = broker.mcall_map(["x", "y"].into_iter().zip(calls())).settled().await;
    assert!(results["x"].is_ok() && results["y"].is_err());
}

#[tokio::test(start_paused = true)]
async fn options_of_a_call_replace_those_of_all() {
    let (broker, _) = start().await;
    let mut options = CallOptions::default();
    options.meta = [("common", 1)].into();
    let calls = [Call::<Value>::to("m.told", ()), Call::to("m.told", ()).meta([("own", 2)])];
    let metas = broker.mcall(calls).options(&options).await.expect("works");
    assert_eq!(metas[0].pointer("meta"), Some(&json!({"common": 1}).into()));
    assert_eq!(metas[1].pointer("meta"), Some(&json!({"own": 2}).into()));
}

#[tokio::test(start_paused = true)]
async fn calls_within_a_context_inherit_from_it() {
    let (broker, _) = start().await;
    let both: Vec<Value> = broker.call("m.both", ()).meta([("a", 1)]).await.expect("works");
    let told = |caller| Value::from(json!({"level": 2, "caller": caller, "meta": {"a": 1}}));
    assert_eq!(both, [told("m"), told("me")]);
}

#[tokio::test(start_paused = true)]
async fn without_time_all_calls_are_skipped() {
    let (broker, _) = start().await;
    let message: String = broker.call("m.outer", ()).await.expect("works");
    let expected = "Calling 'm.wait, m.told' is skipped because timeout reached on 'local' node.";
    assert_eq!(message, expected);
}

#[tokio::test]
async fn a_call_that_nobody_makes_says_so() {
    let error = Call::<u64>::to("m.wait", 1).await.expect_err("nobody makes it");
    assert!(error.message().contains("give it to `mcall`"), "{error}");
}
