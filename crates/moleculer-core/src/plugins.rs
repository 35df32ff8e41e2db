//! Choosing plug-ins by value, by name or by URL: [`Plugins`].

use std::{fmt, sync::Arc};

use moleculer_protocol::{JsonSerializer, Object, Serializer, SerializerPlugin, Value};

use crate::{
    Error, Middleware, Result, Validator, ValidatorPlugin,
    cacher::{CacherPlugin, DynCacher},
    config::strict,
    middleware::LOGGERS,
    strategy::{CpuUsage, Latency, Random, RoundRobin, Shard, Strategy},
    transporter::{DynTransporter, Transporter},
};

/// The plug-ins that can be chosen by name or URL.
///
/// The facade `moleculer` knows those whose features are on; add your own
/// with [`transporter`](Self::transporter), [`serializer`](Self::serializer)
/// and [`strategy`](Self::strategy).
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    transporters: Vec<TransporterPlugin>,
    serializers: Vec<SerializerPlugin>,
    cachers: Vec<CacherPlugin>,
    strategies: Vec<StrategyPlugin>,
    middlewares: Vec<MiddlewarePlugin>,
    validators: Vec<ValidatorPlugin>,
    /// Names that exist, and what is to be done for each.
    missing: Vec<(&'static str, Missing)>,
}

/// Why a plug-in is not there.
#[derive(Clone, Copy, Debug)]
enum Missing {
    /// Its feature is off.
    Feature(&'static str),
    /// Nobody has written it.
    Planned,
}

/// A transporter that can be chosen by name or URL.
#[derive(Clone, Copy, Debug)]
pub struct TransporterPlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// URL schemes, without `://`.
    pub schemes: &'static [&'static str],
    /// Makes one.
    pub build: fn(PluginSource) -> Result<Arc<dyn DynTransporter>>,
}

/// A strategy that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct StrategyPlugin {
    /// The name in configuration; case does not matter.
    pub name: &'static str,
    /// Makes the pattern of its instances.
    pub build: fn(Object) -> Result<Arc<dyn Strategy>>,
}

/// A middleware that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct MiddlewarePlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// Makes one.
    pub build: fn(Object) -> Result<Arc<dyn Middleware>>,
}

/// What configuration says of a plug-in besides its name.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginSource {
    /// A URL, whole.
    Url(String),
    /// An options object; empty when only the name was given.
    Options(Object),
}

impl Plugins {
    /// Only what is built in: the JSON serializer, the strategies, and the
    /// middlewares `Debugging.ActionLogger` and `Debugging.TransitLogger`
    /// (also without `Debugging.`).
    ///
    /// The two log through `tracing`, with secrets masked and 4 KiB of a value
    /// at most. Their options are those of the reference: `logLevel`
    /// (`info`), `folder` for files of 1 MiB at most and their `extension`
    /// (`.json`); for calls `logParams`, `logResponse`, `logMeta` (false) and
    /// `whitelist` (`["**"]`); for packets `logPacketData` (false) and
    /// `packetFilter`, the kinds that are left out (`["HEARTBEAT"]`).
    ///
    /// ```
    /// use moleculer_core::{BrokerBuilder, BrokerOptions, Plugins};
    /// use serde_json::json;
    ///
    /// let logger = json!({"type": "Debugging.ActionLogger", "options": {"logParams": true}});
    /// let options = BrokerOptions::from_value(json!({ "middlewares": [logger] }))?;
    /// let broker = BrokerBuilder::new(Plugins::core()).options(options);
    /// # Ok::<(), moleculer_core::Error>(())
    /// ```
    pub fn core() -> Self {
        let json = SerializerPlugin {
            name: "JSON",
            build: |options| {
                SerializerPlugin::no_options(&options)?;
                Ok(Arc::new(JsonSerializer))
            },
        };
        let core = STRATEGIES.into_iter().fold(Self::default().serializer(json), Self::strategy);
        LOGGERS.into_iter().fold(core, Self::middleware)
    }

    /// Adds a transporter.
    #[must_use]
    pub fn transporter(mut self, plugin: TransporterPlugin) -> Self {
        self.transporters.push(plugin);
        self
    }

    /// Adds a serializer.
    #[must_use]
    pub fn serializer(mut self, plugin: SerializerPlugin) -> Self {
        self.serializers.push(plugin);
        self
    }

    /// Adds a cacher.
    #[must_use]
    pub fn cacher(mut self, plugin: CacherPlugin) -> Self {
        self.cachers.push(plugin);
        self
    }

