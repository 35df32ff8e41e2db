//! Calls and events that a handler makes.

use moleculer_protocol::Payload;
use serde::Serialize;

use super::{Context, EventKind};
use crate::broker::{Call, Emit, Own};

impl Context {
    /// Calls an action as a part of this call: see [`ServiceBroker::call`](crate::ServiceBroker::call).
    pub fn call<'a, R>(
        &'a self,
        action: &'a str,
        params: impl Serialize + Send + Sync + 'static,
    ) -> Call<'a, R> {
        Call::new(action, Payload::new(params)).within(self)
    }

    /// Emits an event as a part of this call: see [`ServiceBroker::emit`](crate::ServiceBroker::emit).
    pub fn emit<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::Emit).within(self)
    }

    /// Sends an event to every listener: see [`ServiceBroker::broadcast`](crate::ServiceBroker::broadcast).
    pub fn broadcast<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::Broadcast).within(self)
    }

    /// Sends an event to every listener of this node.
    pub fn broadcast_local<'a>(
        &'a self,
        event: &'a str,
        data: impl Serialize + Send + Sync + 'static,
    ) -> Emit<'a> {
        Emit::new(event, Payload::new(data), EventKind::BroadcastLocal).within(self)
    }

    /// Calls an action of the service whose handler runs, on this node, as a
    /// part of this call: see [`ServiceHandle::call`](crate::ServiceHandle::call).
    pub fn call_own<'a, R>(
        &'a self,
        action: &'a str,
        params: impl Serialize + Send + Sync + 'static,
    ) -> Call<'a, R> {
        Call::new(action, Payload::new(params)).within(self).own(Own::OfContext)
    }
}
