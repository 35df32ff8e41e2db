//! A broker for the tests of services: other services' actions are mocked,
//! events are caught.
//!
//! ```
//! use moleculer_core::{Action, Context, Error, Params, Result, Service};
//! use moleculer_testkit::local::TestBroker;
//!
//! async fn publish(ctx: Context, Params(id): Params<u64>) -> Result<String> {
//!     let author: String = ctx.call("users.name", id).await?;
//!     ctx.emit("posts.published", author.clone()).await?;
//!     Ok(format!("by {author}"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let broker = TestBroker::builder()
//!     .service(Service::builder("posts").dependencies(["users"]).action(Action::new("publish", publish)))
//!     .mock("users.name", |id: u64| match id {
//!         0 => Err(Error::client(404, "NO_USER", "no such user")),
//!         _ => Ok("Ada"),
//!     })
//!     .start()
//!     .await?;
//!
//! let published: String = broker.call("posts.publish", 5).await?;
//! assert_eq!(published, "by Ada");
//! assert_eq!(broker.calls("users.name")[0].params, 5.into());
//! assert_eq!(broker.caught("posts.published").await?.data, "Ada".into());
//!
//! let error = broker.call::<String>("posts.publish", 0).await.unwrap_err();
//! assert_eq!(error.r#type(), Some("NO_USER"));
//! # broker.stop().await
//! # }
//! ```

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Error, Event, EventKind, FromContext, IntoBody,
    IntoService, Object, Params, Plugins, Result, Service, ServiceBroker, ServiceBuilder, Value,
    Via,
};
use serde::de::DeserializeOwned;
use tokio::{sync::Notify, time::timeout};

/// How long [`TestBroker::caught`] waits unless it is told otherwise.
const DEADLINE: Duration = Duration::from_secs(5);

/// A broker without transporter that remembers what the services under test
/// call and emit. It can do all that a [`ServiceBroker`] can.
///
/// Nothing in it waits for real time, so it suits tests with a paused clock.
#[derive(Debug)]
pub struct TestBroker {
    broker: ServiceBroker,
    records: Arc<Records>,
    deadline: Duration,
}

/// Makes a [`TestBroker`].
#[must_use]
#[derive(Debug)]
pub struct TestBrokerBuilder {
    builder: BrokerBuilder,
    /// By the name of the service that the mocked actions seem to belong to.
    mocks: BTreeMap<String, ServiceBuilder<()>>,
    catcher: ServiceBuilder<()>,
    records: Arc<Records>,
    deadline: Duration,
}

/// A call of a mocked action.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MockedCall {
    /// Full name of the action.
    pub action: String,
    /// The params, whatever type they had.
    pub params: Value,
    /// The metadata.
    pub meta: Object,
    /// The headers.
    pub headers: Object,
    /// Full name of the service that called; none for the test itself.
    pub caller: Option<String>,
}

/// An event that was caught.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CaughtEvent {
    /// Name, as it was sent.
    pub name: String,
    /// The data, whatever type it had.
    pub data: Value,
    /// The metadata.
    pub meta: Object,
    /// How it was sent. A broadcast shows as [`EventKind::BroadcastLocal`].
    pub kind: EventKind,
    /// Full name of the service that sent it; none for the test itself.
    pub caller: Option<String>,
}

#[derive(Debug, Default)]
struct Records {
    calls: Mutex<Vec<MockedCall>>,
    events: Mutex<Vec<CaughtEvent>>,
    caught: Notify,
}

impl TestBroker {
    /// Begins one.
    pub fn builder() -> TestBrokerBuilder {
        let records = Arc::<Records>::default();
        let mut options = BrokerOptions::default();
        options.registry.stop_delay = moleculer_core::Millis(Duration::ZERO);
        let builder = BrokerBuilder::new(Plugins::core()).node_id("test").options(options);
        let catcher = Service::builder("$testkit").event(catcher(&records));
        TestBrokerBuilder { builder, mocks: BTreeMap::new(), catcher, records, deadline: DEADLINE }
    }

    /// The calls of a mocked action so far, in order.
    pub fn calls(&self, action: &str) -> Vec<MockedCall> {
        let calls = lock(&self.records.calls);
        calls.iter().filter(|call| call.action == action).cloned().collect()
    }

