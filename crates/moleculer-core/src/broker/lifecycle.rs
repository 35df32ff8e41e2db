//! Starting and stopping.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};

use super::{Inner, ServiceBroker, lock};
use crate::{Error, Object, Result, Service};

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

    /// A local change is told to other nodes once it has been quiet.
    pub(super) fn local_services_changed(&self) {
        if let Some(transit) = self.transit.get().filter(|_| self.phase() == Phase::Started) {
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
    /// that no retry mends (a port that is taken), or when a service's
    /// `started` handler fails; the broker is then stopped again.
    pub async fn start(&self) -> Result<()> {
        if !self.0.phase.advance(Phase::Created, Phase::Starting) {
            return Err(Error::internal("a broker can be started only once; make a new one"));
        }
        let started = tokio::select! {
            biased;
            () = self.0.stop_asked.cancelled() => Err(interrupted()),
            started = self.start_all() => started,
        };
        if let Err(error) = &started {
            tracing::error!(node_id = %self.node_id(), %error, "the broker does not start");
            self.shut_down().await;
        }
        started
    }

    async fn start_all(&self) -> Result<()> {
        tracing::info!(
            node_id = %self.node_id(),
            namespace = self.namespace(),
            transporter = self.transit().map(|transit| transit.transporter_name()),
            "starting"
        );
        if let Some(transit) = self.transit() {
            transit.connect().await?;
        }
        let services = lock(&self.0.services).clone();
        let starting = services.iter().map(|service| self.start_service(service));
        try_join_all(starting).await?;
        if !self.0.phase.advance(Phase::Starting, Phase::Started) {
            return Err(interrupted());
        }
        self.announce_event("$broker.started", Object::new());
        if let Some(transit) = self.transit() {
            transit.send_local_info().await;
        }
        tracing::info!(node_id = %self.node_id(), "started with {} services", services.len());
        Ok(())
    }

    /// Waits for the dependencies, runs `started`, makes the service callable.
    async fn start_service(&self, service: &Service) -> Result<()> {
        if !service.dependencies.is_empty() {
            let timeout = *self.0.options.dependency_timeout;
            self.wait_for_services(&service.dependencies, timeout).await?;
        }
        for started in &service.started {
            started(self.clone()).await?;
        }
        let change = self.0.registry.add_local(service, &self.0.tasks);
        self.announce(vec![change]);
        Ok(())
    }

    /// Adds a service to a running broker and starts it.
    ///
    /// # Errors
    ///
    /// When there is one of this name, the declaration is wrong, or its
    /// `started` handler fails.
    pub async fn create_service(&self, service: impl crate::IntoService) -> Result<()> {
        let service = service.into_service();
        service.check()?;
        let name = service.full_name();
        {
            let mut services = lock(&self.0.services);
            if services.iter().any(|other| other.full_name() == name) {
                return Err(Error::schema(format!("service '{name}' exists already")));
            }
            services.push(service.clone());
        }
        let result = self.start_service(&service).await;
        if result.is_err() {
            lock(&self.0.services).retain(|other| other.full_name() != name);
        }
        result
    }

    /// Stops a service of this node and takes it out.
    ///
    /// # Errors
    ///
    /// `ServiceNotFoundError` when this node has none of that full name.
    pub async fn destroy_service(&self, full_name: &str) -> Result<()> {
        let service = {
            let mut services = lock(&self.0.services);
            let at = services.iter().position(|service| service.full_name() == full_name);
            let at = at.ok_or_else(|| {
                Error::from_data(
                    crate::ErrorKind::ServiceNotFound,
                    Object::from([("service", full_name)]),
                )
            })?;
            services.remove(at)
        };
        if let Some(change) = self.0.registry.remove_local(full_name) {
            self.announce(vec![change]);
        }
        self.stop_service(&service).await;
        Ok(())
    }

    /// Takes all services back, stops them, and disconnects.
    ///
    /// Resolves when no task, timer or socket of this broker is left. Calling
    /// it again waits for the same end; a start that is under way fails.
    ///
    /// # Errors
    ///
    /// The error that stopped the broker, if one did.
    pub async fn stop(&self) -> Result<()> {
        if self.0.phase.advance(Phase::Started, Phase::Leaving) {
            self.leave().await;
            self.shut_down().await;
        } else if self.0.phase.advance(Phase::Created, Phase::Stopped) {
            self.0.tasks.cancel();
        } else {
            self.0.stop_asked.cancel();
        }
        loop {
            // Registered before the look, so that the end is not missed.
            let changed = self.0.services_changed.notified();
            if self.0.phase() == Phase::Stopped {
                break;
            }
            changed.await;
        }
        lock(&self.0.failure).clone().map_or(Ok(()), Err)
    }

    /// Other nodes stop calling before the services stop.
    async fn leave(&self) {
        tracing::info!(node_id = %self.node_id(), "stopping");
        self.0.registry.change_local(|local| local.stop());
        if let Some(transit) = self.transit() {
            transit.send_local_info().await;
        }
        tokio::time::sleep(*self.0.options.registry.stop_delay).await;
    }

    async fn shut_down(&self) {
        self.0.phase.set(Phase::Stopping);
        let services = lock(&self.0.services).clone();
        join_all(services.iter().map(|service| self.stop_service(service))).await;
        for service in &services {
            self.0.registry.remove_local(&service.full_name());
        }
        if let Some(transit) = self.transit() {
            transit.disconnect().await;
        }
        self.0.tasks.cancel();
        if tokio::time::timeout(TASKS_END, self.0.tasks.ended()).await.is_err() {
            let tasks = self.0.tasks.len();
            tracing::error!(tasks, "tasks still run after stop; a handler blocks its thread");
        }
        self.0.phase.set(Phase::Stopped);
        self.0.services_changed.notify_waiters();
        tracing::info!(node_id = %self.node_id(), "stopped");
    }

    async fn stop_service(&self, service: &Service) {
        for stopped in service.stopped.iter().rev() {
            if let Err(error) = stopped(self.clone()).await {
                tracing::error!(service = %service.full_name(), %error, "the stopped handler failed");
            }
        }
    }

    /// Runs until the process is told to end (SIGINT or SIGTERM), then stops.
    ///
    /// # Errors
    ///
    /// The error that stopped the broker, if one did.
    pub async fn run_until_signal(&self) -> Result<()> {
        tokio::select! {
            () = signal() => {}
            () = self.0.tasks.token().cancelled() => {}
        }
        self.stop().await
    }
}

fn interrupted() -> Error {
    Error::internal("the broker was stopped while it started")
}

async fn signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
