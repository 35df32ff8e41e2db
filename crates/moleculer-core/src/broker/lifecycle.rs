//! Starting and stopping.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use futures_util::future::{BoxFuture, try_join_all};
use moleculer_protocol::Payload;
use tokio::time::Instant;

use super::{Inner, ServiceBroker, lock};
use crate::{Error, Result, Value};

/// How long tasks that were cancelled may take to notice it.
const TASKS_END: Duration = Duration::from_secs(5);

/// Where in its life a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Created,
    Starting,
    Started,
    /// Services are taken back but still run.
    Leaving,
    /// Nothing new is taken.
    Stopping,
    Stopped,
}

const PHASES: [Phase; 6] = [
    Phase::Created,
    Phase::Starting,
    Phase::Started,
    Phase::Leaving,
    Phase::Stopping,
    Phase::Stopped,
];

#[derive(Default)]
pub(super) struct PhaseCell(AtomicU8);

impl PhaseCell {
    pub(super) fn get(&self) -> Phase {
        PHASES[usize::from(self.0.load(Ordering::Acquire))]
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// Moves from one phase to another; false when it is not in the first.
    fn advance(&self, from: Phase, to: Phase) -> bool {
        self.0.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Inner {
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A local change is told to other nodes once it has been quiet: also
    /// during the start, since services of other nodes may wait for those that
    /// are there, and others here for them.
    pub(super) fn local_services_changed(&self) {
        if let Some(transit) = self.transit.get().filter(|_| self.phase() <= Phase::Started) {
            transit.local_info_changed();
        }
    }
}

impl ServiceBroker {
    /// Connects the transporter, then starts all services.
    ///
    /// # Errors
    ///
    /// When it was started before, when the transporter fails for a reason
    /// that no retry mends (a port that is taken), or when a `started` handler
    /// fails; the broker is then stopped again, as it is when this future is
    /// dropped before the end.
    pub async fn start(&self) -> Result<()> {
        if !self.0.phase.advance(Phase::Created, Phase::Starting) {
            return Err(Error::internal("a broker can be started only once; make a new one"));
        }
        let dropped = StopOnDrop(Some(self));
        let started = tokio::select! {
            biased;
            () = self.0.stop_asked.cancelled() => Err(interrupted()),
            started = self.start_all() => started,
        };
        dropped.disarm();
        if let Err(error) = &started {
            tracing::error!(node_id = %self.node_id(), %error, "the broker does not start");
            self.begin_stop();
            self.ended().await;
        }
        // What stopped it says more than that it was stopped.
        lock(&self.0.failure).clone().map_or(started, Err)
    }

    async fn start_all(&self) -> Result<()> {
        let since = Instant::now();
        self.introduce();
        self.0.middlewares.starting(self).await?;
        if let Some(transit) = self.transit() {
            transit.connect().await?;
        }
        let services = self.take_services_to_start();
        let starting = services.iter().map(|service| self.start_service(service));
        try_join_all(starting).await.inspect_err(|error| {
            tracing::error!(%error, "Unable to start all services.");
        })?;
        if !self.0.phase.advance(Phase::Starting, Phase::Started) {
            return Err(interrupted());
        }
        self.announce_event("$broker.started", Value::Null);
        self.start_latency_monitor();
        if let Some(transit) = self.transit() {
            transit.send_local_info().await;
        }
        self.0.middlewares.started(self).await?;
        for started in &self.0.handlers.started {
            started(self.clone()).await?;
        }
        tracing::info!(
            node_id = %self.node_id(),
            services = services.len(),
            actions = services.iter().map(|service| service.actions.len()).sum::<usize>(),
            time = ?since.elapsed(),
            "started"
        );
        Ok(())
    }

    /// Says who this node is.
    fn introduce(&self) {
        let transit = self.transit();
        tracing::info!(
            node_id = %self.node_id(),
            namespace = self.namespace(),
            version = env!("CARGO_PKG_VERSION"),
            protocol = %self.0.options.protocol,
            transporter = transit.map_or("none", |transit| transit.transporter_name()),
            serializer = transit.map_or("none", |transit| transit.serializer_name()),
            "Moleculer for Rust starts"
        );
    }

    /// Takes all services back, stops them, and disconnects. Other nodes have
    /// heard of it before the services stop, unless one is silent for 1 s.
    ///
    /// Resolves when no task, timer or socket of this broker is left. Calling
    /// it again waits for the same end; a start that is under way fails.
    /// Once it was polled the broker stops, even if the future is dropped.
    ///
    /// # Errors
    ///
    /// The error that stopped the broker, if one did.
    pub async fn stop(&self) -> Result<()> {
        if self.0.phase.advance(Phase::Created, Phase::Stopped) {
            self.0.tasks.cancel();
        } else if self.0.phase() != Phase::Starting {
            self.begin_stop();
        }
        // A start that is under way ends with this, and stops the broker.
        self.0.stop_asked.cancel();
        self.ended().await;
        lock(&self.0.failure).clone().map_or(Ok(()), Err)
    }

    /// Stops the broker in a task of its own, which nobody can cancel.
    fn begin_stop(&self) {
        let leave = self.0.phase.advance(Phase::Started, Phase::Leaving);
        if leave || self.0.phase.advance(Phase::Starting, Phase::Stopping) {
            let broker = self.clone();
            tokio::spawn(async move {
                let end = End(&broker);
                if leave {
                    broker.leave().await;
                }
                broker.shut_down().await;
                drop(end);
            });
        }
    }

    async fn ended(&self) {
        loop {
            // Registered before the look, so that the end is not missed.
            let changed = self.0.services_changed.notified();
            if self.0.phase() == Phase::Stopped {
                return;
            }
            changed.await;
        }
    }

    /// Other nodes stop calling before the services stop.
    async fn leave(&self) {
        tracing::info!(node_id = %self.node_id(), "stopping");
        self.0.registry.change_local(|local| local.stop());
        if let Some(transit) = self.transit() {
            transit.send_local_info().await;
        }
        self.peers_have_heard().await;
        if let Some(transit) = self.transit() {
            transit.leave_shares().await;
        }
        tokio::time::sleep(*self.0.options.registry.stop_delay).await;
    }

    async fn shut_down(&self) {
        self.0.phase.set(Phase::Stopping);
        self.0.middlewares.stopping(self).await;
        self.stop_services().await;
        if let Some(transit) = self.transit() {
            transit.answered(*self.0.options.tracking.shutdown_timeout).await;
            transit.disconnect().await;
        }
        self.0.middlewares.stopped(self).await;
        for stopped in &self.0.handlers.stopped {
            if let Err(error) = stopped(self.clone()).await {
                tracing::error!(%error, "the broker's stopped handler failed");
            }
        }
        self.tell("$broker.stopped", Payload::null()).await;
        self.remove_services();
        self.0.tasks.cancel();
        if tokio::time::timeout(TASKS_END, self.0.tasks.ended()).await.is_err() {
            let tasks = self.0.tasks.len();
            tracing::error!(tasks, "tasks still run after stop; a handler blocks its thread");
        }
        tracing::info!(node_id = %self.node_id(), "stopped");
    }

    /// Sends a `$` event and waits for its handlers, so that a stop does not
    /// cut them off.
    pub(super) async fn tell(&self, event: &str, data: Payload) {
        let told = self.broadcast_local(event, data).into_future();
        if tokio::time::timeout(TASKS_END, told).await.is_err() {
            tracing::error!(event, "an event handler does not end; the broker goes on without it");
        }
    }
}

/// Handlers that the builder was given.
#[derive(Default)]
pub(super) struct Handlers {
    pub(super) started: Vec<BrokerHandler>,
    pub(super) stopped: Vec<BrokerHandler>,
}

pub(super) type BrokerHandler =
    Box<dyn Fn(ServiceBroker) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Stops a broker whose start is given up.
struct StopOnDrop<'a>(Option<&'a ServiceBroker>);

impl StopOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(broker) = self.0
            && tokio::runtime::Handle::try_current().is_ok()
        {
            broker.begin_stop();
        }
    }
}

/// Tells those who wait that the broker has stopped, even after a panic.
struct End<'a>(&'a ServiceBroker);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let broker = &self.0.0;
        broker.tasks.cancel();
        broker.phase.set(Phase::Stopped);
        broker.services_changed.notify_waiters();
    }
}

pub(super) fn interrupted() -> Error {
    Error::internal("the broker was stopped while it started")
}
