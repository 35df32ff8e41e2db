//! `tower` layers as middlewares, actions as `tower` services.

mod support;

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use moleculer_core::{Action, Error, InProcessNetwork, Params, Result, Service, State, TowerLayer};
use tower::{
    ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer,
    timeout::error::Elapsed,
};

use self::support::{local, node};

/// How many run now, and how many at most did.
#[derive(Clone, Default)]
struct Load(Arc<[AtomicUsize; 2]>);

async fn wait(Params(ms): Params<u64>, State(load): State<Load>) -> Result<u64> {
    let running = load.0[0].fetch_add(1, Ordering::Relaxed) + 1;
    load.0[1].fetch_max(running, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    load.0[0].fetch_sub(1, Ordering::Relaxed);
    if ms == 13 { Err(Error::client(400, "UNLUCKY", "no")) } else { Ok(ms) }
}

fn waiting(load: &Load) -> impl moleculer_core::IntoService {
    Service::builder("w")
        .with_state(load.clone())
        .action(Action::new("wait", wait))
        .action(Action::new("other", wait))
}

#[tokio::test(start_paused = true)]
async fn a_layer_limits_all_calls_of_an_action_whichever_chain_they_take() {
    let load = Load::default();
    let layer = TowerLayer::local(ConcurrencyLimitLayer::new(3));
    let broker = local().middleware(layer).service(waiting(&load)).start().await.expect("starts");
    let calls = (0..20).map(|i| {
        let call = broker.call::<u64>("w.wait", 10);
        if i % 2 == 0 { call.timeout(Duration::from_secs(9)) } else { call }.into_future()
    });
    assert!(join_all(calls).await.iter().all(|result| matches!(result, Ok(10))));
    assert_eq!(load.0[1].load(Ordering::Relaxed), 3);
    // Another action has a limit of its own.
    let both = ["w.wait", "w.other"].into_iter().flat_map(|name| [name; 5]);
    join_all(both.map(|name| broker.call::<u64>(name, 10).into_future())).await;
    assert_eq!(load.0[1].load(Ordering::Relaxed), 6);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn errors_of_layers_and_of_handlers_stay_apart() {
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .layer(ConcurrencyLimitLayer::new(1))
        .into_inner();
    let broker = local()
        .middleware(TowerLayer::local(layers))
        .service(waiting(&Load::default()))
        .start()
        .await
        .expect("starts");
    let error = broker.call::<u64>("w.wait", 100).await.expect_err("too slow");
    assert_eq!((error.name(), error.code()), ("MoleculerError", 500));
    assert!(error.source().expect("has a source").is::<Elapsed>());
    let error = broker.call::<u64>("w.wait", 13).await.expect_err("fails");
    assert_eq!(error.r#type(), Some("UNLUCKY"));
    assert_eq!(broker.call::<u64>("w.wait", 1).await.expect("works"), 1);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_layer_can_stand_around_calls_to_other_nodes() {
    let network = InProcessNetwork::default();
    let caller = node(&network, "a")
        .middleware(TowerLayer::remote(TimeoutLayer::new(Duration::from_millis(20))))
        .start()
        .await
        .expect("starts");
    let callee =
        node(&network, "b").service(waiting(&Load::default())).start().await.expect("starts");
    caller.wait_for_services(["w"], Duration::from_secs(5)).await.expect("found");
    let error = caller.call::<u64>("w.wait", 60_000).await.expect_err("too slow");
    assert!(error.source().expect("has a source").is::<Elapsed>());
    assert_eq!(caller.pending_requests(), 0);
    caller.stop().await.expect("stops");
    callee.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_action_is_a_service() {
    let broker = local().service(waiting(&Load::default())).start().await.expect("starts");
    let service = ServiceBuilder::new()
        .timeout(Duration::from_millis(50))
        .service(broker.tower_service::<u64, u64>("w.wait"));
    assert_eq!(service.clone().oneshot(5).await.expect("works"), 5);
    assert!(service.clone().oneshot(100).await.expect_err("too slow").is::<Elapsed>());
    let error = service.oneshot(13).await.expect_err("fails");
    assert_eq!(error.downcast_ref::<Error>().expect("ours").r#type(), Some("UNLUCKY"));
    broker.stop().await.expect("stops");
}
