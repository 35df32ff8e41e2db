//! Choosing plug-ins by value, by name or by URL: [`Plugins`].

mod choice;

use std::sync::Arc;

use moleculer_protocol::{JsonSerializer, Object, Serializer, SerializerPlugin, Value};

pub use self::choice::PluginSource;
use self::choice::{Choice, Plugin};
use crate::{
    Error, Middleware, Result, Validator, ValidatorPlugin,
    cacher::{CacherPlugin, DynCacher},
    middleware::LOGGERS,
    strategy::{STRATEGIES, Strategy},
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
        let choice = Choice::read("transporter", choice)?;
        (self.find(&self.transporters, &choice)?.build)(choice.into_source())
    }

    /// Makes the serializer that `choice` names: a name or `{type, options}`.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_serializer(&self, choice: &Value) -> Result<Arc<dyn Serializer>> {
        let choice = Choice::read("serializer", choice)?;
        let plugin = self.find(&self.serializers, &choice)?;
        (plugin.build)(choice.options)
            .map_err(|error| Error::options(format!("serializer {}: {error}", plugin.name)))
    }

    /// Makes the cacher that `choice` names: a name, a URL, or `{type,
    /// options}`; `true` and a missing type stand for `Memory`. `None` for
    /// `false` and null.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_cacher(&self, choice: &Value) -> Result<Option<Arc<dyn DynCacher>>> {
        if matches!(choice, Value::Null | Value::Undefined | Value::Bool(false)) {
            return Ok(None);
        }
        let choice = Choice::read_or("cacher", choice, Some("Memory"))?;
        (self.find(&self.cachers, &choice)?.build)(choice.into_source(), self).map(Some)
    }

    /// Makes the strategy that `choice` names: a name or `{type, options}`.
    /// `options` stand beside it, as `strategyOptions` do in configuration.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_strategy(&self, choice: &Value, options: &Object) -> Result<Arc<dyn Strategy>> {
        let choice = Choice::read("strategy", choice)?;
        if !choice.options.is_empty() && !options.is_empty() {
            return Err(Error::options(format!(
                "the options of strategy {} are given twice; keep `strategyOptions`",
                choice.name
            )));
        }
        let plugin = self.find(&self.strategies, &choice)?;
        let own = choice.options;
        (plugin.build)(if own.is_empty() { options.clone() } else { own })
    }

    /// Makes the middleware that `choice` names: a name or `{type, options}`.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_middleware(&self, choice: &Value) -> Result<Arc<dyn Middleware>> {
        let choice = Choice::read("middleware", choice)?;
        (self.find(&self.middlewares, &choice)?.build)(choice.options)
    }

    /// Makes the validator that `choice` names: a name or `{type, options}`;
    /// `true` and an object without a `type` stand for the default one.
    ///
    /// # Errors
    ///
    /// As [`make_transporter`](Self::make_transporter).
    pub fn make_validator(&self, choice: &Value) -> Result<Arc<dyn Validator>> {
        let default = self.default_validator().map(|plugin| plugin.name);
        let choice = Choice::read_or("validator", choice, default)?;
        (self.find(&self.validators, &choice)?.build)(choice.options)
    }

    pub(crate) fn default_validator(&self) -> Option<&ValidatorPlugin> {
        self.validators.iter().find(|plugin| plugin.is_default)
    }

    fn find<'p, P: Plugin>(&self, plugins: &'p [P], choice: &Choice) -> Result<&'p P> {
        let scheme = choice.scheme().filter(|_| P::BY_URL);
        let found = plugins.iter().find(|plugin| match &scheme {
            Some(scheme) => plugin.schemes().contains(&scheme.as_str()),
            None => plugin.name().eq_ignore_ascii_case(&choice.name),
        });
        found.ok_or_else(|| {
            let known: Vec<_> = plugins.iter().map(Plugin::name).collect();
            self.unknown(choice.family, scheme.as_ref().unwrap_or(&choice.name), &known)
        })
    }

    fn unknown(&self, family: &str, wanted: &str, known: &[&str]) -> Error {
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
            None => format!("known are {}", known.join(", ")),
        };
        Error::options(format!("Invalid {family} type '{wanted}'. ({advice})"))
            .with_data(Object::from([("type", wanted)]))
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
            build: |options| match options.is_empty() {
                true => Ok(Arc::new(Nothing)),
                false => Err(Error::options("Nothing has no options")),
            },
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
