//! The broker's options, by the names and units of the reference.

use std::{fmt, time::Duration};

use moleculer_protocol::{Object, ProtocolVersion, Value};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};

use crate::{BulkheadOptions, CircuitBreakerOptions, Error, Result, RetryPolicy};

/// Every option of a broker, as a configuration file has them.
///
/// Keys, units and defaults are those of Moleculer JS. An unknown key is an
/// error that names the closest known one; a key that means something only
/// in JavaScript is taken with a warning.
///
/// ```
/// use moleculer_core::BrokerOptions;
/// use serde_json::json;
///
/// let options = BrokerOptions::from_value(json!({ "namespace": "dev", "requestTimeout": "5s" }))?;
/// assert_eq!(options.request_timeout.as_secs(), 5);
///
/// let error = BrokerOptions::from_value(json!({ "namspace": "dev" })).unwrap_err();
/// assert_eq!(error.message(), "broker options: unknown key `namspace`; did you mean `namespace`?");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
///
/// # What the reference has besides
///
/// Taken with a warning, since they mean nothing here:
///
/// | Option | Why |
/// | --- | --- |
/// | `contextParamsCloning` | params are shared and never change |
/// | `dependencyInterval` | a service that comes is told of, not polled for |
/// | `hotReload` | services are compiled in |
/// | `maxSafeObjectSize` | what is published is data: it has no cycles and no hidden parts |
/// | `Promise`, `ServiceFactory`, `ContextFactory` | there are no classes to replace |
/// | `replOptions`, `replCommands`, `replDelimiter` | a broker has no command line |
/// | `skipProcessEventRegistration` | a broker listens to no signal unless told to: [`run_until_signal`](crate::ServiceBroker::run_until_signal) |
///
/// Functions are set in code, with the methods of
/// [`BrokerBuilder`](crate::BrokerBuilder): `created`, `started`, `stopped`,
/// `errorHandler`, `errorRegenerator`, `uidGenerator`. In a configuration they
/// are an error, and so are the schemas that `internalServices` may hold there.
///
/// An error as well, until they are supported: `cacher`, `disableBalancer`,
/// `logger`, `logLevel`, `metrics`, `tracing`, `validator`,
/// `registry.discoverer`. Falsy values of the broker's
/// own keys are taken: they switch off what is not there.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BrokerOptions {
    /// Separates nodes on one medium. Default: empty.
    pub namespace: String,
    /// Unique in the namespace. Default: host name and process id.
    #[serde(rename = "nodeID")]
    pub node_id: Option<String>,
    /// Name, URL, or `{type, options}`. Default: none, all calls are local.
    pub transporter: Option<Value>,
    /// Name, or `{type, options}`. Default: `JSON`.
    pub serializer: Option<Value>,
    /// Protocol version to speak: 4 for Moleculer 0.14, 5 for 0.15. Default: 5.
    #[serde(deserialize_with = "protocol", serialize_with = "protocol_text")]
    pub protocol: ProtocolVersion,
    /// Timeout of calls, in ms; 0 for none. Default: 0.
    pub request_timeout: Millis,
    /// Whether and how failed calls are made again. Default: not at all.
    #[serde(deserialize_with = "null_is_default")]
    pub retry_policy: RetryPolicy,
    /// Whether and when a failing action gets no more calls. Default: it
    /// always gets them.
    #[serde(deserialize_with = "null_is_default")]
    pub circuit_breaker: CircuitBreakerOptions,
    /// Whether and how many runs of a handler go on at once. Default: no limit.
    #[serde(deserialize_with = "null_is_default")]
    pub bulkhead: BulkheadOptions,
    /// Whether a stop waits for what still runs.
    pub tracking: TrackingOptions,
    /// Deepest allowed nesting of calls; 0 for 256, which keeps a service that
    /// calls itself for ever from using up the stack. Default: 0.
    pub max_call_level: u32,
    /// Time between heartbeats, in s; 0 for none. Default: 10.
    pub heartbeat_interval: Seconds,
    /// Silence after which a node counts as gone, in s. Default: 30.
    pub heartbeat_timeout: Seconds,
    /// Longest wait for dependencies, in ms; 0 for ever. Default: 0.
    pub dependency_timeout: Millis,
    /// Options of the registry.
    pub registry: RegistryOptions,
    /// Options of the transit.
    pub transit: TransitOptions,
    /// Whether the service `$node` exists. Default: true.
    pub internal_services: bool,
    /// Whether the built-in middlewares exist; without them there is no
    /// timeout, retry, circuit breaker, bulkhead, fallback or error handler.
    /// Default: true.
    pub internal_middlewares: bool,
    /// Middlewares by name, or `{type, options}`; the first is the closest to
    /// the handlers. Default: none.
    pub middlewares: Vec<Value>,
    /// Told to other nodes. Default: empty.
    pub metadata: Object,
}

