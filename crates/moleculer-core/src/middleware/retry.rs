//! The built-in retry, and its options: [`RetryPolicy`].

use std::{sync::Arc, time::Duration};

use moleculer_protocol::{Object, Payload, Value};
use serde::Deserialize;

use super::{
    ActionSite, Middleware,
    budget::Budget,
    published::{Read, by_what_is_published, ms, written},
};
use crate::{ActionFn, Body, Context, Error, Result, broker::Phase, config::Millis};

/// Whether and how failed calls are made again; for all actions
/// ([`BrokerBuilder::retry`](crate::BrokerBuilder::retry), option
/// `retryPolicy`) or for one ([`Action::retry`](crate::Action::retry)). What
/// an action leaves open is as for all.
///
/// Retries are made where the call was made: the action's own options are
/// published, so they count on other nodes too. A call that is made while a
/// caller above it retries is not retried itself, and what was retried below
/// is not retried above, so that layers of services do not multiply retries.
///
/// ```
/// use std::time::Duration;
/// use moleculer_core::RetryPolicy;
///
/// let policy = RetryPolicy::new().retries(3).delay(Duration::from_millis(20));
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Whether calls are retried. Default: false.
    pub enabled: Option<bool>,
    /// How often a call is made again at most. Default: 5.
    pub retries: Option<u32>,
    /// Wait before the first retry, in ms. Default: 100.
    pub delay: Option<Millis>,
    /// Longest wait, in ms. Default: 1000.
    pub max_delay: Option<Millis>,
    /// By how much each wait is longer than the one before. Default: 2.
    pub factor: Option<f64>,
    /// How many retries a node makes for each call of an action, over ten
    /// seconds and at most; besides, each node may make ten retries a second.
    /// Default: 0.1.
    pub budget: Option<f64>,
    #[serde(skip)]
    check: Option<Check>,
}

type Check = Arc<dyn Fn(&Error) -> bool + Send + Sync>;

impl RetryPolicy {
    /// Calls are retried, with the defaults.
    pub fn new() -> Self {
        Self { enabled: Some(true), ..Self::default() }
    }

    /// Calls are not retried.
    pub fn off() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Sets [`retries`](Self::retries).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets [`delay`](Self::delay).
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(Millis(delay));
        self
    }

    /// Sets [`max_delay`](Self::max_delay).
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = Some(Millis(delay));
        self
    }

    /// Sets [`factor`](Self::factor).
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = Some(factor);
        self
    }

    /// Sets [`budget`](Self::budget).
    #[must_use]
    pub fn budget(mut self, share: f64) -> Self {
        self.budget = Some(share);
        self
    }

    /// Sets which errors are retried. Default: the retryable ones. It is not
    /// published: other nodes use their own.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// The members as they are published.
    pub(crate) fn to_object(&self) -> Object {
        written([
            ("enabled", self.enabled.map(Value::from)),
            ("retries", self.retries.map(Value::from)),
            ("delay", self.delay.map(ms)),
            ("maxDelay", self.max_delay.map(ms)),
            ("factor", self.factor.map(Value::from)),
            ("budget", self.budget.map(Value::from)),
        ])
    }

    /// Reads another node's policy; members that do not fit count as absent.
    pub(crate) fn from_object(object: &Object) -> Self {
        let read = Read(object);
        Self {
            enabled: read.flag("enabled"),
            retries: read.count("retries"),
            delay: read.ms("delay"),
            max_delay: read.ms("maxDelay"),
            factor: read.number("factor"),
            budget: read.number("budget"),
            check: None,
        }
    }

    /// This one, and what it leaves open from `lower`.
    pub(crate) fn or(self, lower: Self) -> Self {
        Self {
            enabled: self.enabled.or(lower.enabled),
            retries: self.retries.or(lower.retries),
            delay: self.delay.or(lower.delay),
            max_delay: self.max_delay.or(lower.max_delay),
            factor: self.factor.or(lower.factor),
            budget: self.budget.or(lower.budget),
            check: self.check.or(lower.check),
        }
    }

    /// With the defaults for what is open; `None` when it is off.
    fn effective(self) -> Option<Policy> {
        self.enabled.unwrap_or(false).then(|| Policy {
            retries: self.retries.unwrap_or(5),
            delay: self.delay.map_or(Duration::from_millis(100), |time| *time),
            max_delay: self.max_delay.map_or(Duration::from_secs(1), |time| *time),
            factor: self.factor.unwrap_or(2.0),
            budget: self.budget.unwrap_or(0.1),
            check: self.check,
        })
    }
}

by_what_is_published!(RetryPolicy);

/// A policy with nothing left open.
struct Policy {
    retries: u32,
    delay: Duration,
    max_delay: Duration,
    factor: f64,
    budget: f64,
    check: Option<Check>,
}

