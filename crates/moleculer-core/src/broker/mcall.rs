//! Several calls at once: [`MultiCall`].

use std::{collections::HashMap, fmt, hash::Hash};

use futures_util::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, join_all, try_join_all},
};

use super::{Call, CallOptions, ServiceBroker, call::Via};
use crate::{Context, FromBody, Result};

/// Several calls that are about to be made: `.await` makes them all at once
/// and gives the results in order.
///
/// The first error is the result; the calls that still run are then dropped,
/// which cancels them. See [`settled`](Self::settled) for all results. For
/// calls of different types use `tokio::try_join!`.
#[must_use = "calls are made when they are awaited"]
pub struct MultiCall<'a, R> {
    via: Via<'a>,
    calls: Vec<Call<'a, R>>,
}

/// Several calls by keys: see [`ServiceBroker::mcall_map`].
#[must_use = "calls are made when they are awaited"]
pub struct MultiCallMap<'a, K, R> {
    keys: Vec<K>,
    calls: MultiCall<'a, R>,
}

impl ServiceBroker {
    /// Makes several calls at once.
    ///
    /// ```
    /// # use moleculer_core::{Call, Result, ServiceBroker};
    /// # async fn example(broker: ServiceBroker) -> Result<()> {
    /// let both: Vec<i64> = broker
    ///     .mcall([Call::to("math.double", 2), Call::to("math.triple", 3)])
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn mcall<'a, R>(
        &'a self,
        calls: impl IntoIterator<Item = Call<'a, R>>,
    ) -> MultiCall<'a, R> {
        MultiCall { via: Via::Broker(self), calls: calls.into_iter().collect() }
    }

    /// Makes several calls at once, and gives their results by keys.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use moleculer_core::{Call, Result, ServiceBroker};
    /// # async fn example(broker: ServiceBroker) -> Result<()> {
    /// let numbers: HashMap<&str, i64> = broker
    ///     .mcall_map([("four", Call::to("math.double", 2)), ("six", Call::to("math.double", 3))])
    ///     .await?;
    /// assert_eq!(numbers["six"], 6);
    /// # Ok(()) }
    /// ```
    pub fn mcall_map<'a, K, R>(
        &'a self,
        calls: impl IntoIterator<Item = (K, Call<'a, R>)>,
    ) -> MultiCallMap<'a, K, R> {
        MultiCallMap::new(Via::Broker(self), calls)
    }
}

impl Context {
    /// Makes several calls as a part of this call: see [`ServiceBroker::mcall`].
    pub fn mcall<'a, R>(
        &'a self,
        calls: impl IntoIterator<Item = Call<'a, R>>,
    ) -> MultiCall<'a, R> {
        MultiCall { via: Via::Context(self), calls: calls.into_iter().collect() }
    }

    /// Makes several calls as a part of this call: see
    /// [`ServiceBroker::mcall_map`].
    pub fn mcall_map<'a, K, R>(
        &'a self,
        calls: impl IntoIterator<Item = (K, Call<'a, R>)>,
    ) -> MultiCallMap<'a, K, R> {
        MultiCallMap::new(Via::Context(self), calls)
    }
}

impl<'a, R: FromBody + Send + 'static> MultiCall<'a, R> {
    /// Sets the options of those calls that set none of their own.
    pub fn options(mut self, options: &CallOptions) -> Self {
        let calls = self.calls.into_iter();
        self.calls = calls.map(|call| call.default_options(options)).collect();
        self
    }

    /// Awaits all calls, whatever becomes of them.
    pub async fn settled(self) -> Vec<Result<R>> {
        let calls = self.calls.len();
        match self.bind() {
            Ok(bound) => join_all(bound.into_iter().map(IntoFuture::into_future)).await,
            Err(error) => (0..calls).map(|_| Err(error.clone())).collect(),
        }
    }

    /// Tells the calls who makes them.
    fn bind(self) -> Result<Vec<Call<'a, R>>> {
        let via = self.via;
        if let Via::Context(ctx) = via {
            let names: Vec<&str> = self.calls.iter().map(Call::action).collect();
            // No time left is one error about all of them.
            ctx.child_timeout(&names.join(", "), None)?;
        }
        Ok(self.calls.into_iter().map(|call| call.via(via)).collect())
    }
}

impl<'a, R: FromBody + Send + 'static> IntoFuture for MultiCall<'a, R> {
    type Output = Result<Vec<R>>;
    type IntoFuture = BoxFuture<'static, Result<Vec<R>>>;

    fn into_future(self) -> Self::IntoFuture {
        match self.bind() {
            Ok(bound) => try_join_all(bound.into_iter().map(IntoFuture::into_future)).boxed(),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl<'a, K, R> MultiCallMap<'a, K, R> {
    fn new(via: Via<'a>, calls: impl IntoIterator<Item = (K, Call<'a, R>)>) -> Self {
        let (keys, calls) = calls.into_iter().unzip();
        Self { keys, calls: MultiCall { via, calls } }
    }
}

impl<K: Eq + Hash, R: FromBody + Send + 'static> MultiCallMap<'_, K, R> {
    /// Sets the options of those calls that set none of their own.
    pub fn options(mut self, options: &CallOptions) -> Self {
        self.calls = self.calls.options(options);
        self
    }

    /// Awaits all calls, whatever becomes of them.
    pub async fn settled(self) -> HashMap<K, Result<R>> {
        self.keys.into_iter().zip(self.calls.settled().await).collect()
    }
}

impl<K, R> IntoFuture for MultiCallMap<'_, K, R>
where
    K: Eq + Hash + Send + 'static,
    R: FromBody + Send + 'static,
{
    type Output = Result<HashMap<K, R>>;
    type IntoFuture = BoxFuture<'static, Result<HashMap<K, R>>>;

    fn into_future(self) -> Self::IntoFuture {
        let keys = self.keys;
        self.calls.into_future().map_ok(|results| keys.into_iter().zip(results).collect()).boxed()
    }
}

impl<R> fmt::Debug for MultiCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.calls).finish()
    }
}

impl<K: fmt::Debug, R> fmt::Debug for MultiCallMap<'_, K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys.iter().zip(&self.calls.calls)).finish()
    }
}
