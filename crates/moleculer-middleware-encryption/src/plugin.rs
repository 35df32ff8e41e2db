//! Choosing the middleware by name.

use std::sync::Arc;

use moleculer_core::{Error, Middleware, MiddlewarePlugin, Object, Result, strict};

use crate::config::Config;

/// `Transmit.Encryption`, for the broker's plug-ins.
pub const PLUGIN: MiddlewarePlugin = MiddlewarePlugin { name: "Transmit.Encryption", build };

/// The same by its short name, `Encryption`.
pub const ENCRYPTION: MiddlewarePlugin = MiddlewarePlugin { name: "Encryption", build };

const NAME: &str = "the middleware Encryption";

fn build(options: Object) -> Result<Arc<dyn Middleware>> {
    let made = strict::<Config>(NAME, options)?.build();
    let made = made.map_err(|error| Error::options(format!("{NAME}: {}", error.message())))?;
    Ok(Arc::new(made))
}
