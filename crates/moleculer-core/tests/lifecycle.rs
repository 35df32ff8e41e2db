//! Starting and stopping a broker and its services.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerOptions, Context, Error, ErrorKind, Event, Result, Service, ServiceBroker,
    ServiceHandle, ServiceName, State, Value,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::support::{eventually, local};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, entry: impl Into<String>) {
        self.0.lock().expect("no panic").push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    /// A service that notes its steps.
    fn service(&self, name: &'static str) -> moleculer_core::ServiceBuilder<Self> {
        let note = |step: &'static str| {
            move |service: ServiceHandle, log: Self| {
                log.push(format!("{} {step}", service.name()));
                std::future::ready(Ok::<_, Error>(()))
            }
        };
        Service::builder(name)
            .with_state(self.clone())
            .created(|service, log: &Self| {
                log.push(format!("{} created", service.name()));
                Ok::<_, Error>(())
            })
            .started(note("started"))
            .stopped(note("stopped"))
    }

    /// A service that notes the events of the broker.
    fn witness(&self) -> Service {
        async fn seen(ctx: Context, State(log): State<Log>) -> Result<()> {
            let data: serde_json::Value = ctx.params()?;
            let text = match data["type"].as_str() {
                Some(kind) => {
                    format!(" {kind} {}", data["error"]["message"].as_str().unwrap_or("?"))
                }
                None if data.is_null() || data == json!({}) => String::new(),
                None => format!(" {data}"),
            };
            log.push(format!("{}{text}", ctx.event()));
            Ok(())
        }
        Service::builder("witness")
            .with_state(self.clone())
            .event(Event::new("$broker.*", seen))
            .event(Event::new("$services.changed", seen))
            .build()
    }
}

fn assert_nothing_left(broker: &ServiceBroker) {
    assert_eq!((broker.running_tasks(), broker.pending_requests()), (0, 0));
}

/// Stops, and fails rather than waits for ever.
async fn stop(broker: &ServiceBroker) {
    let stopped = timeout(Duration::from_secs(60), broker.stop()).await;
    stopped.expect("ends").expect("stops");
}

fn failing(name: &'static str) -> moleculer_core::ServiceBuilder<()> {
    Service::builder(name).started(|_, ()| async { Err(Error::internal("no database")) })
}

#[tokio::test(start_paused = true)]
async fn everything_starts_and_stops_in_order() {
    let log = Log::default();
    let broker_note = |entry: &'static str| {
        let log = log.clone();
        move |_: ServiceBroker| {
            log.push(entry);
            std::future::ready(Ok::<_, Error>(()))
        }
    };
    let created = log.clone();
    let broker = local()
        .service(log.witness())
        .service(log.service("b").dependencies(["a"]).mixin(log.service("mixin")))
        .service(log.service("a"))
        .created(move |broker| {
            assert!(broker.local_service("a").is_some());
            created.push("broker created");
            Ok::<_, Error>(())
        })
        .started(broker_note("broker started"))
        .stopped(broker_note("broker stopped"))
        .build()
        .expect("builds");
    assert_eq!(log.take(), ["b created", "b created", "a created", "broker created"]);
    broker.start().await.expect("starts");
    eventually("the events came", || broker.running_tasks() == 0).await;
    let seen = log.take();
    let steps: Vec<_> = seen.iter().filter(|entry| !entry.starts_with('$')).collect();
    assert_eq!(steps, ["a started", "b started", "b started", "broker started"]);
    assert!(seen.contains(&"$broker.started".to_owned()));
    assert_eq!(
        seen.iter().filter(|entry| *entry == r#"$services.changed {"localService":true}"#).count(),
        3,
        "once for each service after the one that listens"
    );
    stop(&broker).await;
    assert_eq!(
        log.take(),
        ["b stopped", "b stopped", "a stopped", "broker stopped", "$broker.stopped"]
    );
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn services_start_side_by_side() {
    let slow = |name: &'static str| {
        Service::builder(name).started(|_, ()| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Error>(())
        })
    };
    let started = tokio::time::Instant::now();
    let broker = local().service(slow("a")).service(slow("b")).start().await.expect("starts");
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    stop(&broker).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_stops_what_had_begun() {
    let log = Log::default();
    let broker = local()
        .service(log.service("good"))
        .service(log.service("waits").dependencies(["nowhere"]))
        .service(failing("bad").dependencies(["good"]))
        .build()
        .expect("builds");
    let error = broker.start().await.expect_err("`bad` fails");
    assert_eq!(error.message(), "no database");
    assert_eq!(log.take(), ["good created", "waits created", "good started", "good stopped"]);
    assert_nothing_left(&broker);
    assert_eq!(
        broker.start().await.expect_err("only once").message(),
        "a broker can be started only once; make a new one"
    );
    stop(&broker).await;
}

