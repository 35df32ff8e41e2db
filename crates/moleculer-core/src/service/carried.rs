//! Options that a service carries for a plug-in, and whether there is one.

use super::{Instance, InstanceAction, InstanceEvent};
use crate::{Error, Middleware, Result};

/// What a broker does not handle itself, and who does.
const CARRIED: [(&str, &str); 3] =
    [("cache", "a cacher"), ("params", "a validator"), ("tracing", "a tracer")];

/// The carried options that a broker lets services have.
#[derive(Debug)]
pub(crate) struct CarriedOptions(Vec<&'static str>);

impl CarriedOptions {
    /// Those that a middleware handles, and those that are to be ignored.
    pub(crate) fn new<'a>(
        middlewares: impl Iterator<Item = &'a dyn Middleware>,
        ignored: &[String],
    ) -> Result<Self> {
        if let Some(other) = ignored.iter().find(|name| carried(name).is_none()) {
            let valid = CARRIED.map(|(name, _)| name).join(", ");
            return Err(Error::options(format!(
                "`ignore_options`: '{other}' is no option that a plug-in handles; valid ones are: {valid}"
            )));
        }
        let handled = middlewares.flat_map(|middleware| middleware.handles());
        let all = handled.copied().chain(ignored.iter().map(String::as_str));
        Ok(Self(all.filter_map(carried).collect()))
    }

    /// Refuses a service with an option that would have no effect.
    pub(crate) fn check(&self, instance: &Instance) -> Result<()> {
        let actions = instance.actions.iter().flat_map(|action| {
            action.carried().map(move |option| ("action", &*action.def.raw_name, option))
        });
        let events = instance.events.iter().flat_map(|event| {
            event.carried().map(move |option| ("event", &*event.def.name, option))
        });
        let lost = actions.chain(events).find(|(_, _, option)| !self.0.contains(option));
        let Some((kind, name, option)) = lost else {
            return Ok(());
        };
        let handler = CARRIED.iter().find(|(name, _)| *name == option).map(|(_, who)| *who);
        Err(Error::schema(format!(
            "{kind} '{name}' of service '{}' has the option `{option}`, which nothing handles; give the broker {}, or let the option rest with `ignore_options([\"{option}\"])`",
            instance.item.full_name,
            handler.unwrap_or("a middleware that does"),
        )))
    }
}

fn carried(name: &str) -> Option<&'static str> {
    CARRIED.iter().map(|(carried, _)| *carried).find(|carried| *carried == name)
}

impl InstanceAction {
    /// The options in use that need a plug-in.
    fn carried(&self) -> impl Iterator<Item = &'static str> {
        let cache = self.def.cache.as_ref().filter(|cache| !cache.is_off()).map(|_| "cache");
        let params = self.def.params.as_ref().map(|_| "params");
        let tracing = self.def.tracing.as_ref().filter(|tracing| tracing.is_truthy());
        [cache, params, tracing.map(|_| "tracing")].into_iter().flatten()
    }
}

impl InstanceEvent {
    /// The options in use that need a plug-in.
    fn carried(&self) -> impl Iterator<Item = &'static str> {
        let params = self.def.params.as_ref().map(|_| "params");
        let tracing = self.def.tracing.as_ref().filter(|tracing| tracing.is_truthy());
        [params, tracing.map(|_| "tracing")].into_iter().flatten()
    }
}
