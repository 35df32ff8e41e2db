//! What every middleware must do, as a test program: [`run`].

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, try_join};
use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Error, Event, InProcessNetwork, Millis, Params, Plugins,
    Result, Service, ServiceBroker, State, Value,
};

/// Adds the middleware under test to a broker.
pub type Add = fn(BrokerBuilder) -> BrokerBuilder;

/// Runs the conformance suite as a test program, for each middleware by its
/// name.
///
/// Each case is a rule that calls and events have to keep whatever stands
/// around their handlers: results, errors and params pass unchanged, dropping
/// a call ends its handler, a panic harms no other call, and nothing is left
/// after a stop. A middleware that changes results on purpose is added so that
/// it has nothing to change.
///
/// The program needs `harness = false` in `Cargo.toml`:
///
/// ```no_run
/// // tests/conformance.rs
/// use std::process::ExitCode;
///
/// use moleculer_core::RetryPolicy;
///
/// fn main() -> ExitCode {
///     moleculer_testkit::middleware::run(&[("retry", |broker| broker.retry(RetryPolicy::new()))])
/// }
/// ```
pub fn run(middlewares: &[(&str, Add)]) -> ExitCode {
    let trials = middlewares.iter().flat_map(|&(middleware, add)| {
        CASES.iter().map(move |&(rule, case)| {
            Trial::test(format!("{middleware}: {rule}"), move || run_case(case, add))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Longest time for one case.
const LIMIT: Duration = Duration::from_secs(30);

fn run_case(case: Case, add: Add) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, case(add)).await });
    match ended {
        Ok(outcome) => outcome.map_err(Failed::from),
        Err(_) => Err(Failed::from(format!("not over after {LIMIT:?}"))),
    }
}

/// Nothing, or which rule is broken and how.
type Outcome = Result<(), String>;

type Case = fn(Add) -> BoxFuture<'static, Outcome>;

const CASES: &[(&str, Case)] = &[
    ("a local result passes", |add| Box::pin(results(add, Place::Here))),
    ("a remote result passes", |add| Box::pin(results(add, Place::There))),
    ("a local error passes", |add| Box::pin(errors(add, Place::Here))),
    ("a remote error passes", |add| Box::pin(errors(add, Place::There))),
    ("dropping a call ends its handler", |add| Box::pin(cancellation(add))),
    ("a timeout ends the handler", |add| Box::pin(timeouts(add))),
    ("a panic harms no other call", |add| Box::pin(panics(add))),
    ("each event is handled once", |add| Box::pin(events(add))),
    ("a stop ends what runs", |add| Box::pin(stops(add))),
];

/// Where the handlers run.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Here,
    There,
}

/// What handlers do, as counts.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 2]>);

