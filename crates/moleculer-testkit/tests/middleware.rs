//! The built-in middlewares keep the rules of all middlewares.

use std::{process::ExitCode, time::Duration};

use moleculer_core::{BulkheadOptions, CircuitBreakerOptions, Middleware, RetryPolicy};
use moleculer_testkit::middleware::run;

/// Overrides nothing.
#[derive(Debug)]
struct Nothing;

impl Middleware for Nothing {}

/// Waits that cost no time.
fn retry() -> RetryPolicy {
    RetryPolicy::new().delay(Duration::from_millis(1))
}

fn main() -> ExitCode {
    run(&[
        ("none", |broker| broker),
        ("nothing", |broker| broker.middleware(Nothing)),
        ("retry", |broker| broker.retry(retry())),
        ("circuit breaker", |broker| broker.circuit_breaker(CircuitBreakerOptions::new())),
        ("bulkhead", |broker| broker.bulkhead(BulkheadOptions::new())),
        ("timeout", |broker| broker.request_timeout(Duration::from_secs(20))),
        ("tracking", |broker| broker.tracking(Some(Duration::from_millis(50)))),
        ("error handler", |broker| broker.error_handler(|error, _| Err(error))),
        ("all", |broker| {
            broker
                .middleware(Nothing)
                .retry(retry())
                .circuit_breaker(CircuitBreakerOptions::new())
                .bulkhead(BulkheadOptions::new())
                .request_timeout(Duration::from_secs(20))
                .tracking(Some(Duration::from_millis(50)))
                .error_handler(|error, _| Err(error))
        }),
    ])
}
