//! What is wrapped around handlers: [`Middleware`].

mod hook;
mod rate;
mod timeout;

use std::{fmt, sync::Arc};

pub(crate) use self::{
    hook::ActionHook,
    rate::{Debounce, Throttle},
    timeout::Timeout,
};
use crate::{ActionDef, ActionFn, EventDef, EventFn};

/// Wraps handlers when they are registered: the only way in which features
/// hook into calls and events.
///
/// The last middleware registered is the outermost. Users' middlewares come
/// before the built-in ones, so they stand directly around the handler. A
/// middleware that has nothing to do for an action returns `next` unchanged
/// and then costs nothing.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use moleculer_core::{ActionFn, ActionSite, Middleware};
///
/// #[derive(Debug, Default)]
/// struct Count(Arc<AtomicU64>);
///
/// impl Middleware for Count {
///     fn local_action(&self, next: ActionFn, _: &ActionSite<'_>) -> ActionFn {
///         let calls = self.0.clone();
///         Arc::new(move |ctx| {
///             calls.fetch_add(1, Ordering::Relaxed);
///             next(ctx)
///         })
///     }
/// }
/// ```
pub trait Middleware: fmt::Debug + Send + Sync + 'static {
    /// Wraps an action of this node.
    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let _ = site;
        next
    }

    /// Wraps the way to an action of another node.
    fn remote_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        let _ = site;
        next
    }

    /// Wraps an event listener of this node.
    fn local_event(&self, next: EventFn, site: &EventSite<'_>) -> EventFn {
        let _ = site;
        next
    }
}

/// The action that is being wrapped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ActionSite<'a> {
    /// The action.
    pub action: &'a ActionDef,
    /// Which of its chains is built.
    pub chain: Chain,
}

/// The event listener that is being wrapped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventSite<'a> {
    /// The listener.
    pub event: &'a EventDef,
    /// Its group.
    pub group: &'a str,
}

/// Each action has two chains, so that unused features cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// For calls that bring no options: wrap only if the action's or the
    /// broker's options ask for it.
    Static,
    /// For calls that bring options, such as a timeout: wrap if the call may.
    Full,
}

/// The middlewares of a broker, in registration order.
#[derive(Clone, Default)]
pub(crate) struct Middlewares(pub(crate) Vec<Arc<dyn Middleware>>);

impl Middlewares {
    /// The static and the full chain around an action's handler.
    pub(crate) fn wrap_action(
        &self,
        handler: &ActionFn,
        action: &ActionDef,
        local: bool,
    ) -> [ActionFn; 2] {
        [Chain::Static, Chain::Full].map(|chain| {
            let site = ActionSite { action, chain };
            self.0.iter().fold(handler.clone(), |next, middleware| {
                if local {
                    middleware.local_action(next, &site)
                } else {
                    middleware.remote_action(next, &site)
                }
            })
        })
    }

    pub(crate) fn wrap_event(&self, handler: &EventFn, event: &EventDef, group: &str) -> EventFn {
        let site = EventSite { event, group };
        self.0.iter().fold(handler.clone(), |next, middleware| middleware.local_event(next, &site))
    }
}
