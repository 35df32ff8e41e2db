//! Errors: the global handler, and classes of one's own over the wire.

mod support;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, Error, ErrorInfo, ErrorKind, ErrorRegenerator, Event, InProcessNetwork, IntoBody,
    NodeId, Params, Payload, Result, Service, ServiceBroker, Value, WireError,
};

use self::support::{eventually, local, node};

async fn fails() -> Result<()> {
    Err(Error::client(409, "CONFLICT", "no"))
}

fn failing() -> impl moleculer_core::IntoService {
    Service::builder("f").action(Action::new("fails", fails)).event(Event::new("f.event", fails))
}

#[tokio::test]
async fn the_error_handler_sees_every_error_and_decides() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let noted = log.clone();
    let broker = local()
        .error_handler(move |error, info| {
            let place = match info {
                ErrorInfo::Action(ctx) => format!("action {}", ctx.action()),
                ErrorInfo::Event(ctx) => format!("event {} {}", ctx.event(), ctx.service_name()),
                ErrorInfo::Resolution { action, params, node } => {
                    let answered = Payload::clone(params).take::<i64>().is_ok_and(|n| n == 1);
                    noted.lock().unwrap().push(format!("resolution {action} {node:?}"));
                    return if answered { Ok("handled".into_body()) } else { Err(error) };
                }
                _ => unreachable!(),
            };
            noted.lock().unwrap().push(place);
            Err(error.with_code(410))
        })
        .service(failing())
        .start()
        .await
        .unwrap();
    let error = broker.call::<()>("f.fails", ()).await.unwrap_err();
    assert_eq!((error.code(), error.r#type()), (410, Some("CONFLICT")));
    broker.emit("f.event", ()).await.unwrap();
    assert_eq!(broker.call::<String>("no.body", 1).await.unwrap(), "handled");
    let error = broker.call::<()>("no.body", 2).node("x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    let expected = [
        "action f.fails",
        "event f.event f",
        "resolution no.body None",
        "resolution no.body Some(\"x\")",
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    broker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_error_handler_hears_of_events_that_nobody_waits_for() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let broker = local()
        .error_handler(move |error, info| {
            if let ErrorInfo::Event(ctx) = info {
                let data: i64 = ctx.params().unwrap();
                noted.lock().unwrap().push((data, error.code()));
            }
            Err(error)
        })
        .service(
            Service::builder("f").event(Event::new("e", fails).debounce(Duration::from_secs(1))),
        )
        .start()
        .await
        .unwrap();
    for data in [1, 2] {
        broker.emit("e", data).await.unwrap();
    }
    eventually("the burst is handled", || !heard.lock().unwrap().is_empty()).await;
    assert_eq!(*heard.lock().unwrap(), [(2, 409)]);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_broadcast_fails_only_when_asked_to() {
    let broker = local().service(failing()).start().await.unwrap();
    broker.broadcast("f.event", ()).await.unwrap();
    broker.emit("f.event", ()).throw_error().await.unwrap();
    let error = broker.broadcast("f.event", ()).throw_error().await.unwrap_err();
    assert_eq!(error.r#type(), Some("CONFLICT"));
    let error = broker.broadcast_local("f.event", ()).throw_error().await.unwrap_err();
    assert_eq!(error.code(), 409);
    broker.stop().await.unwrap();
}

/// An error of the user's own, with a member that no other has.
#[derive(Clone, Debug, PartialEq)]
struct OutOfStock {
    left: i64,
}

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "only {} left", self.left)
    }
}

impl std::error::Error for OutOfStock {}

impl From<OutOfStock> for Error {
    fn from(error: OutOfStock) -> Self {
        Self::new(ErrorKind::Other("OutOfStock".into()), error.to_string()).with_source(error)
    }
}

#[derive(Debug)]
struct Shop;

impl ErrorRegenerator for Shop {
    fn restore_custom_error(&self, plain: &WireError, sender: &NodeId) -> Option<Error> {
        assert_eq!(sender, "shop");
        let left = plain.data.as_ref()?.pointer("left")?.as_i64()?;
        (plain.name == "OutOfStock").then(|| OutOfStock { left }.into())
    }

    fn extract_plain_error(&self, error: &Error, mut plain: WireError) -> WireError {
        if let Some(error) = stock(error) {
            plain.data = Some(moleculer_core::Object::from([("left", error.left)]).into());
            plain.retryable = Some(true);
        }
        plain
    }
}

fn stock(error: &Error) -> Option<&OutOfStock> {
    std::error::Error::source(error)?.downcast_ref()
}

async fn pair(network: &InProcessNetwork, regenerate: bool) -> (ServiceBroker, ServiceBroker) {
    async fn buy(Params(left): Params<i64>) -> Result<(), OutOfStock> {
        Err(OutOfStock { left })
    }
    let service = Service::builder("shop").action(Action::new("buy", buy));
    let (mut a, mut b) = (node(network, "buyer"), node(network, "shop").service(service));
    if regenerate {
        (a, b) = (a.error_regenerator(Shop), b.error_regenerator(Shop));
    }
    let (a, b) = (a.start().await.expect("starts"), b.start().await.expect("starts"));
    a.wait_for_services(["shop"], Duration::from_secs(5)).await.expect("found");
    (a, b)
}

#[tokio::test]
async fn own_classes_travel_with_a_regenerator() {
    let network = InProcessNetwork::default();
    let (buyer, shop) = pair(&network, true).await;
    let error = buyer.call::<()>("shop.buy", 3).await.unwrap_err();
    assert_eq!(stock(&error), Some(&OutOfStock { left: 3 }));
    assert!(error.retryable());
    assert_eq!(error.node_id(), Some(&"shop".into()));
    // A local caller gets the same.
    let error = shop.call::<()>("shop.buy", 4).await.unwrap_err();
    assert_eq!(stock(&error), Some(&OutOfStock { left: 4 }));
    eventually("nothing is left", || buyer.pending_requests() == 0).await;
    buyer.stop().await.unwrap();
    shop.stop().await.unwrap();
}

#[tokio::test]
async fn without_one_name_and_message_survive() {
    let network = InProcessNetwork::default();
    let (buyer, shop) = pair(&network, false).await;
    let error = buyer.call::<()>("shop.buy", 3).await.unwrap_err();
    assert_eq!((error.name(), error.message()), ("OutOfStock", "only 3 left"));
    assert_eq!((stock(&error), error.data()), (None, None::<&Value>));
    buyer.stop().await.unwrap();
    shop.stop().await.unwrap();
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Conflict,
    Unknown(ErrorKind),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.r#type() {
            Some("CONFLICT") => Self::Conflict,
            _ => Self::Unknown(error.kind().clone()),
        }
    }
}

