//! What the broker has to know of a cacher's options: [`CacheOptions`].

use std::{fmt, sync::Arc, time::Duration};

use moleculer_protocol::Value;

use crate::Context;

/// The options that every cacher has, and that the broker follows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// How long results are kept, unless their action says otherwise.
    /// Default: until they are cleaned.
    pub ttl: Option<Duration>,
    /// Longest key behind the action's name, in UTF-16 units; the rest of a
    /// longer one becomes a hash. Less than 44 is no limit, which is the
    /// default.
    pub max_params_length: Option<usize>,
    /// The result that counts as none, and is not kept. Default: undefined,
    /// which is `()` in Rust; null results are kept.
    pub missing_response: Value,
    /// Makes the keys of all actions. Default: see [`KeyRules`](super::KeyRules).
    pub keygen: Option<Keygen>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            ttl: None,
            max_params_length: None,
            missing_response: Value::Undefined,
            keygen: None,
        }
    }
}

/// Makes the key of a call.
#[derive(Clone)]
pub struct Keygen(Arc<dyn Fn(&Context) -> String + Send + Sync>);

impl Keygen {
    /// Takes the function. Calls with the same key get the same result, so it
    /// should begin with the action's name.
    pub fn new(key: impl Fn(&Context) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(key))
    }

    /// The key of a call.
    pub fn key(&self, ctx: &Context) -> String {
        (self.0)(ctx)
    }
}

/// Equal when they are the same function.
impl PartialEq for Keygen {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Keygen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keygen(..)")
    }
}