#[tokio::test]
async fn a_started_handler_that_panics_is_an_error() {
    async fn panics() -> Result<()> {
        tokio::task::yield_now().await;
        panic!("while it starts")
    }
    fn panics_at_once() -> std::future::Ready<Result<()>> {
        panic!("before it starts")
    }
    let later = Service::builder("x").started(|_, ()| panics());
    let at_once = Service::builder("x").started(|_, ()| panics_at_once());
    for (service, message) in [(later, "while it starts"), (at_once, "before it starts")] {
        let broker = local().service(service).build().expect("builds");
        let error = broker.start().await.expect_err("panics");
        assert_eq!((error.message(), error.r#type()), (message, Some("PANIC")));
        assert_nothing_left(&broker);
    }
    let broker = local().started(|_| panics()).build().expect("builds");
    assert_eq!(broker.start().await.expect_err("panics").message(), "while it starts");
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_given_up_ends_the_broker() {
    let log = Log::default();
    let broker = local()
        .service(log.service("good"))
        .service(Service::builder("waits").dependencies(["nowhere"]))
        .build()
        .expect("builds");
    assert!(timeout(Duration::from_secs(5), broker.start()).await.is_err());
    stop(&broker).await;
    assert_eq!(log.take(), ["good created", "good started", "good stopped"]);
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_given_up_goes_on() {
    let log = Log::default();
    let broker = local().service(log.service("a")).start().await.expect("starts");
    let mut stopping = Box::pin(broker.stop());
    assert!(futures_util::poll!(&mut stopping).is_pending());
    drop(stopping);
    eventually("it stops", || log.take().contains(&"a stopped".to_owned())).await;
    stop(&broker).await;
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_start_that_has_not_ended() {
    for hangs_in_service in [true, false] {
        let hang = || std::future::pending::<Result<()>>();
        let builder = if hangs_in_service {
            local().service(Service::builder("x").started(move |_, ()| hang()))
        } else {
            local().started(move |_| hang())
        };
        let broker = builder.build().expect("builds");
        let mut starting = Box::pin(broker.start());
        assert!(futures_util::poll!(&mut starting).is_pending());
        let (started, stopped) = tokio::join!(starting, broker.stop());
        assert!(started.expect_err("stopped").message().contains("stopped while it started"));
        stopped.expect("stops");
        assert_nothing_left(&broker);
    }
}

#[tokio::test(start_paused = true)]
async fn services_come_and_go_at_run_time() {
    let log = Log::default();
    let broker = local().service(log.witness()).start().await.expect("starts");
    let service = || log.service("late").version(2).action(Action::new("ping", ping));
    async fn ping() -> Result<&'static str> {
        Ok("pong")
    }
    eventually("quiet", || broker.running_tasks() == 0).await;
    log.take();
    let late = broker.create_service(service()).await.expect("starts");
    eventually("told", || broker.running_tasks() == 0).await;
    let changed = r#"$services.changed {"localService":true}"#;
    assert_eq!(log.take(), ["late created", "late started", changed]);
    assert_eq!(broker.call::<String>("v2.late.ping", ()).await.expect("answers"), "pong");
    let error = broker.create_service(service()).await.expect_err("exists");
    assert!(error.message().contains("service 'v2.late' exists already"), "{error}");

    assert!(broker.local_service("late").is_none());
    assert!(broker.local_service("v2.late").is_some());
    assert!(broker.local_service(ServiceName::new("late").version(2)).is_some());
    broker.destroy_service(&late).await.expect("is here");
    eventually("told", || broker.running_tasks() == 0).await;
    let seen = log.take();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.contains(&"late stopped".to_owned()) && seen.contains(&changed.to_owned()));
    let error = broker.call::<String>("v2.late.ping", ()).await.expect_err("gone");
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    let name = || ServiceName::new("late").version(2);
    let error = broker.destroy_service(name()).await.expect_err("gone");
    assert_eq!(error.kind(), &ErrorKind::ServiceNotFound);
    assert_eq!(error.data(), Some(&json!({"service": "late", "version": 2}).into()));
    broker.create_service(service()).await.expect("the name is free");
    broker.destroy_service(name()).await.expect("is here");
    stop(&broker).await;
    assert_nothing_left(&broker);
    assert!(broker.create_service(service()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_service_created_before_the_start_starts_with_the_others() {
    let log = Log::default();
    let broker = local().build().expect("builds");
    broker.create_service(log.service("early")).await.expect("is taken");
    assert_eq!(log.take(), ["early created"]);
    broker.start().await.expect("starts");
    assert_eq!(log.take(), ["early started"]);
    stop(&broker).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_may_create_another_while_it_starts() {
    let log = Log::default();
    let inner = log.clone();
    let parent = Service::builder("parent").started(move |parent, ()| {
        let child = inner.service("child");
        async move { parent.broker().create_service(child).await.map(drop) }
    });
    let broker = local()
        .service(parent)
        .service(Service::builder("waits").dependencies(["child"]))
        .start()
        .await
        .expect("starts");
    stop(&broker).await;
    assert_eq!(log.take(), ["child created", "child started", "child stopped"]);
}

#[tokio::test(start_paused = true)]
async fn errors_that_nobody_gets_are_told() {
    let log = Log::default();
    let broken = |name: &'static str| {
        Service::builder(name).stopped(|_, ()| async { Err(Error::internal("stuck")) })
    };
    let broker = local().service(log.witness()).service(broken("a")).start().await.expect("starts");
    let error = broker.create_service(failing("late")).await.expect_err("fails");
    assert_eq!(error.message(), "no database");
    assert!(broker.local_service("late").is_none());
    broker.create_service(broken("b")).await.expect("starts");
    broker.destroy_service("b").await.expect("its error is told");
    stop(&broker).await;
    let told: Vec<_> =
        log.take().into_iter().filter(|entry| entry.starts_with("$broker.error")).collect();
    assert_eq!(
        told,
        [
            "$broker.error failedServiceRestart no database",
            "$broker.error failedServiceDestruction stuck",
            "$broker.error failedServicesStop stuck",
        ]
    );
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_given_up_leaves_nothing() {
    let log = Log::default();
    let broker = local().start().await.expect("starts");
    let hangs = log.service("x").started(|_, _| std::future::pending::<Result<()>>());
    let creation = broker.create_service(hangs);
    assert!(timeout(Duration::from_secs(1), creation).await.is_err());
    eventually("it is stopped", || broker.running_tasks() == 0).await;
    assert_eq!(log.take(), ["x created", "x started", "x stopped"]);
    assert!(broker.local_service("x").is_none());

    let waits = Service::builder("y").dependencies(["nowhere"]);
    let (created, stopped) = tokio::join!(broker.create_service(waits), async {
        sleep(Duration::from_secs(1)).await;
        broker.stop().await
    });
    stopped.expect("stops");
    assert_eq!(created.expect_err("stopped").kind(), &ErrorKind::ServiceNotAvailable);
    assert_nothing_left(&broker);
}

#[tokio::test(start_paused = true)]
async fn services_can_use_the_broker_while_it_stops() {
    let log = Log::default();
    let seen = log.clone();
    let caller = Service::builder("caller").stopped(|service: ServiceHandle, ()| async move {
        let answer: String = service.broker().call("other.ping", ()).await?;
        service.broker().emit("bye", answer).await
    });
    let other = Service::builder("other")
        .action(Action::new("ping", async || Ok::<_, Error>("pong")))
        .event(Event::new("bye", move |ctx: Context| {
            seen.push(format!("bye {}", ctx.params::<String>().unwrap_or_default()));
            std::future::ready(Ok::<_, Error>(()))
        }));
    let broker = local().service(caller).service(other).start().await.expect("starts");
    stop(&broker).await;
    assert_eq!(log.take(), ["bye pong"]);
    assert_nothing_left(&broker);
    let error = broker.call::<Value>("other.ping", ()).await.expect_err("stopped");
    assert_eq!(error.kind(), &ErrorKind::ServiceNotAvailable);
    assert!(broker.emit("bye", "x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_calls_of_others() {
    let service =
        Service::builder("s").action(Action::new("hang", std::future::pending::<Result<()>>));
    let options = BrokerOptions::from_value(json!({"registry": {"stopDelay": 0}}));
    let broker = local().options(options.expect("good")).service(service).start().await;
    let broker = broker.expect("starts");
    let mut call = Box::pin(broker.call::<()>("s.hang", ()).into_future());
    assert!(futures_util::poll!(&mut call).is_pending());
    stop(&broker).await;
    assert_nothing_left(&broker);
    assert!(futures_util::poll!(&mut call).is_pending(), "it is its caller's to drop");
}

/// Each future is dropped at each point at which it waits; what was begun is
/// ended, and once.
#[tokio::test(start_paused = true)]
async fn futures_may_be_dropped_at_any_point() {
    async fn poll_and_drop(future: impl Future, polls: usize) {
        let mut future = Box::pin(future);
        for _ in 0..polls {
            if futures_util::poll!(&mut future).is_ready() {
                return;
            }
            // Time passes, so that the next poll finds something new.
            sleep(Duration::from_millis(30)).await;
        }
    }
    fn slow(name: &'static str, log: &Log) -> moleculer_core::ServiceBuilder<Log> {
        let note = |step: &'static str| {
            move |service: ServiceHandle, log: Log| async move {
                log.push(format!("{step} {}", service.name()));
                tokio::task::yield_now().await;
                sleep(Duration::from_millis(20)).await;
                Ok::<_, Error>(())
            }
        };
        Service::builder(name)
            .with_state(log.clone())
            .started(note("+"))
            .stopped(note("-"))
            .action(Action::new("hang", std::future::pending::<Result<()>>))
    }
    let mut started = 0;
    for (starting, creating, stopping) in (0..6).flat_map(|n| [(n, 0, 0), (9, n, 0), (9, 9, n)]) {
        let log = Log::default();
        let b = slow("b", &log).dependencies(["a"]);
        let broker = local().service(slow("a", &log)).service(b).build().expect("builds");
        poll_and_drop(broker.start(), starting).await;
        poll_and_drop(broker.create_service(slow("c", &log)), creating).await;
        poll_and_drop(broker.stop(), stopping).await;
        stop(&broker).await;
        assert_nothing_left(&broker);
        let seen = log.take();
        for name in ["a", "b", "c"] {
            let count =
                |sign: &str| seen.iter().filter(|e| **e == format!("{sign} {name}")).count();
            assert_eq!(count("+"), count("-"), "{starting} {creating} {stopping}: {seen:?}");
            assert!(count("+") <= 1);
            started += count("+");
        }
    }
    assert!(started > 20, "{started}");
}
