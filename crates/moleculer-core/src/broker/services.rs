//! The services of a broker: adding, starting, stopping, waiting for them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use moleculer_protocol::{Object, Value};
use tokio::time::{Instant, timeout_at};

use super::{
    ServiceBroker,
    lifecycle::{Phase, interrupted},
    lock, stopped,
};
use crate::{
    Error, ErrorKind, IntoService, Result, Service, ServiceHandle, ServiceName,
    service::{Instance, Stage},
};

/// The services that a broker hosts.
#[derive(Default)]
pub(super) struct Services {
    all: Vec<Arc<Instance>>,
    /// Set when the broker starts them: later ones start on their own.
    starting: bool,
}

/// What [`ServiceBroker::wait_for_services`] found of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// Full name.
    pub name: String,
    /// Whether any node offers it.
    pub available: bool,
}

impl ServiceBroker {
    /// Adds a service; on a running broker, starts it as well.
    ///
    /// # Errors
    ///
    /// When there is one of this name, the declaration is wrong, its `created`
    /// or `started` handler fails, or the broker stops. The service is then
    /// taken out again, as it is when this future is dropped before the end.
    pub async fn create_service(&self, service: impl IntoService) -> Result<ServiceHandle> {
        let service = self.add_service(service.into_service())?;
        let instance = &service.instance().clone();
        if !lock(&self.0.services).starting {
            return Ok(service);
        }
        let mut undo = Undo(Some((self, instance)));
        let token = self.0.tasks.token();
        let started = token.run_until_cancelled(self.start_service(instance)).await;
        if let Err(error) = started.unwrap_or_else(|| Err(stopped())) {
            tracing::error!(service = service.full_name(), %error, "Unable to start service.");
            self.tell_error(&error, "failedServiceRestart").await;
            self.take_out(instance);
            self.stop_service(instance, "failedServiceRestart").await;
            undo.0 = None;
            return Err(error);
        }
        undo.0 = None;
        Ok(service)
    }

    /// Stops a service of this node and takes it out. It can no longer be
    /// called from the moment on at which it begins to stop.
    ///
    /// # Errors
    ///
    /// `ServiceNotFoundError` when this node has none of that name. An error
    /// of a `stopped` handler is logged and told in `$broker.error`.
    pub async fn destroy_service(&self, service: impl Into<ServiceName>) -> Result<()> {
        let name = service.into();
        let Some(service) = self.find(&name) else {
            return Err(Error::from_data(ErrorKind::ServiceNotFound, name.to_object()));
        };
        self.take_out(&service);
        self.stop_service(&service, "failedServiceDestruction").await;
        Ok(())
    }

    /// A service of this node, started or not.
    pub fn local_service(&self, service: impl Into<ServiceName>) -> Option<ServiceHandle> {
        self.find(&service.into()).map(|instance| ServiceHandle::new(self.clone(), instance))
    }

    /// Waits until services are known on any node: full names, or
    /// [`ServiceName`] values, of whose versions any suffices.
    ///
    /// # Errors
    ///
    /// `MoleculerServerError` with type `WAITFOR_SERVICES` after `timeout`,
    /// with what was found as data; zero waits for ever.
    pub async fn wait_for_services<N: Into<ServiceName>>(
        &self,
        names: impl IntoIterator<Item = N>,
        timeout: Duration,
    ) -> Result<Vec<ServiceStatus>> {
        let names = names.into_iter().map(|name| name.into().full_names());
        let names: Vec<Vec<String>> = names.collect();
        let end = Instant::now().checked_add(timeout).filter(|_| !timeout.is_zero());
        loop {
            // Registered before the look, so that no change is missed.
            let changed = self.0.services_changed.notified();
            let mut known = names.iter().map(|any| any.iter().any(|name| self.knows(name)));
            if known.all(|known| known) {
                return Ok(self.statuses(&names));
            }
            match end {
                None => changed.await,
                Some(end) => match timeout_at(end, changed).await {
                    Ok(()) => {}
                    Err(_) => return Err(waited_too_long(&self.statuses(&names))),
                },
            }
        }
    }

    fn knows(&self, full_name: &str) -> bool {
        self.0.registry.has_service(full_name)
    }

    fn statuses(&self, names: &[Vec<String>]) -> Vec<ServiceStatus> {
        let names = names.iter().flatten();
        let status =
            |name: &String| ServiceStatus { name: name.clone(), available: self.knows(name) };
        names.map(status).collect()
    }

    /// Takes a service in and runs its `created` handlers.
    pub(super) fn add_service(&self, service: Service) -> Result<ServiceHandle> {
        let middlewares = &self.0.middlewares;
        let service = service.complete(|service| middlewares.service_creating(self, service))?;
        if self.0.phase() >= Phase::Leaving {
            return Err(stopped());
        }
        let instance = Instance::new(service, self.node_id().clone(), &self.0.tasks);
        self.0.registry.check(&instance)?;
        self.0.carried.check(&instance)?;
        middlewares.check(&instance)?;
        let name = &instance.item.full_name;
        let same = |other: &Arc<Instance>| other.item.full_name == *name;
        let twice = || {
            Err(Error::schema(format!(
                "service '{name}' exists already; give one of them another name or version"
            )))
        };
        if lock(&self.0.services).all.iter().any(same) {
            return twice();
        }
        let handle = ServiceHandle::new(self.clone(), instance.clone());
        for created in &instance.service.created {
            created(&handle)?;
        }
        let mut services = lock(&self.0.services);
        // A `created` handler may have added one.
        if services.all.iter().any(same) {
            return twice();
        }
        services.all.push(instance);
        drop(services);
        middlewares.service_created(&handle);
        Ok(handle)
    }

