//! The options of the circuit breaker: [`CircuitBreakerOptions`].

use std::{sync::Arc, time::Duration};

use moleculer_protocol::{Object, Value};
use serde::Deserialize;

use crate::{
    Error, ErrorKind,
    config::{Millis, Seconds},
    middleware::published::{Read, by_what_is_published, ms, seconds, written},
};

/// Whether and when a failing action gets no more calls; for all actions
/// ([`BrokerBuilder::circuit_breaker`](crate::BrokerBuilder::circuit_breaker),
/// option `circuitBreaker`) or for one
/// ([`Action::circuit_breaker`](crate::Action::circuit_breaker)). What an
/// action leaves open is as for all.
///
/// Each node has a circuit for each action of each node that it calls, its own
/// ones included. When too many of its calls fail the circuit opens: the node
/// takes others that offer the action, or calls fail with
/// `ServiceNotAvailableError`. After a while one call is let through; when it
/// succeeds the circuit closes. The events `$circuit-breaker.opened`,
/// `$circuit-breaker.half-opened` and `$circuit-breaker.closed` tell of it.
/// The action's own options are published, so they count on other nodes too.
///
/// ```
/// use std::time::Duration;
/// use moleculer_core::CircuitBreakerOptions;
///
/// let options = CircuitBreakerOptions::new()
///     .threshold(0.3)
///     .min_request_count(50)
///     .half_open_time(Duration::from_secs(5));
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CircuitBreakerOptions {
    /// Whether circuits open. Default: false.
    pub enabled: Option<bool>,
    /// The share of failed calls at which a circuit opens. Default: 0.5.
    pub threshold: Option<f64>,
    /// How long calls are counted before counting begins anew, in s; 0 for
    /// ever. Default: 60.
    pub window_time: Option<Seconds>,
    /// Calls that are counted before a circuit may open. Default: 20.
    pub min_request_count: Option<u32>,
    /// How long a circuit stays open before a call is let through, in ms.
    /// Default: 10 000.
    pub half_open_time: Option<Millis>,
    #[serde(skip)]
    check: Option<Check>,
}

type Check = Arc<dyn Fn(&Error) -> bool + Send + Sync>;

impl CircuitBreakerOptions {
    /// Circuits open, with the defaults.
    pub fn new() -> Self {
        Self { enabled: Some(true), ..Self::default() }
    }

    /// Circuits do not open.
    pub fn off() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn threshold(mut self, share: f64) -> Self {
        self.threshold = Some(share);
        self
    }

    /// Sets [`window_time`](Self::window_time).
    #[must_use]
    pub fn window_time(mut self, time: Duration) -> Self {
        self.window_time = Some(Seconds(time));
        self
    }

    /// Sets [`min_request_count`](Self::min_request_count).
    #[must_use]
    pub fn min_request_count(mut self, calls: u32) -> Self {
        self.min_request_count = Some(calls);
        self
    }

    /// Sets [`half_open_time`](Self::half_open_time).
    #[must_use]
    pub fn half_open_time(mut self, time: Duration) -> Self {
        self.half_open_time = Some(Millis(time));
        self
    }

    /// Sets which errors count as failures. Default: those with a code of 500
    /// or more; the others do not count as calls at all. It is not published:
    /// other nodes use their own.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// The members as they are published.
    pub(crate) fn to_object(&self) -> Object {
        written([
            ("enabled", self.enabled.map(Value::from)),
            ("threshold", self.threshold.map(Value::from)),
            ("windowTime", self.window_time.map(seconds)),
            ("minRequestCount", self.min_request_count.map(Value::from)),
            ("halfOpenTime", self.half_open_time.map(ms)),
        ])
    }

    /// Reads another node's options; members that do not fit count as absent.
    pub(crate) fn from_object(object: &Object) -> Self {
        let read = Read(object);
        Self {
            enabled: read.flag("enabled"),
            threshold: read.number("threshold"),
            window_time: read.seconds("windowTime"),
            min_request_count: read.count("minRequestCount"),
            half_open_time: read.ms("halfOpenTime"),
            check: None,
        }
    }