    /// Adds a strategy.
    #[must_use]
    pub fn strategy(mut self, plugin: StrategyPlugin) -> Self {
        self.strategies.push(plugin);
        self
    }

    /// Adds a middleware.
    #[must_use]
    pub fn middleware(mut self, plugin: MiddlewarePlugin) -> Self {
        self.middlewares.push(plugin);
        self
    }

    /// Adds a validator.
    #[must_use]
    pub fn validator(mut self, plugin: ValidatorPlugin) -> Self {
        self.validators.push(plugin);
        self
    }

    /// Tells of a plug-in that exists but is not compiled in: its feature, and
    /// the names and URL schemes that choose it.
    #[must_use]
    pub fn missing(mut self, feature: &'static str, names: &[&'static str]) -> Self {
        self.missing.extend(names.iter().map(|name| (*name, Missing::Feature(feature))));
        self
    }

    /// Tells of plug-ins of the reference that do not exist here yet.
    #[must_use]
    pub fn planned(mut self, names: &[&'static str]) -> Self {
        self.missing.extend(names.iter().map(|name| (*name, Missing::Planned)));
        self
    }

    /// Makes the transporter that `choice` names: a name, a URL, or
    /// `{type, options}`.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when there is none of that name, with the feature
    /// to enable if that is why, or when its options are wrong.
    pub fn make_transporter(&self, choice: &Value) -> Result<Arc<dyn DynTransporter>> {
        let (name, source) = split("transporter", choice)?;
        let scheme = name.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let plugin = self.transporters.iter().find(|plugin| match &scheme {
            Some(scheme) => plugin.schemes.contains(&scheme.as_str()),
            None => plugin.name.eq_ignore_ascii_case(&name),
        });
        match (plugin, scheme) {
            (Some(plugin), None) => (plugin.build)(PluginSource::Options(source)),
            (Some(plugin), Some(_)) => (plugin.build)(PluginSource::Url(name)),
            (None, scheme) => {
                let known = self.transporters.iter().map(|plugin| plugin.name);
                Err(self.unknown("transporter", &name, scheme.as_deref(), known))
            }
        }
    }

    /// Makes the serializer that `choice` names: a name or `{type, options}`.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_serializer(&self, choice: &Value) -> Result<Arc<dyn Serializer>> {
        let (name, options) = split("serializer", choice)?;
        match self.serializers.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(&name)) {
            Some(plugin) => (plugin.build)(options)
                .map_err(|error| Error::options(format!("serializer {}: {error}", plugin.name))),
            None => {
                let known = self.serializers.iter().map(|plugin| plugin.name);
                Err(self.unknown("serializer", &name, None, known))
            }
        }
    }

    /// Makes the cacher that `choice` names: a name, a URL, or `{type,
    /// options}`; `true` and a missing type stand for `Memory`. `None` for
    /// `false` and null.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_cacher(&self, choice: &Value) -> Result<Option<Arc<dyn DynCacher>>> {
        let (name, options) = match choice {
            Value::Null | Value::Undefined | Value::Bool(false) => return Ok(None),
            Value::Bool(true) => ("Memory".to_owned(), Object::new()),
            Value::Object(parts) if !parts.contains_key("type") => {
                let mut parts = parts.clone();
                parts.insert("type", "Memory");
                split("cacher", &parts.into())?
            }
            choice => split("cacher", choice)?,
        };
        let scheme = name.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let plugin = self.cachers.iter().find(|plugin| match &scheme {
            Some(scheme) => plugin.schemes.contains(&scheme.as_str()),
            None => plugin.name.eq_ignore_ascii_case(&name),
        });
        let source = match scheme {
            Some(_) => PluginSource::Url(name.clone()),
            None => PluginSource::Options(options),
        };
        match plugin {
            Some(plugin) => (plugin.build)(source).map(Some),
            None => {
                let known = self.cachers.iter().map(|plugin| plugin.name);
                let scheme = name.split_once("://").map(|(scheme, _)| scheme);
                Err(self.unknown("cacher", &name, scheme, known))
            }
        }
    }

    /// Makes the strategy that `choice` names: a name or `{type, options}`.
    /// `options` stand beside it, as `strategyOptions` do in configuration.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_strategy(&self, choice: &Value, options: &Object) -> Result<Arc<dyn Strategy>> {
        let (name, own) = split("strategy", choice)?;
        if !own.is_empty() && !options.is_empty() {
            return Err(Error::options(format!(
                "the options of strategy {name} are given twice; keep `strategyOptions`"
            )));
        }
        let options = if own.is_empty() { options.clone() } else { own };
        match self.strategies.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(&name)) {
            Some(plugin) => (plugin.build)(options),
            None => {
                let known = self.strategies.iter().map(|plugin| plugin.name);
                Err(self.unknown("strategy", &name, None, known))
            }
        }
    }

    /// Makes the middleware that `choice` names: a name or `{type, options}`.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_middleware(&self, choice: &Value) -> Result<Arc<dyn Middleware>> {
        let (name, options) = split("middleware", choice)?;
        match self.middlewares.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(&name)) {
            Some(plugin) => (plugin.build)(options),
            None => {
                let known = self.middlewares.iter().map(|plugin| plugin.name);
                Err(self.unknown("middleware", &name, None, known))
            }
        }
    }

    /// Makes the validator that `choice` names: a name or `{type, options}`;
    /// `true` and an object without a `type` stand for the default one.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_validator(&self, choice: &Value) -> Result<Arc<dyn Validator>> {
        let default = || self.default_validator().map(|plugin| Value::from(plugin.name));
        let choice = match choice {
            Value::Bool(true) => default().unwrap_or_default(),
            Value::Object(choice) if choice.defined("type").is_none() => {
                let mut choice = choice.clone();
                choice.extend(default().map(|name| ("type", name)));
                choice.into()
            }
            choice => choice.clone(),
        };
        let (name, options) = split("validator", &choice)?;
        match self.validators.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(&name)) {
            Some(plugin) => (plugin.build)(options),
            None => {
                let known = self.validators.iter().map(|plugin| plugin.name);
                Err(self.unknown("validator", &name, None, known))
            }
        }
    }

    pub(crate) fn default_validator(&self) -> Option<&ValidatorPlugin> {
        self.validators.iter().find(|plugin| plugin.is_default)
    }

    fn unknown<'a>(
        &self,
        family: &str,
        name: &str,
        scheme: Option<&str>,
        known: impl Iterator<Item = &'a str>,
    ) -> Error {
        let wanted = scheme.unwrap_or(name);
        let missing = self.missing.iter().find(|(missing, why)| {
            missing.eq_ignore_ascii_case(wanted)
                && match why {
                    Missing::Feature(feature) => feature.starts_with(family),
                    // All cachers of the reference exist.
                    Missing::Planned => family != "cacher",
                }
        });
        let advice = match missing {
            Some((_, Missing::Feature(feature))) => {
                format!("enable the feature `{feature}` of the crate `moleculer`")
            }
            Some((_, Missing::Planned)) => "not supported yet".to_owned(),
            None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        };
        Error::options(format!("Invalid {family} type '{wanted}'. ({advice})"))
            .with_data(Object::from([("type", wanted)]))
    }
}

