//! Options of event listeners, and handlers run by hand.

use std::time::Duration;

use moleculer_core::{Context, Error, Event, Object, Params, Result, Service, State, Value};
use serde_json::json;
use tokio::time::sleep;

use super::{Log, support::local};

async fn note(State(log): State<Log>, Params(n): Params<u32>) -> Result<()> {
    log.push(n.to_string());
    if n == 13 { Err(Error::internal("unlucky")) } else { Ok(()) }
}

const TIME: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn debounce_handles_the_last_event_of_a_burst() {
    let log = Log::default();
    let service =
        Service::builder("s").with_state(log.clone()).event(Event::new("e", note).debounce(TIME));
    let broker = local().service(service).start().await.expect("starts");
    for n in 1..=3 {
        broker.emit("e", n).await.expect("sent");
        sleep(Duration::from_millis(99)).await;
        assert!(log.take().is_empty());
    }
    sleep(Duration::from_millis(2)).await;
    assert_eq!(log.take(), ["3"]);
    // A failure is logged, and the next burst begins anew.
    broker.emit("e", 13).await.expect("sent");
    sleep(Duration::from_millis(101)).await;
    broker.emit("e", 4).await.expect("sent");
    sleep(Duration::from_millis(101)).await;
    assert_eq!(log.take(), ["13", "4"]);
    broker.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_debounced_event_ends_with_the_broker() {
    let log = Log::default();
    let service = Service::builder("s")
        .with_state(log.clone())
        .event(Event::new("e", note).debounce(Duration::from_secs(60)));
    let broker = local().service(service).start().await.expect("starts");
    broker.emit("e", 1).await.expect("sent");
    assert_eq!(broker.running_tasks(), 1);
    broker.stop().await.expect("stops");
    assert_eq!(broker.running_tasks(), 0);
    sleep(Duration::from_secs(120)).await;
    assert!(log.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn throttle_drops_events_after_one_that_was_handled() {
    let log = Log::default();
    let service =
        Service::builder("s").with_state(log.clone()).event(Event::new("e", note).throttle(TIME));
    let broker = local().service(service).start().await.expect("starts");
    for n in 1..=3 {
        broker.emit("e", n).await.expect("sent");
        sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(log.take(), ["1"]);
    broker.emit("e", 4).await.expect("sent");
    assert_eq!(log.take(), ["4"], "100 ms have passed");
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn options_of_events_are_published() {
    let service = Service::builder("s").event(
        Event::new("e", async || Ok::<_, Error>(()))
            .group("g")
            .debounce(TIME)
            .throttle(Duration::from_secs(1))
            .extra("tag", 5),
    );
    let broker = local().service(service).start().await.expect("starts");
    let params = json!({"skipInternal": true, "withEvents": true});
    let told: Vec<Value> = broker.call("$node.services", params).await.expect("listed");
    let expected = json!({
        "e": {"tag": 5, "group": "g", "debounce": 100, "throttle": 1000, "name": "e"}
    });
    assert_eq!(serde_json::Value::from(told[0].clone())["events"], expected);
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_handler_can_be_run_without_an_event() {
    async fn about(ctx: Context, State(log): State<Log>) -> Result<()> {
        let groups: Vec<_> = ctx.event_groups().iter().map(|group| &**group).collect();
        let kind = ctx.event_kind().map(moleculer_core::EventKind::as_str);
        let params: u32 = ctx.params()?;
        log.push(format!("{} {kind:?} {groups:?} {params}", ctx.event()));
        Ok(())
    }
    let log = Log::default();
    let service = Service::builder("s")
        .with_state(log.clone())
        .event(Event::new("user.*", about))
        .event(Event::new("n", note).throttle(Duration::from_secs(60)));
    let broker = local().service(service).start().await.expect("starts");
    let service = broker.local_service("s").expect("is here");
    service.handle_event("user.*", 1).await.expect("handled");
    assert_eq!(log.take(), [r#"user.* Some("emit") ["s"] 1"#]);
    // No throttle, and errors come back.
    service.handle_event("n", 2).await.expect("handled");
    assert_eq!(service.handle_event("n", 13).await.expect_err("fails").message(), "unlucky");
    assert_eq!(log.take(), ["2", "13"]);
    let error = service.handle_event("user.created", 1).await.expect_err("no such listener");
    assert_eq!((error.code(), error.r#type()), (500, Some("NOT_FOUND_EVENT")));
    assert_eq!(error.data(), Some(&Object::from([("eventName", "user.created")]).into()));
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn the_first_error_of_several_handlers_counts_after_all_have_run() {
    let log = Log::default();
    let service = Service::builder("s").with_state(log.clone()).event(Event::new("n", note)).event(
        Event::new("n", async |State(log): State<Log>| {
            tokio::task::yield_now().await;
            log.push("late");
            Ok::<_, Error>(())
        }),
    );
    let broker = local().service(service).start().await.expect("starts");
    let service = broker.local_service("s").expect("is here");
    assert_eq!(service.handle_event("n", 13).await.expect_err("fails").message(), "unlucky");
    assert_eq!(log.take(), ["13", "late"]);
    broker.emit("n", 1).await.expect("sent");
    assert_eq!(log.take(), ["1", "late"]);
    broker.stop().await.expect("stops");
}
