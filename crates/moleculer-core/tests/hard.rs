//! Calls that are dropped, panic, never end or call themselves: whatever
//! happens, the result is defined and nothing is left behind.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, ActionFn, ActionSite, BrokerOptions, Context, ErrorKind, InProcessNetwork, Middleware,
    Params, Result, RetryPolicy, Service, ServiceBroker, State,
};
use serde_json::json;

use self::support::{eventually, local, node};

/// Counts handlers that run.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

impl Running {
    fn enter(&self) -> impl Drop + Send + use<> {
        struct Guard(Arc<AtomicUsize>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Guard(self.0.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

async fn steps(
    ctx: Context,
    Params(below): Params<u32>,
    State(running): State<Running>,
) -> Result<u32> {
    let _running = running.enter();
    tokio::task::yield_now().await;
    let depth = match below {
        0 => 0,
        more => ctx.call::<u32>("s.steps", more - 1).await?,
    };
    ctx.emit("s.stepped", depth).await?;
    tokio::task::yield_now().await;
    Ok(depth + 1)
}

async fn panics(State(running): State<Running>) -> Result<()> {
    let _running = running.enter();
    tokio::task::yield_now().await;
    panic!("on purpose")
}

async fn hangs(State(running): State<Running>) -> Result<()> {
    let _running = running.enter();
    std::future::pending().await
}

async fn recurses(ctx: Context, State(running): State<Running>) -> Result<()> {
    let _running = running.enter();
    ctx.call("s.recurses", ()).await
}

fn service(running: &Running) -> impl moleculer_core::IntoService {
    Service::builder("s")
        .with_state(running.clone())
        .action(Action::new("steps", steps))
        .action(Action::new("panics", panics))
        .action(Action::new("hangs", hangs))
        .action(Action::new("recurses", recurses))
}

async fn pair(running: &Running) -> [ServiceBroker; 2] {
    let network = InProcessNetwork::default();
    let policy = RetryPolicy::new().delay(Duration::from_millis(1));
    let both = ["a", "b"].map(|id| {
        node(&network, id)
            .retry(policy.clone())
            .tracking(Some(Duration::from_secs(5)))
            .request_timeout(Duration::from_secs(60))
    });
    let [a, b] = both;
    let a = a.start().await.expect("starts");
    let b = b.service(service(running)).start().await.expect("starts");
    a.wait_for_services(["s"], Duration::from_secs(5)).await.expect("found");
    [a, b]
}

async fn quiet(brokers: &[ServiceBroker], running: &Running, tasks: &[usize]) {
    eventually("nothing is left", || {
        let pending: usize = brokers.iter().map(ServiceBroker::pending_requests).sum();
        let now: Vec<usize> = brokers.iter().map(ServiceBroker::running_tasks).collect();
        pending == 0 && running.count() == 0 && now == tasks
    })
    .await;
}

/// Polls a call `polls` times, letting everything else run in between, then
/// drops it. Whether it had ended.
async fn drop_after(broker: &ServiceBroker, polls: usize) -> bool {
    let mut call = Box::pin(broker.call::<u32>("s.steps", 2).into_future());
    for _ in 0..polls {
        if let std::task::Poll::Ready(result) = futures_util::poll!(&mut call) {
            assert_eq!(result.expect("works"), 3);
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn a_local_call_can_be_dropped_at_every_await_point() {
    let running = Running::default();
    let broker = local()
        .retry(RetryPolicy::new())
        .tracking(Some(Duration::from_secs(5)))
        .service(service(&running))
        .start()
        .await
        .expect("starts");
    let mut polls = 0;
    while !drop_after(&broker, polls).await {
        // Here the handlers are gone with the call.
        assert_eq!(running.count(), 0, "after {polls} polls");
        polls += 1;
    }
    assert!(polls > 4, "{polls}");
    let started = tokio::time::Instant::now();
    broker.stop().await.expect("stops");
    assert!(started.elapsed() < Duration::from_secs(2), "nothing to wait for");
    assert_eq!(broker.running_tasks(), 0);
}

#[tokio::test]
async fn a_remote_call_can_be_dropped_at_every_await_point() {
    let running = Running::default();
    let brokers = pair(&running).await;
    let tasks = brokers.each_ref().map(ServiceBroker::running_tasks);
    let mut polls = 0;
    while !drop_after(&brokers[0], polls).await {
        assert_eq!(brokers[0].pending_requests(), 0, "after {polls} polls");
        polls += 1;
    }
    assert!(polls > 2, "{polls}");
    quiet(&brokers, &running, &tasks).await;
    for broker in brokers {
        broker.stop().await.expect("stops");
        assert_eq!(broker.running_tasks(), 0);
    }
}

/// A million together; those to another node take ten times as long.
#[tokio::test]
async fn aborted_local_calls_leave_nothing() {
    abort_calls(1, 900_000).await;
}

#[tokio::test]
async fn aborted_remote_calls_leave_nothing() {
    abort_calls(0, 100_000).await;
}

async fn abort_calls(caller: usize, calls: usize) {
    let running = Running::default();
    let brokers = pair(&running).await;
    let tasks = brokers.each_ref().map(ServiceBroker::running_tasks);
    for i in 0..calls {
        let mut call = Box::pin(brokers[caller].call::<u32>("s.steps", 0).into_future());
        drop(futures_util::poll!(&mut call));
        drop(call);
        if i % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(brokers[caller].pending_requests(), 0);
    quiet(&brokers, &running, &tasks).await;
    assert_eq!(brokers[caller].call::<u32>("s.steps", 1).await.expect("works"), 2);
    for broker in brokers {
        broker.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn panics_are_errors_and_silence_ends_with_the_timeout() {
    let running = Running::default();
    let brokers = pair(&running).await;
    let tasks = brokers.each_ref().map(ServiceBroker::running_tasks);
    for broker in &brokers {
        let error = broker.call::<()>("s.panics", ()).await.expect_err("panics");
        assert_eq!((error.message(), error.r#type()), ("on purpose", Some("PANIC")));
        let call = broker.call::<()>("s.hangs", ()).retries(0);
        let error = call.timeout(Duration::from_millis(20)).await.expect_err("never answers");
        assert_eq!(error.kind(), &ErrorKind::RequestTimeout);
    }
    quiet(&brokers, &running, &tasks).await;
    for broker in brokers {
        broker.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn a_middleware_that_panics_harms_no_other_call() {
    #[derive(Debug)]
    struct Panics;
    impl Middleware for Panics {
        fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
            if &*site.action.raw_name != "panics" {
                return next;
            }
            Arc::new(|_| panic!("a middleware"))
        }
    }
    let running = Running::default();
    let network = InProcessNetwork::default();
    let callee = node(&network, "b").middleware(Panics).service(service(&running));
    let callee = callee.start().await.expect("starts");
    let caller = node(&network, "a").start().await.expect("starts");
    caller.wait_for_services(["s"], Duration::from_secs(5)).await.expect("found");
    let error = caller.call::<()>("s.panics", ()).await.expect_err("panics");
    assert_eq!(error.message(), "a middleware");
    assert_eq!(caller.call::<u32>("s.steps", 0).await.expect("works"), 1);
    caller.stop().await.expect("stops");
    callee.stop().await.expect("stops");
}

#[tokio::test]
async fn recursion_ends_at_the_limit_of_levels() {
    for (options, limit) in [(json!({"maxCallLevel": 20}), 20), (json!({}), 256)] {
        let running = Running::default();
        let options = BrokerOptions::from_value(options).expect("valid");
        // As many layers as there may be, on the stack of a worker.
        let broker = local()
            .options(options)
            .retry(RetryPolicy::new())
            .tracking(Some(Duration::from_secs(5)))
            .error_handler(|error, _| Err(error))
            .service(service(&running));
        let broker = broker.start().await.expect("starts");
        let call = broker.call::<()>("s.recurses", ()).timeout(Duration::from_secs(60));
        let error = call.await.expect_err("too deep");
        let expected = format!("Request level is reached the limit ({limit}) on 'local' node.");
        assert_eq!(error.message(), expected);
        assert_eq!(running.count(), 0);
        broker.stop().await.expect("stops");
    }
}