const STRATEGIES: [StrategyPlugin; 5] = [
    StrategyPlugin {
        name: "RoundRobin",
        build: |options| {
            no_options("the strategy RoundRobin", &options)
                .map(|()| Arc::new(RoundRobin::default()) as _)
        },
    },
    StrategyPlugin {
        name: "Random",
        build: |options| {
            no_options("the strategy Random", &options).map(|()| Arc::new(Random::default()) as _)
        },
    },
    StrategyPlugin {
        name: "CpuUsage",
        build: |options| {
            strict::<CpuUsage>("strategy CpuUsage", options).map(|made| Arc::new(made) as _)
        },
    },
    StrategyPlugin {
        name: "Latency",
        build: |options| {
            strict::<Latency>("strategy Latency", options).map(|made| Arc::new(made) as _)
        },
    },
    StrategyPlugin {
        name: "Shard",
        build: |options| Shard::from_options(options).map(|made| Arc::new(made) as _),
    },
];

/// A choice as a name (or URL) and options.
fn split(family: &str, choice: &Value) -> Result<(String, Object)> {
    match choice {
        Value::String(name) => Ok((name.clone(), Object::new())),
        Value::Object(choice) => {
            let name = choice.get("type").and_then(Value::as_str).ok_or_else(|| {
                Error::options(format!("the {family} needs a `type`, as in {{\"type\": \"TCP\"}}"))
            })?;
            if let Some(key) = choice.keys().find(|key| !matches!(*key, "type" | "options")) {
                return Err(Error::options(format!(
                    "{family}: unknown key `{key}`; put what belongs to {name} into `options`"
                )));
            }
            match choice.get("options") {
                None | Some(Value::Null) => Ok((name.to_owned(), Object::new())),
                Some(Value::Object(options)) => Ok((name.to_owned(), options.clone())),
                Some(Value::String(url)) if url.contains("://") => Ok((url.clone(), Object::new())),
                Some(other) => Err(Error::options(format!(
                    "the options of {family} {name} must be an object, not {other:?}"
                ))),
            }
        }
        other => Err(Error::options(format!(
            "the {family} must be a name, a URL or {{type, options}}, not {other:?}"
        ))),
    }
}

