//! What limits the calls of one endpoint, whichever chain they take:
//! [`Limits`].

use std::sync::Arc;

use moleculer_protocol::NodeId;

use super::{
    breaker::{Circuit, CircuitBreakerOptions, State},
    bulkhead::{BulkheadOptions, Gate},
};
use crate::{ActionDef, BrokerOptions};

/// What the broker's options say for actions that say nothing.
pub(crate) struct DefaultLimits {
    /// False without the built-in middlewares.
    enabled: bool,
    breaker: CircuitBreakerOptions,
    bulkhead: BulkheadOptions,
}

/// An endpoint that is being made.
#[derive(Clone, Copy)]
pub(crate) struct LimitedSite<'a> {
    pub(crate) action: &'a ActionDef,
    pub(crate) node: &'a NodeId,
    /// Full name.
    pub(crate) service: &'a Arc<str>,
    pub(crate) local: bool,
}

/// The circuit and the bulkhead of an endpoint. They are here and not in the
/// layers, since an endpoint has two chains and its circuit outlives a new
/// definition.
#[derive(Clone, Default)]
pub(crate) struct Limits {
    pub(crate) circuit: Option<Arc<Circuit>>,
    pub(crate) bulkhead: Option<Arc<Gate>>,
}

impl DefaultLimits {
    pub(crate) fn new(options: &BrokerOptions) -> Self {
        Self {
            enabled: options.internal_middlewares,
            breaker: options.circuit_breaker.clone(),
            bulkhead: options.bulkhead,
        }
    }

    /// The limits of an endpoint; `before` are those of the one that it
    /// replaces. A bulkhead stands on the handler's node alone.
    pub(crate) fn of(&self, site: &LimitedSite<'_>, before: Option<&Limits>) -> Limits {
        if !self.enabled {
            return Limits::default();
        }
        let LimitedSite { action, node, service, local } = *site;
        let breaker = action.circuit_breaker.clone().unwrap_or_default();
        let policy = breaker.or(self.breaker.clone()).effective();
        let bulkhead = action.bulkhead.filter(|_| local).unwrap_or_default();
        Limits {
            circuit: policy.map(|policy| {
                let before = before.and_then(|limits| limits.circuit.as_ref());
                let state = before.map(|circuit| circuit.state.clone());
                let state = state.unwrap_or_else(|| State::new(&action.name, node, service));
                Arc::new(Circuit { policy, state })
            }),
            bulkhead: local.then(|| Gate::new(bulkhead.or(self.bulkhead))).flatten(),
        }
    }
}

impl Limits {
    /// Whether the circuit keeps the balancer from choosing the endpoint.
    pub(crate) fn is_open(&self) -> bool {
        self.circuit.as_ref().is_some_and(|circuit| circuit.state.is_open())
    }

    /// Whether it is the circuit of this state.
    pub(crate) fn has_circuit(&self, state: &Arc<State>) -> bool {
        self.circuit.as_ref().is_some_and(|circuit| Arc::ptr_eq(&circuit.state, state))
    }
}