/// Also when nobody is called, when the result does not fit, and with the
/// whole response.
#[tokio::test]
async fn a_call_fails_with_an_error_of_the_callers_own() {
    async fn five() -> Result<i64> {
        Ok(5)
    }
    let service =
        Service::builder("f").action(Action::new("fails", fails)).action(Action::new("five", five));
    let broker = local().service(service).start().await.unwrap();
    let refused = |action| broker.call::<String>(action, ()).typed_error::<Refusal>();
    assert_eq!(refused("f.fails").await, Err(Refusal::Conflict));
    assert_eq!(refused("f.fails").with_response().await.unwrap_err(), Refusal::Conflict);
    assert_eq!(refused("no.body").await, Err(Refusal::Unknown(ErrorKind::ServiceNotFound)));
    assert_eq!(refused("f.five").await, Err(Refusal::Unknown(ErrorKind::Moleculer)));
}

#[test]
fn a_main_that_fails_prints_words() {
    let cause = std::io::Error::other("connection refused");
    let error = Error::client(404, "NOT_FOUND", "no such post").with_data(5);
    let error = error.at_node(&"node-1".into()).with_source(cause);
    assert_eq!(
        format!("{error:?}"),
        "MoleculerClientError: no such post (NOT_FOUND) at node node-1\n  caused by: connection refused"
    );
    assert!(format!("{error:#?}").contains("data: 5"));
    // A cause that the message repeats is not told twice.
    let error = Error::internal("it failed: x").with_source(std::io::Error::other("x"));
    assert_eq!(format!("{error:?}"), "MoleculerError: it failed: x");
}
