//! Three services that need each other to start.

use std::sync::{Arc, Mutex, PoisonError};

use moleculer::prelude::*;

/// What happened on this node, in its order.
#[derive(Clone, Default)]
pub(crate) struct Steps(Arc<Mutex<Vec<&'static str>>>);

impl Steps {
    fn add(&self, step: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Needs nobody.
pub(crate) struct Tenant(pub(crate) Steps);

#[service(name = "tenant")]
impl Tenant {
    #[started]
    async fn started(&self) -> Result<()> {
        self.0.add("tenant started");
        Ok(())
    }

    #[action]
    async fn add(&self) -> Result<bool> {
        self.0.add("tenant.add called");
        Ok(true)
    }

    #[action]
    async fn steps(&self) -> Result<Vec<&'static str>> {
        Ok(self.0.all())
    }
}

/// Calls the tenant while it starts.
pub(crate) struct Device(pub(crate) Steps);

#[service(name = "device", dependencies("tenant"))]
impl Device {
    #[started]
    async fn started(&self, broker: ServiceBroker) -> Result<()> {
        self.0.add("device started");
        broker.call::<bool>("tenant.add", ()).await?;
        self.0.add("tenant.add answered");
        Ok(())
    }

    #[action]
    async fn steps(&self) -> Result<Vec<&'static str>> {
        Ok(self.0.all())
    }
}

/// Waits for the device, which waits for the tenant.
pub(crate) struct Location(pub(crate) Steps);

#[service(name = "location", dependencies("device"))]
impl Location {
    #[started]
    async fn started(&self) -> Result<()> {
        self.0.add("location started");
        Ok(())
    }
}