    /// These, and what they leave open from `lower`.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            enabled: self.enabled.or(lower.enabled),
            threshold: self.threshold.or(lower.threshold),
            window_time: self.window_time.or(lower.window_time),
            min_request_count: self.min_request_count.or(lower.min_request_count),
            half_open_time: self.half_open_time.or(lower.half_open_time),
            check: self.check.or(lower.check),
        }
    }

    /// With the defaults for what is open; `None` when it is off.
    pub(crate) fn effective(self) -> Option<Policy> {
        self.enabled.unwrap_or(false).then(|| Policy {
            threshold: self.threshold.unwrap_or(0.5),
            window_time: self.window_time.map_or(Duration::from_secs(60), |time| *time),
            min_request_count: self.min_request_count.unwrap_or(20),
            half_open_time: self.half_open_time.map_or(Duration::from_secs(10), |time| *time),
            check: self.check,
        })
    }
}

by_what_is_published!(CircuitBreakerOptions);

/// Options with nothing left open.
pub(crate) struct Policy {
    threshold: f64,
    /// Zero for ever.
    pub(super) window_time: Duration,
    min_request_count: u32,
    pub(super) half_open_time: Duration,
    check: Option<Check>,
}

impl Policy {
    /// Whether an error counts as a failure.
    pub(super) fn counts(&self, error: &Error) -> bool {
        self.check.as_ref().map_or_else(|| error.code() >= 500, |check| check(error))
    }

    /// Whether a call that ran out of time counts as a failure.
    pub(super) fn counts_timeout(&self, action: &str) -> bool {
        self.counts(&Error::about_action(ErrorKind::RequestTimeout, action, None))
    }

    /// Whether so many failures are too many.
    pub(super) fn too_many(&self, failures: u32, calls: u32) -> bool {
        failures > 0
            && calls >= self.min_request_count
            && f64::from(failures) / f64::from(calls) >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_overlays_the_broker() {
        let broker = CircuitBreakerOptions::new().threshold(0.2).min_request_count(2);
        let action = CircuitBreakerOptions::default().threshold(0.5);
        let both = action.or(broker.clone().check(|_| true)).effective().expect("on");
        assert_eq!((both.threshold, both.min_request_count), (0.5, 2));
        assert_eq!(both.window_time, Duration::from_secs(60));
        assert!(both.counts(&Error::client(400, "X", "x")));
        assert!(CircuitBreakerOptions::off().or(broker).effective().is_none());
        assert!(CircuitBreakerOptions::default().effective().is_none());
    }

    #[test]
    fn a_share_of_enough_calls() {
        let policy = CircuitBreakerOptions::new().min_request_count(4).effective().expect("on");
        for (failures, calls, expected) in
            [(0, 0, false), (3, 3, false), (1, 4, false), (2, 4, true), (4, 9, false), (5, 9, true)]
        {
            assert_eq!(policy.too_many(failures, calls), expected, "{failures} of {calls}");
        }
        assert!(policy.counts(&Error::server(500, "X", "x")));
        assert!(!policy.counts(&Error::client(499, "X", "x")));
    }

    #[test]
    fn what_is_published_is_read_back() {
        let options = CircuitBreakerOptions::new()
            .threshold(0.25)
            .window_time(Duration::from_millis(1500))
            .min_request_count(3)
            .half_open_time(Duration::from_millis(200));
        assert_eq!(CircuitBreakerOptions::from_object(&options.to_object()), options);
        let published = serde_json::json!({
            "enabled": true, "threshold": 0.25, "windowTime": 1.5, "minRequestCount": 3,
            "halfOpenTime": 200.0,
        });
        assert_eq!(Value::from(options.to_object()), published.into());
        let wrong = Object::from([("threshold", Value::from("many")), ("windowTime", (-1).into())]);
        assert_eq!(CircuitBreakerOptions::from_object(&wrong), CircuitBreakerOptions::default());
    }
}
