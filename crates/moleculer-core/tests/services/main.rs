//! Declaring services: names, settings, mixins, hooks, and calls by the
//! service itself.

#[path = "../support/mod.rs"]
mod support;

mod carried;
mod events;
mod hooks;
mod mixins;
mod names;
mod own_actions;

use std::sync::{Arc, Mutex};

use moleculer_core::{Action, Context, Error, Event, Handler, Result, State};

/// What ran, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, entry: impl Into<String>) {
        self.0.lock().expect("no panic").push(entry.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    /// An action that notes that it ran.
    pub(crate) fn action(&self, action: &str, entry: &str) -> Action {
        Action::new(action, self.note(entry))
    }

    /// A listener that notes that it ran.
    pub(crate) fn event(&self, event: &str, entry: &str) -> Event {
        Event::new(event, self.note(entry))
    }

    /// A handler or before hook that notes that it ran.
    pub(crate) fn note(&self, entry: &str) -> impl Handler<(), ()> + use<> {
        let (log, entry) = (self.clone(), entry.to_owned());
        move || {
            log.push(entry.clone());
            let entry = entry.clone();
            async { Ok::<_, Error>(entry) }
        }
    }
}

/// The full name of the called action.
pub(crate) async fn name(ctx: Context) -> Result<String> {
    Ok(ctx.action().to_owned())
}

/// Its state.
pub(crate) async fn state(State(state): State<&'static str>) -> Result<&'static str> {
    Ok(state)
}