/// For plug-ins without options.
pub(crate) fn no_options(name: &str, options: &Object) -> Result<()> {
    match options.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::options(format!("{name} has no options, but got `{key}`"))),
    }
}

/// What can be given as a transporter: a value, a builder, a name or a URL.
pub trait IntoTransporter {
    /// Makes it; names and URLs are looked up in `plugins`.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when it cannot be made.
    fn into_transporter(self, plugins: &Plugins) -> Result<Arc<dyn DynTransporter>>;
}

impl<T: Transporter> IntoTransporter for T {
    fn into_transporter(self, _: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        Ok(Arc::new(self))
    }
}

impl IntoTransporter for &str {
    fn into_transporter(self, plugins: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        plugins.make_transporter(&self.into())
    }
}

impl IntoTransporter for String {
    fn into_transporter(self, plugins: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        plugins.make_transporter(&self.into())
    }
}

impl IntoTransporter for Value {
    fn into_transporter(self, plugins: &Plugins) -> Result<Arc<dyn DynTransporter>> {
        plugins.make_transporter(&self)
    }
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Options(options) => write!(f, "{options:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plugins() -> Plugins {
        let fake = TransporterPlugin {
            name: "Fake",
            schemes: &["fake"],
            build: |source| Err(Error::internal(format!("made from {source}"))),
        };
        Plugins::core()
            .transporter(fake)
            .missing("transporter-nats", &["NATS", "tls"])
            .planned(&["AMQP", "amqps"])
    }

    #[test]
    fn names_urls_and_objects() {
        let check = |choice: serde_json::Value, expected: &str| {
            let error = plugins().make_transporter(&choice.into()).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(json!("fake"), "made from {}");
        check(json!("FAKE"), "made from {}");
        check(json!("fake://x"), "made from fake://x");
        check(json!({"type": "Fake", "options": {"a": 1}}), r#"made from {"a": 1}"#);
        check(json!({"type": "Fake", "options": "fake://x"}), "made from fake://x");
        check(json!({"type": "Fake", "option": {}}), "unknown key `option`");
        check(json!({"options": {}}), "needs a `type`");
        check(json!("kafka"), "Invalid transporter type 'kafka'. (known are Fake)");
        check(json!("nats://h"), "enable the feature `transporter-nats`");
        check(json!("TLS://h"), "enable the feature `transporter-nats`");
        check(json!("amqps://h"), "Invalid transporter type 'amqps'. (not supported yet)");
        check(json!(5), "must be a name");
    }

    #[test]
    fn middlewares_by_name() {
        #[derive(Debug)]
        struct Nothing;
        impl Middleware for Nothing {}
        let plugins = Plugins::core().middleware(MiddlewarePlugin {
            name: "Transmit.Nothing",
            build: |options| no_options("Nothing", &options).map(|()| Arc::new(Nothing) as _),
        });
        let made = plugins.make_middleware(&"transmit.nothing".into()).unwrap();
        assert!(made.name().ends_with("Nothing"));
        let options = json!({"type": "Transmit.Nothing", "options": {"x": 1}});
        assert!(plugins.make_middleware(&options.into()).is_err());
        let error = plugins.make_middleware(&"Cache".into()).unwrap_err();
        assert_eq!(
            error.message(),
            "Invalid middleware type 'Cache'. (known are Debugging.ActionLogger, ActionLogger, \
             Debugging.TransitLogger, TransitLogger, Transmit.Nothing)"
        );
    }

    #[test]
    fn serializers_by_name() {
        assert_eq!(plugins().make_serializer(&"json".into()).unwrap().name(), "JSON");
        let options = json!({"type": "JSON", "options": {"x": 1}});
        assert!(plugins().make_serializer(&options.into()).is_err());
        assert!(plugins().make_serializer(&"Avro".into()).is_err());
    }
}