/// Whether a stop waits for what still runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrackingOptions {
    /// Whether calls and events are tracked, unless a call says otherwise.
    /// Default: false.
    pub enabled: bool,
    /// Longest wait, in ms; a service's setting `$shutdownTimeout` goes before
    /// it. Default: 5000.
    pub shutdown_timeout: Millis,
}

/// Options of the registry.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// How to choose among several nodes: name or `{type, options}`. Default:
    /// `RoundRobin`.
    pub strategy: Option<Value>,
    /// Options of the strategy.
    pub strategy_options: Object,
    /// Whether this node's own actions are preferred. Default: true.
    pub prefer_local: bool,
    /// Time between taking the services back and stopping them, in ms, so
    /// that other nodes stop calling. Default: 100.
    pub stop_delay: Millis,
}

/// Options of the transit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransitOptions {
    /// Most outgoing requests that may wait for a response; 0 for no limit.
    /// A call above it fails with `QueueIsFullError`. Default: 50 000.
    pub max_queue_size: usize,
    /// Most incoming requests that may run. Above it the transporter stops
    /// reading where its medium can wait; elsewhere the request is refused
    /// with `QueueIsFullError`. Default: 10 000.
    pub max_running_requests: usize,
    /// Most bytes of a stream in one packet; 0 for no limit. Default: 262 144.
    pub max_chunk_size: usize,
    /// Whether a failed first connection is final. Default: false, it is
    /// retried every 5 s.
    pub disable_reconnect: bool,
    /// Whether packets of any protocol version are taken. Default: false.
    pub disable_version_check: bool,
    /// Quiet time after a change of services before other nodes are told, in
    /// ms; 0 tells at once. Default: 1000.
    pub service_changed_debounce_time: Millis,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            node_id: None,
            transporter: None,
            serializer: None,
            protocol: ProtocolVersion::default(),
            request_timeout: Millis::default(),
            retry_policy: RetryPolicy::default(),
            circuit_breaker: CircuitBreakerOptions::default(),
            bulkhead: BulkheadOptions::default(),
            tracking: TrackingOptions::default(),
            max_call_level: 0,
            heartbeat_interval: Seconds(Duration::from_secs(10)),
            heartbeat_timeout: Seconds(Duration::from_secs(30)),
            dependency_timeout: Millis::default(),
            registry: RegistryOptions::default(),
            transit: TransitOptions::default(),
            internal_services: true,
            internal_middlewares: true,
            middlewares: Vec::new(),
            metadata: Object::new(),
        }
    }
}

impl Default for TrackingOptions {
    fn default() -> Self {
        Self { enabled: false, shutdown_timeout: Millis(Duration::from_secs(5)) }
    }
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            strategy: None,
            strategy_options: Object::new(),
            prefer_local: true,
            stop_delay: Millis(Duration::from_millis(100)),
        }
    }
}

