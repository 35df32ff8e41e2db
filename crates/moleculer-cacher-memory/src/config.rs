//! Options: [`MemoryConfig`] and [`MemoryBuilder`].

use std::time::Duration;

use moleculer_core::{
    Context, Seconds, Value,
    cacher::{CacheOptions, Keygen},
};
use serde::Deserialize;

use crate::MemoryCacher;

/// The options as a configuration has them, in the reference's units.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// How long results are kept, in s. Default: until they are cleaned.
    pub ttl: Option<Seconds>,
    /// See [`CacheOptions::max_params_length`]. Default: no limit.
    pub max_params_length: Option<usize>,
    /// See [`CacheOptions::missing_response`]. Default: undefined.
    #[serde(default = "undefined")]
    pub missing_response: Value,
    /// Most results. Default: no limit for `Memory`, 1000 for `MemoryLRU`.
    pub max: Option<u64>,
    /// Means nothing here: nobody else sees the keys.
    pub prefix: Option<Value>,
    /// Means nothing here: values never change, so all can share them.
    pub clone: Option<Value>,
}

const fn undefined() -> Value {
    Value::Undefined
}

impl From<MemoryConfig> for MemoryBuilder {
    fn from(config: MemoryConfig) -> Self {
        let mut options = CacheOptions::default();
        options.ttl = config.ttl.map(|ttl| *ttl);
        options.max_params_length = config.max_params_length;
        options.missing_response = config.missing_response;
        Self { options, max: config.max }
    }
}

/// Makes a [`MemoryCacher`] step by step.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct MemoryBuilder {
    options: CacheOptions,
    max: Option<u64>,
}

/// Most results of the reference's MemoryLRU, unless it is told otherwise.
const LRU_MAX: u64 = 1000;

impl MemoryBuilder {
    /// Sets how long results are kept, unless their action says otherwise.
    /// Default: until they are cleaned.
    ///
    /// With a limit each use of a result puts its end off by so much.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(ttl);
        self
    }

    /// Sets how many results are kept at most. Default: no limit.
    pub fn max(mut self, max: u64) -> Self {
        self.max = Some(max);
        self
    }

    /// Sets a limit of 1000 results, unless there is one already.
    pub(crate) fn least_recently_used(mut self) -> Self {
        self.max = self.max.or(Some(LRU_MAX));
        self
    }

    /// Sets [`CacheOptions::max_params_length`]. Default: no limit.
    pub fn max_params_length(mut self, max: usize) -> Self {
        self.options.max_params_length = Some(max);
        self
    }

    /// Sets [`CacheOptions::missing_response`]. Default: undefined.
    pub fn missing_response(mut self, missing: impl Into<Value>) -> Self {
        self.options.missing_response = missing.into();
        self
    }

    /// Sets what makes the keys of all actions. Default: see
    /// [`KeyRules`](moleculer_core::cacher::KeyRules).
    pub fn keygen(mut self, key: impl Fn(&Context) -> String + Send + Sync + 'static) -> Self {
        self.options.keygen = Some(Keygen::new(key));
        self
    }

    /// Makes the cacher.
    pub fn build(self) -> MemoryCacher {
        MemoryCacher::new(self.options, self.max)
    }
}
