//! What nodes do together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::{StreamExt, future::join_all};
use moleculer_core::{
    Action, BrokerOptions, Context, Error, ErrorKind, Event, Params, Result, Service, State,
    protocol::Object,
};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Setup, echo, eventually};

pub(crate) async fn nodes_find_and_call_each_other(setup: Setup) {
    let a = setup.node("a").await;
    let b = setup.node("b").await;
    assert_eq!(b.echo("a", "from b").await.unwrap(), "from b", "known when the start is over");
    a.knows("b").await;
    assert_eq!(a.echo("b", "from a").await.unwrap(), "from a");
    assert_eq!((a.runs(), b.runs()), (1, 1));
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn errors_keep_their_class(setup: Setup) {
    async fn fail() -> Result<()> {
        let data = Object::from([("why", "so")]);
        Err(Error::client(422, "BAD_THING", "a bad thing").with_data(data))
    }
    let a = setup.node_with("a", setup.transporter(), |builder| {
        builder.service(Service::builder("failing").action(Action::new("fail", fail)))
    });
    let a = a.await.unwrap();
    let b = setup.node("b").await;
    b.knows("failing").await;
    let error = b.broker.call::<()>("failing.fail", ()).await.unwrap_err();
    assert_eq!((error.name(), error.code()), ("MoleculerClientError", 422));
    assert_eq!((error.r#type(), error.message()), (Some("BAD_THING"), "a bad thing"));
    assert_eq!(
        error.data().and_then(|data| data.pointer("why")).and_then(|why| why.as_str()),
        Some("so")
    );
    assert_eq!(error.node_id().map(|id| id.as_str()), Some("a"));
    a.stop().await;
    b.stop().await;
}

type Count = Arc<AtomicU64>;

fn counter(name: &str, group: &str, event: &str, count: &Count) -> Service {
    async fn hear(State(count): State<Count>) -> Result<()> {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    let service = Service::builder(name).with_state(Arc::clone(count));
    service.event(Event::new(event, hear).group(group)).build()
}

pub(crate) async fn events_reach_one_of_each_group(setup: Setup) {
    let (mail, log) = (Count::default(), Count::default());
    let mut nodes = Vec::new();
    for id in ["a", "b"] {
        let node = setup.node_with(id, setup.transporter(), |builder| {
            builder
                .service(counter(&format!("mail-{id}"), "mail", "user.*", &mail))
                .service(counter(&format!("log-{id}"), "log", "user.**", &log))
        });
        nodes.push(node.await.unwrap());
    }
    let sender = setup.node("sender").await;
    for name in ["mail-a", "mail-b"] {
        sender.knows(name).await;
    }
    for _ in 0..10 {
        sender.broker.emit("user.created", "Ada").await.unwrap();
    }
    eventually("ten events for each group", || {
        (mail.load(Ordering::Relaxed), log.load(Ordering::Relaxed)) == (10, 10)
    })
    .await;
    sender.broker.broadcast("user.created", "Ada").await.unwrap();
    eventually("a broadcast for each listener", || {
        (mail.load(Ordering::Relaxed), log.load(Ordering::Relaxed)) == (12, 12)
    })
    .await;
    for node in nodes.iter().chain([&sender]) {
        node.stop().await;
    }
    assert_eq!((mail.load(Ordering::Relaxed), log.load(Ordering::Relaxed)), (12, 12));
}

type Heard = Arc<mpsc::UnboundedSender<u64>>;

fn hearing(heard: mpsc::UnboundedSender<u64>) -> Service {
    async fn hear(Params(number): Params<u64>, State(heard): State<Heard>) -> Result<()> {
        heard.send(number).map_err(|_| Error::internal("the test is over"))
    }
    let service = Service::builder("hearing").with_state(Arc::new(heard));
    service.event(Event::new("number", hear)).build()
}

/// As anybody sees them who listens on the server.
pub(crate) async fn packets_keep_their_order(setup: Setup) {
    const NUMBERS: u64 = 5000;
    let (hear, _heard) = mpsc::unbounded_channel();
    let a = setup.node_with("a", setup.transporter(), |builder| builder.service(hearing(hear)));
    let a = a.await.unwrap();
    let b = setup.node("b").await;
    b.knows("hearing").await;
    let client = async_nats::connect(&setup.url).await.unwrap();
    let subject = format!("MOL-{}.EVENT.a", setup.namespace());
    let mut packets = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    // The server has read what came before this.
    client.request("nobody", "".into()).await.unwrap_err();
    for number in 0..NUMBERS {
        b.broker.emit("number", number).await.unwrap();
    }
    for expected in 0..NUMBERS {
        let packet = packets.next().await.unwrap();
        let packet: serde_json::Value = serde_json::from_slice(&packet.payload).unwrap();
        assert_eq!((&packet["event"], &packet["data"]), (&json!("number"), &json!(expected)));
    }
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn nodes_of_another_namespace_are_strangers(setup: Setup) {
    let elsewhere = Setup::new(&setup.url);
    let other = elsewhere.node("other").await;
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.knows("b").await;
    let error = a.echo("other", "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    for node in [a, b, other] {
        node.stop().await;
    }
}

pub(crate) async fn later_services_are_told(setup: Setup) {
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.broker.create_service(echo("late")).await.unwrap();
    b.knows("late").await;
    assert_eq!(b.broker.call::<String>("late.echo", "x").await.unwrap(), "x");
    a.stop().await;
    b.stop().await;
}

pub(crate) async fn a_node_that_stops_is_missed_at_once(setup: Setup) {
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    a.knows("b").await;
    b.stop().await;
    a.hears("node.disconnected b").await;
    let error = a.echo("b", "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    a.stop().await;
}

pub(crate) async fn a_node_comes_back_under_its_id(setup: Setup) {
    let a = setup.node("a").await;
    for round in 0..3 {
        let b = setup.node("b").await;
        a.hears(if round == 0 { "node.connected b" } else { "node.connected b reconnected" }).await;
        a.knows("b").await;
        assert_eq!(a.echo("b", "x").await.unwrap(), "x");
        assert_eq!(b.echo("a", "y").await.unwrap(), "y");
        b.stop().await;
        a.hears("node.disconnected b").await;
    }
    assert_eq!(a.runs(), 3);
    a.stop().await;
}

/// And leaves the first one alone.
pub(crate) async fn a_second_node_of_the_same_id_stops(setup: Setup) {
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    b.knows("a").await;
    for _ in 0..3 {
        let second = setup.node_with("a", setup.transporter(), |builder| builder).await;
        let error = second.err().expect("a second node has started");
        assert!(error.message().starts_with("another node uses the node id 'a'"), "{error}");
    }
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    assert_eq!(a.echo("b", "y").await.unwrap(), "y");
    // Events of one node come in order, so nothing else came before this one.
    a.stop().await;
    b.hears("node.disconnected a").await;
    b.stop().await;
}

/// Responses are handed on before the goodbye that came right after them.
pub(crate) async fn a_stopping_node_answers_first(setup: Setup) {
    const CALLS: usize = 500;
    let (enter, mut entered) = mpsc::unbounded_channel::<()>();
    let go = Arc::new(Semaphore::new(0));
    let wait = {
        let go = Arc::clone(&go);
        move |_: Context| {
            let (enter, go) = (enter.clone(), Arc::clone(&go));
            async move {
                enter.send(()).map_err(|_| Error::internal("the test is over"))?;
                drop(go.acquire().await);
                Ok::<_, Error>("x".repeat(1000))
            }
        }
    };
    let options = json!({
        "nodeID": "a", "tracking": {"enabled": true}, "registry": {"stopDelay": 0},
    });
    let a = setup.node_with("a", setup.transporter(), |builder| {
        builder
            .options(BrokerOptions::from_value(options).unwrap())
            .namespace(setup.namespace())
            .service(Service::builder("slow").action(Action::new("wait", wait)))
    });
    let (a, b) = (a.await.unwrap(), setup.node("b").await);
    b.knows("slow").await;
    let calls =
        join_all((0..CALLS).map(|_| b.broker.call::<String>("slow.wait", ()).into_future()));
    let calls = tokio::spawn(calls);
    for _ in 0..CALLS {
        entered.recv().await.unwrap();
    }
    tokio::join!(a.stop(), async { go.add_permits(CALLS) });
    for answer in calls.await.unwrap() {
        assert_eq!(answer.unwrap().len(), 1000);
    }
    b.hears("node.disconnected a").await;
    b.stop().await;
}

/// More than fits into the buffers of a socket, and with no time to write it.
pub(crate) async fn what_was_sent_before_the_stop_arrives(setup: Setup) {
    const EVENTS: usize = 300;
    type Lengths = Arc<mpsc::UnboundedSender<usize>>;
    async fn hear(Params(text): Params<String>, State(heard): State<Lengths>) -> Result<()> {
        heard.send(text.len()).map_err(|_| Error::internal("the test is over"))
    }
    let (hear_it, mut heard) = mpsc::unbounded_channel();
    let service = Service::builder("hearing").with_state(Arc::new(hear_it));
    let service = service.event(Event::new("text", hear));
    let a = setup.node_with("a", setup.transporter(), |builder| builder.service(service));
    let a = a.await.unwrap();
    let b = setup.node_with("b", setup.transporter(), |builder| {
        let options = json!({"nodeID": "b", "registry": {"stopDelay": 0}});
        let options = BrokerOptions::from_value(options).unwrap();
        builder.options(options).namespace(setup.namespace())
    });
    let b = b.await.unwrap();
    b.knows("hearing").await;
    let text = "x".repeat(100_000);
    for _ in 0..EVENTS {
        b.broker.emit("text", text.clone()).await.unwrap();
    }
    b.stop().await;
    a.hears("node.disconnected b").await;
    for _ in 0..EVENTS {
        assert_eq!(heard.recv().await, Some(text.len()));
    }
    a.stop().await;
}

pub(crate) async fn nothing_is_left_after_the_stop(setup: Setup) {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (a, b) = (setup.node("a").await, setup.node("b").await);
    b.echo("a", "x").await.unwrap();
    assert!(tasks() > before);
    a.stop().await;
    b.stop().await;
    eventually("the end of all tasks", || tasks() == before).await;
}

pub(crate) async fn names_that_are_no_subjects_are_refused(setup: Setup) {
    for id in ["*", "a b", "a.>"] {
        let started = setup.node_with(id, setup.transporter(), |builder| builder).await;
        let Err(error) = started else { panic!("'{id}' is taken") };
        assert!(error.message().contains("the node id"), "{error}");
    }
    let started =
        setup.node_with("a", setup.transporter(), |builder| builder.namespace("dev.*")).await;
    let Err(error) = started else { panic!("the namespace is taken") };
    assert!(error.message().contains("the namespace 'dev.*'"), "{error}");
}
