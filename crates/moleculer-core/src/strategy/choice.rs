//! From options to the strategy of a list.

use std::{fmt, sync::Arc};

use moleculer_protocol::{Object, Value};

use super::{Strategy, StrategyHost};
use crate::{Error, Plugins, RandomSource, Result, broker::WeakBroker, service::Instance};

/// How strategies are given: by value, or by a name that
/// [`Plugins`](crate::Plugins) know.
#[derive(Clone)]
pub struct StrategyChoice(Choice);

#[derive(Clone)]
enum Choice {
    Value(Arc<dyn Strategy>),
    /// Without a name, the broker's strategy with other options.
    Named {
        name: Option<String>,
        options: Object,
    },
}

impl StrategyChoice {
    /// A strategy by its name, with options as configuration has them.
    pub fn named(name: impl Into<String>, options: impl Into<Object>) -> Self {
        Self(Choice::Named { name: Some(name.into()), options: options.into() })
    }

    /// Takes the members `strategy` and `strategyOptions` out of a definition.
    pub(crate) fn take_from(definition: &mut Object) -> Option<Self> {
        let name = definition.remove("strategy");
        let options = definition.remove("strategyOptions");
        let name = name.as_ref().and_then(Value::as_str).map(str::to_owned);
        let options = match options {
            Some(Value::Object(options)) => options,
            _ => Object::new(),
        };
        (name.is_some() || !options.is_empty()).then_some(Self(Choice::Named { name, options }))
    }

    /// Puts those members into a definition for other nodes, if they can
    /// know the strategy. A Moleculer JS node fails on a name that it does not know.
    pub(crate) fn publish(&self, definition: &mut Object) {
        let (name, options) = match &self.0 {
            Choice::Value(strategy) => (Some(strategy.name()), strategy.options()),
            Choice::Named { name, options } => (name.as_deref(), options.clone()),
        };
        let known = |name: &str| KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name));
        match name.map(known) {
            Some(None) => return,
            Some(Some(name)) => {
                definition.insert("strategy", *name);
            }
            None => {}
        }
        if !options.is_empty() {
            definition.insert("strategyOptions", options);
        }
    }
}

/// The strategies that every node of a cluster knows.
const KNOWN: [&str; 5] = ["RoundRobin", "Random", "CpuUsage", "Latency", "Shard"];

impl<S: Strategy> From<S> for StrategyChoice {
    fn from(strategy: S) -> Self {
        Self(Choice::Value(Arc::new(strategy)))
    }
}

impl From<&str> for StrategyChoice {
    fn from(name: &str) -> Self {
        Self::named(name, Object::new())
    }
}

impl From<String> for StrategyChoice {
    fn from(name: String) -> Self {
        Self::named(name, Object::new())
    }
}

/// Values are equal when they are the same value.
impl PartialEq for StrategyChoice {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Choice::Value(one), Choice::Value(two)) => Arc::ptr_eq(one, two),
            (
                Choice::Named { name, options },
                Choice::Named { name: other_name, options: other_options },
            ) => name == other_name && options == other_options,
            _ => false,
        }
    }
}

impl fmt::Debug for StrategyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Choice::Value(strategy) => strategy.fmt(f),
            Choice::Named { name, options } => write!(f, "{name:?} {options:?}"),
        }
    }
}

/// Makes the strategies of a broker's lists.
pub(crate) struct Strategies {
    plugins: Plugins,
    /// The broker's, which lists have unless a definition says otherwise.
    default: Arc<dyn Strategy>,
    host: StrategyHost,
}

impl Strategies {
    /// `choice` is a value, or `None` for what the configuration names.
    pub(crate) fn new(
        plugins: Plugins,
        choice: Option<&StrategyChoice>,
        configured: (Option<&Value>, &Object),
        random: RandomSource,
    ) -> Result<Self> {
        let default = match (choice, configured) {
            (Some(StrategyChoice(Choice::Value(strategy))), _) => strategy.clone(),
            (Some(StrategyChoice(Choice::Named { name, options })), _) => {
                plugins.make_strategy(&name.as_deref().unwrap_or("RoundRobin").into(), options)?
            }
            (None, (name, options)) => {
                plugins.make_strategy(name.unwrap_or(&"RoundRobin".into()), options)?
            }
        };
        Ok(Self { plugins, default, host: StrategyHost { random, broker: None } })
    }

    /// Connects the strategies with their broker.
    pub(crate) fn with_broker(mut self, broker: WeakBroker) -> Self {
        self.host.broker = Some(broker);
        self
    }

    /// The strategy that a definition asks for.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when there is none of its name, or its options are wrong.
    pub(crate) fn resolve(&self, choice: Option<&StrategyChoice>) -> Result<Arc<dyn Strategy>> {
        match choice.map(|choice| &choice.0) {
            None => Ok(self.default.clone()),
            Some(Choice::Value(strategy)) => Ok(strategy.clone()),
            Some(Choice::Named { name, options }) => {
                let default = self.default.name();
                let name = name.as_deref().unwrap_or(default);
                // Options of the broker's strategy are not for another one.
                if options.is_empty() && name.eq_ignore_ascii_case(default) {
                    return Ok(self.default.clone());
                }
                self.plugins.make_strategy(&name.into(), options)
            }
        }
    }

    /// Checks what the actions and events of a service ask for.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve), with the name of the action or event.
    pub(crate) fn check(&self, instance: &Instance) -> Result<()> {
        let actions = instance.actions.iter().map(|one| (&one.def.raw_name, &one.def.strategy));
        let events = instance.events.iter().map(|one| (&one.def.name, &one.def.strategy));
        for (name, strategy) in actions.chain(events) {
            self.resolve(strategy.as_ref()).map_err(|error| {
                Error::options(format!(
                    "'{name}' in '{}' service: {error}",
                    instance.item.info.name
                ))
            })?;
        }
        Ok(())
    }

    /// The instance for one list. What this node's services ask for was
    /// checked before; other nodes may ask for what is not known here.
    pub(crate) fn for_list(
        &self,
        choice: Option<&StrategyChoice>,
        list: &str,
    ) -> Arc<dyn Strategy> {
        let strategy = self.resolve(choice).unwrap_or_else(|error| {
            tracing::warn!(%list, %error, "the broker's strategy is taken instead");
            self.default.clone()
        });
        strategy.for_list(&self.host)
    }
}

/// The call fails: its strategy chose nothing.
#[cold]
pub(crate) fn invalid_endpoint(strategy: &dyn Strategy) -> Error {
    Error::server(500, "INVALID_ENDPOINT", "Strategy returned an invalid endpoint.")
        .with_data(Object::from([("strategy", strategy.name())]))
}