impl Counts {
    fn enter(&self) -> impl Drop + Send + use<> {
        struct Guard(Counts);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.0[0].fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    fn running(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    fn events(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
}

async fn echo(Params(value): Params<Value>) -> Result<Value> {
    Ok(value)
}

async fn fails(Params(data): Params<Value>) -> Result<Value> {
    Err(Error::client(418, "TEAPOT", "no coffee").with_data(data))
}

async fn panics_on_purpose() -> Result<Value> {
    panic!("on purpose")
}

async fn hangs(State(counts): State<Counts>) -> Result<Value> {
    let _running = counts.enter();
    std::future::pending().await
}

async fn counts_up(State(counts): State<Counts>) -> Result<()> {
    counts.0[1].fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Brokers with the middleware; the first one makes the calls.
async fn start(add: Add, place: Place, counts: &Counts) -> Result<Vec<ServiceBroker>, String> {
    // No other node has to be told in time of a stop.
    let mut options = BrokerOptions::default();
    options.registry.stop_delay = Millis(Duration::ZERO);
    let node = |id: &str| BrokerBuilder::new(Plugins::core()).options(options.clone()).node_id(id);
    let service = Service::builder("suite")
        .with_state(counts.clone())
        .action(Action::new("echo", echo))
        .action(Action::new("fails", fails))
        .action(Action::new("panics", panics_on_purpose))
        .action(Action::new("hangs", hangs))
        .event(Event::new("suite.event", counts_up));
    if place == Place::Here {
        return Ok(vec![told(add(node("host")).service(service).start().await)?]);
    }
    let network = InProcessNetwork::default();
    let node = |id| add(node(id).transporter(network.transporter()));
    let (caller, host) = (node("caller").start(), node("host").service(service).start());
    let (caller, host) = told(try_join(caller, host).await)?;
    told(caller.wait_for_services(["suite"], LIMIT).await)?;
    Ok(vec![caller, host])
}

fn told<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:?}"))
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

async fn stop(brokers: &[ServiceBroker]) -> Outcome {
    for broker in brokers {
        told(broker.stop().await)?;
        let tasks = broker.running_tasks();
        check(tasks == 0, || format!("{tasks} tasks are left after the stop"))?;
        let pending = broker.pending_requests();
        check(pending == 0, || format!("{pending} requests are left after the stop"))?;
    }
    Ok(())
}

async fn results(add: Add, place: Place) -> Outcome {
    let brokers = start(add, place, &Counts::default()).await?;
    let value = Value::from(vec![Value::from(1), "a".into(), Value::Null]);
    for limited in [false, true] {
        let call = brokers[0].call::<Value>("suite.echo", value.clone());
        let call = if limited { call.timeout(LIMIT) } else { call };
        let found = told(call.await)?;
        check(found == value, || format!("sent {value:?}, got {found:?}"))?;
    }
    stop(&brokers).await
}

async fn errors(add: Add, place: Place) -> Outcome {
    let brokers = start(add, place, &Counts::default()).await?;
    for limited in [false, true] {
        let call = brokers[0].call::<Value>("suite.fails", 7);
        let call = if limited { call.timeout(LIMIT) } else { call };
        let Err(error) = call.await else {
            return Err("an error became a result".to_owned());
        };
        let found = (error.code(), error.r#type(), error.message(), error.data());
        let expected = (418, Some("TEAPOT"), "no coffee", Some(&7.into()));
        check(found == expected, || format!("expected {expected:?}, got {error:?}"))?;
    }
    stop(&brokers).await
}

async fn cancellation(add: Add) -> Outcome {
    let counts = Counts::default();
    let brokers = start(add, Place::Here, &counts).await?;
    let call = brokers[0].call::<Value>("suite.hangs", ());
    let call = call.into_future();
    let ended = tokio::time::timeout(Duration::from_millis(20), call).await;
    check(ended.is_err(), || "a handler that hangs has answered".to_owned())?;
    // A middleware may end it in a task of its own.
    tokio::task::yield_now().await;
    let running = counts.running();
    check(running == 0, || format!("{running} handlers run on without a caller"))?;
    stop(&brokers).await
}

async fn timeouts(add: Add) -> Outcome {
    let counts = Counts::default();
    let brokers = start(add, Place::There, &counts).await?;
    let call = brokers[0].call::<Value>("suite.hangs", ()).retries(0);
    let Err(error) = call.timeout(Duration::from_millis(20)).await else {
        return Err("a handler that hangs has answered".to_owned());
    };
    check(error.name() == "RequestTimeoutError", || format!("no timeout but {error:?}"))?;
    while counts.running() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop(&brokers).await
}

async fn panics(add: Add) -> Outcome {
    let brokers = start(add, Place::Here, &Counts::default()).await?;
    let answer = brokers[0].call::<Value>("suite.panics", ()).await;
    check(answer.is_err(), || "a panic became a result".to_owned())?;
    let echo: i64 = told(brokers[0].call("suite.echo", 5).await)?;
    check(echo == 5, || format!("sent 5, got {echo}"))?;
    stop(&brokers).await
}

async fn events(add: Add) -> Outcome {
    let counts = Counts::default();
    let brokers = start(add, Place::Here, &counts).await?;
    told(brokers[0].emit("suite.event", 1).await)?;
    told(brokers[0].broadcast("suite.event", 2).await)?;
    let events = counts.events();
    check(events == 2, || format!("two events were handled {events} times"))?;
    stop(&brokers).await
}

async fn stops(add: Add) -> Outcome {
    let counts = Counts::default();
    let brokers = start(add, Place::There, &counts).await?;
    let call = brokers[0].call::<Value>("suite.hangs", ()).into_future();
    let call = tokio::spawn(call);
    while counts.running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop(&brokers).await?;
    let answer = call.await.map_err(|error| error.to_string())?;
    check(answer.is_err(), || "a handler that hangs has answered".to_owned())?;
    check(counts.running() == 0, || "a handler runs on after the stop".to_owned())
}