    /// Waits for an event of this name, and takes it; of several, the first.
    ///
    /// # Errors
    ///
    /// When none has come by the deadline: the error names those that have.
    pub async fn caught(&self, event: &str) -> Result<CaughtEvent> {
        let waiting = async {
            loop {
                // Registered before the look, so that no event is missed.
                let more = self.records.caught.notified();
                if let Some(event) = self.records.take(event) {
                    return event;
                }
                more.await;
            }
        };
        timeout(self.deadline, waiting).await.map_err(|_| {
            let names: Vec<_> = lock(&self.records.events).iter().map(|e| e.name.clone()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::internal(format!(
                "no event '{event}' within {:?}; caught: {names}",
                self.deadline
            ))
        })
    }

    /// Takes all events that were caught and not taken yet, in order.
    pub fn take_events(&self) -> Vec<CaughtEvent> {
        std::mem::take(&mut *lock(&self.records.events))
    }
}

impl Deref for TestBroker {
    type Target = ServiceBroker;

    fn deref(&self) -> &ServiceBroker {
        &self.broker
    }
}

/// For typed clients: `Orders::client(&broker)`.
impl<'a> From<&'a TestBroker> for Via<'a> {
    fn from(broker: &'a TestBroker) -> Self {
        (&broker.broker).into()
    }
}

impl TestBrokerBuilder {
    /// Adds a service under test.
    pub fn service(mut self, service: impl IntoService) -> Self {
        self.builder = self.builder.service(service);
        self
    }

    /// Answers an action, by its full name, with a function from its params to
    /// its result. The service that it seems to belong to counts as present
    /// for those that depend on it.
    pub fn mock<P, R>(
        mut self,
        action: &str,
        answer: impl Fn(P) -> Result<R> + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + Send + Sync + 'static,
        R: IntoBody,
    {
        let (service, name) = action.rsplit_once('.').unwrap_or(("", action));
        let records = self.records.clone();
        let action = Action::from_fn(name, move |ctx, &()| {
            let answered = records.note(&ctx).and_then(|()| {
                let Params(params) = Params::<P>::from_context(&ctx, &())?;
                answer(params).map(IntoBody::into_body)
            });
            Box::pin(std::future::ready(answered))
        });
        let mocks = self.mocks.remove(service).unwrap_or_else(|| Service::builder(service));
        self.mocks.insert(service.to_owned(), mocks.action(action));
        self
    }

    /// Catches what is emitted to this group only, too. If a service under
    /// test listens in that group, the two take turns, as any two listeners.
    pub fn catch_group(mut self, group: &str) -> Self {
        self.catcher = self.catcher.event(catcher(&self.records).group(group));
        self
    }

    /// Sets how long [`TestBroker::caught`] waits. Default: 5 s.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets anything else of the broker: options, middlewares, handlers.
    pub fn configure(mut self, set: impl FnOnce(BrokerBuilder) -> BrokerBuilder) -> Self {
        self.builder = set(self.builder);
        self
    }

    /// Makes the broker and starts it.
    ///
    /// # Errors
    ///
    /// As [`BrokerBuilder::start`].
    pub async fn start(self) -> Result<TestBroker> {
        let builder = self.builder.service(self.catcher);
        let builder = self.mocks.into_values().fold(builder, BrokerBuilder::service);
        let broker = builder.start().await?;
        Ok(TestBroker { broker, records: self.records, deadline: self.deadline })
    }
}

/// A listener to all events but the broker's own.
fn catcher(records: &Arc<Records>) -> Event {
    let records = records.clone();
    Event::new("**", move |ctx: Context| {
        let caught = if ctx.event().starts_with('$') { Ok(()) } else { records.catch(&ctx) };
        std::future::ready(caught)
    })
}

impl Records {
    fn note(&self, ctx: &Context) -> Result<()> {
        let call = MockedCall {
            action: ctx.action().to_owned(),
            params: ctx.payload().to_value()?,
            meta: ctx.meta(),
            headers: ctx.headers(),
            caller: ctx.caller().map(|caller| caller.to_string()),
        };
        lock(&self.calls).push(call);
        Ok(())
    }

    fn take(&self, event: &str) -> Option<CaughtEvent> {
        let mut events = lock(&self.events);
        let at = events.iter().position(|caught| caught.name == event)?;
        Some(events.remove(at))
    }

