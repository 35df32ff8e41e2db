//! The broker's options, by the names and units of the reference.

mod keys;
mod log;
mod places;
mod units;

use std::time::Duration;

use moleculer_protocol::{Object, ProtocolVersion, Value};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};

use self::places::Problem;
pub(crate) use self::{
    log::shown as log_is_shown,
    places::Origin,
    units::{millis, secs},
};
pub use self::{
    log::{LogLevel, Severity, set_shown},
    places::Places,
    units::{Millis, Seconds},
};
use crate::{BulkheadOptions, CircuitBreakerOptions, Result, RetryPolicy};

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
/// An error as well, until they are supported: `metrics`, `tracing`. Values that
/// mean what is done anyway are taken: those that switch the part off, `true`
/// and `"Fastest"` as the validator.
///
/// `null` switches off what it is given for: it reads as `false`, 0 or empty.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
    /// Name, URL, or `{type, options}`; `true` for `Memory`. Default: none,
    /// nothing is cached.
    pub cacher: Option<Value>,
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
    /// Whether the medium chooses who gets a call or an event, where it can:
    /// see [`TransporterCapabilities::balanced`](crate::TransporterCapabilities::balanced).
    /// Elsewhere this is false again, with a warning. Default: false.
    pub disable_balancer: bool,
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
    /// What checks params by the rules of actions and events: name, `{type,
    /// options}`, or `false` for nothing. Default: `true`, `Fastest` where it
    /// is compiled in.
    pub validator: Value,
    /// Told to other nodes. Default: empty.
    pub metadata: Object,
    /// Whether `moleculer::logging::init` shows log lines: `true` and
    /// `"Console"`, or `false`. Default: true.
    #[serde(deserialize_with = "log::logger")]
    pub logger: bool,
    /// Which log lines it shows: `trace`, `debug`, `info`, `warn`, `error`,
    /// `fatal`, or one of them for each module. Default: `info`.
    pub log_level: Option<LogLevel>,
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// Whether a stop waits for what still runs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
    /// How to find other nodes: `Local`, or `{type, options}` with
    /// [`LocalOptions`](crate::LocalOptions); a medium that finds nodes by
    /// itself goes before it. Default: `Local`.
    pub discoverer: Option<Value>,
    /// Time between other nodes having heard that the services are taken back
    /// and stopping them, in ms, so that late calls are answered. Default: 100.
    pub stop_delay: Millis,
}

/// Options of the transit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
            cacher: None,
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
            disable_balancer: false,
            registry: RegistryOptions::default(),
            transit: TransitOptions::default(),
            internal_services: true,
            internal_middlewares: true,
            middlewares: Vec::new(),
            validator: Value::Bool(true),
            metadata: Object::new(),
            logger: true,
            log_level: None,
            origin: Origin::default(),
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
            discoverer: None,
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

impl BrokerOptions {
    /// Reads an options object.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` that names the wrong key, with its path as `key`
    /// in the data.
    pub fn from_value(value: impl Into<Value>) -> Result<Self> {
        Self::from_value_at(value, Places::new())
    }

    /// As [`from_value`](Self::from_value), for options of which one knows
    /// where they stand: errors say so, also those of plug-ins when a broker
    /// is made.
    ///
    /// # Errors
    ///
    /// As [`from_value`](Self::from_value).
    pub fn from_value_at(value: impl Into<Value>, places: Places) -> Result<Self> {
        match Self::read(value.into()) {
            Ok((options, ignored)) => Ok(Self { origin: Origin { places, ignored }, ..options }),
            Err(problem) => Err(problem.into_error("broker options", &places)),
        }
    }

    /// Every key that a configuration may hold, but for functions, with its
    /// default: for those who read options from other sources.
    ///
    /// ```
    /// use moleculer_core::BrokerOptions;
    ///
    /// let keys = BrokerOptions::keys();
    /// assert_eq!(keys.get("heartbeatInterval"), Some(&10.into()));
    /// ```
    pub fn keys() -> Object {
        keys::all(&Self::default())
    }

    fn read(mut value: Value) -> Result<(Self, Vec<&'static str>), Problem> {
        let known = Self::keys();
        let mut ignored = Vec::new();
        if let Value::Object(options) = &mut value {
            ignored = keys::sort_out(options)?;
            keys::empty_nulls(options, &known);
        }
        let options = places::read(value).map_err(|problem| {
            let misplaced = problem.unknown_key().and_then(|(section, key)| {
                let home = keys::belongs(section, key, &known)?;
                Some(format!("unknown key `{key}`; it belongs to {home}"))
            });
            Problem { message: misplaced.unwrap_or(problem.message), path: problem.path }
        })?;
        Ok((options, ignored))
    }
}

/// Reads an options struct, whose type denies unknown keys.
///
/// # Errors
///
/// `BrokerOptionsError` that says what is wrong in `what`, with the path of
/// the key as `key` in the data.
pub fn strict<T: DeserializeOwned>(what: &str, options: impl Into<Value>) -> Result<T> {
    places::read(options.into()).map_err(|problem| problem.into_error(what, &Places::new()))
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

#[cfg(test)]
mod tests;