impl Default for TransitOptions {
    fn default() -> Self {
        Self {
            max_queue_size: 50_000,
            max_running_requests: 10_000,
            max_chunk_size: 256 * 1024,
            disable_reconnect: false,
            disable_version_check: false,
            service_changed_debounce_time: Millis(Duration::from_secs(1)),
        }
    }
}

/// Keys that mean something only in JavaScript; why, the documentation of
/// [`BrokerOptions`] says.
const ONLY_JAVASCRIPT: &[&str] = &[
    "Promise",
    "ServiceFactory",
    "ContextFactory",
    "skipProcessEventRegistration",
    "maxSafeObjectSize",
    "contextParamsCloning",
    "dependencyInterval",
    "hotReload",
    "replOptions",
    "replCommands",
    "replDelimiter",
];

/// Keys whose values are functions, and where they are set.
const ONLY_IN_CODE: &[(&str, &str)] = &[
    ("created", "BrokerBuilder::created"),
    ("started", "BrokerBuilder::started"),
    ("stopped", "BrokerBuilder::stopped"),
    ("errorHandler", "BrokerBuilder::error_handler"),
    ("errorRegenerator", "BrokerBuilder::error_regenerator"),
    ("uidGenerator", "BrokerBuilder::uid_generator"),
];

/// Keys of the reference that this version cannot honour. Ignoring them would
/// hide that a feature is off.
const NOT_SUPPORTED: &[&str] =
    &["cacher", "disableBalancer", "logLevel", "logger", "metrics", "tracing", "validator"];

impl BrokerOptions {
    /// Reads the options object of a configuration file.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key or value.
    pub fn from_value(value: impl Into<Value>) -> Result<Self> {
        let mut value = value.into();
        if let Value::Object(options) = &mut value {
            for key in ONLY_JAVASCRIPT {
                if options.remove(key).is_some() {
                    tracing::warn!(option = key, "this option has a meaning only in JavaScript");
                }
            }
        }
        let is_set = |key: &str| {
            value.as_object().is_some_and(|options| options.get(key).is_some_and(Value::is_truthy))
        };
        if let Some((key, setter)) = ONLY_IN_CODE.iter().find(|(key, _)| is_set(key)) {
            return Err(Error::options(format!(
                "broker options: `{key}` is a function; set it with `{setter}`"
            )));
        }
        let unsupported = NOT_SUPPORTED.iter().find(|key| is_set(key));
        if let Some(key) = unsupported {
            return Err(Error::options(format!(
                "broker options: `{key}` is not supported yet; remove it"
            )));
        }
        if let Value::Object(options) = &mut value {
            for key in NOT_SUPPORTED.iter().chain(ONLY_IN_CODE.iter().map(|(key, _)| key)) {
                options.remove(key);
            }
        }
        strict("broker options", value)
    }
}

/// Reads an options struct, whose type denies unknown fields.
///
/// # Errors
///
/// `BrokerOptionsError` that says what is wrong in `what`.
pub fn strict<T: DeserializeOwned>(what: &str, options: impl Into<Value>) -> Result<T> {
    let options = options.into();
    if options.as_object().is_none() {
        return Err(Error::options(format!("{what}: expected an object, found {options:?}")));
    }
    options.into_type().map_err(|error| Error::options(format!("{what}: {error}")))
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProtocolVersion, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Int(4) => Ok(ProtocolVersion::V4),
        Value::Int(5) => Ok(ProtocolVersion::V5),
        Value::String(text) if text == "4" => Ok(ProtocolVersion::V4),
        Value::String(text) if text == "5" => Ok(ProtocolVersion::V5),
        other => Err(D::Error::custom(format_args!("protocol must be 4 or 5, not {other:?}"))),
    }
}

fn protocol_text<S: Serializer>(
    version: &ProtocolVersion,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(version)
}