impl Policy {
    fn applies(&self, error: &Error) -> bool {
        self.check.as_ref().map_or_else(|| error.retryable(), |check| check(error))
    }

    /// The wait before an attempt; the first retry is 1.
    fn wait(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt - 1).unwrap_or(i32::MAX);
        let wait = self.delay.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(wait).map_or(self.max_delay, |wait| wait.min(self.max_delay))
    }
}

/// Makes failed calls again.
#[derive(Debug)]
pub(super) struct Retry {
    policy: RetryPolicy,
    /// So that actions with little traffic can be retried at all.
    reserve: Arc<Budget>,
}

/// Retries of a node in ten seconds that no budget refuses.
const RESERVE: f64 = 100.0;

impl Retry {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, reserve: Arc::new(Budget::new(RESERVE)) }
    }

    fn wrap(&self, next: ActionFn, site: &ActionSite<'_>, local: bool) -> ActionFn {
        let action = site.action.retry.clone().unwrap_or_default();
        let Some(policy) = action.or(self.policy.clone()).effective().map(Arc::new) else {
            return next;
        };
        // Each action has one of its own: a failing one shall not live on the
        // traffic of others, such as that of the layers above it.
        let (budget, reserve) = (Arc::new(Budget::new(0.0)), self.reserve.clone());
        Arc::new(move |ctx| {
            let allowed = ctx.retries().unwrap_or(policy.retries);
            // A request of another node is retried there, a stream not at all.
            if allowed == 0 || ctx.has_stream() || (local && ctx.is_foreign()) {
                return next(ctx);
            }
            if ctx.attempt() == 0 {
                budget.count();
            }
            let attempt = Attempt {
                params: ctx.payload(),
                ctx: ctx.clone(),
                allowed,
                policy: policy.clone(),
                budget: budget.clone(),
                reserve: reserve.clone(),
            };
            let running = next(ctx);
            Box::pin(async move {
                match running.await {
                    Err(error) => attempt.failed(error).await,
                    done => done,
                }
            })
        })
    }
}

/// A call that may be made again.
struct Attempt {
    ctx: Context,
    params: Payload,
    allowed: u32,
    policy: Arc<Policy>,
    budget: Arc<Budget>,
    reserve: Arc<Budget>,
}

impl Attempt {
    async fn failed(self, error: Error) -> Result<Body> {
        let Self { ctx, params, allowed, policy, budget, reserve } = self;
        // Retried below, or about to be retried above.
        if error.retried() || ctx.within_retry() || !policy.applies(&error) || is_ending(&ctx) {
            return Err(error);
        }
        let attempt = ctx.attempt() + 1;
        let may = || budget.withdraw(policy.budget) || reserve.withdraw(0.0);
        if attempt > allowed || !may() {
            return Err(error.with_retried());
        }
        let wait = policy.wait(attempt);
        tracing::warn!(
            action = ctx.action(),
            attempt,
            %error,
            "Retry to call '{}' action after {} ms...",
            ctx.action(),
            wait.as_millis()
        );
        tokio::time::sleep(wait).await;
        ctx.broker()?.call_again(&ctx, params).await
    }
}

/// Whether the broker stops, or is gone: nothing gets better then.
fn is_ending(ctx: &Context) -> bool {
    ctx.broker().map_or(true, |broker| broker.inner().phase() >= Phase::Stopping)
}

impl Middleware for Retry {
    fn name(&self) -> &'static str {
        "Retry"
    }

    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site, true)
    }

    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        self.wrap(next, site, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let policy = RetryPolicy::new()
            .delay(Duration::from_millis(20))
            .max_delay(Duration::from_millis(100))
            .effective()
            .expect("on");
        let waits: Vec<u128> = (1..=5).map(|attempt| policy.wait(attempt).as_millis()).collect();
        assert_eq!(waits, [20, 40, 80, 100, 100]);
        assert_eq!(policy.wait(u32::MAX), Duration::from_millis(100));
    }

    #[test]
    fn an_action_overlays_the_broker() {
        let broker = RetryPolicy::new().retries(2).factor(3.0).check(|_| true);
        let both = RetryPolicy::default().retries(7).or(broker.clone()).effective().expect("on");
        assert_eq!((both.retries, both.factor), (7, 3.0));
        assert!(both.applies(&Error::client(400, "X", "x")));
        assert!(RetryPolicy::off().or(broker).effective().is_none());
        assert!(RetryPolicy::default().effective().is_none());
    }

    #[test]
    fn what_is_published_is_read_back() {
        let policy = RetryPolicy::new().retries(2).delay(Duration::from_millis(5)).budget(0.5);
        assert_eq!(RetryPolicy::from_object(&policy.to_object()), policy);
        let wrong = Object::from([("retries", Value::from("many")), ("delay", (-1).into())]);
        assert_eq!(RetryPolicy::from_object(&wrong), RetryPolicy::default());
    }
}
