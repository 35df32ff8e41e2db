//! The built-in middlewares and their order.

use std::sync::Arc;

use super::{
    Middleware,
    breaker::CircuitBreaker,
    bulkhead::Bulkhead,
    cacher::Cacher,
    error_handler::{ErrorHandler, HandleErrors},
    fallback::FallBack,
    hook::ActionHook,
    rate::{Debounce, Throttle},
    retry::Retry,
    timeout::Timeout,
    tracker::ContextTracker,
};
use crate::{BrokerOptions, broker::Tasks, cacher::DynCacher, validator::Validate};

/// The built-in middlewares in the order of registration, so the first is the
/// innermost. It is the order of the reference: ActionHook, Validator,
/// Bulkhead, Cacher, ContextTracker, CircuitBreaker, Timeout, Retry, Fallback,
/// ErrorHandler, Tracing, Metrics, Debounce, Throttle.
pub(crate) fn builtin(
    options: &BrokerOptions,
    tasks: &Tasks,
    cacher: Option<&Arc<dyn DynCacher>>,
    error_handler: Option<ErrorHandler>,
    validator: Option<Validate>,
) -> Vec<Arc<dyn Middleware>> {
    if !options.internal_middlewares {
        return Vec::new();
    }
    let mut all: Vec<Arc<dyn Middleware>> = vec![Arc::new(ActionHook)];
    if let Some(validator) = validator {
        all.push(Arc::new(validator));
    }
    all.push(Arc::new(Bulkhead { default: options.bulkhead, tasks: tasks.clone() }));
    if let Some(cacher) = cacher {
        all.push(Arc::new(Cacher::new(cacher.clone(), options.protocol, tasks)));
    }
    let outer: [Arc<dyn Middleware>; _] = [
        Arc::new(ContextTracker::new(options.tracking.clone())),
        Arc::new(CircuitBreaker { default: options.circuit_breaker.clone() }),
        Arc::new(Timeout { default: *options.request_timeout }),
        Arc::new(Retry::new(options.retry_policy.clone())),
        Arc::new(FallBack),
        Arc::new(HandleErrors(error_handler)),
        Arc::new(Debounce { tasks: tasks.clone() }),
        Arc::new(Throttle),
    ];
    all.extend(outer);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_reference() {
        let all = builtin(&BrokerOptions::default(), &Tasks::default(), None, None, None);
        let names: Vec<&str> = all.iter().map(|middleware| middleware.name()).collect();
        assert_eq!(
            names,
            [
                "ActionHook",
                "Bulkhead",
                "ContextTracker",
                "CircuitBreaker",
                "Timeout",
                "Retry",
                "Fallback",
                "ErrorHandler",
                "Debounce",
                "Throttle"
            ]
        );
    }
}
