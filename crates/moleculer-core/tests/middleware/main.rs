//! Every hook of a middleware, and the order of all of them.

#[path = "../support/mod.rs"]
mod support;

mod hooks;
mod order;
mod recorder;

use std::sync::{Arc, Mutex};

use moleculer_core::{Action, Event, Params, Result, Service};

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.0.lock().expect("no panic").push(entry.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    /// Takes those that `prefix` begins.
    pub(crate) fn take_only(&self, prefix: &str) -> Vec<String> {
        self.take().into_iter().filter(|entry| entry.starts_with(prefix)).collect()
    }
}

async fn double(Params(n): Params<i64>) -> Result<i64> {
    Ok(2 * n)
}

async fn nothing() -> Result<()> {
    Ok(())
}

/// An action and an event.
pub(crate) fn math() -> impl moleculer_core::IntoService {
    Service::builder("math")
        .action(Action::new("double", double))
        .event(Event::new("math.done", nothing))
}