macro_rules! durations {
    ($($(#[$doc:meta])* $name:ident: $unit:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub Duration);

        impl std::ops::Deref for $name {
            type Target = Duration;
            fn deref(&self) -> &Duration {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_f64(self.0.as_micros() as f64 / ($unit * 1e6))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                duration(&Value::deserialize(deserializer)?, $unit)
                    .map(Self)
                    .map_err(D::Error::custom)
            }
        }
    )*};
}

durations! {
    /// A time that configuration gives as a number of milliseconds, or as
    /// text with a unit: `"5s"`.
    Millis: 1e-3;
    /// A time that configuration gives as a number of seconds, or as text
    /// with a unit: `"500ms"`.
    Seconds: 1.0;
}

/// A time in ms, or a text with a unit.
pub(crate) fn millis(value: &Value) -> Result<Duration, String> {
    duration(value, 1e-3)
}

fn duration(value: &Value, unit: f64) -> Result<Duration, String> {
    let seconds = match value {
        Value::Null | Value::Undefined => Some(0.0),
        Value::String(text) => seconds(text, unit),
        number => number.as_f64().map(|n| n * unit),
    };
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        format!(
            "{value:?} is no duration; write a number or a text such as \"500ms\", \"5s\" or \"2m\""
        )
    })
}

fn seconds(text: &str, unit: f64) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => unit,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    digits.trim().parse::<f64>().ok().map(|n| n * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units_are_those_of_the_reference() {
        let options = json!({
            "heartbeatInterval": 5, "heartbeatTimeout": "500ms", "requestTimeout": 1500,
            "retryPolicy": {"enabled": true, "delay": 5, "maxDelay": "2s"},
            "protocol": "4", "registry": {"stopDelay": 0}, "transit": {"disableVersionCheck": true}
        });
        let options = BrokerOptions::from_value(options).unwrap();
        assert_eq!(options.heartbeat_interval.as_secs(), 5);
        assert_eq!(options.heartbeat_timeout.as_millis(), 500);
        assert_eq!(options.request_timeout.as_millis(), 1500);
        let retry =
            RetryPolicy::new().delay(Duration::from_millis(5)).max_delay(Duration::from_secs(2));
        assert_eq!(options.retry_policy, retry);
        assert_eq!(options.protocol, ProtocolVersion::V4);
        assert!(options.registry.stop_delay.is_zero());
        assert!(options.transit.disable_version_check);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |options: serde_json::Value, expected: &str| {
            let error = BrokerOptions::from_value(options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(json!({"nodeId": "a"}), "did you mean `nodeID`?");
        check(json!({"transit": {"maxQueuSize": 1}}), "did you mean `maxQueueSize`?");
        check(json!({"zzz": 1}), "known are namespace");
        check(json!({"requestTimeout": "soon"}), "is no duration");
        check(json!({"requestTimeout": -1}), "is no duration");
        check(json!({"protocol": 3}), "must be 4 or 5");
        check(json!({"cacher": "Memory"}), "`cacher` is not supported yet");
        check(json!({"errorHandler": "x"}), "set it with `BrokerBuilder::error_handler`");
        check(json!([]), "expected an object");
    }

    #[test]
    fn javascript_only_keys_are_taken() {
        BrokerOptions::from_value(json!({
            "hotReload": true, "dependencyInterval": 500, "metrics": false,
            "errorHandler": null, "retryPolicy": null, "contextParamsCloning": true,
            "created": null
        }))
        .unwrap();
    }

    #[test]
    fn what_the_reference_has_besides_is_documented() {
        let source = include_str!("config.rs");
        let documented: String = source.lines().filter(|line| line.starts_with("///")).collect();
        let in_code = ONLY_IN_CODE.iter().map(|(key, _)| key);
        for key in ONLY_JAVASCRIPT.iter().chain(NOT_SUPPORTED).chain(in_code) {
            assert!(documented.contains(&format!("`{key}`")), "{key}");
        }
    }
}