    /// The services so far; later ones start on their own.
    pub(super) fn take_services_to_start(&self) -> Vec<Arc<Instance>> {
        let mut services = lock(&self.0.services);
        services.starting = true;
        services.all.clone()
    }

    /// Waits for the dependencies, runs `started`, makes the service callable.
    pub(super) async fn start_service(&self, instance: &Arc<Instance>) -> Result<()> {
        if !instance.advance(Stage::Created, Stage::Starting) {
            // Somebody else starts it, or it was destroyed.
            return Ok(());
        }
        let handle = ServiceHandle::new(self.clone(), instance.clone());
        self.0.middlewares.service_starting(&handle).await?;
        let service = &instance.service;
        if !service.dependencies.is_empty() {
            let own = service.duration("$dependencyTimeout")?;
            let timeout = own.unwrap_or(*self.0.options.dependency_timeout);
            self.wait_for_services(&service.dependencies, timeout).await?;
        }
        if !instance.advance(Stage::Starting, Stage::Begun) {
            return Err(interrupted());
        }
        for started in &service.started {
            started(handle.clone()).await?;
        }
        self.register(instance)?;
        self.0.middlewares.service_started(&handle).await
    }

    /// Makes it callable, unless it was stopped meanwhile.
    fn register(&self, instance: &Instance) -> Result<()> {
        let services = lock(&self.0.services);
        if !instance.advance(Stage::Begun, Stage::Started) {
            return Err(interrupted());
        }
        let change = self.0.registry.add_local(instance)?;
        drop(services);
        self.announce(vec![change]);
        Ok(())
    }

    pub(super) async fn stop_services(&self) {
        let services = lock(&self.0.services).all.clone();
        let stop = |service| self.stop_service(service, "failedServicesStop");
        join_all(services.iter().map(stop)).await;
    }

    /// Runs the `stopped` handlers, the last one first.
    async fn stop_service(&self, instance: &Arc<Instance>, if_it_fails: &str) {
        if !instance.end() {
            return;
        }
        let handle = ServiceHandle::new(self.clone(), instance.clone());
        self.0.middlewares.service_stopping(&handle).await;
        for stopped in instance.service.stopped.iter().rev() {
            if let Err(error) = stopped(handle.clone()).await {
                let service = handle.full_name();
                tracing::error!(service, %error, "the stopped handler failed");
                self.tell_error(&error, if_it_fails).await;
            }
        }
        self.0.middlewares.service_stopped(&handle).await;
    }

    /// Tells of an error that nobody gets as a result.
    async fn tell_error(&self, error: &Error, r#type: &str) {
        let error = Value::from_serialize(error).unwrap_or_default();
        let data = [("error", error), ("module", "broker".into()), ("type", r#type.into())];
        self.tell("$broker.error", Value::from(Object::from(data)).into()).await;
    }

    pub(super) fn remove_services(&self) {
        let services = lock(&self.0.services);
        for service in &services.all {
            self.0.registry.remove_local(&service.item.full_name);
        }
    }

    fn find(&self, name: &ServiceName) -> Option<Arc<Instance>> {
        let names = name.full_names();
        let named =
            |service: &&Arc<Instance>| names.iter().any(|name| **name == *service.item.full_name);
        lock(&self.0.services).all.iter().find(named).cloned()
    }

    /// Nobody finds the service any more.
    fn take_out(&self, instance: &Arc<Instance>) {
        let change = {
            let mut services = lock(&self.0.services);
            services.all.retain(|other| !Arc::ptr_eq(other, instance));
            self.0.registry.remove_local(&instance.item.full_name)
        };
        self.announce(change.into_iter().collect());
    }
}

/// Takes a service out whose start is given up.
struct Undo<'a>(Option<(&'a ServiceBroker, &'a Arc<Instance>)>);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some((broker, instance)) = self.0 else {
            return;
        };
        broker.take_out(instance);
        if tokio::runtime::Handle::try_current().is_ok() {
            let (owner, instance) = (broker.clone(), instance.clone());
            broker.0.tasks.spawn(async move {
                owner.stop_service(&instance, "failedServiceRestart").await;
            });
        }
    }
}

#[cold]
fn waited_too_long(statuses: &[ServiceStatus]) -> Error {
    let names: Vec<_> = statuses.iter().map(|status| status.name.as_str()).collect();
    let statuses = statuses.iter().map(|status| {
        Object::from([
            ("name", Value::from(status.name.as_str())),
            ("available", status.available.into()),
        ])
    });
    let data =
        [("services", Value::from(names)), ("statuses", statuses.collect::<Vec<_>>().into())];
    Error::server(500, "WAITFOR_SERVICES", "Services waiting is timed out.")
        .with_data(Object::from(data))
}