    fn catch(&self, ctx: &Context) -> Result<()> {
        let event = CaughtEvent {
            name: ctx.event().to_owned(),
            data: ctx.payload().to_value()?,
            meta: ctx.meta(),
            kind: ctx.event_kind().unwrap_or(EventKind::Emit),
            caller: ctx.caller().map(|caller| caller.to_string()),
        };
        lock(&self.events).push(event);
        self.caught.notify_waiters();
        Ok(())
    }
}

impl fmt::Display for CaughtEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.data)
    }
}

/// A panic while one of these short locks is held leaves a whole value behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn register(ctx: Context, Params(name): Params<String>) -> Result<u64> {
        let id: u64 = ctx.call("v2.ids.next", json!({ "for": name })).await?;
        ctx.emit("users.registered", id).groups(["mail"]).await?;
        ctx.broadcast("users.changed", id).await?;
        Ok(id)
    }

    fn users() -> Service {
        Service::builder("users")
            .dependencies(["v2.ids"])
            .action(Action::new("register", register))
            .build()
    }

    fn kit() -> TestBrokerBuilder {
        TestBroker::builder().service(users()).mock("v2.ids.next", |_: Value| Ok(7_u64))
    }

    #[tokio::test(start_paused = true)]
    async fn calls_and_events_are_recorded() {
        let broker = kit().catch_group("mail").start().await.expect("starts");
        let call = broker.call::<u64>("users.register", "Ada").meta([("user", 1)]);
        assert_eq!(call.await.expect("answers"), 7);
        let calls = broker.calls("v2.ids.next");
        let expected = MockedCall {
            action: "v2.ids.next".to_owned(),
            params: json!({"for": "Ada"}).into(),
            meta: [("user", 1)].into(),
            headers: Object::new(),
            caller: Some("users".to_owned()),
        };
        assert_eq!(calls, [expected]);
        let changed = broker.caught("users.changed").await.expect("was sent");
        assert_eq!(
            (changed.kind, changed.caller.as_deref()),
            (EventKind::BroadcastLocal, Some("users"))
        );
        let registered = broker.caught("users.registered").await.expect("was sent");
        assert_eq!((registered.kind, &registered.data), (EventKind::Emit, &7.into()));
        // The broadcast reaches the catcher of the group as well.
        let left: Vec<_> = broker.take_events().into_iter().map(|event| event.name).collect();
        assert_eq!(left, ["users.changed"]);
        broker.stop().await.expect("stops");
        assert_eq!(broker.running_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_does_not_come_is_an_error_that_lists_what_came() {
        let broker = kit().deadline(Duration::from_secs(1)).start().await.expect("starts");
        let started = tokio::time::Instant::now();
        let error = broker.caught("users.left").await.expect_err("nobody sends it");
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        assert_eq!(error.message(), "no event 'users.left' within 1s; caught: none");
        broker.call::<u64>("users.register", "Ada").await.expect("answers");
        let error = broker.caught("users.left").await.expect_err("nobody sends it");
        assert_eq!(error.message(), "no event 'users.left' within 1s; caught: users.changed");
        broker.stop().await.expect("stops");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_event_is_awaited() {
        let broker = kit().start().await.expect("starts");
        let (caught, sent) = tokio::join!(broker.caught("late"), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            broker.emit("late", "x").await
        });
        sent.expect("sent");
        assert_eq!(caught.expect("was sent").data, "x".into());
        broker.stop().await.expect("stops");
    }

    #[tokio::test(start_paused = true)]
    async fn params_that_do_not_fit_a_mock_fail_the_call_and_are_recorded() {
        let broker = TestBroker::builder()
            .mock("ids.next", |n: u64| Ok(n + 1))
            .mock("ids.fail", |()| Err::<(), _>(Error::internal("no more ids")))
            .start()
            .await
            .expect("starts");
        assert_eq!(broker.call::<u64>("ids.next", 1).await.expect("answers"), 2);
        let error = broker.call::<u64>("ids.next", "one").await.expect_err("no number");
        assert_eq!(error.code(), 422);
        let seen: Vec<_> = broker.calls("ids.next").into_iter().map(|call| call.params).collect();
        assert_eq!(seen, [Value::from(1), "one".into()]);
        let error = broker.call::<()>("ids.fail", ()).await.expect_err("the mock fails");
        assert_eq!(error.message(), "no more ids");
        broker.stop().await.expect("stops");
    }
}
